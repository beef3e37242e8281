//! Keys that the bot presses. Where telephone-event was negotiated the leg sends them; else they go by SIP INFO, one after the other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a key is said to be held. Source: our own choice, above the 40 ms of ITU-T Q.24 and what relays use.
pub(crate) const KEY_MS: u32 = 160;
const GAP: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(500);

/// Requests of the bot in order, each with the keys not yet sent. Bounded by [`Limits::digits_queued`](crate::Limits).
#[derive(Debug, Default)]
pub(crate) struct InfoDigits {
    waiting: VecDeque<(u64, String)>,
    due: Option<Instant>,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Press(char),
    /// The request with this number is done.
    Sent(u64),
}

impl InfoDigits {
    /// False if they are too many or no keys at all, and then nothing is queued.
    pub fn push(&mut self, id: u64, keys: String, bound: usize) -> bool {
        let keys_queued: usize = self.waiting.iter().map(|(_, keys)| keys.len().max(1)).sum();
        let fits = keys_queued + keys.len().max(1) <= bound && keys.chars().all(is_key);
        if fits {
            self.waiting.push_back((id, keys));
        }
        fits
    }

    /// Gives up everything that waits: for the leg to send.
    pub fn take(&mut self) -> impl Iterator<Item = (u64, String)> + use<> {
        self.due = None;
        std::mem::take(&mut self.waiting).into_iter()
    }

    pub fn start(&mut self, now: Instant) {
        if self.due.is_none() && !self.waiting.is_empty() {
            self.due = Some(now);
        }
    }

    pub fn stop(&mut self) {
        drop(self.take());
    }

    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The next step, if one is due. Called until it gives none.
    pub fn poll(&mut self, now: Instant) -> Option<Step> {
        if self.due? > now {
            return None;
        }
        let Some((id, keys)) = self.waiting.front_mut() else {
            self.due = None;
            return None;
        };
        if keys.is_empty() {
            let id = *id;
            self.waiting.pop_front();
            return Some(Step::Sent(id));
        }
        match keys.remove(0) {
            ',' => {
                self.due = Some(now + PAUSE);
                None
            }
            key => {
                self.due = Some(now + Duration::from_millis(KEY_MS.into()) + GAP);
                Some(Step::Press(key))
            }
        }
    }
}

/// Source: RFC 4733 3.2, events 0 to 15; `,` is a pause of ours.
fn is_key(key: char) -> bool {
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D' | ',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_out_one_after_the_other_and_the_bot_hears_of_the_end() {
        // Any moment to begin with: there is no other way to make an `Instant`. From here on time is what the test says.
        let start = Instant::now();
        let mut digits = InfoDigits::default();
        assert!(digits.push(7, "1,2".into(), 64));
        assert_eq!(digits.poll(start), None, "nothing before the call is up");
        digits.start(start);
        let mut seen = Vec::new();
        while let Some(due) = digits.due() {
            if let Some(step) = digits.poll(due) {
                seen.push(((due - start).as_millis(), step));
            }
        }
        assert_eq!(seen, [(0, Step::Press('1')), (760, Step::Press('2')), (1020, Step::Sent(7))]);
    }

    #[test]
    fn more_keys_than_the_bound_or_other_signs_are_not_taken() {
        let mut digits = InfoDigits::default();
        assert!(!digits.push(1, "1".repeat(65), 64));
        assert!(!digits.push(1, "1x".into(), 64));
        assert!(digits.push(1, "1".repeat(63), 64));
        assert!(digits.push(2, String::new(), 64), "an empty request is sent at once");
        assert!(!digits.push(3, String::new(), 64), "and counts as one");
    }
}
