//! From scores to the beginning and the end of speech.

use super::DETECTOR_WINDOW_MS;
use crate::clock::SAMPLES_PER_MS;
use crate::{FRAME_SAMPLES, FrameKind};

const FRAME_MS: u32 = 20;
/// The score from which a frame is voiced, by strictness: the measured compromises between missed words and noise taken for speech.
const VOICED_FROM: [f32; 4] = [0.45, 0.55, 0.62, 0.70];
/// A gap of so many frames does not part two halves of a beginning: stops and the detector's doubts are shorter.
const GAP_FRAMES_MAX: u64 = 3;

/// When speech is speech. What is out of range is brought into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeechRules {
    /// From 0 (takes much for speech) to 3 (little).
    pub strictness: u8,
    /// Speech for so long is the beginning of speech: 20 to 1000.
    pub start_ms: u32,
    /// Silence for so long is its end: 100 to 5000.
    pub hang_over_ms: u32,
}

impl SpeechRules {
    fn sane(self) -> Self {
        SpeechRules {
            strictness: self.strictness.min(3),
            start_ms: self.start_ms.clamp(20, 1000),
            hang_over_ms: self.hang_over_ms.clamp(100, 5000),
        }
    }
}

/// Positions in samples from the call's first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeechEvent {
    /// Speech began here: `start_ms` and the detector's window back, but not before the end of the speech before it.
    Started { sample: u64 },
    /// The end of the last voiced frame, `hang_over_ms` back.
    Stopped { sample: u64 },
}

/// What one frame told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub event: Option<SpeechEvent>,
    /// This frame sounds like a voice, whether or not it makes speech.
    pub voiced: bool,
    /// The position after this frame.
    pub until: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Silence,
    /// Voiced frames that may become speech: where the first began, how many there are.
    Beginning {
        from: u64,
        voiced: u32,
    },
    Speaking,
}

pub struct Speech {
    rules: SpeechRules,
    state: State,
    /// The end of the last voiced frame.
    voiced_until: u64,
    /// Where the last speech stopped.
    stopped: u64,
}

impl Speech {
    pub fn new(rules: SpeechRules) -> Self {
        Speech { rules: rules.sane(), state: State::Silence, voiced_until: 0, stopped: 0 }
    }

    pub fn set_rules(&mut self, rules: SpeechRules) {
        self.rules = rules.sane();
    }

    /// The next frame and the detector's score of it. A frame that the host made up keeps speech alive but begins none: it repeats
    /// what came before. Cost: some comparisons.
    pub fn frame(&mut self, tick: u64, kind: FrameKind, score: f32) -> Heard {
        let at = tick * FRAME_SAMPLES as u64;
        let until = at + FRAME_SAMPLES as u64;
        let voiced = match kind {
            FrameKind::Audio => true,
            FrameKind::Concealed => self.state != State::Silence,
            FrameKind::Absent | FrameKind::Held => false,
        } && score >= VOICED_FROM[usize::from(self.rules.strictness)];
        let silent = until.saturating_sub(self.voiced_until);
        // A host that was held up skips ticks: then speech may end in the same frame in which a voice is heard again.
        let event = match voiced {
            true => self.stop_after(at.saturating_sub(self.voiced_until)).or_else(|| self.begin(at, kind)),
            false => self.stop_after(silent),
        };
        if voiced {
            self.voiced_until = until;
        }
        Heard { event, voiced, until }
    }

    /// `silent`: samples since the last voiced frame.
    fn stop_after(&mut self, silent: u64) -> Option<SpeechEvent> {
        match self.state {
            State::Speaking if silent >= samples(self.rules.hang_over_ms) => {
                self.state = State::Silence;
                self.stopped = self.voiced_until;
                Some(SpeechEvent::Stopped { sample: self.voiced_until })
            }
            State::Beginning { .. } if silent > GAP_FRAMES_MAX * FRAME_SAMPLES as u64 => {
                self.state = State::Silence;
                None
            }
            _ => None,
        }
    }

    /// One more voiced frame, which begins at `at`.
    fn begin(&mut self, at: u64, kind: FrameKind) -> Option<SpeechEvent> {
        let (from, before) = match self.state {
            State::Speaking => return None,
            State::Silence => (at, 0),
            State::Beginning { from, voiced } => (from, voiced),
        };
        let voiced = before + u32::from(kind == FrameKind::Audio);
        if voiced * FRAME_MS < self.rules.start_ms {
            self.state = State::Beginning { from, voiced };
            return None;
        }
        self.state = State::Speaking;
        let sample = from.saturating_sub(samples(DETECTOR_WINDOW_MS)).max(self.stopped);
        Some(SpeechEvent::Started { sample })
    }
}

fn samples(ms: u32) -> u64 {
    u64::from(ms * SAMPLES_PER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: SpeechRules = SpeechRules { strictness: 1, start_ms: 60, hang_over_ms: 200 };

    /// One frame a letter: V a voice, . silence, c made up after a voice, a absent, h held. Returns (frame, event) pairs.
    fn events(speech: &mut Speech, from_tick: u64, frames: &str) -> Vec<(u64, SpeechEvent)> {
        let mut events = Vec::new();
        for (tick, frame) in (from_tick..).zip(frames.chars()) {
            let (kind, score) = match frame {
                'V' => (FrameKind::Audio, 0.9),
                '.' => (FrameKind::Audio, 0.1),
                'c' => (FrameKind::Concealed, 0.9),
                'a' => (FrameKind::Absent, 0.9),
                _ => (FrameKind::Held, 0.9),
            };
            let heard = speech.frame(tick, kind, score);
            assert_eq!(heard.until, (tick + 1) * 160);
            events.extend(heard.event.map(|event| (tick, event)));
        }
        events
    }

    fn check(frames: &str, expect: &[(u64, SpeechEvent)]) {
        assert_eq!(events(&mut Speech::new(RULES), 0, frames), expect, "{frames}");
    }

    fn started(sample: u64) -> SpeechEvent {
        SpeechEvent::Started { sample }
    }

    fn stopped(sample: u64) -> SpeechEvent {
        SpeechEvent::Stopped { sample }
    }

    #[test]
    fn speech_begins_after_start_ms_and_is_dated_back_by_it_and_the_detectors_window() {
        check("..........VVV", &[(12, started(10 * 160 - 384))]);
        check("..........VV..........", &[]);
    }

    #[test]
    fn speech_ends_after_the_hang_over_and_is_dated_back_by_it() {
        check("VVVVV..........", &[(2, started(0)), (14, stopped(5 * 160))]);
        check("VVVVV.........V", &[(2, started(0))]);
    }

    #[test]
    fn speech_that_goes_on_within_the_hang_over_is_one() {
        check("VVV.........V.........V..........", &[(2, started(0)), (32, stopped(23 * 160))]);
    }

    #[test]
    fn short_gaps_do_not_part_a_beginning_and_longer_ones_do() {
        check("V...V...V", &[(8, started(0))]);
        check("V....V....V", &[]);
    }

    #[test]
    fn speech_is_not_dated_into_the_speech_before_it() {
        check("VVV..........VVV", &[(2, started(0)), (12, stopped(480)), (15, started(13 * 160 - 384))]);
        let mut speech = Speech::new(SpeechRules { hang_over_ms: 100, start_ms: 20, ..RULES });
        assert_eq!(events(&mut speech, 0, "V"), [(0, started(0))]);
        // Five ticks were skipped: speech ends where it was last heard, in the frame that is heard next.
        assert_eq!(events(&mut speech, 6, "V"), [(6, stopped(160))]);
        assert_eq!(events(&mut speech, 7, "V"), [(7, started(7 * 160 - 384))]);
    }

    #[test]
    fn made_up_frames_keep_speech_alive_but_begin_none() {
        check("cccccccc", &[]);
        check("VVcccc....", &[]);
        check("VVcV", &[(3, started(0))]);
        check("VVVccccccccccc..........", &[(2, started(0)), (23, stopped(14 * 160))]);
    }

    #[test]
    fn absent_and_held_frames_are_silence_whatever_they_hold() {
        check("aaaahhhh", &[]);
        check("VVVaaaaahhhhh", &[(2, started(0)), (12, stopped(480))]);
    }

    #[test]
    fn ticks_that_were_skipped_count_as_silence() {
        let mut speech = Speech::new(RULES);
        assert_eq!(events(&mut speech, 0, "VVV"), [(2, started(0))]);
        assert_eq!(events(&mut speech, 40, "."), [(40, stopped(480))]);
        assert_eq!(events(&mut speech, 41, "VV"), []);
        assert_eq!(events(&mut speech, 60, "V"), [], "two and one are not three together");
    }

    #[test]
    fn strictness_moves_the_score_that_is_voiced() {
        for (strictness, voiced) in [(0, 4), (1, 3), (2, 2), (3, 1), (9, 1)] {
            let mut speech = Speech::new(SpeechRules { strictness, ..RULES });
            let scores = [0.5, 0.6, 0.65, 0.75];
            let heard = scores.map(|score| speech.frame(0, FrameKind::Audio, score).voiced);
            assert_eq!(heard.iter().filter(|voiced| **voiced).count(), voiced, "strictness {strictness}");
        }
    }

    #[test]
    fn rules_out_of_range_are_brought_into_it() {
        let mut speech = Speech::new(SpeechRules { strictness: 200, start_ms: 0, hang_over_ms: u32::MAX });
        assert_eq!(events(&mut speech, 0, "V"), [(0, started(0))]);
        assert_eq!(events(&mut speech, 250, "."), [(250, stopped(160))], "5 s at most");
    }

    #[test]
    fn other_rules_hold_from_the_next_frame_on() {
        let mut speech = Speech::new(RULES);
        assert_eq!(events(&mut speech, 0, "VVV..."), [(2, started(0))]);
        speech.set_rules(SpeechRules { hang_over_ms: 100, ..RULES });
        assert_eq!(events(&mut speech, 6, ".."), [(7, stopped(480))]);
    }
}
