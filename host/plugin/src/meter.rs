//! How long a guest ran, in CPU of the thread that ran it, and when that is too long.
//!
//! Reading the thread's CPU clock is a system call (a third of what a short `on-frame` costs), so frames are
//! sampled: one in 17 is measured and counts for all. Everything else is rare and measured each time. The hard limit needs no clock at all while a
//! guest is quick: only when an epoch fires is the CPU clock read, and from then on the guest is judged by it. An epoch counts wall time; a worker
//! that was pre-empted has used no CPU and is not blamed.

use std::time::Duration;

/// A prime, so that a bot with a rhythm (say heavy work each eighth frame) is sampled fairly.
const FRAMES_PER_SAMPLE: u32 = 17;

/// Epochs that pass before a call is looked at: with two, at least one whole epoch has passed.
pub(crate) const EPOCHS_BEFORE_FIRST_LOOK: u64 = 2;

#[derive(Debug, Default)]
pub(crate) struct Meter {
    run: Run,
    guest_time: Duration,
    frames_until_sample: u32,
    /// Which tick `spent_in_tick` belongs to.
    tick: u64,
    spent_in_tick: Duration,
}

/// One call of the guest, from entry to return.
#[derive(Debug, Default)]
struct Run {
    /// What is left of the limit for this call.
    allowance: Duration,
    /// CPU clock at entry, where this call is measured.
    began: Option<Duration>,
    /// CPU clock when the first epoch fired inside this call.
    overstayed: Option<Duration>,
    frame: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first epoch inside this call.
    Overstayed,
    GoOn,
    TooLong,
}

impl Meter {
    /// A call with an allowance of its own: `start`, `save`, instantiation.
    pub(crate) fn enter(&mut self, allowance: Duration) {
        self.run = Run {
            allowance,
            began: Some(thread_cpu()),
            ..Run::default()
        };
    }

    /// An event: shares `limit` with whatever else happens in the same tick.
    pub(crate) fn enter_event(&mut self, tick: u64, limit: Duration) {
        let allowance = self.left_in(tick, limit);
        self.enter(allowance);
    }

    /// A frame: shares `limit` with the events of its tick.
    pub(crate) fn enter_frame(&mut self, tick: u64, limit: Duration) {
        let allowance = self.left_in(tick, limit);
        let sampled = self.frames_until_sample == 0;
        self.frames_until_sample = if sampled {
            FRAMES_PER_SAMPLE
        } else {
            self.frames_until_sample
        } - 1;
        self.run = Run {
            allowance,
            began: sampled.then(thread_cpu),
            overstayed: None,
            frame: true,
        };
    }

    fn left_in(&mut self, tick: u64, limit: Duration) -> Duration {
        if tick != self.tick {
            self.tick = tick;
            self.spent_in_tick = Duration::ZERO;
        }
        limit.saturating_sub(self.spent_in_tick)
    }

    /// An epoch fired while the guest runs.
    pub(crate) fn on_epoch(&mut self) -> Verdict {
        let now = thread_cpu();
        let first = self.run.overstayed.is_none();
        let overstayed = *self.run.overstayed.get_or_insert(now);
        // A frame that is not sampled is judged from its first epoch on: in the bot's favour, by an epoch or two.
        let used = now.saturating_sub(self.run.began.unwrap_or(overstayed));
        match (used > self.run.allowance, first) {
            (true, _) => Verdict::TooLong,
            (false, true) => Verdict::Overstayed,
            (false, false) => Verdict::GoOn,
        }
    }

    /// The guest has returned or trapped.
    pub(crate) fn leave(&mut self) {
        let Run {
            began,
            overstayed,
            frame,
            ..
        } = std::mem::take(&mut self.run);
        let (quick, slow) = match (began, overstayed) {
            (None, None) => return,
            (Some(began), None) => (thread_cpu().saturating_sub(began), Duration::ZERO),
            (None, Some(overstayed)) => (Duration::ZERO, thread_cpu().saturating_sub(overstayed)),
            (Some(began), Some(overstayed)) => (
                overstayed.saturating_sub(began),
                thread_cpu().saturating_sub(overstayed),
            ),
        };
        // What follows the first epoch is always measured, so only what precedes it is scaled up.
        let weight = if frame { FRAMES_PER_SAMPLE } else { 1 };
        self.guest_time += quick * weight + slow;
        self.spent_in_tick += quick + slow;
    }

    pub(crate) fn guest_time(&self) -> Duration {
        self.guest_time
    }
}

/// CPU time that this thread has used. Cost: a system call, 0.2 to 0.3 us.
fn thread_cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place to write one timespec, and this clock exists on every Linux.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "the thread CPU clock can be read");
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}
