//! The UAS: one file per verb, and here what all of them check first. Source: RFC 3261 8.2.

mod ack;
mod bye;
mod cancel;
mod info;
mod invite;
mod notify;
mod offer;
mod options;
mod update;

use std::time::Instant;

use rand::Rng;

use crate::body;
use crate::dialog::State;
use crate::door::{DialogId, Flow};
use crate::endpoint::Endpoint;
use crate::endpoint::transactions::{Answer, TransactionId};
use crate::message::{HeaderName, Method, Request};
use crate::session_timer::{self, Asked, MIN_SE_S, SessionTimer};

/// The methods we serve.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY";
/// The extensions we have.
pub(crate) const SUPPORTED: &str = "timer";
/// Bodies that an INVITE, UPDATE or OPTIONS is told of.
pub(crate) const ACCEPT: &str = "application/sdp, application/dtmf-relay, application/dtmf";
/// Option tags that a Require may list. `100rel`: we send only 100 and final responses to one who requires it, which
/// need no PRACK (RFC 3262 3).
const UNDERSTOOD: [&str; 2] = ["timer", "100rel"];

impl Endpoint {
    /// A new request, its transaction open. Every path from here gives that transaction a final response, at once or
    /// when the call plane commands.
    pub(crate) fn serve(
        &mut self,
        id: TransactionId,
        flow: Flow,
        request: Request,
        dialog: Option<DialogId>,
        now: Instant,
    ) {
        // What a CANCEL carries beside its transaction is nobody's concern. RFC 3261 9.2.
        if *request.method() == Method::CANCEL {
            return self.serve_cancel(id, flow, &request, now);
        }
        let refusal = self.refusal(id, &request, dialog);
        if let Some(answer) = refusal {
            return self.respond(id, answer, now);
        }
        if let Some(dialog) = dialog {
            self.move_dialog(dialog, flow);
        }
        match (request.method().clone(), dialog) {
            (Method::INVITE, None) => self.serve_invite(id, flow, request, now),
            (Method::INVITE, Some(dialog)) => self.serve_reinvite(id, dialog, &request, now),
            (Method::UPDATE, Some(dialog)) => self.serve_update(id, dialog, &request, now),
            (Method::INFO, Some(dialog)) => self.serve_info(id, dialog, &request, now),
            (Method::BYE, Some(dialog)) => self.serve_bye(id, dialog, &request, now),
            (Method::NOTIFY, Some(dialog)) => self.serve_notify(id, dialog, &request, now),
            (Method::OPTIONS, dialog) => self.serve_options(id, dialog, now),
            // Without a dialog. RFC 3261 15.1.2, RFC 3311 5.2, RFC 6086 4.2.2, RFC 6665 4.1.3.
            _ => self.respond(id, Answer::new(481), now),
        }
    }

    /// The first reason not to serve a request, in the RFC's order.
    fn refusal(&mut self, id: TransactionId, request: &Request, dialog: Option<DialogId>) -> Option<Answer> {
        method_refusal(request.method())
            .or_else(|| self.dialog_refusal(request, dialog))
            .or_else(|| self.is_merged(id).then(|| Answer::new(482)))
            .or_else(|| require_refusal(request))
            .or_else(|| body_refusal(request))
            .map(|answer| match dialog.and_then(|id| self.dialogs.get(&id)) {
                Some(dialog) => answer.tagged(&dialog.local_tag),
                None => answer,
            })
    }

    /// 481 for a dialog that is not ours or over; 500 for a request that another has overtaken. RFC 3261 12.2.2.
    pub(crate) fn dialog_refusal(&mut self, request: &Request, dialog: Option<DialogId>) -> Option<Answer> {
        request.to_tag()?;
        let Some(dialog) = dialog.and_then(|id| self.dialogs.get_mut(&id)) else {
            return Some(Answer::new(481));
        };
        let is_bye = *request.method() == Method::BYE;
        match dialog.state {
            State::Refused { .. } | State::Calling { .. } => return Some(Answer::new(481)),
            State::Closing if !is_bye => return Some(Answer::new(481)),
            State::Early | State::Established | State::Closing => {}
        }
        let number = request.cseq().number;
        if dialog.remote_cseq.is_some_and(|last| number <= last) {
            return Some(Answer::new(500).with_phrase("CSeq Out of Order"));
        }
        dialog.remote_cseq = Some(number);
        None
    }

    /// Reads the wish for a session timer. Errors: the 422. Source: RFC 4028 9.
    fn session_asked(request: &Request) -> Result<Option<SessionTimer>, Box<Answer>> {
        let supports = request.tokens(HeaderName::Supported).any(|tag| tag.eq_ignore_ascii_case("timer"))
            || request.tokens(HeaderName::Require).any(|tag| tag.eq_ignore_ascii_case("timer"));
        match session_timer::asked_by(request.session_expires().as_ref(), supports) {
            Asked::Nothing => Ok(None),
            Asked::Timer(timer) => Ok(Some(timer)),
            Asked::TooSmall => Err(Box::new(Answer::new(422).with(HeaderName::MinSe, MIN_SE_S.to_string()))),
        }
    }

    /// 500 with a random wait of up to 10 s: another request of the kind is being dealt with. RFC 3261 14.2, RFC 3311 5.2.
    fn overlapping(&mut self, tag: &str) -> Answer {
        let wait = self.rng.random_range(0..=10);
        Answer::new(500).with(HeaderName::RetryAfter, wait.to_string()).tagged(tag)
    }
}

impl Answer {
    fn with_phrase(mut self, phrase: &str) -> Self {
        self.phrase = Some(phrase.to_owned());
        self
    }

    /// The headers of a 2xx to an INVITE or UPDATE that say what is agreed. Source: RFC 4028 9.
    fn with_session(self, session: Option<SessionTimer>) -> Self {
        let Some(session) = session else { return self };
        let answer = self.with(HeaderName::SessionExpires, session.in_response());
        if session.peer_supports && session.refresher == session_timer::Refresher::Peer {
            answer.with(HeaderName::Require, "timer")
        } else {
            answer
        }
    }
}

/// 405 for a method that some RFC names and we do not serve, 501 for one that none does. Source: RFC 3261 8.2.1, 21.5.2.
fn method_refusal(method: &Method) -> Option<Answer> {
    let served = ALLOW.split(", ").any(|name| name == method.as_str());
    match method {
        _ if served => None,
        Method::Known(_) => Some(Answer::new(405).with(HeaderName::Allow, ALLOW)),
        Method::Other(_) => Some(Answer::new(501).with(HeaderName::Allow, ALLOW)),
    }
}

/// Source: RFC 3261 8.2.2.3.
fn require_refusal(request: &Request) -> Option<Answer> {
    let known = |tag: &&str| UNDERSTOOD.iter().any(|understood| understood.eq_ignore_ascii_case(tag));
    let unknown: Vec<&str> = request.tokens(HeaderName::Require).filter(|tag| !known(tag)).collect();
    (!unknown.is_empty()).then(|| Answer::new(420).with(HeaderName::Unsupported, unknown.join(", ")))
}

/// Source: RFC 3261 8.2.3.
fn body_refusal(request: &Request) -> Option<Answer> {
    if request.body().is_empty() {
        return None;
    }
    let encoding = request.headers().get_text(HeaderName::ContentEncoding);
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Some(Answer::new(415).with(HeaderName::AcceptEncoding, "identity"));
    }
    let takes_sdp = matches!(*request.method(), Method::INVITE | Method::UPDATE);
    let unreadable = takes_sdp && body::is_required(request) && body::session_of(request).is_none();
    unreadable.then(|| Answer::new(415).with(HeaderName::Accept, "application/sdp"))
}
