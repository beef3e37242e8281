//! When what lies in a watched folder has come to rest: an entry that is still being written is not read. No clock and no disk in here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What has not changed for so long is whole.
const SETTLED_AFTER: Duration = Duration::from_millis(200);
/// Notifications get lost: a full queue, a network drive, a folder that was replaced.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The entries of one folder. `S` tells one content from the next without reading it.
pub struct Settling<S> {
    /// What was taken last, right or wrong.
    taken: BTreeMap<String, S>,
    /// Seen changed, and since when unchanged.
    pending: BTreeMap<String, (S, Instant)>,
}

impl<S> Default for Settling<S> {
    fn default() -> Self {
        Self { taken: BTreeMap::new(), pending: BTreeMap::new() }
    }
}

impl<S: PartialEq> Settling<S> {
    /// Forgets what is not there any more. Returns the names of those that had been taken.
    pub fn forget_gone(&mut self, is_there: impl Fn(&str) -> bool) -> Vec<String> {
        self.pending.retain(|name, _| is_there(name));
        self.taken.extract_if(.., |name, _| !is_there(name)).map(|(name, _)| name).collect()
    }

    /// Whether an entry is to be taken now: it is another than the one taken last, and whole. `at_once`: it is whole, says who knows.
    pub fn take(&mut self, name: &str, stamp: S, now: Instant, at_once: bool) -> bool {
        let pending = self.pending.remove(name);
        if self.taken.get(name) == Some(&stamp) {
            return false;
        }
        let since = pending.filter(|(seen, _)| *seen == stamp).map_or(now, |(_, since)| since);
        let whole = at_once || now.saturating_duration_since(since) >= SETTLED_AFTER;
        if whole {
            self.taken.insert(name.to_owned(), stamp);
        } else {
            self.pending.insert(name.to_owned(), (stamp, since));
        }
        whole
    }

    /// How many were taken and are there.
    pub fn taken(&self) -> usize {
        self.taken.len()
    }

    /// When the next look is due without a notification.
    pub fn look_again_in(&self) -> Duration {
        if self.pending.is_empty() { LOOK_EVERY } else { SETTLED_AFTER / 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_taken_once_when_it_has_not_changed_for_200_ms() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        let mut take = |ms, stamp| settling.take("a", stamp, start + Duration::from_millis(ms), false);
        assert_eq!(
            [take(0, 1), take(150, 2), take(349, 2), take(350, 2), take(900, 2)],
            [false, false, false, true, false]
        );
        assert!(!take(1000, 3), "changed again");
        assert!(!take(1100, 2), "and back: as it was taken");
        assert!(!take(1201, 3), "which began anew");
    }

    #[test]
    fn what_is_known_to_be_whole_is_taken_at_once_and_what_is_gone_is_told_once() {
        let (mut settling, now) = (Settling::default(), Instant::now());
        assert!(settling.take("a", 1, now, true) && !settling.take("a", 1, now, true));
        assert!(!settling.take("b", 1, now, false));
        assert_eq!((settling.taken(), settling.look_again_in()), (1, SETTLED_AFTER / 4));
        assert_eq!(settling.forget_gone(|_| false), ["a"], "b had not been taken");
        assert_eq!((settling.forget_gone(|_| false).len(), settling.look_again_in()), (0, LOOK_EVERY));
    }
}
