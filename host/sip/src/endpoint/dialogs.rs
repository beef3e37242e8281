//! How dialogs are found, kept, moved between connections, and ended.

use std::time::Instant;

use super::requests::Purpose;
use super::transactions::{Answer, Part, TransactionId};
use super::{Endpoint, Owner};
use crate::dialog::{Cancel, Dialog, State, Waiting};
use crate::door::{DialogId, Ending, Event, Flow, Reason};
use crate::message::{HeaderName, Method, Request};
use crate::session_timer::SessionTimer;
use crate::timers::Timer;
use crate::transaction::Machine;

impl Endpoint {
    pub(crate) fn keep_dialog(&mut self, dialog: Dialog) {
        self.flows.dialog_moved(None, Some(dialog.flow));
        self.by_local_tag.insert(dialog.local_tag.clone(), dialog.id);
        self.dialogs.insert(dialog.id, dialog);
    }

    /// The dialog that a request belongs to: by Call-ID and both tags, of the same trunk, on any connection.
    /// Source: RFC 3261 12.2.2.
    pub(crate) fn dialog_of(&self, flow: Flow, request: &Request) -> Option<DialogId> {
        let id = *self.by_local_tag.get(request.to_tag()?)?;
        let dialog = self.dialogs.get(&id)?;
        let same = dialog.call_id == request.call_id()
            && dialog.remote_tag.as_deref() == request.from_tag()
            && dialog.flow.trunk == flow.trunk;
        same.then_some(id)
    }

    /// The dialog's requests go this way from now on.
    pub(crate) fn move_dialog(&mut self, id: DialogId, flow: Flow) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        let from = std::mem::replace(&mut dialog.flow, flow);
        self.flows.dialog_moved(Some(from), Some(flow));
    }

    /// Forgets the dialog and tells so. What the peer still waits for is answered; transactions end by themselves.
    pub(crate) fn end(&mut self, id: DialogId, ending: Ending, now: Instant) {
        self.refuse_pending(id, Answer::new(487), now);
        let Some(dialog) = self.dialogs.remove(&id) else {
            return;
        };
        self.by_local_tag.remove(&dialog.local_tag);
        self.deadlines.stop_all(Owner::Dialog(id));
        self.flows.dialog_moved(Some(dialog.flow), None);
        self.tell(Event::Ended { dialog: id, ending });
    }

    /// Answers what the call plane has not answered. True if there was something.
    pub(crate) fn refuse_pending(&mut self, id: DialogId, answer: Answer, now: Instant) -> bool {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return false;
        };
        let Some(pending) = dialog.pending.take() else {
            return false;
        };
        let answer = answer.tagged(&dialog.local_tag);
        self.deadlines.stop(Owner::Dialog(id), Timer::Answer);
        self.respond(pending.transaction, answer, now);
        true
    }

    /// Hangs up, by whatever the dialog's state asks for.
    pub(crate) fn hang_up(&mut self, id: DialogId, reason: Option<Reason>, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        match &dialog.state {
            State::Early => {
                let rejection = crate::door::Rejection { status: 480, phrase: None, reason, retry_after_s: None };
                self.reject(id, &rejection, now);
            }
            State::Calling { .. } => self.cancel(id, now),
            State::Refused { .. } | State::Closing => {}
            State::Established => {
                // RFC 3261 15: not before the ACK of our 2xx, or the end of the wait for it.
                if dialog.unacknowledged.as_ref().is_some_and(|waiting| waiting.initial) {
                    dialog.bye_wanted = Some(reason);
                    return;
                }
                // The peer's 2xx is acknowledged before the BYE, if need be without an answer.
                if dialog.owes_answer() {
                    self.acknowledge(id, Vec::new(), now);
                }
                self.refuse_pending(id, Answer::new(487), now);
                let Some(dialog) = self.dialogs.get_mut(&id) else {
                    return;
                };
                dialog.state = State::Closing;
                dialog.unacknowledged = None;
                dialog.refer = None;
                dialog.waiting.clear();
                self.deadlines.stop_all(Owner::Dialog(id));
                self.send_bye(id, reason.as_ref(), false, now);
            }
        }
    }

    /// A dialog that has gone wrong: a BYE goes out, and nobody waits for its answer.
    pub(crate) fn end_with_bye(&mut self, id: DialogId, ending: Ending, now: Instant) {
        self.send_bye(id, None, true, now);
        self.end(id, ending, now);
    }

    fn send_bye(&mut self, id: DialogId, reason: Option<&Reason>, orphan: bool, now: Instant) {
        let Some(mut draft) = self.draft_in(id, Method::BYE, None) else {
            return;
        };
        if let Some(reason) = reason {
            draft.headers.push(HeaderName::Reason, reason_value(reason));
        }
        if let Some(dialog) = self.dialogs.get(&id) {
            draft.add(&dialog.bye_headers);
        }
        self.request_in(id, draft, Purpose::Bye, orphan, now);
    }

    pub(crate) fn keep_bye_headers(&mut self, id: DialogId, headers: Vec<(String, String)>) {
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.bye_headers = headers;
        }
    }

    /// Starts, restarts or stops the session timer, after a 2xx to an INVITE or UPDATE. Source: RFC 4028 7.2, 9.
    pub(crate) fn run_session(&mut self, id: DialogId, session: Option<SessionTimer>, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        dialog.session = session;
        let owner = Owner::Dialog(id);
        self.deadlines.stop(owner, Timer::Refresh);
        self.deadlines.stop(owner, Timer::Expire);
        let Some(session) = session else { return };
        self.deadlines.start(owner, Timer::Expire, now + session.expire_after());
        if let Some(after) = session.refresh_after() {
            self.deadlines.start(owner, Timer::Refresh, now + after);
        }
    }

    pub(crate) fn session_expired(&mut self, id: DialogId, now: Instant) {
        self.end_with_bye(id, Ending::SessionExpired, now);
    }

    /// Our turn to refresh: by UPDATE if the peer takes it, else by a re-INVITE that changes nothing. RFC 4028 7.4.
    pub(crate) fn refresh_session(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        if dialog.peer_allows_update {
            // Without room for it `Expire` ends the session.
            let _ = self.enqueue(id, Waiting::Refresh, now);
        } else if dialog.offer_is_open() || dialog.reinvite.is_some() {
            // An offer under way, if it succeeds, refreshes too; else once more soon.
            self.deadlines.start(Owner::Dialog(id), Timer::Refresh, now + crate::timers::T2);
        } else {
            let sdp = dialog.local_sdp.clone();
            self.send_reinvite(id, sdp, 0, true, now);
        }
    }

    /// The refusal of an INVITE was acknowledged, or never will be.
    pub(crate) fn refusal_settled(&mut self, id: TransactionId) {
        let Some(dialog) = self.transactions.get(&id).and_then(|transaction| transaction.dialog) else {
            return;
        };
        if let Some(State::Refused { status }) = self.dialogs.get(&dialog).map(|dialog| &dialog.state) {
            let status = *status;
            self.forget_refused(dialog, status);
        }
    }

    fn forget_refused(&mut self, id: DialogId, status: u16) {
        let Some(dialog) = self.dialogs.remove(&id) else {
            return;
        };
        self.by_local_tag.remove(&dialog.local_tag);
        self.deadlines.stop_all(Owner::Dialog(id));
        self.flows.dialog_moved(Some(dialog.flow), None);
        self.tell(Event::Ended { dialog: id, ending: Ending::Rejected { status } });
    }

    /// A request of ours got no final answer in time (408), or no way to the peer was found (503).
    pub(crate) fn unanswered(&mut self, id: TransactionId, status: u16, now: Instant) {
        let Some(transaction) = self.transactions.get(&id) else {
            return;
        };
        let Part::Client { purpose, .. } = transaction.part else {
            return;
        };
        let dialog = transaction.dialog;
        self.forget(id);
        let Some(dialog) = dialog else { return };
        match purpose {
            Purpose::Bye => self.end(dialog, Ending::OurBye, now),
            Purpose::Invite => {
                let phrase = crate::message::reason_phrase(status);
                self.end(dialog, Ending::Refused { status, phrase }, now);
            }
            Purpose::Reinvite | Purpose::Info | Purpose::Refresh => self.gone(dialog, status, now),
            Purpose::Refer => self.refer_unanswered(dialog, status, now),
            Purpose::Cancel => {}
        }
    }

    /// A request within the dialog failed in a way that ends it. Source: RFC 3261 12.2.1.2.
    pub(crate) fn gone(&mut self, id: DialogId, status: u16, now: Instant) {
        match self.dialogs.get(&id).map(|dialog| &dialog.state) {
            // The BYE's own answer decides.
            None | Some(State::Closing) => {}
            // The peer may still hold its side, and there may be a way to it.
            Some(_) if status == 408 => self.end_with_bye(id, Ending::Gone { status }, now),
            Some(_) => self.end(id, Ending::Gone { status }, now),
        }
    }

    /// Whether the transaction is an INVITE of ours that may be taken back now.
    pub(crate) fn has_provisional(&self, id: TransactionId) -> bool {
        let proceeding = Machine::InviteClient(crate::transaction::invite_client::State::Proceeding);
        self.transactions.get(&id).is_some_and(|transaction| transaction.machine == proceeding)
    }

    pub(crate) fn cancel(&mut self, id: DialogId, now: Instant) {
        let Some(State::Calling { invite, cancel: Cancel::No }) = self.dialogs.get(&id).map(|dialog| &dialog.state)
        else {
            return;
        };
        let invite = *invite;
        let cancel = if self.has_provisional(invite) {
            self.send_cancel(invite, now);
            Cancel::Sent
        } else {
            Cancel::Wanted
        };
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.state = State::Calling { invite, cancel };
        }
    }
}

/// `SIP;cause=486;text="Busy"`. What would end the quotes is escaped; the writer sees to line breaks. RFC 3326 2.
pub(crate) fn reason_value(reason: &Reason) -> String {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    let protocol: String = reason.protocol.chars().filter(|c| u8::try_from(*c).is_ok_and(is_token)).collect();
    let mut value = if protocol.is_empty() { "SIP".to_owned() } else { protocol };
    if let Some(cause) = reason.cause {
        value.push_str(&format!(";cause={cause}"));
    }
    if !reason.text.is_empty() {
        let text: String = reason.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        value.push_str(&format!(";text=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    }
    value
}
