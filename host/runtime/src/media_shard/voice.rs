//! What a leg sends: the frame that the bot returned for this tick, else the next of its playout queue, else silence.

use std::sync::atomic::Ordering;

use media::SoundSource;

use crate::bots::{FromBot, MediaEnds};

/// The bot's voice towards the caller: the media thread's ends of the call's rings.
pub struct Voice {
    pub ends: MediaEnds,
    /// The tick whose answer is due at the next departure.
    awaited: Option<u64>,
    /// Answers that one packet may carry: so many ticks back an answer is still on time.
    frames_per_packet: u64,
    /// The awaited tick for which an underrun was counted.
    underrun_at: Option<u64>,
}

impl Voice {
    pub fn new(ends: MediaEnds, ptime_ms: u32) -> Self {
        let mut voice = Self { ends, awaited: None, frames_per_packet: 1, underrun_at: None };
        voice.set_ptime(ptime_ms);
        voice
    }

    pub fn set_ptime(&mut self, ptime_ms: u32) {
        self.frames_per_packet = u64::from(ptime_ms).div_ceil(20).max(1);
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
            if frame.tick + self.frames_per_packet > awaited {
                return Some(frame);
            }
        }
        None
    }

    /// The bot answers each frame, has not answered this one, and has queued nothing either. Before its first answer it has not begun.
    fn count_underrun(&mut self) {
        let shared = &self.ends.shared;
        if let Some(awaited) = self.awaited
            && self.underrun_at != self.awaited
            && shared.wants_frames.load(Ordering::Relaxed)
            && (1..=awaited).contains(&shared.answered.load(Ordering::Acquire))
        {
            self.underrun_at = self.awaited;
            shared.underruns.fetch_add(1, Ordering::Relaxed);
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
