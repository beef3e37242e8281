//! The host's own ear in a bot's turn: hears each of the caller's frames before the guest's part, tells the bot when the caller speaks,
//! stops the bot's sound if its policy says so, and hands utterances to whoever listens.
//!
//! ```text
//!   frame -> Detector -> score -+-> Watching:  Speech, BargeIn -> events, pause, resume, clear   (voice.watch)
//!                               +-> Listening: Speech -> utterances -> a bounded channel         (whoever recognises speech)
//! ```
//!
//! There is one only while somebody wants it. It is the call's: it stays when the bot moves or restarts.
//! What it does to the queue acts at the send phase of the same tick.

mod listening;
mod watching;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use call::BargeInTimes;
use media::FrameKind;
use media::voice_activity::Detector;

use super::cell::{Bot, Ended, Report, Tell};
use super::operations::{Affairs, Change};
use super::rings::FromCaller;
use listening::Listening;
pub use listening::{ListenRules, Listener, Utterance};
use watching::Watching;

/// About 10 KiB, and the newest sound while somebody listens.
#[derive(Default)]
pub struct Ear {
    detector: Detector,
    /// Heard up to this tick, and not with it.
    next_tick: u64,
    watching: Option<Watching>,
    listening: Option<Listening>,
    /// A barge-in, not reported yet.
    measured: Option<BargeInTimes>,
    /// The bot does not take what it is told.
    overfull: bool,
}

impl Ear {
    /// One frame; one that was heard before is passed over. `now`: when the turn began. Cost: 15 us and a lock, no allocation; a quiet
    /// line next to nothing.
    pub fn hear(&mut self, frame: &FromCaller, now: Instant, operations: &Affairs) {
        if frame.tick < self.next_tick {
            return;
        }
        self.next_tick = frame.tick + 1;
        let kind = kind(frame.kind);
        let score = self.detector.frame(kind, &frame.samples);
        if let Some(listening) = &mut self.listening {
            listening.frame(frame.tick, kind, score, &frame.samples);
        }
        let Some(watching) = &mut self.watching else { return };
        let heard = watching.frame(frame, kind, score);
        let mut calls = operations.look();
        let Some(act) = watching.judge(&heard, calls.playout()) else { return };
        operations.stir(&mut calls);
        self.overfull |= watching.carry_out(act, &mut calls).is_err();
        if let Some(times) = watching.measure(frame, act, now) {
            self.measured = Some(times);
        }
    }

    /// Begins and ends what is wanted of it.
    pub fn attend(&mut self, change: Change, operations: &Affairs) {
        if let Some(listener) = change.listener {
            self.listening = listener.map(Listening::new);
        }
        match (&mut self.watching, change.rules) {
            (Some(watching), Some(rules)) => {
                self.overfull |= watching.set_rules(rules, &mut operations.lock()).is_err();
            }
            (None, Some(rules)) => self.watching = Some(Watching::new(rules, operations.look().playout())),
            (Some(_), None) => {
                // A queue that stands still goes on.
                operations.lock().playout().resume();
                self.watching = None;
            }
            (None, None) => {}
        }
    }

    /// The last barge-in, once.
    pub fn take_times(&mut self) -> Option<BargeInTimes> {
        self.measured.take()
    }

    /// The bot let what it was told fill up.
    pub fn is_overfull(&self) -> bool {
        self.overfull
    }

    pub fn is_idle(&self) -> bool {
        self.watching.is_none() && self.listening.as_ref().is_none_or(Listening::is_over)
    }
}

impl Bot {
    /// What has come from the caller, before the guest is given any of it. Cost: a look, for a call that has no ear.
    pub(super) fn hear(&mut self, now: Instant, tell: Tell) -> Result<(), Ended> {
        let Some(ear) = &mut self.ear else { return Ok(()) };
        let operations = &self.operations;
        self.ends.frames.look_through(|frame| ear.hear(frame, now, operations));
        if let Some(times) = ear.take_times() {
            self.stats.barge_ins.note(times);
            tell(Report::BargedIn(times));
        }
        if ear.is_overfull() {
            return Err(Ended::Overfull);
        }
        if ear.is_idle() {
            self.cover_ear();
        }
        Ok(())
    }

    pub(super) fn attend(&mut self, change: Change) {
        if self.ear.is_none() && change.is_nothing() {
            return;
        }
        let ear = self.ear.get_or_insert_default();
        ear.attend(change, &self.operations);
        if ear.is_idle() {
            return self.cover_ear();
        }
        self.ends.shared.listens.store(true, Ordering::Relaxed);
    }

    /// Nobody wants to hear anything.
    pub(super) fn cover_ear(&mut self) {
        self.ends.shared.listens.store(false, Ordering::Relaxed);
        self.ear = None;
    }
}

/// How far a moment lies behind when it should have been; in ms, whole ticks.
fn ticks_late_ms(due: Instant, now: Instant) -> u32 {
    let late = now.saturating_duration_since(due).min(Duration::from_secs(60));
    (late.as_millis() as u32).div_ceil(FRAME_MS) * FRAME_MS
}

const FRAME_MS: u32 = 20;

fn kind(kind: plugin::FrameKind) -> FrameKind {
    match kind {
        plugin::FrameKind::Audio => FrameKind::Audio,
        plugin::FrameKind::Concealed => FrameKind::Concealed,
        plugin::FrameKind::Absent => FrameKind::Absent,
        plugin::FrameKind::Held => FrameKind::Held,
    }
}
