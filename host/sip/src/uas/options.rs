//! OPTIONS: are you there, and what can you do. Source: RFC 3261 11.2.

use std::time::Instant;

use super::{ACCEPT, ALLOW, SUPPORTED};
use crate::door::DialogId;
use crate::endpoint::Endpoint;
use crate::endpoint::transactions::{Answer, TransactionId};
use crate::message::HeaderName;

impl Endpoint {
    /// A drain turns new calls away, and this answer says so beforehand; within a dialog it stays 200.
    pub(super) fn serve_options(&mut self, id: TransactionId, dialog: Option<DialogId>, now: Instant) {
        let tag = dialog.and_then(|id| self.dialogs.get(&id)).map(|dialog| dialog.local_tag.clone());
        if self.draining && tag.is_none() {
            return self.respond(id, Answer::new(503).because("drain"), now);
        }
        let mut answer = Answer::new(200)
            .with(HeaderName::Allow, ALLOW)
            .with(HeaderName::Accept, ACCEPT)
            .with(HeaderName::AcceptEncoding, "identity")
            .with(HeaderName::Supported, SUPPORTED);
        answer.tag = tag;
        self.respond(id, answer, now);
    }
}
