//! Keys for the bot, one after another: tone, three end packets, gap.
//!
//! ```text
//!   slot       0    1    2    3    4    5    6    7    8        20 ms each, tone 100 ms, gap 50 ms
//!   duration   160  320  480  640  800E 800E 800E -    next     all with slot 0's timestamp; `-` is silence
//! ```

use std::collections::VecDeque;

use super::event_of;
use crate::clock::{RtpTimestamp, SAMPLES_PER_MS};

/// Keys that may wait, pauses included.
const KEYS_MAX: usize = 64;
/// What `,` stands for.
const PAUSE_MS: u32 = 500;
/// RFC 4733 2.5.1.4: the last packet is sent three times.
const END_PACKETS: u8 = 3;
/// -10 dBm0, RFC 4733 2.3.3.
const VOLUME: u8 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigitTiming {
    /// 40 to 2000 ms.
    pub tone_ms: u32,
    /// Between the end of a tone and the next one, 30 to 2000 ms.
    pub gap_ms: u32,
}

impl Default for DigitTiming {
    fn default() -> Self {
        DigitTiming { tone_ms: 100, gap_ms: 50 }
    }
}

/// Why no key was queued. Either all keys of a call are, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigitsRefused {
    #[error("telephone-event was not negotiated")]
    NotNegotiated,
    #[error("not a key: 0-9, *, #, A-D, or a comma for a pause")]
    NotAKey,
    #[error("more than {KEYS_MAX} keys would wait")]
    TooMany,
}

enum Step {
    Key(u8),
    Pause,
    Done(u64),
}

enum State {
    Idle,
    Tone { event: u8, start: RtpTimestamp, ends: u8, first: bool },
    Quiet { until: RtpTimestamp },
}

/// What one slot of the send clock carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    Audio,
    /// Audio, but silent: between two keys.
    Muted,
    /// `start` is the timestamp of all packets of this key.
    Event {
        start: RtpTimestamp,
        payload: [u8; 4],
        first: bool,
    },
}

pub struct DigitSender {
    tone: u32,
    gap: u32,
    steps: VecDeque<Step>,
    keys: usize,
    state: State,
    finished: VecDeque<u64>,
    pub sent: u64,
}

impl DigitSender {
    pub fn new(timing: DigitTiming) -> Self {
        DigitSender {
            tone: timing.tone_ms.clamp(40, 2000) * SAMPLES_PER_MS,
            gap: timing.gap_ms.clamp(30, 2000) * SAMPLES_PER_MS,
            // As many keys again as markers: each order has a key at least.
            steps: VecDeque::with_capacity(2 * KEYS_MAX),
            keys: 0,
            state: State::Idle,
            finished: VecDeque::with_capacity(KEYS_MAX),
            sent: 0,
        }
    }

    /// Keys are being sent, or wait.
    pub fn is_busy(&self) -> bool {
        !self.steps.is_empty() || !matches!(self.state, State::Idle)
    }

    /// Queues keys under an id, which [`Self::take_finished`] gives back after the last one's gap.
    pub fn order(&mut self, id: u64, keys: &str) -> Result<(), DigitsRefused> {
        let count = keys.chars().take(KEYS_MAX + 1).count();
        if self.keys + count > KEYS_MAX {
            return Err(DigitsRefused::TooMany);
        }
        if count == 0 || !keys.chars().all(|key| key == ',' || event_of(key).is_some()) {
            return Err(DigitsRefused::NotAKey);
        }
        self.keys += count;
        self.steps.extend(keys.chars().map(|key| event_of(key).map_or(Step::Pause, Step::Key)));
        self.steps.push_back(Step::Done(id));
        Ok(())
    }

    pub fn take_finished(&mut self) -> Option<u64> {
        self.finished.pop_front()
    }

    /// Forgets everything, the key under way included: the next id of those that will never be finished.
    pub fn cancel(&mut self) -> Option<u64> {
        self.state = State::Idle;
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::Done(id) => return Some(id),
                Step::Key(_) | Step::Pause => self.keys -= 1,
            }
        }
        None
    }

    /// Nothing may leave for a while. A key that was under way is over, as its receiver will think: going on with it after
    /// the hold, it would be heard as another press.
    pub fn cut_short(&mut self) {
        if let State::Tone { start, .. } = self.state {
            self.state = State::Quiet { until: start.plus(self.tone + self.gap) };
            self.sent += 1;
        }
    }

    /// The slot that begins at media time `at` and is `length` samples long.
    pub fn next(&mut self, at: RtpTimestamp, length: u32) -> Slot {
        loop {
            match &mut self.state {
                State::Quiet { until } if at.since(*until) < 0 => return Slot::Muted,
                State::Quiet { .. } => self.state = State::Idle,
                State::Idle => match self.steps.pop_front() {
                    None => return Slot::Audio,
                    Some(Step::Done(id)) => self.finished.push_back(id),
                    Some(Step::Pause) => {
                        self.keys -= 1;
                        self.state = State::Quiet { until: at.plus(PAUSE_MS * SAMPLES_PER_MS) };
                    }
                    Some(Step::Key(event)) => {
                        self.keys -= 1;
                        self.state = State::Tone { event, start: at, ends: 0, first: true };
                    }
                },
                State::Tone { event, start, ends, first } => {
                    let elapsed = at.plus(length).since(*start).max(0) as u32;
                    let end = elapsed >= self.tone;
                    let [d0, d1] = (elapsed.min(self.tone) as u16).to_be_bytes();
                    let payload = [*event, (u8::from(end) << 7) | VOLUME, d0, d1];
                    let slot = Slot::Event { start: *start, payload, first: *first };
                    *first = false;
                    *ends += u8::from(end);
                    if *ends == END_PACKETS {
                        let until = start.plus(self.tone + self.gap);
                        self.state = State::Quiet { until };
                        self.sent += 1;
                    }
                    return slot;
                }
            }
        }
    }
}
