//! Our REFER, and what came of it. Source: RFC 3515, RFC 3892, RFC 4488.
//!
//! ```text
//!     REFER -> 202, NOTIFY 100 .. NOTIFY 180 .. NOTIFY 200 (terminated)   the one it named has answered
//!           -> 3xx to 6xx                                                 refused
//!           -> 2xx with Refer-Sub: false                                  taken, and nothing more will be heard
//! ```
//! The NOTIFYs are served in `uas::notify`; one may come before the 202. Whatever comes of it, the dialog goes on, unless the peer
//! knows it no more (481): no answer to a REFER says nothing of the call (RFC 5057 5.2).

use std::time::{Duration, Instant};

use crate::dialog::Waiting;
use crate::door::{DialogId, Event};
use crate::endpoint::requests::Purpose;
use crate::endpoint::{Endpoint, Owner};
use crate::message::{HeaderName, Method, Response, reason_phrase};
use crate::name_addr::NameAddr;
use crate::refer::{Refer, ReferTarget};
use crate::sipfrag::phrase_of;
use crate::timers::Timer;

/// How long nothing may be heard.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);
/// How long it may take, NOTIFYs or not: as long as an INVITE may ring (RFC 3261 16.6 item 11).
const LONGEST: Duration = Duration::from_secs(180);

impl Endpoint {
    pub(crate) fn refer(&mut self, id: DialogId, target: ReferTarget, headers: Vec<(String, String)>, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        let status = match &dialog.refer {
            _ if !dialog.is_established() || dialog.bye_wanted.is_some() => Some(481),
            Some(_) => Some(491),
            None => None,
        };
        if let Some(status) = status {
            return self.tell(Event::ReferEnded { dialog: id, status, phrase: reason_phrase(status) });
        }
        dialog.refer = Some(Refer { cseq: None, heard: false, until: now + LONGEST, told: (0, 0) });
        self.deadlines.start(Owner::Dialog(id), Timer::Refer, now + SILENCE);
        if !self.enqueue(id, Waiting::Refer { target, headers }, now) {
            self.refer_ended(id, 503, &reason_phrase(503));
        }
    }

    pub(super) fn send_refer(
        &mut self,
        id: DialogId,
        target: &ReferTarget,
        headers: &[(String, String)],
        now: Instant,
    ) {
        let wanted = self.dialogs.get(&id).is_some_and(|dialog| dialog.refer.is_some());
        // Given up before its turn.
        if !wanted {
            return self.send_next(id, now);
        }
        let Some(mut draft) = self.draft_in(id, Method::REFER, None) else { return };
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if let Some(refer) = &mut dialog.refer {
            refer.cseq = Some(dialog.local_cseq);
        }
        draft.headers.push(HeaderName::Contact, &dialog.contact);
        draft.headers.push(HeaderName::ReferTo, format!("<{}>", target.uri()));
        if let Ok(us) = NameAddr::parse(&dialog.local) {
            draft.headers.push(HeaderName::ReferredBy, format!("<{}>", us.uri()));
        }
        draft.add(headers);
        self.request_in(id, draft, Purpose::Refer, false, now);
    }

    pub(super) fn refer_answered(&mut self, id: DialogId, response: &Response, now: Instant) {
        let status = response.status();
        if status == 481 {
            return self.gone(id, status, now);
        }
        let number = response.cseq().number;
        let is_current = self.refer_of(id).is_some_and(|refer| refer.cseq == Some(number));
        let unsubscribed =
            response.headers().get_text("Refer-Sub").is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        if is_current && (status >= 300 || unsubscribed) {
            self.refer_ended(id, status, &response.phrase());
        }
        self.send_next(id, now);
    }

    /// No answer in time (408), or no way to the peer (503).
    pub(crate) fn refer_unanswered(&mut self, id: DialogId, status: u16, now: Instant) {
        // One that was given up may have the next one waiting behind it.
        if self.refer_of(id).is_some_and(|refer| refer.cseq.is_some() && !refer.heard) {
            self.refer_ended(id, status, &reason_phrase(status));
        }
        self.send_next(id, now);
    }

    pub(crate) fn refer_of(&self, id: DialogId) -> Option<&Refer> {
        self.dialogs.get(&id)?.refer.as_ref()
    }

    /// Nothing more is heard of it; a NOTIFY that comes all the same gets 481.
    pub(crate) fn refer_ended(&mut self, id: DialogId, status: u16, phrase: &str) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.refer.take().is_some() {
            self.deadlines.stop(Owner::Dialog(id), Timer::Refer);
            self.tell(Event::ReferEnded { dialog: id, status, phrase: phrase_of(phrase.as_bytes()) });
        }
    }
}
