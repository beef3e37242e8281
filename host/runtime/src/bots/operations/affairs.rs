//! A call's operations as several threads share them: behind a lock that the bot's own turn takes only when there is something to do.
//!
//! Whoever takes the lock may have done something, so it leaves the mark *stirred*, under the lock. A turn that finds no mark, and no timer due,
//! knows that the operations are as its last turn left them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{Change, Operations, Stage};

/// What a turn looks at each time comes first: one cache line.
#[repr(C)]
pub struct Affairs {
    stirred: AtomicBool,
    /// The bot's clock, which stands still while the guest runs: since the call began, in nanoseconds.
    now_ns: AtomicU64,
    began: Instant,
    operations: Mutex<Operations>,
}

/// Nothing waits, and nothing comes of itself before a timer rings.
#[derive(Clone, Copy, Debug)]
pub struct Quiet {
    until: Option<Instant>,
    pub wants_frames: bool,
}

/// How a turn left them.
pub struct Rest {
    pub wants_frames: bool,
    /// None: the next turn has something to do.
    pub quiet: Option<Quiet>,
    /// In what the ear is to hear.
    pub change: Option<Change>,
}

impl Quiet {
    pub fn lasts(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Affairs {
    pub fn new(operations: Operations) -> Self {
        let began = operations.clock.at;
        let (stirred, now_ns) = (AtomicBool::new(true), AtomicU64::new(0));
        Self { stirred, now_ns, began, operations: Mutex::new(operations) }
    }

    /// To do something.
    pub fn lock(&self) -> MutexGuard<'_, Operations> {
        let operations = self.look();
        self.stirred.store(true, Ordering::Relaxed);
        operations
    }

    /// Without a mark: for the bot's turn, which sees to it that what it does is noticed.
    pub fn look(&self) -> MutexGuard<'_, Operations> {
        let mut operations = self.operations.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        operations.now = self.now();
        operations
    }

    /// Whether anybody has taken the lock since [`Affairs::rest`].
    pub fn is_stirred(&self) -> bool {
        self.stirred.load(Ordering::Relaxed)
    }

    /// The mark, of one who only looked and then did something after all, under the lock still.
    pub fn stir(&self, _operations: &mut Operations) {
        self.stirred.store(true, Ordering::Relaxed);
    }

    /// The end of a turn.
    pub fn rest(&self) -> Rest {
        let mut operations = self.look();
        self.stirred.store(false, Ordering::Relaxed);
        Rest { wants_frames: operations.wants_frames(), quiet: operations.quiet(), change: operations.take_change() }
    }

    pub fn set_now(&self, now: Instant) {
        let since = now.saturating_duration_since(self.began);
        let now_ns = since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos());
        self.now_ns.store(now_ns, Ordering::Relaxed);
    }

    fn now(&self) -> Instant {
        self.began + Duration::from_nanos(self.now_ns.load(Ordering::Relaxed))
    }

    pub fn now_ms(&self) -> u64 {
        self.now_ns.load(Ordering::Relaxed) / 1_000_000
    }

    /// Moves the bot's clock on and turns what has become due into events.
    pub fn advance(&self, now: Instant) -> MutexGuard<'_, Operations> {
        self.set_now(now);
        let mut operations = self.lock();
        operations.advance(now);
        operations
    }
}

impl Operations {
    fn quiet(&self) -> Option<Quiet> {
        let Self { events, acts, notes, marks, clears, hangup_at, stage, outside, .. } = self;
        let nothing_waits = events.is_empty() && acts.is_empty() && notes.iter().all(|note| note.told);
        let nothing_plays = marks.is_empty() && clears.is_empty() && hangup_at.is_none();
        let nothing_outside = outside.as_ref().is_none_or(|outside| outside.is_quiet());
        let quiet = nothing_waits && nothing_plays && nothing_outside && *stage == Stage::Live;
        let until = || self.timers.iter().map(|timer| timer.due).min();
        quiet.then(|| Quiet { until: until(), wants_frames: self.want_frames })
    }
}
