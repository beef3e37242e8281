//! UPDATE from the peer: a new offer without an INVITE, or a session refresh. Source: RFC 3311, RFC 4028.

use std::time::Instant;

use crate::body;
use crate::dialog::{Pending, State, target_of};
use crate::door::{DialogId, Event};
use crate::endpoint::Endpoint;
use crate::endpoint::transactions::{Answer, TransactionId};
use crate::message::Request;

impl Endpoint {
    /// Without an offer it is answered here. With one: 500 while another request of the peer's is open, 491 while an
    /// offer of ours is (RFC 3311 5.2), else the call plane decides.
    pub(super) fn serve_update(&mut self, id: TransactionId, dialog: DialogId, request: &Request, now: Instant) {
        let Some(found) = self.dialogs.get(&dialog) else {
            return;
        };
        let tag = found.local_tag.clone();
        let session = match Self::session_asked(request) {
            Ok(session) => session,
            Err(answer) => return self.respond(id, (*answer).tagged(&tag), now),
        };
        let sdp = body::session_of(request);
        let early = matches!(found.state, State::Early);
        let refused = match sdp {
            Some(_) if found.pending.is_some() => Some(500),
            Some(_) if found.offer_is_open() => Some(491),
            _ => None,
        };
        match refused {
            Some(500) => {
                let answer = self.overlapping(&tag);
                return self.respond(id, answer, now);
            }
            Some(status) => return self.respond(id, Answer::new(status).tagged(&tag), now),
            None => {}
        }
        let pending = Pending {
            transaction: id,
            is_invite: false,
            offered: sdp.is_some(),
            cseq: request.cseq().number,
            target: target_of(request.contact()),
            session,
            requires_reliable: false,
        };
        match sdp {
            None => self.accept_update(dialog, pending, Vec::new(), early, now),
            Some(sdp) => {
                let event = Event::Offer { dialog, sdp: Some(sdp.to_vec()) };
                self.hold_pending(dialog, pending, now);
                self.tell(event);
            }
        }
    }
}
