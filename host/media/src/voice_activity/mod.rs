//! When the caller speaks, and what that does to the bot's sound.
//!
//! ```text
//!   frame -> Detector -> score -> Speech -> voiced?, started, stopped -> BargeIn -> pause, resume, clear
//!            how much like          start-ms,                            the bot's policy
//!            a voice it is          hang-over-ms
//! ```
//!
//! A position counts the caller's samples from the call's first frame: a frame's is its tick times 160. Nothing here
//! allocates after it was made. Why this detector: docs/decisions/voice-activity.md.

mod barge_in;
mod detector;
mod speech;

pub use barge_in::{BargeIn, BargeInAct, BargeInPolicy};
pub use detector::{DETECTOR_WINDOW_MS, Detector};
pub use speech::{Heard, Speech, SpeechEvent, SpeechRules};

use crate::{FRAME_SAMPLES, FrameKind};

/// Frames in, speech out. About 10 KiB. Whoever judges the same sound by several rules takes one `Detector` and several `Speech`.
pub struct VoiceActivity {
    detector: Detector,
    speech: Speech,
}

impl VoiceActivity {
    pub fn new(rules: SpeechRules) -> Self {
        VoiceActivity { detector: Detector::new(), speech: Speech::new(rules) }
    }

    /// Other rules from the next frame on; speech that has begun goes on.
    pub fn set_rules(&mut self, rules: SpeechRules) {
        self.speech.set_rules(rules);
    }

    /// Listens to the next frame. Ticks only grow; what is skipped was silence.
    /// Cost: 15 us, most of it the detector's; a quiet line, and silence that was made here (absent, held), cost next to nothing.
    pub fn frame(&mut self, tick: u64, kind: FrameKind, samples: &[i16; FRAME_SAMPLES]) -> Heard {
        let score = self.detector.frame(kind, samples);
        self.speech.frame(tick, kind, score)
    }
}
