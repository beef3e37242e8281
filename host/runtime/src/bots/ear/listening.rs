//! Utterances, in pieces, for whoever recognises speech. Nothing here waits: who does not take them loses them.

use std::collections::VecDeque;

use media::voice_activity::{DETECTOR_WINDOW_MS, Speech, SpeechEvent, SpeechRules};
use media::{FRAME_SAMPLES, FrameKind};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

const SAMPLES_PER_MS: usize = 8;
/// Sound from before an utterance that is handed over with it.
const PRE_ROLL_MS: usize = 300;
const PIECE_SAMPLES: usize = 100 * SAMPLES_PER_MS;
/// Messages that wait for whoever listens: some 6 s of sound.
pub const MESSAGES_MAX: usize = 64;
const START_MS_MAX: u32 = 1000;
/// Voiced frames that begin speech may lie so many times as far apart as they are long.
const GAPS: usize = 4;
/// What suits a telephone.
const STRICTNESS: u8 = 1;

/// What is brought into its range: see `SpeechRules`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenRules {
    /// Speech for so long is the beginning of an utterance: 20 to 1000.
    pub start_ms: u32,
    /// Silence for so long is its end: 100 to 5000.
    pub hang_over_ms: u32,
    /// A longer one is cut: 1000 at least.
    pub utterance_ms_max: u32,
}

/// Positions count the caller's samples from the call's first frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Utterance {
    /// One began at this sample.
    Started { sample: u64 },
    /// Its sound, 8 kHz mono, in pieces of 100 ms without gaps. The first begins up to 300 ms before the utterance; the last is what is left.
    Sound(Box<[i16]>),
    /// It ended at this sample; what came of it after that was silence. `cut`: it was too long, or the end of listening came first. The
    /// rest of one that was too long is another utterance.
    Stopped { sample: u64, cut: bool },
    /// What waited was not taken: the utterance that went on is lost, and nothing more of it comes.
    Overrun,
}

/// Whoever is to hear them.
pub struct Listener {
    rules: ListenRules,
    to: mpsc::Sender<Utterance>,
}

impl Listener {
    pub fn new(rules: ListenRules) -> (Self, mpsc::Receiver<Utterance>) {
        let (to, utterances) = mpsc::channel(MESSAGES_MAX);
        (Self { rules, to }, utterances)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Silence,
    Utterance {
        began: u64,
    },
    /// It was cut; with the next voiced frame another one begins.
    Cut,
}

pub struct Listening {
    to: mpsc::Sender<Utterance>,
    speech: Speech,
    state: State,
    utterance_samples_max: u64,
    /// The newest sound, as far back as an utterance that is known now can begin.
    recent: VecDeque<i16>,
    recent_samples_max: usize,
    /// Of the utterance that goes on, not handed over yet.
    piece: Vec<i16>,
    /// The position after the last frame, and after the last one that was handed over.
    until: u64,
    handed_until: u64,
    lost: bool,
}

impl Listening {
    pub fn new(Listener { rules, to }: Listener) -> Self {
        let ListenRules { start_ms, hang_over_ms, utterance_ms_max } = rules;
        let begins_ms = GAPS * start_ms.min(START_MS_MAX) as usize + DETECTOR_WINDOW_MS as usize;
        let recent_samples_max = (PRE_ROLL_MS + begins_ms) * SAMPLES_PER_MS + FRAME_SAMPLES;
        Self {
            to,
            speech: Speech::new(SpeechRules { strictness: STRICTNESS, start_ms, hang_over_ms }),
            state: State::Silence,
            utterance_samples_max: u64::from(utterance_ms_max.max(1000)) * SAMPLES_PER_MS as u64,
            recent: VecDeque::with_capacity(recent_samples_max + FRAME_SAMPLES),
            recent_samples_max,
            piece: Vec::new(),
            until: 0,
            handed_until: 0,
            lost: false,
        }
    }

    /// Nobody listens any more.
    pub fn is_over(&self) -> bool {
        self.to.is_closed()
    }

    /// Cost: a copy; an allocation for each piece of an utterance.
    pub fn frame(&mut self, tick: u64, kind: FrameKind, score: f32, samples: &[i16; FRAME_SAMPLES]) {
        let heard = self.speech.frame(tick, kind, score);
        self.keep(heard.until, samples);
        if self.lost && self.to.try_send(Utterance::Overrun).is_ok() {
            self.lost = false;
        }
        if let State::Utterance { .. } = self.state {
            self.piece.extend_from_slice(samples);
        }
        match heard.event {
            Some(SpeechEvent::Started { sample }) => self.begin(sample),
            Some(SpeechEvent::Stopped { sample }) => self.end(sample, State::Silence),
            None if self.state == State::Cut && heard.voiced => self.begin(heard.until - FRAME_SAMPLES as u64),
            None => {}
        }
        if self.piece.len() >= PIECE_SAMPLES {
            self.hand_over();
        }
        if let State::Utterance { began } = self.state
            && heard.until - began >= self.utterance_samples_max
        {
            self.end(heard.until, State::Cut);
        }
    }

    fn keep(&mut self, until: u64, samples: &[i16; FRAME_SAMPLES]) {
        // Of a host that was held up there is nothing to be pieced together.
        if until - self.until > FRAME_SAMPLES as u64 {
            self.recent.clear();
        }
        self.until = until;
        self.recent.extend(samples);
        let too_many = self.recent.len().saturating_sub(self.recent_samples_max);
        self.recent.drain(..too_many);
    }

    fn begin(&mut self, sample: u64) {
        if self.lost {
            return;
        }
        self.state = State::Utterance { began: sample };
        self.send(Utterance::Started { sample });
        let from = sample.saturating_sub((PRE_ROLL_MS * SAMPLES_PER_MS) as u64).max(self.handed_until);
        let known = (self.until.saturating_sub(from) as usize).min(self.recent.len());
        self.piece.clear();
        self.piece.extend(self.recent.range(self.recent.len() - known..));
        self.hand_over();
    }

    /// `then`: `Cut` if more of it may follow.
    fn end(&mut self, sample: u64, then: State) {
        if let State::Utterance { .. } = self.state {
            self.hand_over();
            self.send(Utterance::Stopped { sample, cut: then == State::Cut });
        }
        self.state = then;
    }

    fn hand_over(&mut self) {
        if !self.piece.is_empty() {
            self.handed_until = self.until;
            let piece = Box::from(self.piece.as_slice());
            self.piece.clear();
            self.send(Utterance::Sound(piece));
        }
    }

    fn send(&mut self, message: Utterance) {
        if self.lost {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.to.try_send(message) {
            (self.lost, self.state) = (true, State::Silence);
            self.piece.clear();
        }
    }
}

impl Drop for Listening {
    /// What was said last is not lost with the call.
    fn drop(&mut self) {
        self.end(self.until, State::Cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_the_past_is_bounded_and_only_while_somebody_listens() {
        let rules = ListenRules { start_ms: u32::MAX, hang_over_ms: 400, utterance_ms_max: 20_000 };
        let (listener, receiver) = Listener::new(rules);
        let mut listening = Listening::new(listener);
        for tick in 0..1000 {
            listening.frame(tick, FrameKind::Audio, 0.0, &[1; FRAME_SAMPLES]);
        }
        // 300 ms before it, the detector's window, a second of voice with gaps, and the frame that makes it known.
        assert_eq!(listening.recent.len(), (300 + 48 + 4000 + 20) * 8);
        assert!(!listening.is_over());
        drop(receiver);
        assert!(listening.is_over(), "and the ear goes with it");
    }
}
