//! Our requests within a dialog: re-INVITE, INFO, and the UPDATE that refreshes a session.

use std::time::{Duration, Instant};

use rand::Rng;

use crate::body;
use crate::dialog::{Acknowledging, Reinvite, State, Waiting, target_of};
use crate::door::{DialogId, Event};
use crate::endpoint::counters::DropReason;
use crate::endpoint::requests::Purpose;
use crate::endpoint::{Endpoint, Owner};
use crate::message::{HeaderName, Method, Response};
use crate::session_timer;
use crate::timers::{T1_64, Timer};

/// How often a re-INVITE that meets the peer's own is sent.
const GLARE_TRIES: u8 = 4;

impl Endpoint {
    /// A new offer; without `sdp` the peer is asked for one.
    pub(crate) fn reinvite(&mut self, id: DialogId, sdp: Vec<u8>, now: Instant) {
        let Some(dialog) = self.dialogs.get(&id) else {
            return;
        };
        if !dialog.is_established()
            || dialog.offer_is_open()
            || dialog.reinvite.is_some()
            || dialog.bye_wanted.is_some()
        {
            return self.tell(Event::OfferRejected { dialog: id, status: 491 });
        }
        self.send_reinvite(id, sdp, 0, false, now);
    }

    pub(crate) fn send_reinvite(&mut self, id: DialogId, sdp: Vec<u8>, tries: u8, refresh: bool, now: Instant) {
        let Some(mut draft) = self.draft_in(id, Method::INVITE, None) else {
            return;
        };
        draft.body = (!sdp.is_empty()).then_some(("application/sdp", sdp.clone()));
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.reinvite = Some(Reinvite::Sent { cseq: dialog.local_cseq, sdp, tries: tries + 1, refresh });
        }
        self.request_in(id, draft, Purpose::Reinvite, false, now);
    }

    /// Timer `Glare`: the re-INVITE that got 491 goes again, after the peer's own if that is still open.
    pub(crate) fn reinvite_again(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let Some(Reinvite::Again { sdp, tries, refresh }) = dialog.reinvite.take() else { return };
        if !dialog.offer_is_open() {
            self.send_reinvite(id, sdp, tries, refresh, now);
        } else {
            self.wait_out_glare(id, sdp, tries + 1, refresh, now);
        }
    }

    fn wait_out_glare(&mut self, id: DialogId, sdp: Vec<u8>, tries: u8, refresh: bool, now: Instant) {
        if tries >= GLARE_TRIES {
            // A refresh that failed has `Expire` behind it.
            if !refresh {
                self.tell_offer_rejected(id, 491);
            }
            return;
        }
        let wait = self.glare_wait(id);
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.reinvite = Some(Reinvite::Again { sdp, tries, refresh });
            self.deadlines.start(Owner::Dialog(id), Timer::Glare, now + wait);
        }
    }

    pub(super) fn reinvite_answered(&mut self, id: DialogId, response: &Response, now: Instant) {
        let status = response.status();
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        if status < 200 || matches!(dialog.state, State::Closing) {
            // What is accepted after our BYE must still be acknowledged.
            if (200..300).contains(&status) {
                self.acknowledge_success(id, response.cseq().number, Vec::new(), now);
            }
            return;
        }
        // A repeated 2xx to an earlier one, whose ACK was lost, is no answer to the one that is open now.
        let number = response.cseq().number;
        let Some(Reinvite::Sent { sdp, tries, refresh, .. }) =
            dialog.reinvite.take_if(|reinvite| matches!(reinvite, Reinvite::Sent { cseq, .. } if *cseq == number))
        else {
            return self.acknowledge_again(id, response, now);
        };
        match status {
            200..=299 => self.reinvite_accepted(id, sdp, response, now),
            491 => self.wait_out_glare(id, sdp, tries, refresh, now),
            _ if self.ends_dialog(id, status, now) || refresh => {}
            _ => self.tell_offer_rejected(id, status),
        }
    }

    fn reinvite_accepted(&mut self, id: DialogId, sdp: Vec<u8>, response: &Response, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        let cseq = response.cseq().number;
        if let Some(target) = target_of(response.contact()) {
            dialog.remote_target = target;
        }
        let theirs = body::session_of_response(response).map(<[u8]>::to_vec);
        if sdp.is_empty() && theirs.is_some() {
            dialog.acknowledging = Acknowledging::Answer { cseq };
            self.deadlines.start(Owner::Dialog(id), Timer::NoAck, now + T1_64);
        } else {
            dialog.local_sdp = sdp;
            dialog.acknowledging = Acknowledging::Done { cseq, sdp: Vec::new() };
            self.acknowledge_success(id, cseq, Vec::new(), now);
        }
        self.run_session(id, session_timer::agreed_by(response.session_expires().as_ref()), now);
        match theirs {
            Some(sdp) => self.tell(Event::OfferAnswered { dialog: id, sdp }),
            // Accepted without an answer: nothing is agreed.
            None => self.tell_offer_rejected(id, 488),
        }
    }

    /// The owner of the Call-ID waits 2.1 to 4 s, the other up to 2 s, so that they do not meet again.
    /// Source: RFC 3261 14.1.
    fn glare_wait(&mut self, id: DialogId) -> Duration {
        let is_owner = self.dialogs.get(&id).is_some_and(|dialog| dialog.is_uac);
        let tens_of_ms = if is_owner { 210..=400 } else { 0..=200 };
        Duration::from_millis(10 * self.rng.random_range(tens_of_ms))
    }

    pub(crate) fn send_info_digit(&mut self, id: DialogId, digit: char, duration_ms: u32, now: Instant) {
        let is_key = matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D');
        if !is_key || !self.dialogs.get(&id).is_some_and(|dialog| dialog.is_established()) {
            return self.drop_counted(DropReason::CommandOutOfPlace);
        }
        self.enqueue(id, Waiting::Info { digit, duration_ms }, now);
    }

    /// Puts a request in line, and sends it if none is before it.
    pub(crate) fn enqueue(&mut self, id: DialogId, request: Waiting, now: Instant) {
        let limit = self.config.limits.waiting_per_dialog;
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        if dialog.waiting.len() >= limit {
            return self.drop_counted(DropReason::TooManyWaiting);
        }
        dialog.waiting.push_back(request);
        if !dialog.request_in_flight {
            self.send_next(id, now);
        }
    }

    fn send_next(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        let next = if dialog.is_established() { dialog.waiting.pop_front() } else { None };
        dialog.request_in_flight = next.is_some();
        match next {
            Some(Waiting::Info { digit, duration_ms }) => {
                let Some(mut draft) = self.draft_in(id, Method::INFO, None) else {
                    return;
                };
                let body = format!("Signal={digit}\r\nDuration={duration_ms}\r\n");
                draft.body = Some(("application/dtmf-relay", body.into_bytes()));
                self.request_in(id, draft, Purpose::Info, false, now);
            }
            Some(Waiting::Refresh) => {
                let Some(draft) = self.draft_in(id, Method::UPDATE, None) else {
                    return;
                };
                self.request_in(id, draft, Purpose::Refresh, false, now);
            }
            None => {}
        }
    }

    /// An INFO was answered; whatever a peer that takes no digits says, the call goes on.
    pub(super) fn next_in_line(&mut self, id: DialogId, status: u16, now: Instant) {
        if !self.ends_dialog(id, status, now) {
            self.send_next(id, now);
        }
    }

    /// The session lasts another interval; or a peer that takes no UPDATE is sent a re-INVITE; or `Expire` will end it.
    pub(super) fn refresh_answered(&mut self, id: DialogId, response: &Response, now: Instant) {
        let status = response.status();
        if self.ends_dialog(id, status, now) {
            return;
        }
        let Some(dialog) = self.dialogs.get_mut(&id).filter(|dialog| dialog.is_established()) else {
            return;
        };
        match status {
            200..=299 => {
                if let Some(target) = target_of(response.contact()) {
                    dialog.remote_target = target;
                }
                self.run_session(id, session_timer::agreed_by(response.session_expires().as_ref()), now);
            }
            405 | 501 => {
                dialog.peer_allows_update = false;
                self.refresh_session(id, now);
            }
            // It asks for a longer interval. RFC 4028 7.3.
            422 => {
                let least =
                    response.headers().get_text(HeaderName::MinSe).and_then(|value| value.trim().parse::<u32>().ok());
                if let (Some(session), Some(least)) = (&mut dialog.session, least)
                    && least > session.interval_s
                {
                    session.interval_s = least;
                    self.refresh_session(id, now);
                }
            }
            _ => {}
        }
        self.send_next(id, now);
    }
}
