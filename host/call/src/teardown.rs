//! The one way out of a call, whoever ends it and in whatever stage: dialog, leg, ports and bot are given back, each by its deadline.
//!
//! ```text
//! dialog  Open --Bye/Reject--> Ending --Ended--> Ended
//! leg     Open --CloseLeg----> Closing --LegClosed--> Closed, then FreePorts
//! bot     Running --hangup---> Lingering --Done/10 s--> CloseBot --> Closing --BotEnded--> Gone
//! ```

use std::time::Instant;

use media::LegStats;
use sip::{Command, Ending, Reason, Rejection};

use crate::call::{Bot, Call, Dialog, End, Leg, Stage};
use crate::cause::{By, Cause};
use crate::control::{Calls, Drain};
use crate::door::{BotEvent, BotStats, CallId, Milestone, Output};
use crate::settings::Limits;

/// Bytes of a Reason text: it may come from a bot.
const REASON_BYTES: usize = 120;

impl Calls {
    /// Ends a call. Only the first end counts.
    pub(crate) fn close(&mut self, call: &mut Call, end: End, now: Instant) {
        if call.is_over() {
            return;
        }
        if let Stage::Matching { .. } = call.stage {
            self.outbound.leave(call.id);
        }
        call.stage = Stage::Over;
        call.digits.stop();
        self.end_dialog(call, &end, now);
        self.close_leg(call, now);
        self.dismiss_bot(call, &end, now);
        let trunk = &self.trunks[usize::from(call.facts.flow.trunk.0)];
        self.quotas.leave(trunk, &call.route);
        let milestone = match call.facts.status {
            Some(status @ 300..) => Milestone::Refused { status, cause: end.cause, why: end.why.clone() },
            _ => Milestone::HungUp { by: end.by, cause: end.cause, why: end.why.clone() },
        };
        self.emit(Output::Milestone { call: call.id, milestone });
        call.end = Some((end, now));
    }

    fn end_dialog(&mut self, call: &mut Call, end: &End, now: Instant) {
        if call.dialog != Dialog::Open {
            return;
        }
        let dialog = call.id;
        let command = if call.is_answered() {
            Command::Bye { dialog, reason: bye_reason(end) }
        } else {
            call.facts.status = Some(end.status);
            Command::Reject { dialog, rejection: rejection(end, &self.limits) }
        };
        self.emit(Output::Sip(command));
        call.dialog = Dialog::Ending { until: now + self.limits.dialog_end };
    }

    fn close_leg(&mut self, call: &mut Call, now: Instant) {
        if call.leg == Leg::Open {
            self.emit(Output::CloseLeg { call: call.id });
            call.leg = Leg::Closing { until: now + self.limits.close };
        } else {
            self.free_ports(call);
        }
    }

    fn free_ports(&mut self, call: &mut Call) {
        if call.ports.take().is_some() {
            self.emit(Output::FreePorts { call: call.id });
        }
    }

    /// A bot that runs is told and may finish its work; any other is closed.
    fn dismiss_bot(&mut self, call: &mut Call, end: &End, now: Instant) {
        match call.bot {
            Bot::Running if self.quotas.linger(&call.route.tenant) => {
                self.tell_bot(call, BotEvent::Hangup { by: end.by, cause: end.cause });
                call.bot = Bot::Lingering { until: now + self.limits.linger };
            }
            Bot::Starting | Bot::Running | Bot::Dead => self.close_bot(call, now),
            Bot::None | Bot::Lingering { .. } | Bot::Closing { .. } | Bot::Gone => {}
        }
    }

    pub(crate) fn close_bot(&mut self, call: &mut Call, now: Instant) {
        if let Bot::Lingering { .. } = call.bot {
            self.quotas.stop_lingering(&call.route.tenant);
        }
        self.emit(Output::CloseBot { call: call.id });
        call.bot = Bot::Closing { until: now + self.limits.close };
    }

    pub(crate) fn dialog_ended(&mut self, id: CallId, ending: Ending, now: Instant) {
        self.with(id, |calls, call| {
            call.dialog = Dialog::Ended;
            if let Ending::Rejected { status } = ending {
                call.facts.status = Some(status);
            }
            calls.close(call, end_of(ending), now);
        });
    }

    pub(crate) fn leg_closed(&mut self, id: CallId, stats: LegStats, now: Instant) {
        self.with(id, |calls, call| {
            if !matches!(call.leg, Leg::Open | Leg::Closing { .. }) {
                return;
            }
            call.facts.leg = Some(stats);
            call.leg = Leg::Closed;
            calls.close(call, End::host(Cause::Internal, "the media plane gave the leg up"), now);
            calls.free_ports(call);
        });
    }

    pub(crate) fn bot_ended(&mut self, id: CallId, stats: BotStats, now: Instant) {
        self.with(id, |calls, call| {
            if !call.bot_exists() {
                return;
            }
            if let Bot::Lingering { .. } = call.bot {
                calls.quotas.stop_lingering(&call.route.tenant);
            }
            call.facts.bot = Some(stats);
            call.bot = Bot::Gone;
            calls.close(call, End::host(Cause::Internal, "the bot's worker gave it up"), now);
        });
    }

    pub(crate) fn end_one(&mut self, id: CallId, end: End, now: Instant) {
        self.with(id, |calls, call| calls.close(call, end, now));
    }

    pub(crate) fn start_drain(&mut self, limit: Instant) {
        if self.drain == Drain::No {
            self.emit(Output::Sip(Command::Drain));
        }
        if matches!(self.drain, Drain::No | Drain::Until(_)) {
            self.drain = Drain::Until(limit);
        }
    }

    /// The order of the calls' numbers, so that a replay gives the same outputs.
    pub(crate) fn end_all(&mut self, end: End, now: Instant) {
        let mut ids: Vec<CallId> = self.calls.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.with(id, |calls, call| calls.close(call, end.clone(), now));
        }
    }

    pub(crate) fn check_drained(&mut self, now: Instant) {
        let over = match self.drain {
            Drain::Until(_) => self.calls.is_empty(),
            Drain::Forced(limit) => self.calls.is_empty() || limit <= now,
            Drain::No | Drain::Done => false,
        };
        if over {
            self.drain = Drain::Done;
            self.emit(Output::Drained);
        }
    }

    /// Something of this call is due.
    pub(crate) fn expire(&mut self, id: CallId, now: Instant) {
        self.with(id, |calls, call| {
            calls.expire_stage(call, now);
            if matches!(call.dialog, Dialog::Ending { until } if until <= now) {
                calls.overdue(call, "dialog");
                call.dialog = Dialog::Ended;
            }
            if matches!(call.leg, Leg::Closing { until } if until <= now) {
                calls.overdue(call, "leg");
                call.leg = Leg::Closed;
                calls.free_ports(call);
            }
            match call.bot {
                Bot::Lingering { until } if until <= now => calls.close_bot(call, now),
                Bot::Closing { until } if until <= now => {
                    calls.overdue(call, "bot");
                    call.bot = Bot::Gone;
                }
                _ => {}
            }
            calls.press_digits(call, now);
        });
    }

    fn overdue(&mut self, call: &Call, what: &'static str) {
        self.emit(Output::Milestone { call: call.id, milestone: Milestone::Overdue { what } });
    }

    fn expire_stage(&mut self, call: &mut Call, now: Instant) {
        match call.stage {
            Stage::OpeningPorts { until } if until <= now => {
                self.overdue(call, "ports");
                self.close(call, End::host(Cause::NoPorts, "no RTP ports were opened in time"), now);
            }
            Stage::Matching { until } if until <= now => self.stop_matching(call, now),
            Stage::StartingBot { until } if until <= now => self.start_timed_out(call, now),
            Stage::Ringing { until } if until <= now => {
                self.close(call, End::host(Cause::NotAnswered, "the bot let it ring"), now);
            }
            Stage::Answered { until } if until <= now => {
                self.overdue(call, "acknowledgement");
                self.close(call, End::host(Cause::NoAck, "neither ACK nor sound"), now);
            }
            Stage::Talking { until } if until <= now => {
                self.close(call, End::host(Cause::TooLong, "the longest call there may be"), now);
            }
            Stage::Fallback { until } if until <= now => self.end_fallback(call, now),
            _ => {}
        }
    }
}

/// What the endpoint's word means for a call that has not ended yet.
fn end_of(ending: Ending) -> End {
    let text = |reason: Option<Reason>| reason.map(|reason| reason.text).unwrap_or_default();
    match ending {
        Ending::PeerBye { reason } => End::new(By::Caller, Cause::Bye, text(reason)),
        Ending::Cancelled => End::new(By::Caller, Cause::Cancel, ""),
        Ending::NoAck => End::host(Cause::NoAck, "our 200 was not acknowledged"),
        Ending::SessionExpired => End::host(Cause::SessionExpired, "the session was not refreshed"),
        Ending::Gone { status } => End::host(Cause::Gone, format!("a request of ours was answered {status}")),
        // The INVITE's own Expires, or the endpoint's bound for an answer.
        Ending::Rejected { status } => End { status, ..End::host(Cause::NotAnswered, "no answer in time") },
        Ending::OurBye | Ending::Refused { .. } => End::host(Cause::Internal, "the dialog ended by itself"),
    }
}

/// The refusal as the peer reads it: Retry-After where waiting helps, and the cause in a Reason header.
pub(crate) fn rejection(end: &End, limits: &Limits) -> Rejection {
    let retry = matches!(end.cause, Cause::Overload | Cause::NoPorts);
    let text = if end.cause == Cause::BotRefused { one_line(&end.why) } else { end.cause.as_str().to_owned() };
    Rejection {
        status: end.status,
        phrase: None,
        reason: Some(Reason { protocol: "SIP".into(), cause: Some(end.status), text }),
        retry_after_s: retry.then_some(limits.retry_after_s.min(5)),
    }
}

/// Why we hang up, for the peer's log; none where there is nothing to explain. Source: RFC 3326 2; ITU-T Q.850 for the numbers:
/// 16 normal clearing, 41 temporary failure, 102 recovery on timer expiry.
fn bye_reason(end: &End) -> Option<Reason> {
    if end.bye.is_some() {
        return end.bye.clone();
    }
    let number = match end.cause {
        Cause::Bye | Cause::Transferred => return None,
        Cause::Operator | Cause::TooLong => 16,
        Cause::MediaTimeout | Cause::NoAck | Cause::SessionExpired => 102,
        _ => 41,
    };
    Some(Reason { protocol: "Q.850".into(), cause: Some(number), text: end.cause.as_str().to_owned() })
}

/// A bot's words, fit for a header: printable, one line, bounded.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let end = (0..=REASON_BYTES.min(line.len())).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
    line.truncate(end);
    line
}
