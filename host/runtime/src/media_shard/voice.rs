//! What a leg sends: the frame that the bot returned for this tick, else the next of its playout queue, else silence.

use std::sync::atomic::Ordering;

use media::SoundSource;

use crate::bots::{FromBot, MediaEnds};

const FRAME: usize = 160;

/// The bot's voice towards the caller, and its ears: the media thread's ends of the call's rings.
pub struct Voice {
    pub ends: MediaEnds,
    /// The tick whose answer is due at the next departure.
    awaited: Option<u64>,
    /// The last tick whose answer was due at a departure before this one.
    departed: Option<u64>,
    /// Of a frame that did not fit the packet (ptimes other than 20 ms): what is left of it.
    rest: [i16; FRAME],
    rest_len: usize,
    pub underruns: u64,
}

impl Voice {
    pub fn new(ends: MediaEnds) -> Self {
        Self { ends, awaited: None, departed: None, rest: [0; FRAME], rest_len: 0, underruns: 0 }
    }

    /// A frame for this tick was handed to the bot; its answer is due at the next departure.
    pub fn await_answer(&mut self, tick: u64) {
        self.awaited = Some(tick);
    }

    /// The bot's next frame among those due at this departure; what was due at an earlier one came too late and is dropped.
    fn next_answer(&mut self) -> Option<FromBot> {
        let awaited = self.awaited?;
        while self.ends.answers.peek().is_ok_and(|frame| frame.tick <= awaited) {
            let frame = self.ends.answers.pop().ok()?;
            if self.departed.is_none_or(|departed| frame.tick > departed) {
                return Some(frame);
            }
        }
        None
    }

    fn count_underrun(&mut self) {
        if let Some(awaited) = self.awaited
            && self.ends.shared.wants_frames.load(Ordering::Relaxed)
            && self.ends.shared.answered.load(Ordering::Acquire) <= awaited
            && self.ends.playout.is_empty()
        {
            self.underruns += 1;
        }
    }
}

impl SoundSource for Voice {
    /// Shape: fills `out` from its front, returns how many samples. Cost: copies, no allocation, never waits.
    fn pull(&mut self, out: &mut [i16]) -> usize {
        let mut filled = self.rest_len.min(out.len());
        out[..filled].copy_from_slice(&self.rest[..filled]);
        self.rest.copy_within(filled..self.rest_len, 0);
        self.rest_len -= filled;
        while filled < out.len() {
            let Some(frame) = self.next_answer() else { break };
            let taken = (out.len() - filled).min(FRAME);
            out[filled..filled + taken].copy_from_slice(&frame.samples[..taken]);
            self.rest_len = FRAME - taken;
            self.rest[..self.rest_len].copy_from_slice(&frame.samples[taken..]);
            filled += taken;
        }
        if filled == out.len() {
            self.ends.playout.act_on_clear();
        } else {
            self.count_underrun();
            filled += self.ends.playout.pull(&mut out[filled..]);
        }
        self.departed = self.awaited;
        filled
    }
}
