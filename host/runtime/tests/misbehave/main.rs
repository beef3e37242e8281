//! Bots that misbehave in real calls: what their own caller hears, and that nobody else notices.
//! The host is the real binary, the callers are `patchbay call`, the neighbours those of the bench. What is asserted are counts, never
//! wall-clock times: how late neighbours are is for `cargo xtask bench hosting --only isolation` to measure.

#[allow(dead_code)]
#[path = "../../../plugin/tests/plugin/bots.rs"]
mod bots;

mod barge_in;
mod callers;
mod capacity;
mod conducts;
mod host;
mod neighbours;

use std::sync::{Mutex, MutexGuard};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The calls are in real time: two tests at once would disturb each other.
fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
