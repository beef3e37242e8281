//! A caller who speaks, listens and takes his time. What he hears is loud or it is not: bots here make no other sound.

use std::sync::Arc;

use crate::tally::Nanos;

pub const FRAME_BYTES: usize = 160;
pub type Frame = [u8; FRAME_BYTES];
const MS: Nanos = 1_000_000;
/// A-law's silence.
const SILENCE: Frame = [0xd5; FRAME_BYTES];
/// 2112 of 32768.
const LOUD: u8 = 0x40;
/// A pause of the bot's for so long is the end of what it says.
const PAUSE: Nanos = 200 * MS;
/// What the bot has said when it is interrupted; longer the later a call began, so that the phases of both are mixed.
const LISTENS: Nanos = 700 * MS;
/// Before the caller answers.
const THINKS: Nanos = 600 * MS;
/// Then he says it again.
const PATIENCE: Nanos = 5_000 * MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Once, in the middle of what the bot says. Measured: from his first packet to the last one with the bot's sound.
    Interrupts,
    /// Speaks when the bot is done. Measured: from his last packet to the bot's first.
    TakesTurns,
    /// Speaks without end. Nothing is measured.
    NeverStops,
}

pub struct Talker {
    manner: Manner,
    /// What he says, from its first loud frame to its last.
    voice: Arc<[Frame]>,
    /// The frame that comes next.
    saying: Option<usize>,
    /// His first packet, if he interrupts; his last one, if he waits for an answer.
    since: Option<Nanos>,
    /// The bot's sound that goes on, or went on last: its first packet and its last one.
    bot: Option<(Nanos, Nanos)>,
    /// The bot began anew after it was interrupted.
    is_over: bool,
    /// From when to when.
    pub measured: Vec<(Nanos, Nanos)>,
    pub unanswered: u32,
}

impl Talker {
    pub fn new(manner: Manner, voice: Arc<[Frame]>) -> Talker {
        Talker { manner, voice, saying: None, since: None, bot: None, is_over: false, measured: vec![], unanswered: 0 }
    }

    /// The payload of the packet that is sent now.
    pub fn says(&mut self, now: Nanos) -> &Frame {
        if self.saying.is_none() && self.begins(now) {
            self.saying = Some(0);
            if self.manner == Manner::Interrupts {
                self.since = Some(now);
            }
        }
        let Some(at) = self.saying else { return &SILENCE };
        self.saying = (at + 1 < self.voice.len()).then_some(at + 1);
        if self.saying.is_none() && self.manner == Manner::TakesTurns {
            self.since = Some(now);
        }
        &self.voice[at]
    }

    fn begins(&mut self, now: Nanos) -> bool {
        match self.manner {
            Manner::NeverStops => true,
            Manner::Interrupts => {
                self.since.is_none()
                    && self.bot.is_some_and(|(first, last)| last - first > LISTENS && now - last < PAUSE)
            }
            Manner::TakesTurns => {
                if self.since.is_some_and(|since| now - since > PATIENCE) {
                    self.since = None;
                    self.unanswered += 1;
                }
                self.since.is_none() && self.bot.is_some_and(|(_, last)| now - last > THINKS)
            }
        }
    }

    pub fn hears(&mut self, payload: &[u8], at: Nanos) {
        if !is_loud(payload) {
            return;
        }
        let goes_on = self.bot.filter(|(_, last)| at - last < PAUSE);
        match self.manner {
            Manner::Interrupts => {
                self.is_over |= self.since.is_some() && goes_on.is_none();
                if let (Some(since), false) = (self.since, self.is_over) {
                    self.measured = vec![(since, at)];
                }
            }
            Manner::TakesTurns if self.saying.is_none() => {
                self.measured.extend(self.since.take().map(|since| (since, at)));
            }
            Manner::TakesTurns | Manner::NeverStops => {}
        }
        self.bot = Some((goes_on.map_or(at, |(first, _)| first), at));
    }
}

/// A-law's magnitudes are in order once its bits are turned.
pub fn is_loud(codes: &[u8]) -> bool {
    codes.iter().any(|code| (code ^ 0x55) & 0x7f >= LOUD)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TONE: Frame = [0x80; FRAME_BYTES];
    const VOICE: Frame = [0x81; FRAME_BYTES];

    fn talker(manner: Manner) -> Talker {
        Talker::new(manner, vec![VOICE; 3].into())
    }

    /// A tick each: what the bot sends in it, and whether the caller speaks.
    fn talk(talker: &mut Talker, from_ms: Nanos, bot: &[bool]) -> Vec<bool> {
        let tick = |(number, &loud): (usize, &bool)| {
            let now = (from_ms + 20 * number as Nanos) * MS;
            talker.hears(if loud { &TONE } else { &SILENCE }, now);
            *talker.says(now + MS) == VOICE
        };
        bot.iter().enumerate().map(tick).collect()
    }

    #[test]
    fn who_interrupts_does_so_once_and_hears_when_the_bot_stops() {
        let mut caller = talker(Manner::Interrupts);
        let spoke = talk(&mut caller, 0, &[true; 37]);
        assert_eq!(spoke.iter().position(|spoke| *spoke), Some(36));
        // From 721 ms on; the bot's last packet is of 800 ms, its next words are another matter.
        let spoke = talk(&mut caller, 740, &[&[true; 4][..], &[false; 20], &[true; 100]].concat());
        assert_eq!(spoke.iter().filter(|spoke| **spoke).count(), 2);
        assert_eq!(caller.measured, [(721 * MS, 800 * MS)]);
    }

    #[test]
    fn who_takes_turns_waits_and_measures_each_answer() {
        let mut caller = talker(Manner::TakesTurns);
        assert!(talk(&mut caller, 0, &[false; 100]).iter().all(|spoke| !spoke), "the bot greets first");
        let turn = [&[true; 5][..], &[false; 40], &[true; 5], &[false; 300]].concat();
        let spoke = talk(&mut caller, 2000, &turn);
        // Silent since 2080: speaks at 2680 to 2720, hears the bot at 2900; speaks again at 3580, and again at 8640.
        let begins: Vec<_> = (1..spoke.len()).filter(|&at| spoke[at] && !spoke[at - 1]).collect();
        assert_eq!(begins, [34, 79, 332]);
        assert_eq!((caller.measured, caller.unanswered), (vec![(2721 * MS, 2900 * MS)], 1));
    }
}
