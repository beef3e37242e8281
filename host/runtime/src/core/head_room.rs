//! How much more this host can carry, from what it measures of itself; and when it is too much, so that new calls are turned away (503)
//! before live ones suffer.
//!
//! Lateness alone does not say it: on a machine that others keep busy, refusing calls would help nobody. Processor time alone does not
//! either: media threads are late long before every processor is full, and bots on the slow lane take whatever is left, which must
//! not turn anybody else's call away. So: many phases late while the host itself works hard; and not at the first sign, but when
//! it lasts.

use std::time::{Duration, Instant};

/// Of the phases in one second, in percent: more, and packets leave late all the time.
const LATE_MAX: f64 = 10.0;
/// Of all processors, in percent: below it lateness is others' doing.
const CPU_OF_A_BUSY_HOST: f64 = 40.0;
/// It is over when lateness has stayed below this.
const LATE_CALM: f64 = 2.0;
const STRAINED_SECONDS: u32 = 2;
const CALM_SECONDS: u32 = 5;

/// What the host has counted since it began.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub at: Instant,
    /// Phases of media threads that began late or were skipped.
    pub phases_late: u64,
    /// By all threads of the host.
    pub cpu: Duration,
}

pub struct HeadRoom {
    /// What there is to use: phases in a second of all media threads, and processors.
    phases_per_second: f64,
    processors: f64,
    last: Sample,
    /// Seconds in a row that were too much; while overloaded, those that were not.
    in_a_row: u32,
    overloaded: bool,
    percent: f64,
}

impl HeadRoom {
    pub fn new(phases_per_second: f64, processors: f64, now: Sample) -> Self {
        Self { phases_per_second, processors, last: now, in_a_row: 0, overloaded: false, percent: 100.0 }
    }

    /// To be called about once a second. Some: the host has become overloaded, or is no longer.
    pub fn look(&mut self, now: Sample) -> Option<bool> {
        let seconds = now.at.saturating_duration_since(self.last.at).as_secs_f64();
        if seconds < 0.1 {
            return None;
        }
        let late = now.phases_late.saturating_sub(self.last.phases_late) as f64;
        let late = 100.0 * late / (seconds * self.phases_per_second);
        let cpu = 100.0 * now.cpu.saturating_sub(self.last.cpu).as_secs_f64() / (seconds * self.processors);
        self.last = now;
        let is_late = late > LATE_MAX && cpu > CPU_OF_A_BUSY_HOST;
        self.percent = if is_late { 0.0 } else { (100.0 - cpu).max(0.0) };
        let (counts, needed) = match self.overloaded {
            false => (is_late, STRAINED_SECONDS),
            true => (late < LATE_CALM, CALM_SECONDS),
        };
        self.in_a_row = if counts { self.in_a_row + 1 } else { 0 };
        if self.in_a_row < needed {
            return None;
        }
        self.in_a_row = 0;
        self.overloaded = !self.overloaded;
        Some(self.overloaded)
    }

    /// What is left of the processors, 0 while live calls suffer. Units: percent.
    pub fn percent(&self) -> i64 {
        self.percent as i64
    }
}

/// CPU time of this process.
pub fn process_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every Linux, and `time` is ours to write.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a host with one media thread on two processors: what each second's lateness and CPU, in percent, lead to.
    fn told(seconds: &[(u64, u64)]) -> Vec<Option<bool>> {
        let mut now = Sample { at: Instant::now(), phases_late: 0, cpu: Duration::ZERO };
        let mut room = HeadRoom::new(500.0, 2.0, now);
        let mut look = |(late, cpu): &(u64, u64)| {
            now.at += Duration::from_secs(1);
            now.phases_late += late * 5;
            now.cpu += Duration::from_millis(cpu * 20);
            room.look(now)
        };
        seconds.iter().map(&mut look).collect()
    }

    #[test]
    fn a_host_that_is_late_by_its_own_work_is_overloaded_when_it_lasts_and_until_it_is_calm() {
        let calm = [(0, 50); 5];
        let seconds: Vec<_> = [(20, 60), (0, 60), (20, 60), (20, 60)].into_iter().chain(calm).collect();
        let expected = [None, None, None, Some(true), None, None, None, None, Some(false)];
        assert_eq!(told(&seconds), expected);
    }

    #[test]
    fn a_calm_that_is_interrupted_begins_anew() {
        let seconds = [(20, 60), (20, 60), (0, 50), (0, 50), (3, 50), (0, 50), (0, 50), (0, 50), (0, 50), (3, 50)];
        assert_eq!(told(&seconds).into_iter().flatten().collect::<Vec<_>>(), [true]);
    }

    #[test]
    fn lateness_that_others_cause_refuses_nobody_and_nor_do_processors_that_bots_fill_without_it() {
        assert!(told(&[(90, 30); 20]).iter().all(Option::is_none));
        assert!(told(&[(0, 100); 20]).iter().all(Option::is_none));
    }

    #[test]
    fn the_head_room_is_what_is_left_of_the_processors_and_nothing_when_it_is_late() {
        let start = Sample { at: Instant::now(), phases_late: 0, cpu: Duration::ZERO };
        let after = |late, cpu_ms| {
            let mut room = HeadRoom::new(500.0, 2.0, start);
            let at = start.at + Duration::from_secs(1);
            room.look(Sample { at, phases_late: late, cpu: Duration::from_millis(cpu_ms) });
            room.percent()
        };
        assert_eq!((after(0, 0), after(0, 950), after(0, 2000), after(100, 950)), (100, 52, 0, 0));
    }
}
