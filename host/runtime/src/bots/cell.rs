//! One call's bot, as its worker sees it: the instance, its operations, and the rings to and from the media thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use plugin::{Event, Fault, FrameAnswer, FrameKind, Instance};

use call::{BotAct, BotStats};

use super::fallback::Prompt;
use super::late;
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
    Faulted(Fault),
    FallbackPlayed,
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
    slow_ticks_left: u32,
    /// Of its generation; a flag of its own if there is none.
    proved: Arc<AtomicBool>,
    pub stats: BotStats,
    out: Box<Frame>,
}

/// Shared by lanes, starters and the call; entered by one thread at a time.
pub struct BotCell {
    bot: Mutex<Bot>,
    slow: AtomicBool,
    /// Set aside for the slow lane and not yet run there.
    queued: AtomicBool,
}

impl BotCell {
    pub fn new(operations: Arc<Mutex<Operations>>, ends: BotEnds, proved: Arc<AtomicBool>) -> Self {
        let proving = !proved.load(Ordering::Relaxed);
        let bot = Bot {
            running: Running::Waiting,
            operations,
            ends,
            answered_at: None,
            slow_ticks_left: if proving { TICKS_TO_PROVE_ITSELF } else { 0 },
            proved,
            stats: BotStats::default(),
            out: Box::new([0; 160]),
        };
        Self { bot: Mutex::new(bot), slow: AtomicBool::new(proving), queued: AtomicBool::new(false) }
    }

    pub fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Said by the guest's own thread when it overstayed.
    pub fn set_aside(&self) {
        self.slow.store(true, Ordering::Relaxed);
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

    pub fn note_pace(&self, bot: &Bot) {
        self.slow.store(bot.slow_ticks_left > 0, Ordering::Relaxed);
    }
}

impl Bot {
    pub fn run_instance(&mut self, instance: Box<Instance>) {
        self.running = Running::Bot(instance);
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

    pub fn play_fallback(&mut self, prompt: Prompt) {
        self.dismiss();
        self.operations().abandon();
        self.running = Running::Fallback(prompt);
    }

    pub fn end(&mut self) -> BotStats {
        self.dismiss();
        let mut stats = std::mem::take(&mut self.stats);
        stats.log_lines_dropped = self.operations().log.dropped();
        stats
    }

    /// One tick: what is due becomes events, the events and then the frames are handed to the guest.
    /// `woken` is when the batch began, `others` the guest CPU that its other bots have used since.
    pub fn run(&mut self, now: Instant, woken: Instant, others: Duration, report: &mut dyn FnMut(Report)) -> Duration {
        match &mut self.running {
            Running::Waiting | Running::Gone => return Duration::ZERO,
            Running::Fallback(prompt) => {
                let mut operations = self.operations.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if prompt.feed(operations.playout()) {
                    self.running = Running::Gone;
                    report(Report::FallbackPlayed);
                }
                return Duration::ZERO;
            }
            Running::Bot(_) => {}
        }
        let before = self.measured_time();
        let outcome = self.take_digits().and_then(|()| self.run_guest(now, woken, others));
        let used = self.measured_time().saturating_sub(before);
        self.keep_pace(used);
        // One by one, so that the operations are not locked while others are told.
        loop {
            let Some(act) = self.operations().next_act() else { break };
            report(Report::Act(act));
        }
        if let Err(fault) = outcome {
            self.dismiss();
            report(Report::Faulted(fault));
        }
        used
    }

    fn measured_time(&self) -> Duration {
        match &self.running {
            Running::Bot(instance) => instance.measured_time(),
            _ => Duration::ZERO,
        }
    }

    fn take_digits(&mut self) -> Result<(), Fault> {
        let mut overfull = self.ends.shared.digits_overfull.load(Ordering::Relaxed);
        while let Ok(pressed) = self.ends.digits.pop() {
            let digit = Event::Digit { key: pressed.key, tick: pressed.tick };
            overfull |= self.operations().push(digit).is_err();
        }
        if overfull { Err(Fault::Trapped("let its events fill up without taking them".to_owned())) } else { Ok(()) }
    }

    fn run_guest(&mut self, now: Instant, woken: Instant, others: Duration) -> Result<(), Fault> {
        self.operations().advance(now);
        self.run_events(now)?;
        if let Some(answered_at) = self.answered_at {
            self.run_frames(answered_at, woken, others)?;
        } else {
            self.keep_newest_frames();
        }
        let wants_frames = self.operations().wants_frames();
        self.ends.shared.wants_frames.store(wants_frames, Ordering::Relaxed);
        Ok(())
    }

    fn run_events(&mut self, now: Instant) -> Result<(), Fault> {
        let Running::Bot(instance) = &mut self.running else { return Ok(()) };
        // A bot that makes its own events (a timer of 0 ms in each timer event) goes on in the next tick.
        for _ in 0..super::operations::EVENTS_MAX {
            let next = self.operations.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next_event();
            let Some(event) = next else { break };
            if matches!(event, Event::Answered) {
                self.answered_at.get_or_insert(now);
            }
            self.stats.events += 1;
            instance.on_event(event)?;
        }
        Ok(())
    }

    /// Audio from before the answer is kept, the oldest goes.
    fn keep_newest_frames(&mut self) {
        while self.ends.frames.slots() > FRAMES_WAITING_MAX && self.ends.frames.pop().is_ok() {
            self.stats.overruns += 1;
        }
    }

    fn run_frames(&mut self, answered_at: Instant, woken: Instant, others: Duration) -> Result<(), Fault> {
        self.keep_newest_frames();
        let Running::Bot(instance) = &mut self.running else { return Ok(()) };
        while let Ok(frame) = self.ends.frames.pop() {
            let entered = instance.measured_time();
            let answer = instance.on_frame(frame.tick, &frame.samples, frame.kind, &mut self.out)?;
            let used = instance.measured_time().saturating_sub(entered);
            self.stats.frames += 1;
            self.stats.guest_time_max = self.stats.guest_time_max.max(used);
            let finished = Instant::now();
            // What was kept from before the answer was due when nobody waited for it.
            if finished > frame.due && frame.due > answered_at {
                let budget = frame.due.saturating_duration_since(woken);
                late::count(&mut self.stats.late_answers, used, others, budget);
            }
            if answer == FrameAnswer::Frame {
                // A full ring means that nothing departs any more: the media thread is gone or the call held.
                let _ = self.ends.answers.push(FromBot { tick: frame.tick, samples: *self.out });
            }
            self.stats.wrong_lengths += u64::from(answer == FrameAnswer::WrongLength);
            self.ends.shared.answered.store(frame.tick + 1, Ordering::Release);
        }
        Ok(())
    }

    fn keep_pace(&mut self, used: Duration) {
        if used > FAST_TICK_MAX {
            self.slow_ticks_left = TICKS_TO_PROVE_ITSELF;
        } else if self.slow_ticks_left > 0 {
            self.slow_ticks_left -= 1;
            if self.slow_ticks_left == 0 {
                self.proved.store(true, Ordering::Relaxed);
            }
        }
    }
}
