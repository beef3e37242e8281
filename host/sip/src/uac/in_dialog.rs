//! Our requests within a dialog: re-INVITE, INFO, and the UPDATE that refreshes a session. REFER is in `refer`.

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

/// How often a re-INVITE that meets the peer's own, or a wish for a longer session, is sent.
const TRIES: u8 = 4;

impl Endpoint {
    /// A new offer; without `sdp` the peer is asked for one.
    pub(crate) fn reinvite(&mut self, id: DialogId, sdp: Vec<u8>, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        if !dialog.is_established() || dialog.bye_wanted.is_some() {
            return self.tell_offer_rejected(id, 491);
        }
        let is_open = dialog.offer_is_open();
        match &mut dialog.reinvite {
            // The newest offer goes out once the wait is over, and refreshes the session too.
            Some(Reinvite::Again { sdp: waiting, refresh, .. }) => (*waiting, *refresh) = (sdp, false),
            Some(Reinvite::Sent { refresh: true, next, .. }) => *next = Some(sdp),
            Some(Reinvite::Sent { .. }) => self.tell_offer_rejected(id, 491),
            None if is_open => self.wait_out_glare(id, sdp, 0, false, now),
            None => self.send_reinvite(id, sdp, 0, false, now),
        }
    }

    pub(crate) fn send_reinvite(&mut self, id: DialogId, sdp: Vec<u8>, tries: u8, refresh: bool, now: Instant) {
        let Some(mut draft) = self.draft_in(id, Method::INVITE, None) else {
            return;
        };
        draft.body = (!sdp.is_empty()).then_some(("application/sdp", sdp.clone()));
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            let cseq = dialog.local_cseq;
            dialog.reinvite = Some(Reinvite::Sent { cseq, sdp, tries: tries + 1, refresh, next: None });
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
        if tries >= TRIES {
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
        let Some(Reinvite::Sent { sdp, tries, refresh, next, .. }) =
            dialog.reinvite.take_if(|reinvite| matches!(reinvite, Reinvite::Sent { cseq, .. } if *cseq == number))
        else {
            return self.acknowledge_again(id, response, now);
        };
        match status {
            200..=299 => self.reinvite_accepted(id, sdp, refresh, response, now),
            491 => {
                let refresh = refresh && next.is_none();
                return self.wait_out_glare(id, next.unwrap_or(sdp), tries, refresh, now);
            }
            422 if tries < TRIES && self.lengthen_session(id, response) => {
                let refresh = refresh && next.is_none();
                return self.send_reinvite(id, next.unwrap_or(sdp), tries, refresh, now);
            }
            _ if self.ends_dialog(id, status, now) || refresh => {}
            _ => self.tell_offer_rejected(id, status),
        }
        if let Some(next) = next {
            self.reinvite(id, next, now);
        }
    }

    /// `refresh`: the session is as it was, whatever the answer says.
    fn reinvite_accepted(&mut self, id: DialogId, sdp: Vec<u8>, refresh: bool, response: &Response, now: Instant) {
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
            _ if refresh => {}
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
        // One too many is counted, and told to nobody.
        let _ = self.enqueue(id, Waiting::Info { digit, duration_ms }, now);
    }

    /// Puts a request in line, and sends it if none is before it. False: the line is full.
    pub(crate) fn enqueue(&mut self, id: DialogId, request: Waiting, now: Instant) -> bool {
        let limit = self.config.limits.waiting_per_dialog;
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return false;
        };
        if dialog.waiting.len() >= limit {
            self.drop_counted(DropReason::TooManyWaiting);
            return false;
        }
        dialog.waiting.push_back(request);
        if !dialog.request_in_flight {
            self.send_next(id, now);
        }
        true
    }

    pub(super) fn send_next(&mut self, id: DialogId, now: Instant) {
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
            Some(Waiting::Refer { target, headers }) => self.send_refer(id, &target, &headers, now),
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
            422 if self.lengthen_session(id, response) => self.refresh_session(id, now),
            _ => {}
        }
        self.send_next(id, now);
    }

    /// A 422 asks for a longer interval. False: it asks for none that is longer. Source: RFC 4028 7.3.
    fn lengthen_session(&mut self, id: DialogId, response: &Response) -> bool {
        let least = response.headers().get_text(HeaderName::MinSe).and_then(|value| value.trim().parse::<u32>().ok());
        let Some(dialog) = self.dialogs.get_mut(&id) else { return false };
        let (Some(session), Some(least)) = (&mut dialog.session, least) else { return false };
        let longer = least > session.interval_s;
        if longer {
            (session.interval_s, dialog.min_se_s) = (least, Some(least));
        }
        longer
    }
}
