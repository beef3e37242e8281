//! Offers within a dialog: re-INVITE, and what the call plane says to it or to an UPDATE. Source: RFC 3261 14.2.

use std::time::Instant;

use super::invite::{refusal_of, trying};
use crate::body;
use crate::dialog::{Pending, State, target_of};
use crate::door::{DialogId, Event, Rejection};
use crate::endpoint::transactions::{Answer, TransactionId};
use crate::endpoint::{Endpoint, Owner};
use crate::message::{HeaderName, Request};
use crate::timers::Timer;

impl Endpoint {
    pub(super) fn serve_reinvite(&mut self, id: TransactionId, dialog_id: DialogId, request: &Request, now: Instant) {
        let Some(dialog) = self.dialogs.get(&dialog_id) else {
            return;
        };
        let tag = dialog.local_tag.clone();
        if dialog.pending.is_some() {
            let answer = self.overlapping(&tag);
            return self.respond(id, answer, now);
        }
        let our_offer = dialog.unacknowledged.as_ref().is_some_and(|waiting| waiting.offered);
        if our_offer || dialog.offers() || dialog.owes_answer() {
            return self.respond(id, Answer::new(491).tagged(&tag), now);
        }
        let session = match Self::session_asked(request) {
            Ok(session) => session,
            Err(answer) => return self.respond(id, (*answer).tagged(&tag), now),
        };
        self.respond(id, trying(request), now);
        // It has seen our 2xx, or it could not be at the next INVITE (RFC 3261 14.1): the ACK was lost.
        self.take_acknowledgement(dialog_id, None, now);
        let sdp = body::session_of(request);
        let pending = Pending {
            transaction: id,
            is_invite: true,
            offered: sdp.is_some(),
            cseq: request.cseq().number,
            target: target_of(request.contact()),
            session,
            requires_reliable: false,
        };
        let event = Event::Offer { dialog: dialog_id, sdp: sdp.map(<[u8]>::to_vec) };
        self.hold_pending(dialog_id, pending, now);
        // A BYE that waited for that ACK has gone out now, and this is over.
        if self.dialogs.get(&dialog_id).is_some_and(|dialog| matches!(dialog.state, State::Established)) {
            self.tell(event);
        } else {
            self.refuse_pending(dialog_id, Answer::new(487), now);
        }
    }

    /// The call plane is to answer this request.
    pub(super) fn hold_pending(&mut self, id: DialogId, pending: Pending, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        dialog.pending = Some(pending);
        self.deadlines.start(Owner::Dialog(id), Timer::Answer, now + self.config.limits.answer);
    }

    /// 200 to a re-INVITE or UPDATE.
    pub(crate) fn accept_offer(&mut self, id: DialogId, sdp: Vec<u8>, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id).filter(|dialog| dialog.is_established()) else {
            return;
        };
        let Some(pending) = dialog.pending.take() else {
            return;
        };
        self.deadlines.stop(Owner::Dialog(id), Timer::Answer);
        if pending.is_invite {
            self.succeed(id, pending, sdp, &[], false, now);
        } else {
            self.accept_update(id, pending, sdp, false, now);
        }
    }

    /// `early`: the dialog is not established; a session timer has to wait for that.
    pub(super) fn accept_update(&mut self, id: DialogId, pending: Pending, sdp: Vec<u8>, early: bool, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        if let Some(target) = pending.target {
            dialog.remote_target = target;
        }
        let session = pending.session.filter(|_| !early);
        let mut answer = Answer::new(200)
            .with(HeaderName::Contact, &dialog.contact)
            .with(HeaderName::Allow, super::ALLOW)
            .with(HeaderName::Supported, super::SUPPORTED)
            .with_session(session)
            .tagged(&dialog.local_tag);
        if !sdp.is_empty() {
            dialog.local_sdp.clone_from(&sdp);
            answer.body = Some(("application/sdp", sdp));
        }
        self.respond(pending.transaction, answer, now);
        if !early {
            self.run_session(id, session, now);
        }
    }

    /// The session stays as it was.
    pub(crate) fn reject_offer(&mut self, id: DialogId, rejection: &Rejection, now: Instant) {
        if self.dialogs.get(&id).is_some_and(|dialog| dialog.is_established()) {
            self.refuse_pending(id, refusal_of(rejection), now);
        }
    }
}
