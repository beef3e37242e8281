//! From our 200 to the hangup, and the fall-back in a bot's place.

use std::time::Instant;

use media::LegEvent;
use sip::Command;

use crate::call::{Bot, Call, End, Leg, Stage};
use crate::cause::{By, Cause};
use crate::control::Calls;
use crate::digits::{KEY_MS, Step};
use crate::door::{BotAct, BotEvent, CallId, Milestone, Output};

impl Calls {
    /// The ACK, with the answer to our offer if our 200 carried one.
    pub(crate) fn acknowledged(&mut self, id: CallId, sdp: Option<Vec<u8>>, now: Instant) {
        self.with(id, |calls, call| {
            if call.is_over() || !call.is_answered() {
                return;
            }
            if call.leg == Leg::None {
                let answer = sdp.unwrap_or_default();
                match call.session.take_answer(&answer).cloned() {
                    Ok(negotiated) => calls.open_leg(call, negotiated),
                    Err(unusable) => return calls.close(call, End::host(Cause::Media, unusable.why), now),
                }
            }
            calls.established(call, now);
        });
    }

    /// The caller is there. Only the first time counts.
    fn established(&mut self, call: &mut Call, now: Instant) {
        if !matches!(call.stage, Stage::Answered { .. }) {
            return;
        }
        call.facts.established = Some(now);
        let after = now.saturating_duration_since(call.facts.started);
        self.emit(Output::Milestone { call: call.id, milestone: Milestone::Established { after } });
        if call.fallback.is_some() {
            return self.play_fallback(call, now);
        }
        call.stage = Stage::Talking { until: now + self.limits.call };
        self.tell_bot(call, BotEvent::Answered);
        if call.session.negotiated().is_some_and(|negotiated| negotiated.held) {
            self.tell_bot(call, BotEvent::Hold);
        }
        self.send_digits(call, now);
    }

    pub(crate) fn tell_bot(&mut self, call: &Call, event: BotEvent) {
        if call.bot == Bot::Running {
            self.emit(Output::BotEvent { call: call.id, event });
        }
    }

    pub(crate) fn leg_event(&mut self, id: CallId, event: LegEvent, now: Instant) {
        self.with(id, |calls, call| {
            if call.leg != Leg::Open {
                return;
            }
            match event {
                LegEvent::FirstPacket => calls.established(call, now),
                LegEvent::SourceMoved { from, to } => {
                    calls.emit(Output::Milestone { call: id, milestone: Milestone::SourceMoved { from, to } });
                }
                LegEvent::MediaTimeout => {
                    let why = format!("no sound for {} s", calls.limits.media_timeout.as_secs());
                    calls.close(call, End::host(Cause::MediaTimeout, why), now);
                }
                // The bot hears of these on the media plane's own way; the leg counts them.
                LegEvent::Digit { .. } | LegEvent::DigitsSent { .. } | LegEvent::DigitsCancelled { .. } => {}
            }
        });
    }

    /// A key by INFO counts only where telephone-event was not negotiated: a press must not be reported twice.
    pub(crate) fn info_digit(&mut self, id: CallId, key: char, _now: Instant) {
        self.with(id, |calls, call| {
            let by_info = call.session.negotiated().is_some_and(|negotiated| negotiated.telephone_event.is_none());
            if by_info && matches!(call.stage, Stage::Talking { .. }) {
                call.facts.info_digits_received += 1;
                calls.tell_bot(call, BotEvent::Digit { key });
            }
        });
    }

    pub(crate) fn bot_acts(&mut self, id: CallId, act: BotAct, now: Instant) {
        self.with(id, |calls, call| match (act, call.bot) {
            (BotAct::Note { key, value }, Bot::Starting | Bot::Running | Bot::Lingering { .. }) => {
                call.facts.note(key, value, &calls.limits);
            }
            (BotAct::Done, Bot::Lingering { .. }) => calls.close_bot(call, now),
            (BotAct::Answer, Bot::Starting) => call.answer_asked = true,
            (BotAct::Answer, Bot::Running) if matches!(call.stage, Stage::Ringing { .. }) => calls.answer(call, now),
            (BotAct::Hangup, Bot::Starting | Bot::Running) => {
                calls.close(call, End::new(By::Bot, Cause::Bye, ""), now);
            }
            (BotAct::SendDigits { id, keys }, Bot::Starting | Bot::Running) => {
                if !call.digits.push(id, keys, calls.limits.digits_queued) {
                    call.facts.dropped += 1;
                }
                if matches!(call.stage, Stage::Talking { .. }) {
                    calls.send_digits(call, now);
                }
            }
            (act, Bot::Starting | Bot::Running) => calls.bot_signals(call, act, now),
            // Too late, or out of place.
            _ => {}
        });
    }

    /// Hands the bot's keys to the leg, or starts sending them by INFO.
    fn send_digits(&mut self, call: &mut Call, now: Instant) {
        let by_leg = call.session.negotiated().is_some_and(|negotiated| negotiated.telephone_event.is_some());
        if by_leg {
            for (id, keys) in call.digits.take() {
                self.emit(Output::SendDigits { call: call.id, id, keys });
            }
        } else {
            call.digits.start(now);
            self.press_digits(call, now);
        }
    }

    /// What is due of the keys that go by INFO.
    pub(crate) fn press_digits(&mut self, call: &mut Call, now: Instant) {
        while let Some(step) = call.digits.poll(now) {
            match step {
                Step::Press(digit) => {
                    call.facts.info_digits_sent += 1;
                    self.emit(Output::Sip(Command::InfoDigit { dialog: call.id, digit, duration_ms: KEY_MS }));
                }
                Step::Sent(id) => self.tell_bot(call, BotEvent::DigitsSent { id }),
            }
        }
    }

    /// The bot is dead, in whatever stage: the route's fall-back takes its place.
    pub(crate) fn bot_faulted(&mut self, id: CallId, cause: Cause, why: String, now: Instant) {
        self.with(id, |calls, call| match call.bot {
            Bot::Starting | Bot::Running => calls.bot_failed(call, cause, why, now),
            Bot::Lingering { .. } => calls.close_bot(call, now),
            Bot::None | Bot::Dead | Bot::Closing { .. } | Bot::Gone => {}
        });
    }

    /// Answers if need be, plays the prompt once the caller is there, and then hangs up; without a prompt 480 or BYE.
    pub(crate) fn bot_failed(&mut self, call: &mut Call, cause: Cause, why: String, now: Instant) {
        call.bot = Bot::Dead;
        call.digits.stop();
        if call.route.fallback.is_none() {
            return self.close(call, End::host(cause, why), now);
        }
        call.fallback = Some((cause, why.clone()));
        call.facts.fallback = true;
        self.emit(Output::Milestone { call: call.id, milestone: Milestone::Fallback { cause, why } });
        match call.stage {
            Stage::StartingBot { .. } | Stage::Ringing { .. } => self.answer(call, now),
            Stage::Talking { .. } => self.play_fallback(call, now),
            // It plays once the caller is there.
            Stage::Answered { .. } => {}
            Stage::OpeningPorts { .. } | Stage::Matching { .. } | Stage::Fallback { .. } | Stage::Over => {}
        }
    }

    fn play_fallback(&mut self, call: &mut Call, now: Instant) {
        let Some(fallback) = &call.route.fallback else { return };
        self.emit(Output::PlayFallback { call: call.id, prompt: fallback.prompt.clone() });
        call.stage = Stage::Fallback { until: now + self.limits.fallback };
    }

    pub(crate) fn fallback_played(&mut self, id: CallId, now: Instant) {
        self.with(id, |calls, call| {
            if matches!(call.stage, Stage::Fallback { .. }) {
                calls.end_fallback(call, now);
            }
        });
    }

    /// The record names what the bot failed of, not that the prompt is over.
    pub(crate) fn end_fallback(&mut self, call: &mut Call, now: Instant) {
        let (cause, why) = call.fallback.clone().unwrap_or((Cause::BotFault, String::new()));
        self.close(call, End::host(cause, why), now);
    }
}
