//! What bots say, for whoever listens just now. Nothing is kept: a line without a listener costs nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::Serialize;
use tokio::sync::broadcast;
use utoipa::ToSchema;

/// Lines that wait for a slow listener; older ones are lost to it, and it is told how many.
const LINES_WAITING_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LogLine {
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// The host's name of the call.
    pub call: String,
    pub generation: u64,
    pub level: &'static str,
    /// Source file and line of the bot; empty and 0 where the host speaks of it.
    pub file: String,
    pub line: u32,
    pub message: String,
}

/// Where the bots of one plugin speak.
pub struct Tap(broadcast::Sender<Arc<LogLine>>);

/// The lines from now on. The tap lives as long as anybody speaks or listens.
pub struct Tail {
    pub lines: broadcast::Receiver<Arc<LogLine>>,
    _tap: Arc<Tap>,
}

impl Tap {
    /// `line` is made only if somebody listens.
    pub fn say(&self, line: impl FnOnce() -> LogLine) {
        if self.0.receiver_count() > 0 {
            // The last listener may have gone this moment.
            let _ = self.0.send(Arc::new(line()));
        }
    }
}

/// All taps that are in use, by the key of their plugin.
#[derive(Clone, Default)]
pub struct LogTails(Arc<Mutex<HashMap<String, Weak<Tap>>>>);

impl LogTails {
    pub fn tap(&self, key: &str) -> Arc<Tap> {
        let mut taps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tap) = taps.get(key).and_then(Weak::upgrade) {
            return tap;
        }
        // Only a new one may find others gone, so that there are never many more than are in use.
        taps.retain(|_, tap| tap.strong_count() > 0);
        let tap = Arc::new(Tap(broadcast::channel(LINES_WAITING_MAX).0));
        taps.insert(key.to_owned(), Arc::downgrade(&tap));
        tap
    }

    pub fn tail(&self, key: &str) -> Tail {
        let tap = self.tap(key);
        Tail { lines: tap.0.subscribe(), _tap: tap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> LogLine {
        let message = message.to_owned();
        LogLine { at_ms: 0, call: "c".into(), generation: 1, level: "info", file: String::new(), line: 0, message }
    }

    #[test]
    fn a_tail_hears_its_own_plugin_from_its_beginning_on() {
        let tails = LogTails::default();
        let (tap, other) = (tails.tap("a/menu"), tails.tap("b/menu"));
        tap.say(|| unreachable!("nobody listens"));
        let mut tail = tails.tail("a/menu");
        other.say(|| unreachable!("nobody listens to that one"));
        tap.say(|| line("hello"));
        assert_eq!(tail.lines.try_recv().unwrap().message, "hello");
        assert!(tail.lines.try_recv().is_err());
    }

    #[test]
    fn a_listener_that_is_slow_loses_the_oldest_lines_and_learns_how_many() {
        let tails = LogTails::default();
        let mut tail = tails.tail("a/menu");
        let tap = tails.tap("a/menu");
        (0..LINES_WAITING_MAX + 3).for_each(|_| tap.say(|| line("x")));
        assert_eq!(tail.lines.try_recv().unwrap_err(), broadcast::error::TryRecvError::Lagged(3));
        assert!(tail.lines.try_recv().is_ok());
    }

    #[test]
    fn taps_that_nobody_uses_are_forgotten() {
        let tails = LogTails::default();
        (0..100).for_each(|number| drop(tails.tap(&format!("a/{number}"))));
        assert!(tails.0.lock().unwrap().len() <= 1);
    }
}
