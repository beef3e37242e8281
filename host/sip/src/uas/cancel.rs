//! CANCEL from the peer. Source: RFC 3261 9.2.

use std::time::Instant;

use crate::dialog::State;
use crate::door::{Ending, Event, Flow};
use crate::endpoint::Endpoint;
use crate::endpoint::transactions::{Answer, TransactionId, server_key};
use crate::message::{Method, Request};

impl Endpoint {
    /// 200 to the CANCEL if its INVITE is known, 481 otherwise. An INVITE without a final answer gets 487; one that has
    /// its answer keeps it, and the peer that did not want the call sends BYE.
    pub(super) fn serve_cancel(&mut self, id: TransactionId, flow: Flow, request: &Request, now: Instant) {
        let key = server_key(flow.trunk, request, &Method::INVITE);
        let invite = self.by_key.get(&key).and_then(|id| self.transactions.get_key_value(id));
        let Some((&invite, found)) = invite else {
            return self.respond(id, Answer::new(481), now);
        };
        let (open, dialog) = (found.machine.awaits_our_answer(), found.dialog);
        let dialog = dialog.and_then(|id| self.dialogs.get(&id));
        let mut answer = Answer::new(200);
        // The same tag as the INVITE's own answer.
        answer.tag = dialog.map(|dialog| dialog.local_tag.clone());
        let cancelled = dialog.map(|dialog| (dialog.id, matches!(dialog.state, State::Early)));
        self.respond(id, answer, now);
        let (true, Some((dialog, is_early))) = (open, cancelled) else {
            return;
        };
        if is_early {
            return self.end(dialog, Ending::Cancelled, now);
        }
        let pending = self.dialogs.get(&dialog).and_then(|dialog| dialog.pending.as_ref());
        if pending.is_some_and(|pending| pending.transaction == invite) {
            self.refuse_pending(dialog, Answer::new(487), now);
            self.tell(Event::OfferWithdrawn { dialog });
        }
    }
}
