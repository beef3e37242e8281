//! INVITE that makes a dialog, and its answer. Source: RFC 3261 13.3.

use std::time::{Duration, Instant};

use super::{ALLOW, SUPPORTED};
use crate::body;
use crate::dialog::{Dialog, Pending, State, Unacknowledged, target_of};
use crate::door::{DialogId, Event, Flow, Rejection};
use crate::endpoint::dialogs::reason_value;
use crate::endpoint::transactions::{Answer, TransactionId};
use crate::endpoint::{Endpoint, Owner};
use crate::message::{HeaderName, Request};
use crate::session_timer::SessionTimer;
use crate::timers::{T1, T1_64, Timer};
use crate::uri::{Scheme, Uri};

/// How often a 180 is repeated. Source: RFC 3261 13.3.1.1.
const RINGING_INTERVAL: Duration = Duration::from_secs(60);

impl Endpoint {
    pub(super) fn serve_invite(&mut self, id: TransactionId, flow: Flow, request: Request, now: Instant) {
        let (target, session) = match self.admit(flow, &request) {
            Ok(admitted) => admitted,
            Err(answer) => return self.respond(id, *answer, now),
        };
        self.respond(id, trying(&request), now);
        let dialog_id = DialogId(self.next_id());
        let tag = self.random_token();
        let secure = request.uri().scheme() == Scheme::Sips;
        let contact = self.contact(flow, request.uri().user(), secure);
        let pending = Pending {
            transaction: id,
            is_invite: true,
            offered: body::session_of(&request).is_some(),
            cseq: request.cseq().number,
            target: None,
            session,
            requires_reliable: request.tokens(HeaderName::Require).any(|tag| tag.eq_ignore_ascii_case("100rel")),
        };
        self.keep_dialog(Dialog::from_invite(dialog_id, &request, target, tag, contact, flow));
        self.adopt(id, dialog_id);
        self.hold_pending(dialog_id, pending, now);
        if let Some(seconds) = expires(&request) {
            let limit = Duration::from_secs(seconds).min(self.config.limits.answer);
            self.deadlines.start(Owner::Dialog(dialog_id), Timer::Answer, now + limit);
        }
        self.tell(Event::Invite { dialog: dialog_id, flow, request: Box::new(request) });
    }

    /// What an INVITE must have to make a dialog. Errors: the refusal.
    fn admit(&self, flow: Flow, request: &Request) -> Result<(Uri, Option<SessionTimer>), Box<Answer>> {
        if self.draining {
            return Err(Box::new(Answer::new(503).because("drain")));
        }
        if self.dialogs.len() >= self.config.limits.dialogs {
            return Err(Box::new(self.overloaded()));
        }
        let trusted = self.config.trunks.get(usize::from(flow.trunk.0)).is_some_and(|trunk| trunk.trusted);
        if !trusted && !self.is_our_host(request.uri()) {
            return Err(Box::new(Answer::new(404).because("not-our-host")));
        }
        // RFC 3261 8.1.1.8: exactly one, and it must be a place to send to.
        let target = target_of(request.contact());
        let Some(target) = target.filter(|_| request.headers().values(HeaderName::Contact).count() == 1) else {
            return Err(Box::new(Answer { phrase: Some("One Contact Needed".to_owned()), ..Answer::new(400) }));
        };
        Ok((target, Self::session_asked(request)?))
    }

    /// A number has no host, and is ours wherever it was sent to us.
    fn is_our_host(&self, uri: &Uri) -> bool {
        let Some(host) = uri.host() else { return true };
        self.config.listeners.iter().any(|listener| {
            listener.advertised_host.eq_ignore_ascii_case(host)
                || listener.local_host.as_ref().is_some_and(|local| local.eq_ignore_ascii_case(host))
        })
    }

    /// 180, and again each minute. Not to a peer that would want it acknowledged (RFC 3262 3).
    pub(crate) fn ring(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialogs.get(&id).filter(|dialog| matches!(dialog.state, State::Early)) else {
            return;
        };
        let Some(pending) = dialog.pending.as_ref().filter(|pending| !pending.requires_reliable) else {
            return;
        };
        let (transaction, tag, contact) = (pending.transaction, dialog.local_tag.clone(), dialog.contact.clone());
        let mut answer = Answer::new(180).with(HeaderName::Contact, contact).tagged(&tag);
        answer.record_route = true;
        self.respond(transaction, answer, now);
        self.deadlines.start(Owner::Dialog(id), Timer::Ringing, now + RINGING_INTERVAL);
    }

    /// 200 to the INVITE. Headers that the endpoint writes itself are left out of `headers`.
    pub(crate) fn answer(&mut self, id: DialogId, sdp: Vec<u8>, headers: &[(String, String)], now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id).filter(|dialog| matches!(dialog.state, State::Early)) else {
            return;
        };
        let Some(pending) = dialog.pending.take() else {
            return;
        };
        dialog.state = State::Established;
        let owner = Owner::Dialog(id);
        self.deadlines.stop(owner, Timer::Answer);
        self.deadlines.stop(owner, Timer::Ringing);
        self.succeed(id, pending, sdp, headers, true, now);
    }

    /// A 2xx to an INVITE or re-INVITE, repeated until its ACK. Source: RFC 3261 13.3.1.4.
    pub(super) fn succeed(
        &mut self,
        id: DialogId,
        pending: Pending,
        sdp: Vec<u8>,
        headers: &[(String, String)],
        initial: bool,
        now: Instant,
    ) {
        let Some(dialog) = self.dialogs.get_mut(&id) else {
            return;
        };
        let (transaction, session) = (pending.transaction, pending.session);
        dialog.unacknowledged = Some(Unacknowledged {
            transaction,
            cseq: pending.cseq,
            interval: T1,
            offered: !pending.offered && !sdp.is_empty(),
            initial,
        });
        if let Some(target) = pending.target {
            dialog.remote_target = target;
        }
        dialog.local_sdp.clone_from(&sdp);
        let mut answer = Answer::new(200)
            .with(HeaderName::Contact, &dialog.contact)
            .with(HeaderName::Allow, ALLOW)
            .with(HeaderName::Supported, SUPPORTED)
            .with_session(session)
            .tagged(&dialog.local_tag);
        for (name, value) in headers.iter().filter(|(name, _)| !is_ours(name)) {
            answer.headers.push(name, value);
        }
        answer.record_route = true;
        answer.body = (!sdp.is_empty()).then_some(("application/sdp", sdp));
        self.respond(transaction, answer, now);
        self.deadlines.start(Owner::Dialog(id), Timer::Accept, now + T1);
        self.deadlines.start(Owner::Dialog(id), Timer::NoAck, now + T1_64);
        self.run_session(id, session, now);
    }

    /// A final refusal. The dialog ends when that is acknowledged, or will never be.
    pub(crate) fn reject(&mut self, id: DialogId, rejection: &Rejection, now: Instant) {
        let Some(dialog) = self.dialogs.get_mut(&id).filter(|dialog| matches!(dialog.state, State::Early)) else {
            return;
        };
        let answer = refusal_of(rejection);
        dialog.state = State::Refused { status: answer.status };
        self.deadlines.stop_all(Owner::Dialog(id));
        self.refuse_pending(id, answer, now);
    }

    /// The call plane took too long: 487 if the caller said how long, 480 otherwise (RFC 3261 13.3.1). An offer within
    /// the dialog gets 500.
    pub(crate) fn answer_overdue(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialogs.get(&id) else {
            return;
        };
        if !matches!(dialog.state, State::Early) {
            if self.refuse_pending(id, Answer::new(500), now) {
                self.tell(Event::OfferWithdrawn { dialog: id });
            }
            return;
        }
        let request = dialog.pending.as_ref().and_then(|pending| self.request_of(pending.transaction));
        let status = if request.and_then(expires).is_some() { 487 } else { 480 };
        self.reject(id, &Rejection { status, phrase: None, reason: None, retry_after_s: None }, now);
    }
}

/// 100, with the Timestamp that the request brought. Source: RFC 3261 8.2.6.1.
pub(super) fn trying(request: &Request) -> Answer {
    let answer = Answer::new(100);
    match request.headers().get(HeaderName::Timestamp) {
        Some(timestamp) => answer.with(HeaderName::Timestamp, timestamp),
        None => answer,
    }
}

/// A status outside 300 to 699 is our own mistake, and becomes 500.
pub(super) fn refusal_of(rejection: &Rejection) -> Answer {
    let status = if (300..700).contains(&rejection.status) { rejection.status } else { 500 };
    let mut answer = Answer { phrase: rejection.phrase.clone(), ..Answer::new(status) };
    if let Some(reason) = &rejection.reason {
        answer = answer.with(HeaderName::Reason, reason_value(reason));
    }
    if let Some(seconds) = rejection.retry_after_s {
        answer = answer.with(HeaderName::RetryAfter, seconds.to_string());
    }
    answer
}

fn expires(request: &Request) -> Option<u64> {
    let value = request.headers().get_text(HeaderName::Expires)?;
    value.trim().parse::<u32>().ok().map(u64::from)
}

/// Headers of a 200 that the endpoint writes.
fn is_ours(name: &str) -> bool {
    use HeaderName::*;
    let ours = [Contact, Allow, Supported, SessionExpires, Require, ContentType, Server];
    HeaderName::from_bytes(name.as_bytes()).is_some_and(|name| ours.contains(&name))
}
