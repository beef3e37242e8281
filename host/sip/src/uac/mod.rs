//! The UAC: calls out, and our own requests within a dialog. Source: RFC 3261 13.2, 14.1, 15.1.1.

mod in_dialog;
mod invite;
mod refer;

use std::time::Instant;

pub(crate) use refer::SILENCE as REFER_SILENCE;

use crate::door::{DialogId, Ending, Event};
use crate::endpoint::Endpoint;
use crate::endpoint::requests::Purpose;
use crate::endpoint::transactions::{Part, TransactionId};
use crate::message::Response;

impl Endpoint {
    /// A response that its transaction lets through: the first final one, provisional ones, and each 2xx to an INVITE.
    pub(crate) fn response_passed(&mut self, id: TransactionId, response: &Response, now: Instant) {
        let Some(transaction) = self.transactions.get(&id) else {
            return;
        };
        let (Part::Client { purpose, .. }, Some(dialog)) = (&transaction.part, transaction.dialog) else {
            return;
        };
        match purpose {
            Purpose::Invite => self.invite_answered(dialog, id, response, now),
            Purpose::Reinvite => self.reinvite_answered(dialog, response, now),
            Purpose::Bye => self.end(dialog, Ending::OurBye, now),
            Purpose::Info => self.next_in_line(dialog, response.status(), now),
            Purpose::Refresh => self.refresh_answered(dialog, response, now),
            Purpose::Refer => self.refer_answered(dialog, response, now),
            Purpose::Cancel => {}
        }
    }

    /// A final answer to a re-INVITE, INFO or UPDATE that says that the peer knows the dialog no more.
    /// Source: RFC 3261 12.2.1.2.
    fn ends_dialog(&mut self, id: DialogId, status: u16, now: Instant) -> bool {
        let gone = matches!(status, 408 | 481);
        if gone {
            self.gone(id, status, now);
        }
        gone
    }

    fn tell_offer_rejected(&mut self, dialog: DialogId, status: u16) {
        self.tell(Event::OfferRejected { dialog, status });
    }
}
