//! How long a guest ran, in CPU of the thread that ran it, and when that is too long.
//!
//! Reading the thread's CPU clock is a system call (a third of what a short `on-frame` costs), so frames are
//! sampled: one in 17 is measured and counts for all. Everything else is rare and measured each time. The hard limit needs no clock at all while a
//! guest is quick: only when an epoch fires is the CPU clock read, and from then on the guest is judged by it. An epoch counts wall time; a worker
//! that was pre-empted has used no CPU and is not blamed.

use std::sync::LazyLock;
use std::time::Duration;

/// A prime, so that a bot with a rhythm (say heavy work each eighth frame) is sampled fairly.
const FRAMES_PER_SAMPLE: u32 = 17;

/// Epochs that pass before a call is looked at: with two, at least one whole epoch has passed.
pub(crate) const EPOCHS_BEFORE_FIRST_LOOK: u64 = 2;

/// What a call can have used before its first epoch fires, and so what is counted of that time. Where the CPU clock says more, a hypervisor
/// took the processor away in the middle and the clock did not notice: that is nobody's quota.
const QUICK_MAX: Duration = Duration::from_millis(EPOCHS_BEFORE_FIRST_LOOK);

#[derive(Debug)]
pub(crate) struct Meter {
    run: Run,
    guest_time: Duration,
    measured_time: Duration,
    frames_until_sample: u32,
    /// Whose `spent_in_tick` is.
    tick: Tick,
    spent_in_tick: Duration,
}

/// The span that shares one allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    /// Until [`Meter::begin_tick`] says so: nobody's clock is asked any more.
    Told,
    /// By the port's clock.
    OfClock(u64),
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

impl Default for Meter {
    /// The first frame of a call is like no other (cold caches, a bot that sets itself up), so it is not a sample.
    fn default() -> Self {
        Self {
            run: Run::default(),
            guest_time: Duration::ZERO,
            measured_time: Duration::ZERO,
            frames_until_sample: FRAMES_PER_SAMPLE / 2,
            tick: Tick::OfClock(0),
            spent_in_tick: Duration::ZERO,
        }
    }
}

impl Meter {
    /// A call with an allowance of its own: `start`, `save`, instantiation.
    pub(crate) fn enter(&mut self, allowance: Duration) {
        self.run = Run { allowance, began: Some(thread_cpu()), ..Run::default() };
    }

    /// An event: shares `limit` with whatever else happens in the same tick. `clock`: the number of the tick.
    pub(crate) fn enter_event(&mut self, clock: impl FnOnce() -> u64, limit: Duration) {
        let allowance = self.left_in(clock, limit);
        self.enter(allowance);
    }

    /// A frame: shares `limit` with the events of its tick.
    pub(crate) fn enter_frame(&mut self, clock: impl FnOnce() -> u64, limit: Duration) {
        let allowance = self.left_in(clock, limit);
        let sampled = self.frames_until_sample == 0;
        self.frames_until_sample = if sampled { FRAMES_PER_SAMPLE } else { self.frames_until_sample } - 1;
        self.run = Run { allowance, began: sampled.then(thread_cpu), overstayed: None, frame: true };
    }

    pub(crate) fn begin_tick(&mut self) {
        self.tick = Tick::Told;
        self.spent_in_tick = Duration::ZERO;
    }

    fn left_in(&mut self, clock: impl FnOnce() -> u64, limit: Duration) -> Duration {
        if let Tick::OfClock(before) = self.tick {
            let tick = clock();
            if tick != before {
                self.tick = Tick::OfClock(tick);
                self.spent_in_tick = Duration::ZERO;
            }
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
        let Run { began, overstayed, frame, .. } = std::mem::take(&mut self.run);
        let (quick, slow) = match (began, overstayed) {
            (None, None) => return,
            (Some(began), None) => (thread_cpu().saturating_sub(began + *CLOCK_COST), Duration::ZERO),
            (None, Some(overstayed)) => (Duration::ZERO, thread_cpu().saturating_sub(overstayed)),
            (Some(began), Some(overstayed)) => {
                (overstayed.saturating_sub(began), thread_cpu().saturating_sub(overstayed))
            }
        };
        // What follows the first epoch is always measured, so only what precedes it is scaled up.
        let weight = if frame { FRAMES_PER_SAMPLE } else { 1 };
        let counted = quick.min(QUICK_MAX);
        self.guest_time += counted * weight + slow;
        self.measured_time += counted + slow;
        self.spent_in_tick += quick + slow;
    }

    /// Without what was estimated: differences of it never blame a frame for those that were not measured.
    pub(crate) fn measured_time(&self) -> Duration {
        self.measured_time
    }

    pub(crate) fn guest_time(&self) -> Duration {
        self.guest_time
    }
}

/// What two readings one after the other are apart: taken off a measured call, where it would be half of a short one.
static CLOCK_COST: LazyLock<Duration> = LazyLock::new(|| {
    let apart = |_| {
        let first = thread_cpu();
        thread_cpu().saturating_sub(first)
    };
    (0..32).map(apart).min().unwrap_or_default()
});

/// CPU time that this thread has used. Cost: a system call, 0.2 to 0.3 us.
fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write one timespec, and this clock exists on every Linux.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "the thread CPU clock can be read");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    fn burn(cpu: Duration) {
        let began = thread_cpu();
        while thread_cpu() - began < cpu {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_guest_that_waited_for_the_processor_is_not_blamed() {
        let mut meter = Meter::default();
        meter.enter(Duration::from_millis(5));
        assert_eq!(meter.on_epoch(), Verdict::Overstayed);
        // Wall time passes, but none of it is this thread's CPU.
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(meter.on_epoch(), Verdict::GoOn);
    }

    #[test]
    fn a_guest_that_computes_past_its_allowance_is_too_long() {
        let mut meter = Meter::default();
        meter.enter(Duration::from_millis(5));
        burn(Duration::from_millis(6));
        assert_eq!(meter.on_epoch(), Verdict::TooLong);
    }

    #[test]
    fn events_and_the_frame_of_one_tick_share_one_allowance() {
        let mut meter = Meter::default();
        let limit = Duration::from_millis(10);
        meter.enter_event(|| 7, limit);
        burn(Duration::from_millis(8));
        meter.leave();
        meter.enter_event(|| 7, limit);
        burn(Duration::from_millis(4));
        assert_eq!(meter.on_epoch(), Verdict::TooLong);
        meter.leave();
        meter.enter_event(|| 8, limit);
        burn(Duration::from_millis(4));
        assert_eq!(meter.on_epoch(), Verdict::Overstayed, "the next tick has an allowance of its own");
        meter.leave();
        // From here on ticks are told.
        meter.begin_tick();
        for clock in [8, 9] {
            meter.enter_event(|| clock, limit);
            burn(Duration::from_millis(6));
            assert_eq!(meter.on_epoch() == Verdict::TooLong, clock == 9);
            meter.leave();
        }
    }

    #[test]
    fn sampled_frames_add_up_to_what_was_used() {
        let mut meter = Meter::default();
        let each = Duration::from_micros(200);
        let frames = FRAMES_PER_SAMPLE * 20;
        for tick in 0..frames {
            meter.enter_frame(|| tick.into(), LIMIT);
            burn(each);
            meter.leave();
        }
        let used = each * frames;
        assert!(meter.guest_time() > used * 9 / 10, "{:?} of {used:?}", meter.guest_time());
        assert!(meter.guest_time() < used * 2, "{:?} of {used:?}", meter.guest_time());
    }

    #[test]
    fn of_the_time_before_the_first_epoch_two_ms_are_counted_at_most_and_of_what_follows_all() {
        for overstays in [false, true] {
            let mut meter = Meter::default();
            meter.enter(LIMIT);
            burn(Duration::from_millis(8));
            if overstays {
                meter.on_epoch();
                burn(Duration::from_millis(5));
            }
            meter.leave();
            let least = if overstays { 7 } else { 2 };
            let (counted, least) = (meter.guest_time(), Duration::from_millis(least));
            assert!(counted >= least && counted < least + Duration::from_millis(6), "{counted:?}");
        }
    }

    #[test]
    fn a_slow_frame_counts_once_whether_it_was_a_sample_or_not() {
        for frames_before in [0, FRAMES_PER_SAMPLE / 2] {
            let mut meter = Meter::default();
            for _ in 0..frames_before {
                meter.enter_frame(|| 0, LIMIT);
                meter.leave();
            }
            let before = meter.guest_time();
            meter.enter_frame(|| 1, LIMIT);
            meter.on_epoch();
            burn(Duration::from_millis(20));
            meter.leave();
            let counted = meter.guest_time() - before;
            assert!(counted >= Duration::from_millis(20) && counted < Duration::from_millis(40), "{counted:?}");
        }
    }
}
