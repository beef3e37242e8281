//! So many calls a minute of one trunk, whoever asks for them: trunks refuse more. No clock: now is a parameter.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Throttle {
    calls_per_minute: usize,
    /// When each call of the last minute was asked for, the oldest first.
    asked: VecDeque<Instant>,
}

impl Throttle {
    pub fn new(calls_per_minute: u32) -> Self {
        Self { calls_per_minute: calls_per_minute as usize, asked: VecDeque::new() }
    }

    pub fn calls_per_minute(&self) -> usize {
        self.calls_per_minute
    }

    /// Errors: no call may be asked for yet; how long until one may.
    pub fn look(&mut self, now: Instant) -> Result<(), Duration> {
        while self.asked.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            self.asked.pop_front();
        }
        match self.asked.front() {
            Some(oldest) if self.asked.len() >= self.calls_per_minute => Err(MINUTE - now.duration_since(*oldest)),
            _ => Ok(()),
        }
    }

    /// One is asked for.
    pub fn count(&mut self, now: Instant) {
        self.asked.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_minute_has_so_many_calls_and_no_more() {
        let (mut throttle, start) = (Throttle::new(3), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for ms in [0, 20_000, 40_000] {
            assert_eq!(throttle.look(at(ms)), Ok(()));
            throttle.count(at(ms));
        }
        // Who is told to wait and comes again too soon waits no longer for it.
        assert_eq!(throttle.look(at(50_000)), Err(Duration::from_secs(10)));
        assert_eq!(throttle.look(at(59_999)), Err(Duration::from_millis(1)));
        assert_eq!(throttle.look(at(60_000)), Ok(()));
        throttle.count(at(60_000));
        assert_eq!(throttle.look(at(60_000)), Err(Duration::from_secs(20)));
        assert_eq!(throttle.look(at(200_000)), Ok(()));
        assert!(throttle.asked.is_empty(), "what is older than a minute is forgotten");
    }
}
