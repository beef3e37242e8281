//! What the bot is told of the caller's voice, and what that does to the bot's sound.

use std::time::Instant;

use call::BargeInTimes;
use media::voice_activity::{BargeIn, BargeInAct, BargeInPolicy, Heard, Speech, SpeechEvent, SpeechRules};
use media::{FRAME_SAMPLES, FrameKind, PlayoutWriter};
use plugin::{Event, VoiceEvent, VoiceRules};

use super::super::operations::{Operations, Overfull};
use super::super::rings::FromCaller;
use super::{FRAME_MS, ticks_late_ms};

pub struct Watching {
    rules: VoiceRules,
    speech: Speech,
    barge_in: BargeIn,
    /// As far as the queue had been cleared when we last looked: beyond that somebody else has cleared it.
    cleared_to: u64,
    began: Option<Began>,
}

/// Of the speech that goes on.
#[derive(Clone, Copy)]
struct Began {
    /// The frames in which it began, and with which that was known.
    tick: u64,
    known_tick: u64,
    delay_ms: u32,
}

/// What a frame brings about: an event for the bot, something done to its sound, or both.
#[derive(Clone, Copy)]
pub enum Act {
    Tell(SpeechEvent),
    Do(BargeInAct),
    Both(SpeechEvent, BargeInAct),
}

impl Act {
    fn event(self) -> Option<SpeechEvent> {
        match self {
            Self::Tell(event) | Self::Both(event, _) => Some(event),
            Self::Do(_) => None,
        }
    }

    fn act(self) -> Option<BargeInAct> {
        match self {
            Self::Do(act) | Self::Both(_, act) => Some(act),
            Self::Tell(_) => None,
        }
    }
}

impl Watching {
    pub fn new(rules: VoiceRules, playout: &PlayoutWriter) -> Self {
        Self {
            rules,
            speech: Speech::new(speech_rules(rules)),
            barge_in: BargeIn::new(policy(rules)),
            cleared_to: playout.cleared_to(),
            began: None,
        }
    }

    /// Speech that has begun goes on; a pause by another policy does not.
    pub fn set_rules(&mut self, rules: VoiceRules, operations: &mut Operations) -> Result<(), Overfull> {
        self.speech.set_rules(speech_rules(rules));
        let is_other = rules.barge_in != self.rules.barge_in;
        self.rules = rules;
        let release = if is_other { self.barge_in.set_policy(policy(rules)) } else { None };
        release.map_or(Ok(()), |act| self.do_to_queue(act, operations))
    }

    pub fn frame(&mut self, frame: &FromCaller, kind: FrameKind, score: f32) -> Heard {
        let heard = self.speech.frame(frame.tick, kind, score);
        match heard.event {
            Some(SpeechEvent::Started { sample }) => {
                let tick = sample / FRAME_SAMPLES as u64;
                self.began = Some(Began { tick, known_tick: frame.tick, delay_ms: u32::from(frame.delay_ms) });
            }
            Some(SpeechEvent::Stopped { .. }) => self.began = None,
            None => {}
        }
        heard
    }

    /// What follows from a frame, if anything does.
    pub fn judge(&mut self, heard: &Heard, playout: &PlayoutWriter) -> Option<Act> {
        if playout.cleared_to() != self.cleared_to {
            self.cleared_to = playout.cleared_to();
            self.barge_in.cleared();
        }
        match (heard.event, self.barge_in.heard(heard, playout.position() > playout.played().max(self.cleared_to))) {
            (None, None) => None,
            (Some(event), None) => Some(Act::Tell(event)),
            (None, Some(act)) => Some(Act::Do(act)),
            (Some(event), Some(act)) => Some(Act::Both(event, act)),
        }
    }

    pub fn carry_out(&mut self, act: Act, operations: &mut Operations) -> Result<(), Overfull> {
        match act.event() {
            Some(SpeechEvent::Started { sample }) => tell(operations, VoiceEvent::SpeechStarted { sample })?,
            Some(SpeechEvent::Stopped { sample }) => tell(operations, VoiceEvent::SpeechStopped { sample })?,
            None => {}
        }
        act.act().map_or(Ok(()), |act| self.do_to_queue(act, operations))
    }

    fn do_to_queue(&mut self, act: BargeInAct, operations: &mut Operations) -> Result<(), Overfull> {
        match act {
            BargeInAct::Pause => {
                operations.playout().pause();
                tell(operations, VoiceEvent::Paused)
            }
            BargeInAct::Resume => {
                operations.playout().resume();
                tell(operations, VoiceEvent::Resumed)
            }
            // Told once it has acted.
            BargeInAct::Clear => {
                operations.barge_in();
                self.cleared_to = operations.playout().cleared_to();
                Ok(())
            }
        }
    }

    /// How long the caller had to speak until the bot's sound stopped, if this frame stops it.
    pub fn measure(&self, frame: &FromCaller, act: Act, now: Instant) -> Option<BargeInTimes> {
        let Some(BargeInAct::Clear) = act.act() else { return None };
        let began = self.began?;
        let ms = |from: u64, to: u64| u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX / FRAME_MS) * FRAME_MS;
        // The last packet with the bot's sound left one before the first without.
        let rest_ms = ticks_late_ms(frame.due, now) as i32 - FRAME_MS as i32;
        Some(BargeInTimes::new(
            began.delay_ms,
            ms(began.tick, began.known_tick),
            ms(began.known_tick, frame.tick),
            u32::from(frame.budget_ms),
            rest_ms,
        ))
    }
}

fn tell(operations: &mut Operations, event: VoiceEvent) -> Result<(), Overfull> {
    operations.push(Event::Voice(event))
}

fn speech_rules(rules: VoiceRules) -> SpeechRules {
    SpeechRules { strictness: rules.strictness, start_ms: rules.start_ms, hang_over_ms: rules.hang_over_ms }
}

fn policy(rules: VoiceRules) -> BargeInPolicy {
    match rules.barge_in {
        plugin::BargeIn::Off => BargeInPolicy::Off,
        plugin::BargeIn::ClearAfter { ms } => BargeInPolicy::ClearAfter(ms),
        plugin::BargeIn::PauseThenConfirm { ms } => BargeInPolicy::PauseThenConfirm(ms),
    }
}
