//! One call's bot, as its worker sees it: the instance, its operations, and the rings to and from the media thread.
//! How it goes on after a fault is in `lives`, how it changes its generation in `moves`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use plugin::{Fault, Instance, Plugin};

use call::{BargeInTimes, BotAct, BotStats};

use super::ear::Ear;
use super::fallback::Prompt;
use super::lane::lock;
use super::lives::{Restarts, Saves};
use super::moves::{Frozen, Incoming};
use super::operations::{Affairs, Operations, Quiet, Rest, Task};
use super::quota::CpuQuota;
use super::rings::BotEnds;
use crate::soon::touch;

/// Frames that wait for the bot before the oldest goes: 500 ms.
pub const FRAMES_WAITING_MAX: usize = 25;
/// How long a bot that overstayed lives on the slow lane, and how many clean ticks a new generation must show there.
pub const TICKS_TO_PROVE_ITSELF: u32 = 50;
/// More guest CPU than this in one tick does not belong among others: one epoch tick.
pub const FAST_TICK_MAX: Duration = Duration::from_millis(1);

/// What the worker tells the rest of the host after a run.
#[derive(Debug)]
pub enum Report {
    Act(BotAct),
    /// Something for [`Services`](super::Services).
    Task(Task),
    /// The bot is gone, and why.
    Faulted(String),
    FallbackPlayed,
    /// The caller cut the bot off.
    BargedIn(BargeInTimes),
    /// A new instance is to go on from the last save, after so long.
    Fell {
        after: Duration,
        why: String,
    },
    /// The new instance took over.
    Moved {
        generation: u64,
    },
    /// This try failed; the bot goes on as it was.
    MoveFailed {
        why: String,
    },
    /// The new instance failed soon after it took over, and the one before it goes on.
    PutBack {
        generation: u64,
        why: String,
    },
    /// An instance to be dropped where nobody waits for it.
    Discard(Box<Instance>),
}

pub type Tell<'a> = &'a mut dyn FnMut(Report);

/// The conditions under which a bot is entered once.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// When its batch began.
    pub woken: Instant,
    /// Guest CPU of the bots before it in its batch.
    pub others: Duration,
    /// After so long the next event or frame waits for the next turn: others stand behind this bot.
    pub patience: Duration,
    /// A bot of the same build has just overstayed in this batch.
    pub suspect: bool,
}

/// Where a bot is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    /// Among the others, in its lane.
    Lane,
    /// On the slow lane, because nothing is known of its generation yet.
    Proving,
    /// On the slow lane, because it overstayed.
    SetAside,
}

/// The same, and for how many clean ticks yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Kept,
    Proving(u32),
    SetAside(u32),
}

pub(super) enum Running {
    /// `start` has not returned yet, or the bot was never started.
    Waiting,
    Bot(Box<Instance>),
    /// It failed; an instance of the same build is to take its place.
    Down(Plugin),
    #[cfg(feature = "native-bot")]
    Native,
    Fallback(Prompt),
    Gone,
}

/// What every turn needs comes first.
#[repr(C)]
pub struct Bot {
    pub(super) running: Running,
    pub(super) operations: Arc<Affairs>,
    pub(super) ends: BotEnds,
    /// As the last turn left its operations; holds until somebody stirs them.
    pub(super) quiet: Option<Quiet>,
    /// If anybody wants to know what the caller says.
    pub(super) ear: Option<Box<Ear>>,
    pub(super) answered_at: Option<Instant>,
    pub(super) pace: Pace,
    /// The instance before this one, for a second after a move.
    pub(super) frozen: Option<Box<Frozen>>,
    /// Guest CPU of this turn.
    pub(super) used: Duration,
    pub(super) quota: CpuQuota,
    pub(super) saves: Saves,
    pub stats: BotStats,
    /// Of its generation; a flag of its own if there is none.
    pub(super) proved: Arc<AtomicBool>,
    pub(super) restarts: Restarts,
}

/// Shared by lanes, starters and the call; entered by one thread at a time.
#[repr(C)]
pub struct BotCell {
    place: AtomicU8,
    /// Set aside for the slow lane and not yet run there.
    queued: AtomicBool,
    has_incoming: AtomicBool,
    bot: Mutex<Bot>,
    /// A new instance that waits for the end of a turn; whether there is one is said above.
    incoming: Mutex<Option<Box<Incoming>>>,
}

impl BotCell {
    /// `stats`: with the build that it begins with.
    pub fn new(
        operations: Arc<Affairs>,
        ends: BotEnds,
        proved: Arc<AtomicBool>,
        quota: CpuQuota,
        stats: BotStats,
    ) -> Self {
        let pace = if proved.load(Ordering::Relaxed) { Pace::Kept } else { Pace::Proving(TICKS_TO_PROVE_ITSELF) };
        let bot = Bot {
            running: Running::Waiting,
            operations,
            ends,
            quiet: None,
            ear: None,
            answered_at: None,
            pace,
            frozen: None,
            used: Duration::ZERO,
            quota,
            saves: Saves::default(),
            stats,
            proved,
            restarts: Restarts::default(),
        };
        let place = AtomicU8::new(bot.place() as u8);
        Self {
            place,
            queued: AtomicBool::new(false),
            has_incoming: AtomicBool::new(false),
            bot: Mutex::new(bot),
            incoming: Mutex::new(None),
        }
    }

    pub fn place(&self) -> Place {
        match self.place.load(Ordering::Relaxed) {
            lane if lane == Place::Lane as u8 => Place::Lane,
            proving if proving == Place::Proving as u8 => Place::Proving,
            _ => Place::SetAside,
        }
    }

    /// Said by the guest's own thread when it overstayed.
    pub fn set_aside(&self) {
        self.place.store(Place::SetAside as u8, Ordering::Relaxed);
    }

    /// True for the first caller: the cell then is in one queue of the slow lane.
    pub fn claim_queue(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }

    pub fn release_queue(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// The bot, unless another thread is inside.
    pub fn try_enter(&self) -> Option<MutexGuard<'_, Bot>> {
        match self.bot.try_lock() {
            Ok(bot) => Some(bot),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }

    /// Waits for whoever is inside; a guest stays at most its hard limit.
    pub fn enter(&self) -> MutexGuard<'_, Bot> {
        self.bot.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Leaves a new instance for whoever next has the bot at the end of a turn; one that waits already comes back.
    pub fn hand_in(&self, incoming: Box<Incoming>) -> Option<Box<Incoming>> {
        let before = lock(&self.incoming).replace(incoming);
        self.has_incoming.store(true, Ordering::Release);
        before
    }

    pub fn has_incoming(&self) -> bool {
        self.has_incoming.load(Ordering::Acquire)
    }

    /// None also while somebody is just handing it in.
    pub fn take_incoming(&self) -> Option<Box<Incoming>> {
        let incoming = self.incoming.try_lock().ok()?.take();
        self.has_incoming.store(false, Ordering::Release);
        incoming
    }

    /// What its turn will need is asked for, while another has its own. Its lock is tried, as for a turn, and never waited for.
    pub fn touch_ahead(&self, touch: impl FnOnce(&Bot)) {
        if self.place() == Place::Lane
            && let Some(bot) = self.try_enter()
        {
            touch(&bot);
        }
    }

    /// After a turn: where the next one is.
    pub fn note_pace(&self, bot: &Bot) {
        self.place.store(bot.place() as u8, Ordering::Relaxed);
    }
}

impl Bot {
    /// Takes the place of a start, or of an instance that failed, if it has not been given up meanwhile; else it comes back.
    pub fn run_instance(&mut self, now: Instant, instance: Box<Instance>, frames: bool) -> Result<(), Box<Instance>> {
        if !matches!(self.running, Running::Waiting | Running::Down(_)) {
            return Err(instance);
        }
        self.set_wants_frames(frames);
        self.quota.begin(instance.guest_time());
        self.saves.begin(now);
        self.restarts.begin(now);
        self.running = Running::Bot(instance);
        Ok(())
    }

    pub(super) fn set_wants_frames(&self, wanted: bool) {
        let mut operations = self.operations();
        operations.want_frames(wanted);
        self.ends.shared.wants_frames.store(operations.wants_frames(), Ordering::Relaxed);
    }

    pub fn operations(&self) -> MutexGuard<'_, Operations> {
        self.operations.lock()
    }

    #[cfg(feature = "native-bot")]
    pub(super) fn advance(&self, now: Instant) -> MutexGuard<'_, Operations> {
        self.operations.advance(now)
    }

    /// The instance goes; what it used stays on record.
    pub(super) fn dismiss(&mut self, tell: Tell) {
        self.ends.shared.wants_frames.store(false, Ordering::Relaxed);
        self.cover_ear();
        if let Running::Bot(instance) = std::mem::replace(&mut self.running, Running::Gone) {
            self.discard(instance, tell);
        }
        if let Some(frozen) = self.frozen.take() {
            self.discard(frozen.instance, tell);
        }
    }

    pub(super) fn discard(&mut self, instance: Box<Instance>, tell: Tell) {
        self.stats.guest_time += instance.guest_time();
        tell(Report::Discard(instance));
    }

    /// The host's own prompt, which is no slow bot whatever stood here before.
    pub fn play_fallback(&mut self, prompt: Prompt, tell: Tell) {
        self.dismiss(tell);
        self.operations().abandon();
        self.report_tasks(tell);
        self.pace = Pace::Kept;
        self.running = Running::Fallback(prompt);
    }

    pub fn end(&mut self, tell: Tell) -> BotStats {
        self.dismiss(tell);
        self.operations().close();
        let mut stats = std::mem::take(&mut self.stats);
        stats.log_lines_dropped = self.operations().log.dropped();
        stats.underruns += self.ends.shared.underruns.load(Ordering::Relaxed);
        stats.overruns += self.ends.shared.overruns.load(Ordering::Relaxed);
        stats
    }

    fn place(&self) -> Place {
        match self.pace {
            Pace::Kept => Place::Lane,
            Pace::Proving(_) => Place::Proving,
            Pace::SetAside(_) => Place::SetAside,
        }
    }

    /// What it points to.
    pub(super) fn touch_parts(&self) {
        touch(&*self.operations);
        touch(&*self.ends.shared);
        self.ends.frames.touch();
        self.ends.answers.touch();
        if let Running::Bot(instance) = &self.running {
            touch(&**instance);
        }
    }

    /// What its instance points to.
    pub(super) fn touch_guest(&self) {
        if let Running::Bot(instance) = &self.running {
            touch(instance.state());
        }
    }

    /// One tick: what is due becomes events, the events and then the frames are handed to the guest.
    /// A panic of the host's own in here costs this bot, not the worker.
    /// Returns the guest CPU that it used, as far as the meter saw it.
    pub fn run(&mut self, now: Instant, turn: Turn, tell: Tell) -> Duration {
        self.used = Duration::ZERO;
        self.guarded(tell, |bot, tell| bot.take_turn(now, turn, tell));
        self.used
    }

    pub(super) fn guarded(&mut self, tell: Tell, run: impl FnOnce(&mut Self, Tell)) {
        catch_unwind(AssertUnwindSafe(|| run(self, tell))).unwrap_or_else(|_| {
            // What is left of it may panic again where it is dropped; it is out of its place by then.
            let _ = catch_unwind(AssertUnwindSafe(|| self.dismiss(tell)));
            tell(Report::Faulted("the host itself failed while it ran".to_owned()));
        });
    }

    fn take_turn(&mut self, now: Instant, turn: Turn, tell: Tell) {
        match &mut self.running {
            Running::Waiting | Running::Gone => return,
            Running::Down(_) => return self.stay_down(now, tell),
            #[cfg(feature = "native-bot")]
            Running::Native => {
                self.echo(now);
                return self.report_acts(tell);
            }
            Running::Fallback(prompt) => {
                if prompt.feed(self.operations.lock().playout()) {
                    self.running = Running::Gone;
                    tell(Report::FallbackPlayed);
                }
                return;
            }
            Running::Bot(instance) => instance.begin_tick(),
        }
        self.thaw(now, tell);
        let (measured_before, frames_before) = (self.measured_time(), self.stats.frames);
        let heard = self.take_digits().and_then(|()| self.hear(now, tell));
        let outcome = heard.and_then(|()| self.run_guest(now, turn).map_err(Ended::Fault));
        let measured = self.measured_time().saturating_sub(measured_before);
        self.used = measured;
        let frames = u32::try_from(self.stats.frames - frames_before).unwrap_or(u32::MAX);
        self.count_cpu(now);
        // Frames that had waited are ticks of their own.
        self.keep_pace(measured / frames.max(1));
        self.settle(tell);
        match outcome {
            Ok(()) => self.save_if_due(now, tell),
            Err(Ended::Overfull) => self.give_up(OVERFULL.to_owned(), tell),
            Err(Ended::Fault(fault)) => self.fall(now, &fault, tell),
        }
    }

    fn count_cpu(&mut self, now: Instant) {
        let Running::Bot(instance) = &self.running else { return };
        if self.quota.count(now, instance.guest_time()) {
            self.stats.cpu_quota_breaches += 1;
            self.operations()
                .log
                .warn("uses more CPU than its quota: it runs on the slow lane until it is back within");
        }
    }

    /// For good: the route's fall-back.
    pub(super) fn give_up(&mut self, why: String, tell: Tell) {
        self.dismiss(tell);
        tell(Report::Faulted(why));
    }

    /// What the bot asked of its call.
    pub fn report_acts(&mut self, tell: Tell) {
        while let Some(act) = self.next_act() {
            tell(Report::Act(act));
        }
        self.report_tasks(tell);
    }

    /// What is for others to carry out.
    pub(super) fn report_tasks(&mut self, tell: Tell) {
        while let Some(task) = self.next_task() {
            tell(Report::Task(task));
        }
    }

    fn next_act(&self) -> Option<BotAct> {
        self.operations.look().next_act()
    }

    fn next_task(&self) -> Option<Task> {
        self.operations.look().next_task()
    }

    /// After the guest has run. Cost: a load, if nobody has touched the call's operations.
    fn settle(&mut self, tell: Tell) {
        if self.quiet.is_some() && !self.operations.is_stirred() {
            return;
        }
        self.report_acts(tell);
        let Rest { wants_frames, quiet, change } = self.operations.rest();
        self.quiet = quiet;
        self.ends.shared.wants_frames.store(wants_frames, Ordering::Relaxed);
        if let Some(change) = change {
            self.attend(change);
        }
    }

    fn measured_time(&self) -> Duration {
        match &self.running {
            Running::Bot(instance) => instance.measured_time(),
            _ => Duration::ZERO,
        }
    }

    /// Ticks before the answer prove nothing.
    fn keep_pace(&mut self, used: Duration) {
        self.pace = match self.pace {
            _ if used > FAST_TICK_MAX || self.quota.is_over() => Pace::SetAside(TICKS_TO_PROVE_ITSELF),
            pace if self.answered_at.is_none() => pace,
            Pace::Proving(1) | Pace::SetAside(1) => {
                self.proved.store(true, Ordering::Relaxed);
                Pace::Kept
            }
            Pace::Kept => Pace::Kept,
            Pace::Proving(left) => Pace::Proving(left - 1),
            Pace::SetAside(left) => Pace::SetAside(left - 1),
        };
    }
}

/// Why a turn was the bot's last.
#[derive(Debug)]
pub(super) enum Ended {
    Fault(Fault),
    Overfull,
}

/// Of a bot whose digits or events are not taken.
pub const OVERFULL: &str = "let its events fill up without taking them";
