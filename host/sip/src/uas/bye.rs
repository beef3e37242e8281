//! BYE from the peer. Source: RFC 3261 15.1.2.

use std::time::Instant;

use crate::dialog::State;
use crate::door::{DialogId, Ending};
use crate::endpoint::Endpoint;
use crate::endpoint::transactions::{Answer, TransactionId};
use crate::message::Request;

impl Endpoint {
    /// Ends the dialog; requests of the peer that are still open get 487 after it.
    /// If our own BYE crosses it, both are answered 200 and ours is the ending (RFC 5407 3.1.2).
    pub(super) fn serve_bye(&mut self, id: TransactionId, dialog: DialogId, request: &Request, now: Instant) {
        let Some(found) = self.dialogs.get(&dialog) else {
            return;
        };
        let ending = match found.state {
            State::Closing => Ending::OurBye,
            _ => Ending::PeerBye { reason: request.reason() },
        };
        let answer = Answer::new(200).tagged(&found.local_tag);
        self.respond(id, answer, now);
        self.end(dialog, ending, now);
    }
}
