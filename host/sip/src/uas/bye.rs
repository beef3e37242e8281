//! BYE from the peer. Source: RFC 3261 15.1.2.

use std::time::Instant;

use crate::dialog::State;
use crate::door::{DialogId, Ending, Flow};
use crate::endpoint::Endpoint;
use crate::endpoint::transactions::{Answer, TransactionId};
use crate::message::Request;

impl Endpoint {
    /// Ends the dialog; requests of the peer that are still open get 487 after it.
    /// If our own BYE crosses it, both are answered 200 and ours is the ending (RFC 5407 3.1.2).
    pub(super) fn serve_bye(&mut self, id: TransactionId, dialog: DialogId, request: &Request, now: Instant) {
        let Some((answer, ending)) = self.bye_outcome(dialog, request) else { return };
        self.respond(id, answer, now);
        self.end(dialog, ending, now);
    }

    /// The same where there is no room for a transaction; a retransmission will find the dialog gone.
    pub(crate) fn serve_bye_stateless(&mut self, flow: Flow, dialog: DialogId, request: &Request, now: Instant) {
        if let Some(refusal) = self.dialog_refusal(request, Some(dialog)) {
            return self.respond_stateless(flow, request, refusal);
        }
        let Some((answer, ending)) = self.bye_outcome(dialog, request) else { return };
        self.respond_stateless(flow, request, answer);
        self.end(dialog, ending, now);
    }

    fn bye_outcome(&self, dialog: DialogId, request: &Request) -> Option<(Answer, Ending)> {
        let found = self.dialogs.get(&dialog)?;
        let ending = match found.state {
            State::Closing => Ending::OurBye,
            _ => Ending::PeerBye { reason: request.reason() },
        };
        Some((Answer::new(200).tagged(&found.local_tag), ending))
    }
}
