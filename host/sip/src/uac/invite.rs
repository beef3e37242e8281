//! Our INVITE and its answer. Source: RFC 3261 13.2, 12.1.2.

use std::time::Instant;

use crate::body;
use crate::dialog::{Acknowledging, Cancel, Dialog, State};
use crate::door::{DialogId, Ending, Event, OutgoingInvite};
use crate::endpoint::Endpoint;
use crate::endpoint::counters::DropReason;
use crate::endpoint::requests::Purpose;
use crate::endpoint::transactions::TransactionId;
use crate::message::{Method, Response};
use crate::name_addr::NameAddr;
use crate::session_timer;
use crate::uri::{Scheme, Uri};

impl Endpoint {
    /// Calls out. Errors: `Ended` with 400 for a URI that is none, 503 beyond the bound of dialogs.
    pub(crate) fn invite(&mut self, invite: OutgoingInvite, now: Instant) {
        let id = invite.dialog;
        if self.dialogs.contains_key(&id) {
            return self.drop_counted(DropReason::CommandOutOfPlace);
        }
        let from = NameAddr::parse(invite.from.as_bytes()).ok().filter(|from| from.tag().is_none());
        let (Ok(uri), Some(from)) = (Uri::parse(invite.uri.as_bytes()), from) else {
            return self.refuse_outgoing(id, 400);
        };
        if self.dialogs.len() >= self.config.limits.dialogs {
            return self.refuse_outgoing(id, 503);
        }
        let tag = self.random_token();
        let call_id = self.random_token();
        let contact = self.contact(invite.flow, from.uri().user(), uri.scheme() == Scheme::Sips);
        let mut dialog = Dialog::new(id, &call_id, tag, uri.clone(), contact, invite.flow);
        dialog.is_uac = true;
        dialog.local = from.with_tag(&dialog.local_tag).as_bytes().to_vec();
        dialog.remote = format!("<{uri}>").into_bytes();
        dialog.local_sdp.clone_from(&invite.sdp);
        // Not to be taken for the transaction's own id: those are counted from 1.
        dialog.state = State::Calling { invite: TransactionId(0), cancel: Cancel::No };
        // The caller has opened it, even if nothing has been heard on it yet.
        self.flows.seen(invite.flow);
        self.keep_dialog(dialog);
        let Some(mut draft) = self.draft_in(id, Method::INVITE, None) else {
            return;
        };
        draft.add(&invite.headers);
        draft.body = (!invite.sdp.is_empty()).then_some(("application/sdp", invite.sdp));
        let transaction = self.open_client(draft, Purpose::Invite, invite.flow, None, Some(id), now);
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.state = State::Calling { invite: transaction, cancel: Cancel::No };
        }
    }

    fn refuse_outgoing(&mut self, dialog: DialogId, status: u16) {
        let phrase = crate::message::reason_phrase(status);
        self.tell(Event::Ended { dialog, ending: Ending::Refused { status, phrase } });
    }

    pub(super) fn invite_answered(
        &mut self,
        id: DialogId,
        transaction: TransactionId,
        response: &Response,
        now: Instant,
    ) {
        let status = response.status();
        match self.dialogs.get(&id).map(|dialog| &dialog.state) {
            Some(State::Calling { cancel, .. }) => match (status, *cancel) {
                (100..=199, Cancel::Wanted) => {
                    if let Some(dialog) = self.dialogs.get_mut(&id) {
                        dialog.state = State::Calling { invite: transaction, cancel: Cancel::Sent };
                    }
                    self.send_cancel(transaction, now);
                }
                (101..=199, _) => self.tell(Event::Ringing { dialog: id, status }),
                (100, _) => {}
                (200..=299, cancel) => self.taken(id, response, cancel, now),
                _ => {
                    let ending = Ending::Refused { status, phrase: response.phrase().into_owned() };
                    self.end(id, ending, now);
                }
            },
            // The 2xx again: our ACK was lost.
            Some(_) => self.acknowledge_again(id, response, now),
            None => self.drop_counted(DropReason::StrayResponse),
        }
    }

    /// The first 2xx: the dialog is made, and ended at once if the call was already being taken back.
    fn taken(&mut self, id: DialogId, response: &Response, cancel: Cancel, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        dialog.establish(response);
        let cseq = response.cseq().number;
        // An INVITE without an offer gets one in the 2xx, and the answer to it goes into the ACK.
        if dialog.local_sdp.is_empty() && body::session_of_response(response).is_some() {
            dialog.acknowledging = Acknowledging::Answer { cseq };
            self.deadlines.start(
                crate::endpoint::Owner::Dialog(id),
                crate::timers::Timer::NoAck,
                now + crate::timers::T1_64,
            );
        } else {
            dialog.acknowledging = Acknowledging::Done { cseq, sdp: Vec::new() };
            self.acknowledge_success(id, cseq, Vec::new(), now);
        }
        if cancel != Cancel::No {
            return self.hang_up(id, None, now);
        }
        let session = session_timer::agreed_by(response.session_expires().as_ref());
        self.run_session(id, session, now);
        self.tell(Event::Accepted { dialog: id, response: Box::new(response.clone()) });
    }

    /// The call plane's answer to the offer in a 2xx, sent in the ACK.
    pub(crate) fn acknowledge(&mut self, id: DialogId, sdp: Vec<u8>, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        let Acknowledging::Answer { cseq } = dialog.acknowledging else {
            return self.drop_counted(DropReason::CommandOutOfPlace);
        };
        dialog.local_sdp.clone_from(&sdp);
        dialog.acknowledging = Acknowledging::Done { cseq, sdp: sdp.clone() };
        self.deadlines.stop(crate::endpoint::Owner::Dialog(id), crate::timers::Timer::NoAck);
        self.acknowledge_success(id, cseq, sdp, now);
    }

    /// Each repeated 2xx gets its ACK again. Source: RFC 3261 13.2.2.4.
    pub(super) fn acknowledge_again(&mut self, id: DialogId, response: &Response, now: Instant) {
        let Some(dialog) = self.dialogs.get(&id) else {
            return;
        };
        match &dialog.acknowledging {
            Acknowledging::Done { cseq, sdp }
                if *cseq == response.cseq().number && dialog.remote_tag.as_deref() == response.to_tag() =>
            {
                let (cseq, sdp) = (*cseq, sdp.clone());
                self.acknowledge_success(id, cseq, sdp, now);
            }
            _ => self.drop_counted(DropReason::StrayResponse),
        }
    }
}
