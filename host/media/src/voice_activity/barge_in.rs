//! What the beginning of speech does to the sound in the playout queue.

use super::{Heard, SpeechEvent};
use crate::FRAME_SAMPLES;
use crate::clock::SAMPLES_PER_MS;

/// A caller whose last voiced frame lies no further back still speaks: as long as the gap between two words, shorter than a breath.
const STILL_SPEAKS_MS: u32 = 100;

/// What the bot asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BargeInPolicy {
    #[default]
    Off,
    /// Clear once so many ms of speech were heard, counted from where it began.
    ClearAfter(u32),
    /// Pause at once; clear if the caller still speaks after so many ms, else go on.
    PauseThenConfirm(u32),
}

/// To be done to the playout queue, and told to the bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BargeInAct {
    Pause,
    Resume,
    Clear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody speaks, or there was nothing to cut off when they began, or it has been done.
    Idle,
    /// Speech began here while sound waited.
    Speaking { from: u64 },
    /// The queue stands still until this position. So much was voiced since speech began, in samples.
    Paused { until: u64, voiced: u64 },
    /// It was not confirmed, and the queue goes on; if the same speech goes on too, it is meant.
    Doubted { voiced: u64 },
}

pub struct BargeIn {
    policy: BargeInPolicy,
    state: State,
    voiced_until: u64,
}

impl BargeIn {
    pub fn new(policy: BargeInPolicy) -> Self {
        BargeIn { policy, state: State::Idle, voiced_until: 0 }
    }

    /// Another policy, from the next speech on; what was begun by the old one is over. A queue that stands still goes on.
    pub fn set_policy(&mut self, policy: BargeInPolicy) -> Option<BargeInAct> {
        self.policy = policy;
        self.release()
    }

    /// Somebody else cleared the queue: there is nothing left to cut off, or to go on with.
    pub fn cleared(&mut self) {
        self.state = State::Idle;
    }

    fn release(&mut self) -> Option<BargeInAct> {
        let paused = matches!(self.state, State::Paused { .. });
        self.state = State::Idle;
        paused.then_some(BargeInAct::Resume)
    }

    /// What the next frame told; `waiting`: there is sound in the queue. Cost: some comparisons.
    pub fn heard(&mut self, heard: &Heard, waiting: bool) -> Option<BargeInAct> {
        if heard.voiced {
            self.voiced_until = heard.until;
        }
        match heard.event {
            Some(SpeechEvent::Started { sample }) if waiting => self.begin(sample, heard.until),
            Some(SpeechEvent::Started { .. }) => None,
            Some(SpeechEvent::Stopped { .. }) => self.release(),
            None => self.go_on(heard, waiting),
        }
    }

    fn begin(&mut self, sample: u64, now: u64) -> Option<BargeInAct> {
        match self.policy {
            BargeInPolicy::Off => None,
            BargeInPolicy::ClearAfter(ms) if now - sample >= samples(ms) => {
                self.state = State::Idle;
                Some(BargeInAct::Clear)
            }
            BargeInPolicy::ClearAfter(_) => {
                self.state = State::Speaking { from: sample };
                None
            }
            BargeInPolicy::PauseThenConfirm(ms) => {
                self.state = State::Paused { until: now + samples(ms), voiced: now - sample };
                Some(BargeInAct::Pause)
            }
        }
    }

    fn go_on(&mut self, heard: &Heard, waiting: bool) -> Option<BargeInAct> {
        let more = u64::from(heard.voiced) * FRAME_SAMPLES as u64;
        let clear = match (&mut self.state, self.policy) {
            (State::Idle, _) | (_, BargeInPolicy::Off) => return None,
            (State::Speaking { from }, BargeInPolicy::ClearAfter(ms)) => {
                heard.voiced && heard.until - *from >= samples(ms)
            }
            (State::Paused { until, voiced }, _) => {
                *voiced += more;
                if heard.until < *until {
                    return None;
                }
                if heard.until.saturating_sub(self.voiced_until) > samples(STILL_SPEAKS_MS) {
                    self.state = State::Doubted { voiced: *voiced };
                    return Some(BargeInAct::Resume);
                }
                true
            }
            (State::Doubted { voiced }, BargeInPolicy::PauseThenConfirm(ms)) => {
                *voiced += more;
                heard.voiced && *voiced >= samples(ms)
            }
            (State::Speaking { .. } | State::Doubted { .. }, _) => false,
        };
        if !clear {
            return None;
        }
        // A queue that ran empty meanwhile has nothing to be cut; paused, it could not.
        let cut = waiting || matches!(self.state, State::Paused { .. });
        self.state = State::Idle;
        cut.then_some(BargeInAct::Clear)
    }
}

fn samples(ms: u32) -> u64 {
    u64::from(ms) * u64::from(SAMPLES_PER_MS)
}

#[cfg(test)]
mod tests {
    use super::super::{Speech, SpeechRules};
    use super::*;
    use crate::FrameKind;
    use BargeInAct::*;

    /// What the queue is told, and in which frame, while the caller is heard: V a voice, . silence. Speech begins with the third
    /// voiced frame and ends after 400 ms.
    fn acts(policy: BargeInPolicy, frames: &str) -> Vec<(usize, BargeInAct)> {
        let mut speech = Speech::new(SpeechRules { strictness: 1, start_ms: 60, hang_over_ms: 400 });
        let mut barge_in = BargeIn::new(policy);
        let frames = frames.chars().enumerate();
        frames
            .filter_map(|(tick, frame)| Some((tick, barge_in.heard(&listen(&mut speech, tick, frame), true)?)))
            .collect()
    }

    fn listen(speech: &mut Speech, tick: usize, frame: char) -> Heard {
        speech.frame(tick as u64, FrameKind::Audio, if frame == 'V' { 1.0 } else { 0.0 })
    }

    #[test]
    fn off_does_nothing() {
        assert_eq!(acts(BargeInPolicy::Off, &"V".repeat(100)), []);
    }

    #[test]
    fn immediate_clears_with_the_beginning_of_speech_and_once() {
        assert_eq!(acts(BargeInPolicy::ClearAfter(0), &"V".repeat(100)), [(2, Clear)]);
    }

    #[test]
    fn clear_after_counts_from_where_speech_began() {
        // Began 48 ms before frame 5: 200 ms of it were heard with frame 12.
        assert_eq!(acts(BargeInPolicy::ClearAfter(200), ".....VVVVVVVVVVVVVVVV"), [(12, Clear)]);
    }

    #[test]
    fn silence_does_not_complete_what_clear_after_waits_for() {
        assert_eq!(acts(BargeInPolicy::ClearAfter(200), ".....VVVVV..............................."), []);
        assert_eq!(acts(BargeInPolicy::ClearAfter(200), ".....VVVVV..........V"), [(20, Clear)], "the same speech");
    }

    #[test]
    fn a_cough_pauses_the_bot_and_does_not_stop_it() {
        // 180 ms of it; confirmed would be after 300.
        assert_eq!(
            acts(BargeInPolicy::PauseThenConfirm(300), ".....VVVVVVVVV............................."),
            [(7, Pause), (22, Resume)]
        );
    }

    #[test]
    fn speech_that_goes_on_is_confirmed_and_clears() {
        assert_eq!(
            acts(BargeInPolicy::PauseThenConfirm(300), &format!(".....{}", "V".repeat(60))),
            [(7, Pause), (22, Clear)]
        );
        assert_eq!(
            acts(BargeInPolicy::PauseThenConfirm(300), ".....VVVVVVVVVVVVV...VVVVV"),
            [(7, Pause), (22, Clear)],
            "a gap between words"
        );
    }

    #[test]
    fn what_was_doubted_and_goes_on_is_meant_after_all() {
        // Resumed in a breath; the same speech then makes up 300 ms.
        let heard = acts(BargeInPolicy::PauseThenConfirm(300), ".....VVVVVVVVV..........VVVVVVVV");
        assert_eq!(heard, [(7, Pause), (22, Resume), (27, Clear)]);
    }

    #[test]
    fn the_end_of_speech_resumes_before_the_time_to_confirm() {
        let heard = acts(BargeInPolicy::PauseThenConfirm(2000), "VVVV........................");
        assert_eq!(heard, [(2, Pause), (23, Resume)]);
    }

    #[test]
    fn each_speech_is_judged_anew() {
        let cough = "VVVVVV.........................";
        let acts = acts(BargeInPolicy::PauseThenConfirm(300), &format!("{cough}{cough}{}", "V".repeat(40)));
        let what: Vec<BargeInAct> = acts.into_iter().map(|(_, act)| act).collect();
        assert_eq!(what, [Pause, Resume, Pause, Resume, Pause, Clear]);
    }

    #[test]
    fn a_queue_without_sound_is_left_alone() {
        let rules = SpeechRules { strictness: 1, start_ms: 60, hang_over_ms: 400 };
        for policy in
            [BargeInPolicy::ClearAfter(0), BargeInPolicy::ClearAfter(200), BargeInPolicy::PauseThenConfirm(100)]
        {
            let (mut speech, mut barge_in) = (Speech::new(rules), BargeIn::new(policy));
            let told = (0..50).find_map(|tick| {
                // The bot begins to speak into the caller's speech.
                barge_in.heard(&listen(&mut speech, tick, 'V'), tick > 10)
            });
            assert_eq!(told, None, "{policy:?}");
        }
        // It played to its end before enough was heard.
        let (mut speech, mut barge_in) = (Speech::new(rules), BargeIn::new(BargeInPolicy::ClearAfter(200)));
        assert_eq!((0..50).find_map(|tick| barge_in.heard(&listen(&mut speech, tick, 'V'), tick < 5)), None);
    }

    #[test]
    fn a_queue_that_somebody_else_cleared_is_neither_resumed_nor_cleared_again() {
        let mut speech = Speech::new(SpeechRules { strictness: 1, start_ms: 60, hang_over_ms: 400 });
        let mut barge_in = BargeIn::new(BargeInPolicy::PauseThenConfirm(300));
        let paused = (0..5).find_map(|tick| barge_in.heard(&listen(&mut speech, tick, 'V'), true));
        assert_eq!(paused, Some(Pause));
        barge_in.cleared();
        assert_eq!((5..60).find_map(|tick| barge_in.heard(&listen(&mut speech, tick, 'V'), true)), None);
    }

    #[test]
    fn another_policy_releases_a_paused_queue() {
        let mut speech = Speech::new(SpeechRules { strictness: 1, start_ms: 60, hang_over_ms: 400 });
        let mut barge_in = BargeIn::new(BargeInPolicy::PauseThenConfirm(300));
        assert_eq!(barge_in.set_policy(BargeInPolicy::PauseThenConfirm(300)), None, "nothing stands still");
        let _ = (0..5).find_map(|tick| barge_in.heard(&listen(&mut speech, tick, 'V'), true));
        assert_eq!(barge_in.set_policy(BargeInPolicy::Off), Some(Resume));
        assert_eq!(barge_in.set_policy(BargeInPolicy::Off), None);
    }
}
