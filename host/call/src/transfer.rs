//! The bot hands its caller over: REFER, what the NOTIFYs tell of it, and our BYE once the other side has answered.
//!
//! The endpoint keeps the deadlines: 30 s without a word, 3 minutes in all. Whatever fails, the call stays with the bot.

use std::time::Instant;

use sip::{Command, ReferTarget};

use crate::call::{Call, End, Stage};
use crate::cause::{By, Cause};
use crate::control::Calls;
use crate::door::{CallId, ControlEvent, Milestone, Output};
use crate::teardown::one_line;

impl Calls {
    pub(crate) fn transfer(&mut self, call: &mut Call, id: u64, target: &str, headers: Vec<(String, String)>) {
        let target = match ReferTarget::parse(target) {
            _ if !matches!(call.stage, Stage::Talking { .. }) => Err((481, "the call is not up".to_owned())),
            _ if call.transfer.is_some() => Err((491, "a transfer is under way".to_owned())),
            parsed => parsed.map_err(|error| (400, error.to_string())),
        };
        match target {
            Ok(target) => {
                call.transfer = Some(id);
                call.facts.transfers += 1;
                self.emit(Output::Milestone { call: call.id, milestone: Milestone::Transferring });
                self.emit(Output::Sip(Command::Refer { dialog: call.id, target, headers }));
            }
            Err((status, reason)) => self.tell_control(call, id, ControlEvent::Failed { status, reason }),
        }
    }

    pub(crate) fn transfer_progress(&mut self, id: CallId, status: u16, phrase: String) {
        self.with(id, |calls, call| {
            if let Some(transfer) = call.transfer {
                calls.tell_control(call, transfer, ControlEvent::Progress { status, reason: one_line(&phrase) });
            }
        });
    }

    pub(crate) fn transfer_ended(&mut self, id: CallId, status: u16, phrase: String, now: Instant) {
        self.with(id, |calls, call| {
            let Some(transfer) = call.transfer.take() else { return };
            if (200..300).contains(&status) {
                calls.tell_control(call, transfer, ControlEvent::Done);
                // The peer's own BYE may be on its way: then the two cross.
                return calls.close(call, End::new(By::Bot, Cause::Transferred, ""), now);
            }
            let why = one_line(&phrase);
            calls.emit(Output::Milestone {
                call: id,
                milestone: Milestone::TransferFailed { status, why: why.clone() },
            });
            calls.tell_control(call, transfer, ControlEvent::Failed { status, reason: why });
        });
    }
}
