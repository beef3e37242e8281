//! What a leg sends: the frame that the bot returned for this tick, else the next of its playout queue, else silence.

use std::sync::atomic::Ordering;

use media::SoundSource;

use crate::bots::{FromBot, MediaEnds};

/// The bot's voice towards the caller: the media thread's ends of the call's rings.
pub struct Voice {
    pub ends: MediaEnds,
    /// The tick whose answer is due at the next departure.
    awaited: Option<u64>,
    /// The last tick whose answer was due at a departure before this one.
    departed: Option<u64>,
    pub underruns: u64,
}

impl Voice {
    pub fn new(ends: MediaEnds) -> Self {
        Self { ends, awaited: None, departed: None, underruns: 0 }
    }

    /// A frame for this tick was handed to the bot; its answer is due at the next departure.
    pub fn await_answer(&mut self, tick: u64) {
        self.awaited = Some(tick);
    }

    /// A packet has left: answers for frames before it come too late from now on.
    pub fn depart(&mut self) {
        self.departed = self.awaited;
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

    /// The bot wants to answer each frame, has not answered this one, and has queued nothing either.
    fn count_underrun(&mut self) {
        let shared = &self.ends.shared;
        if let Some(awaited) = self.awaited
            && self.departed != self.awaited
            && shared.wants_frames.load(Ordering::Relaxed)
            && shared.answered.load(Ordering::Acquire) <= awaited
        {
            self.underruns += 1;
        }
    }
}

impl SoundSource for Voice {
    fn next_frame(&mut self, frame: &mut [i16; 160]) -> bool {
        if let Some(answer) = self.next_answer() {
            self.ends.playout.act_on_clear();
            *frame = answer.samples;
            return true;
        }
        match self.ends.playout.pull(frame) {
            0 => {
                self.count_underrun();
                false
            }
            pulled => {
                // The end of what was queued need not fill a frame.
                frame[pulled..].fill(0);
                true
            }
        }
    }
}
