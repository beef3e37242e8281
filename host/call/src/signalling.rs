//! What a bot asks of its call's signalling beyond answer and hangup: headers of our 200, BYE and REFER, a hangup with its cause, hold
//! and resume. Transfers are in `transfer`.
//!
//! A hold is a re-INVITE of ours, sendonly; a resume one with sendrecv. The endpoint sends it when no other offer is open, waits out a
//! glare, and tells its end. That may take minutes, if the peer says 100 and nothing more; the bot does not wait for it so long. An
//! offer that is answered after it was given up is taken back by another.

use std::time::Instant;

use sip::{Command, Reason};

use crate::call::{Bot, Call, End, Stage};
use crate::cause::{By, Cause};
use crate::control::Calls;
use crate::door::{BotAct, BotEvent, ControlEvent, Milestone, Output};
use crate::session::Why;
use crate::teardown::one_line;

/// Headers of one message that a bot may add, and the bytes of a name and a value.
const MAX_HEADERS: usize = 16;
const MAX_NAME_BYTES: usize = 64;
const MAX_VALUE_BYTES: usize = 512;

/// A hold or resume, until its re-INVITE is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub holds: bool,
    pub asked: Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// By the bot, which is told what came of it by then.
    ByBot { id: u64, until: Instant },
    /// By the bot, which was told that it failed.
    GivenUp,
    /// By nobody: it takes back what was given up and came to be all the same.
    TakesBack,
}

impl Hold {
    pub fn due(&self) -> Option<Instant> {
        if let Asked::ByBot { until, .. } = self.asked { Some(until) } else { None }
    }
}

impl Calls {
    /// The acts of a bot that starts or runs, those left out that every bot needs.
    pub(crate) fn bot_signals(&mut self, call: &mut Call, act: BotAct, now: Instant) {
        match act {
            BotAct::Transfer { id, target, headers } => {
                let headers = take_headers(call, headers);
                self.transfer(call, id, &target, headers);
            }
            BotAct::Hold { id } => self.hold(call, id, true, now),
            BotAct::Resume { id } => self.hold(call, id, false, now),
            BotAct::AnswerHeaders(headers) => call.answer_headers = take_headers(call, headers),
            BotAct::ByeHeaders(headers) => {
                let headers = take_headers(call, headers);
                self.emit(Output::Sip(Command::ByeHeaders { dialog: call.id, headers }));
            }
            BotAct::HangupWith { status, reason } => self.close(call, hangup(call, status, reason), now),
            _ => {}
        }
    }

    pub(crate) fn tell_control(&mut self, call: &Call, id: u64, event: ControlEvent) {
        // What is asked for in `start` may be answered before its end is reported.
        if matches!(call.bot, Bot::Starting | Bot::Running) {
            self.emit(Output::BotEvent { call: call.id, event: BotEvent::Control { id, event } });
        }
    }

    fn hold(&mut self, call: &mut Call, id: u64, holds: bool, now: Instant) {
        let failed = |status, reason: &str| ControlEvent::Failed { status, reason: reason.to_owned() };
        let at_once = match call.hold {
            _ if !matches!(call.stage, Stage::Talking { .. }) => Some(failed(481, "the call is not up")),
            Some(_) => Some(failed(491, "a hold or resume is under way")),
            None if call.session.holds() == holds => Some(ControlEvent::Done),
            None => None,
        };
        match at_once {
            Some(event) => self.tell_control(call, id, event),
            None => {
                call.hold = Some(Hold { holds, asked: Asked::ByBot { id, until: now + self.limits.hold } });
                self.offer_hold(call);
            }
        }
    }

    /// Offers what the hold or resume asks for, if there is one. Again after each offer of the peer's: the endpoint sends the newest,
    /// and what the peer's came to is what ours builds on. While an offer that the peer asked for waits for its answer, none is made: the
    /// answer would be taken for this one's.
    pub(crate) fn offer_hold(&mut self, call: &mut Call) {
        if let (Some(hold), None | Some(Why::Hold { .. })) = (call.hold, call.session.offers()) {
            let sdp = call.session.make_hold(hold.holds);
            self.emit(Output::Sip(Command::Reinvite { dialog: call.id, sdp }));
        }
    }

    pub(crate) fn hold_settled(&mut self, call: &mut Call, refused: Option<u16>) {
        let Some(hold) = call.hold.take() else { return };
        match (hold.asked, refused) {
            (Asked::ByBot { id, .. }, Some(status)) => {
                let reason = sip::message::reason_phrase(status);
                self.tell_control(call, id, ControlEvent::Failed { status, reason });
            }
            (Asked::ByBot { id, .. }, None) => {
                let milestone = if hold.holds { Milestone::HeldByBot } else { Milestone::ResumedByBot };
                self.emit(Output::Milestone { call: call.id, milestone });
                self.tell_control(call, id, ControlEvent::Done);
            }
            (Asked::GivenUp, None) => {
                call.hold = Some(Hold { holds: !hold.holds, asked: Asked::TakesBack });
                self.offer_hold(call);
            }
            (Asked::GivenUp, Some(_)) | (Asked::TakesBack, _) => {}
        }
    }

    pub(crate) fn give_up_hold(&mut self, call: &mut Call, now: Instant) {
        let Some(hold) = &mut call.hold else { return };
        match hold.asked {
            Asked::ByBot { id, until } if until <= now => {
                hold.asked = Asked::GivenUp;
                let reason = sip::message::reason_phrase(408);
                self.tell_control(call, id, ControlEvent::Failed { status: 408, reason });
            }
            _ => {}
        }
    }
}

/// While it rings that is a refusal, after our 200 a BYE that says why.
fn hangup(call: &Call, status: u16, reason: String) -> End {
    let status = if (400..700).contains(&status) { status } else { 480 };
    if !call.is_answered() {
        return End { status, ..End::new(By::Bot, Cause::BotRefused, reason) };
    }
    let bye = Some(Reason { protocol: "SIP".into(), cause: Some(status), text: one_line(&reason) });
    End { bye, ..End::new(By::Bot, Cause::Bye, reason) }
}

/// Those that may be sent: `X-`, within the bounds, no line end in them. The others are counted and left out.
fn take_headers(call: &mut Call, headers: Vec<(String, String)>) -> Vec<(String, String)> {
    let asked = headers.len();
    let kept: Vec<(String, String)> =
        headers.into_iter().filter(|(name, value)| is_sendable(name, value)).take(MAX_HEADERS).collect();
    call.facts.dropped = call.facts.dropped.saturating_add((asked - kept.len()) as u32);
    kept
}

fn is_sendable(name: &str, value: &str) -> bool {
    let is_ours = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-"))
        && (3..=MAX_NAME_BYTES).contains(&name.len());
    let is_token = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b));
    is_ours && is_token && value.len() <= MAX_VALUE_BYTES && !value.contains(char::is_control)
}
