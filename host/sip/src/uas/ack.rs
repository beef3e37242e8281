//! The ACK of our 2xx, the repeating of the 2xx until it comes, and what happens if it never does.
//! Source: RFC 3261 13.3.1.4.

use std::time::Instant;

use crate::body;
use crate::dialog::State;
use crate::door::{DialogId, Ending, Event, Flow};
use crate::endpoint::counters::DropReason;
use crate::endpoint::{Endpoint, Owner};
use crate::message::Request;
use crate::timers::{T2, Timer};
use crate::transaction::On;

impl Endpoint {
    /// An ACK within a dialog. One that acknowledges nothing (again, or too late) is dropped.
    pub(crate) fn acknowledged(&mut self, id: DialogId, flow: Flow, request: &Request, now: Instant) {
        let waiting = self.dialogs.get(&id).and_then(|dialog| dialog.unacknowledged.as_ref());
        if waiting.is_none_or(|waiting| waiting.cseq != request.cseq().number) {
            return self.drop_counted(DropReason::StrayAck);
        }
        self.move_dialog(id, flow);
        let answer = body::session_of(request).map(<[u8]>::to_vec);
        self.take_acknowledgement(id, answer, now);
    }

    /// The peer has our 2xx. `answer`: to the offer that it carried.
    pub(super) fn take_acknowledgement(&mut self, id: DialogId, answer: Option<Vec<u8>>, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        let Some(waiting) = dialog.unacknowledged.take() else {
            return;
        };
        let bye = dialog.bye_wanted.take();
        self.deadlines.stop(Owner::Dialog(id), Timer::Accept);
        self.deadlines.stop(Owner::Dialog(id), Timer::NoAck);
        let answer = answer.filter(|_| waiting.offered);
        match (waiting.initial, waiting.offered, answer) {
            (true, _, sdp) => self.tell(Event::Acknowledged { dialog: id, sdp }),
            (false, true, Some(sdp)) => self.tell(Event::OfferAnswered { dialog: id, sdp }),
            // An offer of ours that the peer left unanswered changes nothing.
            (false, true, None) => self.tell(Event::OfferRejected { dialog: id, status: 488 }),
            (false, false, _) => {}
        }
        if let Some(reason) = bye {
            self.hang_up(id, reason, now);
        }
    }

    /// The 2xx once more.
    pub(crate) fn repeat_success(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        let Some(waiting) = &mut dialog.unacknowledged else {
            return;
        };
        waiting.interval = (waiting.interval * 2).min(T2);
        let (transaction, interval) = (waiting.transaction, waiting.interval);
        self.count().retransmissions_sent += 1;
        self.drive(transaction, On::Success, None, now);
        self.deadlines.start(Owner::Dialog(id), Timer::Accept, now + interval);
    }

    /// The peer never saw our 2xx, or cannot reach us: BYE, and the call is over. Source: RFC 3261 13.3.1.4, 14.2.
    pub(crate) fn no_ack(&mut self, id: DialogId, now: Instant) {
        if self.dialogs.get(&id).is_some_and(|dialog| matches!(dialog.state, State::Established)) {
            self.end_with_bye(id, Ending::NoAck, now);
        }
    }
}
