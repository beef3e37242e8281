//! The echo without Wasm, for comparison: what a call costs when its bot costs nothing. Only with the feature `native-bot`.
//! It stands in for whatever build is loaded under its name, in the same cell, on the same worker, between the same rings.

use std::sync::atomic::Ordering;
use std::time::Instant;

use plugin::Event;

use super::cell::{Bot, Running};
use super::rings::FromBot;

/// The bot in whose place it runs.
pub const NAME: &str = "native";

impl Bot {
    pub fn run_native(&mut self) {
        self.running = Running::Native;
        self.set_wants_frames(true);
    }

    /// One turn: events are taken, each frame goes back.
    pub(super) fn echo(&mut self, now: Instant) {
        // Digits that are too many are those of a bench.
        let _ = self.take_digits();
        let mut operations = self.advance(now);
        while let Some(event) = operations.next_event() {
            if let Event::Hangup { .. } = event {
                operations.done();
            }
        }
        drop(operations);
        while let Ok(frame) = self.ends.frames.pop() {
            self.stats.frames += 1;
            let _ = self.ends.answers.push(FromBot { tick: frame.tick, samples: frame.samples });
            self.ends.shared.answered.store(frame.tick + 1, Ordering::Release);
        }
    }
}
