//! One call's bot, as its worker sees it: the instance, its operations, and the rings to and from the media thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use plugin::{Event, Fault, FrameAnswer, FrameKind, Instance};

use call::{BotAct, BotStats};

use super::fallback::Prompt;
use super::late::{self, Used};
use super::operations::Operations;

pub type Frame = [i16; 160];

/// Frames that wait for the bot before the oldest goes: 500 ms.
pub const FRAMES_WAITING_MAX: usize = 25;
/// How long a bot that overstayed lives on the slow lane, and how many clean ticks a new generation must show there.
pub const TICKS_TO_PROVE_ITSELF: u32 = 50;
/// More guest CPU than this in one tick does not belong among others: one epoch tick.
pub const FAST_TICK_MAX: Duration = Duration::from_millis(1);

/// 20 ms from the caller, on its way to the bot.
pub struct FromCaller {
    pub tick: u64,
    pub kind: FrameKind,
    pub samples: Frame,
    /// When the answer's packet leaves: what comes later is late.
    pub due: Instant,
}

/// 20 ms from the bot, on its way to the caller.
pub struct FromBot {
    pub tick: u64,
    pub samples: Frame,
}

/// A key press on its way to the bot.
pub struct Pressed {
    pub key: char,
    pub tick: u64,
}

/// What both sides of the rings read without waiting.
#[derive(Default)]
pub struct Shared {
    /// The last tick that the bot is done with, plus one.
    pub answered: AtomicU64,
    /// Whether the media thread should hand over frames at all.
    pub wants_frames: AtomicBool,
    /// The leg's newest tick.
    pub tick: AtomicU64,
    /// Departures with nothing to say for a bot that wants to answer each frame.
    pub underruns: AtomicU64,
    /// Frames that found the ring full.
    pub overruns: AtomicU64,
    /// Digits found no room: the bot is not taking them.
    pub digits_overfull: AtomicBool,
}

/// The bot's ends of the rings.
pub struct BotEnds {
    pub frames: rtrb::Consumer<FromCaller>,
    pub digits: rtrb::Consumer<Pressed>,
    pub answers: rtrb::Producer<FromBot>,
    pub shared: Arc<Shared>,
}

/// What the worker tells the rest of the host after a run.
#[derive(Debug)]
pub enum Report {
    Act(BotAct),
    /// The bot is gone, and why.
    Faulted(String),
    FallbackPlayed,
}

/// The conditions under which a bot is entered once.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// When its batch began.
    pub woken: Instant,
    /// Processor time of the batch, its other bots' most of all.
    pub used: Used,
    /// After so long the next event or frame waits for the next turn: others stand behind this bot.
    pub patience: Duration,
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
enum Pace {
    Kept,
    Proving(u32),
    SetAside(u32),
}

enum Running {
    /// `start` has not returned yet, or the bot was never started.
    Waiting,
    Bot(Box<Instance>),
    Fallback(Prompt),
    Gone,
}

pub struct Bot {
    running: Running,
    operations: Arc<Mutex<Operations>>,
    ends: BotEnds,
    answered_at: Option<Instant>,
    pace: Pace,
    /// Of its generation; a flag of its own if there is none.
    proved: Arc<AtomicBool>,
    pub stats: BotStats,
    out: Box<Frame>,
}

/// Shared by lanes, starters and the call; entered by one thread at a time.
pub struct BotCell {
    bot: Mutex<Bot>,
    place: AtomicU8,
    /// Set aside for the slow lane and not yet run there.
    queued: AtomicBool,
}

impl BotCell {
    pub fn new(operations: Arc<Mutex<Operations>>, ends: BotEnds, proved: Arc<AtomicBool>) -> Self {
        let pace = if proved.load(Ordering::Relaxed) { Pace::Kept } else { Pace::Proving(TICKS_TO_PROVE_ITSELF) };
        let bot = Bot {
            running: Running::Waiting,
            operations,
            ends,
            answered_at: None,
            pace,
            proved,
            stats: BotStats::default(),
            out: Box::new([0; 160]),
        };
        let place = AtomicU8::new(bot.place() as u8);
        Self { bot: Mutex::new(bot), place, queued: AtomicBool::new(false) }
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

    /// After a turn: where the next one is.
    pub fn note_pace(&self, bot: &Bot) {
        self.place.store(bot.place() as u8, Ordering::Relaxed);
    }
}

impl Bot {
    /// Takes the place of a start that has not been given up meanwhile; else the instance comes back.
    pub fn run_instance(&mut self, instance: Box<Instance>, frames: bool) -> Result<(), Box<Instance>> {
        if !matches!(self.running, Running::Waiting) {
            return Err(instance);
        }
        self.operations().want_frames(frames);
        self.ends.shared.wants_frames.store(frames, Ordering::Relaxed);
        self.running = Running::Bot(instance);
        Ok(())
    }

    pub fn operations(&self) -> MutexGuard<'_, Operations> {
        self.operations.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The instance goes; what it used stays on record.
    fn dismiss(&mut self) {
        self.ends.shared.wants_frames.store(false, Ordering::Relaxed);
        if let Running::Bot(instance) = std::mem::replace(&mut self.running, Running::Gone) {
            self.stats.guest_time += instance.guest_time();
        }
    }

    /// The host's own prompt, which is no slow bot whatever stood here before.
    pub fn play_fallback(&mut self, prompt: Prompt) {
        self.dismiss();
        self.operations().abandon();
        self.pace = Pace::Kept;
        self.running = Running::Fallback(prompt);
    }

    pub fn end(&mut self) -> BotStats {
        self.dismiss();
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

    /// One tick: what is due becomes events, the events and then the frames are handed to the guest.
    /// A panic of the host's own in here costs this bot, not the worker.
    pub fn run(&mut self, now: Instant, turn: Turn, report: &mut dyn FnMut(Report)) {
        catch_unwind(AssertUnwindSafe(|| self.take_turn(now, turn, report))).unwrap_or_else(|_| {
            // What is left of it may panic again where it is dropped; it is out of its place by then.
            let _ = catch_unwind(AssertUnwindSafe(|| self.dismiss()));
            report(Report::Faulted("the host itself failed while it ran".to_owned()));
        });
    }

    fn take_turn(&mut self, now: Instant, turn: Turn, report: &mut dyn FnMut(Report)) {
        match &mut self.running {
            Running::Waiting | Running::Gone => return,
            Running::Fallback(prompt) => {
                let mut operations = self.operations.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if prompt.feed(operations.playout()) {
                    self.running = Running::Gone;
                    report(Report::FallbackPlayed);
                }
                return;
            }
            Running::Bot(instance) => instance.begin_tick(),
        }
        let (measured_before, frames_before) = (self.measured_time(), self.stats.frames);
        let outcome = self.take_digits().and_then(|()| self.run_guest(now, turn).map_err(Ended::Fault));
        let measured = self.measured_time().saturating_sub(measured_before);
        let frames = u32::try_from(self.stats.frames - frames_before).unwrap_or(u32::MAX);
        // Frames that had waited are ticks of their own.
        self.keep_pace(measured / frames.max(1));
        self.report_acts(report);
        if let Err(ended) = outcome {
            if let Ended::Fault(Fault::TooLong { .. }) = ended {
                // The next ones of this generation begin on the slow lane again.
                self.proved.store(false, Ordering::Relaxed);
            }
            self.dismiss();
            report(Report::Faulted(ended.to_string()));
        }
    }

    /// What the bot asked of its call.
    pub fn report_acts(&mut self, report: &mut dyn FnMut(Report)) {
        while let Some(act) = self.next_act() {
            report(Report::Act(act));
        }
    }

    fn next_act(&self) -> Option<BotAct> {
        self.operations().next_act()
    }

    fn measured_time(&self) -> Duration {
        match &self.running {
            Running::Bot(instance) => instance.measured_time(),
            _ => Duration::ZERO,
        }
    }

    fn take_digits(&mut self) -> Result<(), Ended> {
        let mut overfull = self.ends.shared.digits_overfull.load(Ordering::Relaxed);
        while let Ok(pressed) = self.ends.digits.pop() {
            let digit = Event::Digit { key: pressed.key, tick: pressed.tick };
            overfull |= self.operations().push(digit).is_err();
        }
        if overfull { Err(Ended::Overfull) } else { Ok(()) }
    }

    fn run_guest(&mut self, now: Instant, turn: Turn) -> Result<(), Fault> {
        let wanted = {
            let mut operations = self.operations();
            operations.advance(now);
            // What the bot says in this tick counts from the next one on.
            operations.wants_frames()
        };
        self.run_events(now, turn)?;
        let (over, events_wait) = {
            let operations = self.operations();
            (operations.is_over(), operations.has_events())
        };
        match self.answered_at {
            _ if over || !wanted => self.drop_frames(),
            // A frame comes after its tick's events.
            Some(answered_at) if !events_wait => self.run_frames(now, answered_at, turn)?,
            _ => self.keep_newest_frames(),
        }
        let wants_frames = self.operations().wants_frames();
        self.ends.shared.wants_frames.store(wants_frames, Ordering::Relaxed);
        Ok(())
    }

    fn run_events(&mut self, now: Instant, turn: Turn) -> Result<(), Fault> {
        let Running::Bot(instance) = &mut self.running else { return Ok(()) };
        // Bounded: what a bot's own doing brings about (a timer of 0 ms in each timer event) becomes due in the next tick.
        loop {
            let next = self.operations.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next_event();
            let Some(event) = next else { return Ok(()) };
            if matches!(event, Event::Answered) {
                self.answered_at.get_or_insert(now);
            }
            self.stats.events += 1;
            instance.on_event(event)?;
            if now.elapsed() >= turn.patience {
                return Ok(());
            }
        }
    }

    /// Audio from before the answer is kept, the oldest goes.
    fn keep_newest_frames(&mut self) {
        while self.ends.frames.slots() > FRAMES_WAITING_MAX && self.ends.frames.pop().is_ok() {
            self.stats.overruns += 1;
        }
    }

    fn drop_frames(&mut self) {
        while self.ends.frames.pop().is_ok() {}
    }

    fn run_frames(&mut self, now: Instant, answered_at: Instant, turn: Turn) -> Result<(), Fault> {
        self.keep_newest_frames();
        let Running::Bot(instance) = &mut self.running else { return Ok(()) };
        let mut first = true;
        while let Ok(frame) = self.ends.frames.pop() {
            if !std::mem::take(&mut first) {
                instance.begin_tick();
            }
            let entered = instance.measured_time();
            let answer = instance.on_frame(frame.tick, &frame.samples, frame.kind, &mut self.out)?;
            let used = instance.measured_time().saturating_sub(entered);
            self.stats.frames += 1;
            self.stats.guest_time_max = self.stats.guest_time_max.max(used);
            let finished = Instant::now();
            // What was kept from before the answer was due when nobody waited for it.
            if finished > frame.due && frame.due > answered_at {
                let budget = frame.due.saturating_duration_since(turn.woken);
                let others = turn.used.so_far().saturating_sub(used);
                late::count(&mut self.stats.late_answers, used, others, budget);
            }
            if answer == FrameAnswer::Frame {
                // A full ring means that nothing departs any more: the media thread is gone or the call held.
                let _ = self.ends.answers.push(FromBot { tick: frame.tick, samples: *self.out });
            }
            self.stats.wrong_lengths += u64::from(answer == FrameAnswer::WrongLength);
            self.ends.shared.answered.store(frame.tick + 1, Ordering::Release);
            if finished.saturating_duration_since(now) >= turn.patience {
                break;
            }
        }
        Ok(())
    }

    /// Ticks before the answer prove nothing.
    fn keep_pace(&mut self, used: Duration) {
        self.pace = match self.pace {
            _ if used > FAST_TICK_MAX => Pace::SetAside(TICKS_TO_PROVE_ITSELF),
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

/// Why a bot is gone.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Fault(Fault),
    #[error("{OVERFULL}")]
    Overfull,
}

/// Of a bot whose digits or events are not taken.
pub const OVERFULL: &str = "let its events fill up without taking them";
