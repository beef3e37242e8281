//! Requests of ours: how they are put together, and the way they take.

use std::time::Instant;

use super::counters::DropReason;
use super::transactions::{Part, Transaction, TransactionId, client_key};
use super::{Endpoint, Owner};
use crate::dialog::{Dialog, host_port, transport_name};
use crate::door::{ConnectId, ConnectionId, DialogId, Flow, ListenerId, Output, Target};
use crate::message::{HeaderName, Headers, Method, Request, Response};
use crate::timers::{T1, T1_64, Timer};
use crate::transaction::{Machine, On, client, invite_client};
use crate::uri::Uri;
use crate::via::MAGIC_COOKIE;

/// A request before its Via, which depends on the way it will take.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub method: Method,
    pub uri: Uri,
    pub branch: String,
    pub headers: Headers,
    pub body: Option<(&'static str, Vec<u8>)>,
}

/// Why a client transaction was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Invite,
    Reinvite,
    Cancel,
    Bye,
    Info,
    /// An UPDATE without a session description. RFC 4028 7.4.
    Refresh,
    Refer,
}

/// What waits for a connection.
pub(crate) enum Errand {
    Request(TransactionId),
    /// The response that the transaction holds.
    Response(TransactionId),
    /// The ACK of a 2xx, which has no transaction.
    Ack {
        dialog: DialogId,
        draft: Box<Draft>,
    },
}

impl Draft {
    /// Errors: None if a header that the peer had a part in (Contact, Record-Route, From) makes no request.
    fn to_bytes(&self, via: &str) -> Option<Vec<u8>> {
        let mut builder = Request::builder(self.method.clone(), &self.uri).header(HeaderName::Via, via);
        for (name, value) in self.headers.iter() {
            builder = builder.header(name, value);
        }
        if let Some((content_type, body)) = &self.body {
            builder = builder.body(content_type, body.clone());
        }
        builder.build().ok().map(|request| request.to_bytes())
    }

    /// What is wanted beside what such a request of ours says anyway, which stays as it is.
    pub(crate) fn add(&mut self, headers: &[(String, String)]) {
        for (name, value) in headers {
            let known = HeaderName::from_bytes(name.as_bytes());
            let reserved = matches!(known, Some(HeaderName::Via | HeaderName::ContentLength | HeaderName::ContentType));
            let written =
                known.map_or_else(|| self.headers.contains(name.as_str()), |known| self.headers.contains(known));
            if !reserved && !written {
                self.headers.push(name, value);
            }
        }
    }

    /// A CANCEL of this INVITE, or the ACK of its refusal. Source: RFC 3261 9.1, 17.1.1.3.
    fn same_transaction(&self, method: Method, to: Option<&[u8]>) -> Draft {
        let cseq = self.headers.get_text(HeaderName::CSeq).unwrap_or_default();
        let number = cseq.split(' ').next().unwrap_or_default().to_owned();
        let mut headers = Headers::default();
        for name in [HeaderName::Route, HeaderName::From, HeaderName::To, HeaderName::CallId] {
            for value in self.headers.lines(name) {
                headers.push(name, if name == HeaderName::To { to.unwrap_or(value) } else { value });
            }
        }
        headers.push(HeaderName::CSeq, format!("{number} {method}"));
        Draft { method, uri: self.uri.clone(), branch: self.branch.clone(), headers, body: None }
    }
}

impl Endpoint {
    pub(crate) fn new_branch(&mut self) -> String {
        format!("{MAGIC_COOKIE}{}", self.random_token())
    }

    /// Our address as the peer of this flow is to see it, and the transport's names.
    pub(crate) fn advertised(&self, flow: Flow) -> String {
        let ListenerId(index) = flow.listener;
        match self.config.listeners.get(usize::from(index)) {
            Some(listener) => {
                let (host, port) = listener.advertised_to(flow.remote.ip().to_canonical());
                host_port(host, port)
            }
            None => String::new(),
        }
    }

    /// Our Contact on this flow: its listener's own address, never a name that several hosts share.
    /// `sips` if the request that made the dialog was (RFC 3261 12.1.1).
    pub(crate) fn contact(&self, flow: Flow, user: Option<&str>, secure: bool) -> String {
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        let scheme = if secure { "sips" } else { "sip" };
        format!("<{scheme}:{user}{};transport={}>", self.advertised(flow), transport_name(flow.transport).1)
    }

    fn via(&self, flow: Flow, branch: &str) -> String {
        format!("SIP/2.0/{} {};rport;branch={branch}", transport_name(flow.transport).0, self.advertised(flow))
    }

    /// A request within a dialog. Source: RFC 3261 12.2.1.1.
    pub(crate) fn draft_in(&mut self, id: DialogId, method: Method, cseq: Option<u32>) -> Option<Draft> {
        let branch = self.new_branch();
        let agent = self.config.user_agent.clone();
        let dialog = self.dialogs.get_mut(&id)?;
        let number = match cseq {
            Some(number) => number,
            None => dialog.next_cseq(),
        };
        let mut headers = Headers::default();
        for route in &dialog.route_set {
            headers.push(HeaderName::Route, route.to_route());
        }
        headers.push(HeaderName::From, &dialog.local);
        headers.push(HeaderName::To, &dialog.remote);
        headers.push(HeaderName::CallId, &dialog.call_id);
        headers.push(HeaderName::CSeq, format!("{number} {method}"));
        if matches!(method, Method::INVITE | Method::UPDATE) {
            headers.push(HeaderName::Contact, &dialog.contact);
            headers.push(HeaderName::Allow, crate::uas::ALLOW);
            headers.push(HeaderName::Supported, crate::uas::SUPPORTED);
            if let Some(session) = dialog.session {
                headers.push(HeaderName::SessionExpires, session.in_request());
            }
            if let Some(seconds) = dialog.min_se_s {
                headers.push(HeaderName::MinSe, seconds.to_string());
            }
        }
        if !agent.is_empty() {
            headers.push(HeaderName::UserAgent, agent);
        }
        Some(Draft { method, uri: dialog.remote_target.clone(), branch, headers, body: None })
    }

    /// Begins a client transaction and sends it on its way. `orphan`: the dialog does not wait for the answer.
    pub(crate) fn request_in(&mut self, id: DialogId, draft: Draft, purpose: Purpose, orphan: bool, now: Instant) {
        let Some(dialog) = self.dialogs.get(&id) else {
            return;
        };
        let (flow, next_hop) = (dialog.flow, next_hop_target(dialog));
        self.open_client(draft, purpose, flow, Some(next_hop), (!orphan).then_some(id), now);
    }

    pub(crate) fn open_client(
        &mut self,
        draft: Draft,
        purpose: Purpose,
        flow: Flow,
        next_hop: Option<Target>,
        dialog: Option<DialogId>,
        now: Instant,
    ) -> TransactionId {
        let machine = match draft.method {
            Method::INVITE => Machine::InviteClient(invite_client::State::Connecting),
            _ => Machine::Client(client::State::Connecting),
        };
        let id = TransactionId(self.next_id());
        let key = client_key(&draft.branch, &draft.method);
        let part = Part::Client { draft: Box::new(draft), purpose, next_hop, redirected: false, ack: Vec::new() };
        // One BYE for each dialog there ever was room for.
        let full = self.transactions.len() >= self.config.limits.transactions && purpose != Purpose::Bye;
        self.keep(
            id,
            Transaction { machine, key, merge_key: None, flow, wire: Vec::new(), interval: T1, dialog, part },
        );
        // Kept for this moment all the same, so that the failure is told in one way.
        if full {
            self.unanswered(id, 503, now)
        } else {
            self.set_out(id, now)
        }
        id
    }

    /// Sends a request that has no way yet: by its flow while that lives, else another from the same peer, else by
    /// the route set.
    fn set_out(&mut self, id: TransactionId, now: Instant) {
        let Some(transaction) = self.transactions.get(&id) else {
            return;
        };
        let Part::Client { next_hop, .. } = &transaction.part else {
            return;
        };
        if let Some(flow) = self.flows.best(transaction.flow) {
            return self.go(id, flow, now);
        }
        let asked = match next_hop.clone() {
            Some(target) => self.ask_for_connection(target, Errand::Request(id), now),
            None => false,
        };
        if !asked {
            self.unanswered(id, 503, now);
        }
    }

    fn go(&mut self, id: TransactionId, flow: Flow, now: Instant) {
        let Some(transaction) = self.transactions.get(&id) else {
            return;
        };
        let Part::Client { draft, .. } = &transaction.part else {
            return;
        };
        let (method, dialog) = (draft.method.clone(), transaction.dialog);
        let Some(wire) = draft.to_bytes(&self.via(flow, &draft.branch)) else {
            return self.unanswered(id, 500, now);
        };
        if let Some(transaction) = self.transactions.get_mut(&id) {
            transaction.wire = wire;
            transaction.flow = flow;
        }
        self.flows.request_began(flow, id);
        self.count_request_sent(&method);
        if let Some(dialog) = dialog {
            self.move_dialog(dialog, flow);
        }
        self.drive(id, On::Go, None, now);
    }

    /// False: too many are being asked for already.
    fn ask_for_connection(&mut self, target: Target, errand: Errand, now: Instant) -> bool {
        if self.connecting.len() >= self.config.limits.connecting {
            return false;
        }
        let id = self.next_id();
        self.connecting.insert(id, errand);
        self.deadlines.start(Owner::Connect(id), Timer::Connect, now + T1_64);
        self.push_output(Output::Connect { id: ConnectId(id), target });
        true
    }

    pub(crate) fn connected(&mut self, id: u64, flow: Flow, now: Instant) {
        self.flows.seen(flow);
        self.deadlines.stop(Owner::Connect(id), Timer::Connect);
        match self.connecting.remove(&id) {
            Some(Errand::Request(id)) => self.go(id, flow, now),
            Some(Errand::Response(id)) => {
                let Some(transaction) = self.transactions.get_mut(&id) else {
                    return;
                };
                transaction.flow = flow;
                let (wire, dialog) = (transaction.wire.clone(), transaction.dialog);
                if let Some(dialog) = dialog {
                    self.move_dialog(dialog, flow);
                }
                self.send(flow, wire);
            }
            Some(Errand::Ack { dialog, draft }) => {
                self.move_dialog(dialog, flow);
                self.send_ack(flow, &draft);
            }
            None => {}
        }
    }

    pub(crate) fn connect_failed(&mut self, id: u64, now: Instant) {
        self.deadlines.stop(Owner::Connect(id), Timer::Connect);
        match self.connecting.remove(&id) {
            Some(Errand::Request(id)) => self.unanswered(id, 503, now),
            Some(Errand::Response(_)) | Some(Errand::Ack { .. }) => self.drop_counted(DropReason::NoWayBack),
            None => {}
        }
    }

    /// Requests that went by the connection and have no answer go once more, the same transaction by another way.
    pub(crate) fn connection_closed(&mut self, connection: ConnectionId, now: Instant) {
        for id in self.flows.closed(connection) {
            let Some(transaction) = self.transactions.get_mut(&id) else {
                continue;
            };
            let Part::Client { purpose, redirected, .. } = &mut transaction.part else {
                continue;
            };
            let once_more = !*redirected && *purpose != Purpose::Cancel && transaction.machine.awaits_their_answer();
            if !once_more {
                continue;
            }
            *redirected = true;
            transaction.machine = match transaction.machine {
                Machine::InviteClient(_) => Machine::InviteClient(invite_client::State::Connecting),
                _ => Machine::Client(client::State::Connecting),
            };
            self.deadlines.stop_all(Owner::Transaction(id));
            self.set_out(id, now);
        }
    }

    /// A response whose connection is gone goes to where the request came from, at the port its sender listens on.
    /// Source: RFC 3261 18.2.2.
    pub(crate) fn connect_for_response(&mut self, id: TransactionId, now: Instant) {
        let waits = self.connecting.values().any(|errand| matches!(errand, Errand::Response(other) if *other == id));
        if waits {
            return;
        }
        let Some(transaction) = self.transactions.get(&id) else {
            return;
        };
        let flow = transaction.flow;
        let port = crate::Message::parse(&transaction.wire).ok().and_then(|message| match message {
            crate::Message::Response(response) => response.via().port(),
            crate::Message::Request(_) => None,
        });
        let target = Target {
            trunk: flow.trunk,
            listener: flow.listener,
            transport: flow.transport,
            host: flow.remote.ip().to_canonical().to_string(),
            port,
        };
        if !self.ask_for_connection(target, Errand::Response(id), now) {
            self.drop_counted(DropReason::NoWayBack);
        }
    }

    /// Sends the ACK of a 2xx. Source: RFC 3261 13.2.2.4.
    pub(crate) fn acknowledge_success(&mut self, id: DialogId, cseq: u32, sdp: Vec<u8>, now: Instant) {
        let Some(mut draft) = self.draft_in(id, Method::ACK, Some(cseq)) else {
            return;
        };
        if !sdp.is_empty() {
            draft.body = Some(("application/sdp", sdp));
        }
        let Some(dialog) = self.dialogs.get(&id) else {
            return;
        };
        match self.flows.best(dialog.flow) {
            Some(flow) => self.send_ack(flow, &draft),
            None => {
                let (target, errand) = (next_hop_target(dialog), Errand::Ack { dialog: id, draft: Box::new(draft) });
                if !self.ask_for_connection(target, errand, now) {
                    self.drop_counted(DropReason::NoWayBack);
                }
            }
        }
    }

    fn send_ack(&mut self, flow: Flow, draft: &Draft) {
        if let Some(bytes) = draft.to_bytes(&self.via(flow, &draft.branch)) {
            self.count_request_sent(&Method::ACK);
            self.send(flow, bytes);
        }
    }

    /// The ACK of a refusal goes the way of its INVITE; a repeated refusal gets the same one.
    pub(crate) fn acknowledge_refusal(&mut self, id: TransactionId, response: Option<&Response>) {
        let Some(transaction) = self.transactions.get(&id) else {
            return;
        };
        let (Part::Client { draft, ack, .. }, Some(response)) = (&transaction.part, response) else {
            return;
        };
        let flow = transaction.flow;
        let bytes = if ack.is_empty() {
            let draft = draft.same_transaction(Method::ACK, Some(response.to().as_bytes()));
            draft.to_bytes(&self.via(flow, &draft.branch)).unwrap_or_default()
        } else {
            ack.clone()
        };
        if let Some(Transaction { part: Part::Client { ack, .. }, .. }) = self.transactions.get_mut(&id) {
            ack.clone_from(&bytes);
        }
        self.count_request_sent(&Method::ACK);
        self.send(flow, bytes);
    }

    /// Takes an INVITE of ours back. Source: RFC 3261 9.1.
    pub(crate) fn send_cancel(&mut self, invite: TransactionId, now: Instant) {
        let Some(transaction) = self.transactions.get(&invite) else {
            return;
        };
        let Part::Client { draft, .. } = &transaction.part else {
            return;
        };
        let (cancel, flow) = (draft.same_transaction(Method::CANCEL, None), transaction.flow);
        self.open_client(cancel, Purpose::Cancel, flow, None, None, now);
        self.deadlines.stop(Owner::Transaction(invite), Timer::C);
        self.deadlines.start(Owner::Transaction(invite), Timer::B, now + T1_64);
    }
}

/// The dialog's own transport, whatever the URI says of it: what carried the call so far reaches the peer.
pub(crate) fn next_hop_target(dialog: &Dialog) -> Target {
    let uri = dialog.next_hop();
    let flow = dialog.flow;
    let remote = || flow.remote.ip().to_canonical().to_string();
    Target {
        trunk: flow.trunk,
        listener: flow.listener,
        transport: flow.transport,
        host: uri.host().map_or_else(remote, str::to_owned),
        port: uri.port(),
    }
}
