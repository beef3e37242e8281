//! Offers within an established dialog: hold, resume, a new address or codec. A refused one leaves all as it was.
//!
//! One offer is open at a time, the endpoint sees to that. An offer of the peer's may come while one of ours waits for its turn (RFC 3261
//! 14.1): then ours is made anew, on what the peer's came to.

use std::time::Instant;

use media::Negotiated;
use media::sdp::Fresh;
use sip::{Command, Rejection};

use crate::call::{Call, Leg, Stage};
use crate::control::Calls;
use crate::door::{BotEvent, CallId, Milestone, Output};
use crate::session::Why;

impl Calls {
    /// A re-INVITE or UPDATE; without a description it asks for our offer.
    pub(crate) fn offered(&mut self, id: CallId, sdp: Option<Vec<u8>>, _now: Instant) {
        if !self.calls.contains_key(&id) {
            return self.refuse_offer(id, 481, None);
        }
        self.with(id, |calls, call| {
            if call.is_over() || !call.is_answered() {
                return calls.refuse_offer(id, 481, None);
            }
            // The offer of our 200 has no answer yet, and a second one may not cross it. Source: RFC 3264 4; RFC 3311 5.2.
            // Later ones are kept apart by the endpoint.
            if call.leg == Leg::None {
                return calls.refuse_offer(id, 491, None);
            }
            call.session.forget_offer();
            let Some(offer) = sdp else {
                let sdp = call.session.make_offer();
                return calls.emit(Output::Sip(Command::AcceptOffer { dialog: id, sdp }));
            };
            let before = call.session.negotiated().cloned();
            match call.session.take_offer(&offer, Fresh::draw(&mut calls.rng)) {
                Ok((sdp, now)) => {
                    let now = now.clone();
                    calls.emit(Output::Sip(Command::AcceptOffer { dialog: id, sdp }));
                    calls.renegotiated(call, before, now);
                }
                Err(unusable) => calls.refuse_offer(id, unusable.status, Some(unusable.why)),
            }
            calls.offer_hold(call);
        });
    }

    /// The answer to our offer. One that is of no use changes nothing: what was agreed before goes on.
    pub(crate) fn offer_answered(&mut self, id: CallId, sdp: &[u8], _now: Instant) {
        self.with(id, |calls, call| {
            if call.is_over() || call.leg != Leg::Open {
                return;
            }
            let before = call.session.negotiated().cloned();
            let why = call.session.offers();
            let refused = match call.session.take_answer(sdp).cloned() {
                Ok(now) => {
                    calls.renegotiated(call, before, now);
                    None
                }
                Err(unusable) => {
                    let milestone = Milestone::OfferRefused { why: unusable.why };
                    calls.emit(Output::Milestone { call: id, milestone });
                    Some(unusable.status)
                }
            };
            calls.offer_settled(call, why, refused);
        });
    }

    pub(crate) fn offer_rejected(&mut self, id: CallId, status: u16, _now: Instant) {
        self.with(id, |calls, call| {
            let why = call.session.offers();
            call.session.forget_offer();
            calls.emit(Output::Milestone {
                call: id,
                milestone: Milestone::OfferRefused { why: format!("answered {status}") },
            });
            calls.offer_settled(call, why, Some(status));
        });
    }

    /// The peer took its offer back, or its re-INVITE for our offer: nothing has changed.
    pub(crate) fn offer_withdrawn(&mut self, id: CallId) {
        self.with(id, |calls, call| {
            if call.session.offers() == Some(Why::Asked) {
                call.session.forget_offer();
                calls.offer_settled(call, Some(Why::Asked), None);
            }
        });
    }

    /// An offer of ours has come to its end: the bot's hold is done or failed with it, or it is the hold's turn.
    fn offer_settled(&mut self, call: &mut Call, why: Option<Why>, refused: Option<u16>) {
        match why {
            Some(Why::Hold { .. }) => self.hold_settled(call, refused),
            Some(Why::Asked) | None => self.offer_hold(call),
        }
    }

    fn refuse_offer(&mut self, id: CallId, status: u16, why: Option<String>) {
        let rejection = Rejection { status, phrase: None, reason: None, retry_after_s: None };
        self.emit(Output::Sip(Command::RejectOffer { dialog: id, rejection }));
        if let Some(why) = why {
            self.emit(Output::Milestone { call: id, milestone: Milestone::OfferRefused { why } });
        }
    }

    /// Tells leg and bot of what changed; an offer that changes nothing disturbs nothing.
    fn renegotiated(&mut self, call: &mut Call, before: Option<Negotiated>, now: Negotiated) {
        if before.as_ref() == Some(&now) {
            return;
        }
        let held_before = before.is_some_and(|before| before.held);
        let held = now.held;
        call.facts.codec = Some(now.codec);
        call.facts.srtp = now.srtp.is_some();
        if call.leg == Leg::Open {
            self.emit(Output::UpdateLeg { call: call.id, negotiated: Box::new(now) });
        }
        if held == held_before {
            return;
        }
        let (milestone, event) =
            if held { (Milestone::Held, BotEvent::Hold) } else { (Milestone::Resumed, BotEvent::Resume) };
        self.emit(Output::Milestone { call: call.id, milestone });
        // Before the call is up the bot has not heard `answered` yet; it hears of the hold right after.
        if matches!(call.stage, Stage::Talking { .. }) {
            self.tell_bot(call, event);
        }
    }
}
