//! The transactions that live: how messages find theirs, and the doing of what the machines say.

use std::time::{Duration, Instant};

use super::counters::{Counters, DropReason};
use super::requests::{Draft, Purpose};
use super::{Endpoint, Owner};
use crate::door::{DialogId, Flow, Target, Transport, TrunkId};
use crate::message::{Headers, Method, Name, Request, Response};
use crate::timers::{T1, Timer};
use crate::transaction::{Act, Machine, On, invite_server, server};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TransactionId(pub u64);

pub(crate) struct Transaction {
    pub machine: Machine,
    pub key: String,
    pub merge_key: Option<String>,
    pub flow: Flow,
    /// The request (client) or the last response (server), as sent.
    pub wire: Vec<u8>,
    /// Of the retransmission timer.
    pub interval: Duration,
    pub dialog: Option<DialogId>,
    pub part: Part,
}

pub(crate) enum Part {
    /// `request` is there until the final response is chosen.
    Server {
        request: Option<Box<Request>>,
    },
    Client {
        draft: Box<Draft>,
        purpose: Purpose,
        next_hop: Option<Target>,
        redirected: bool,
        ack: Vec<u8>,
    },
}

/// A response of ours, before the headers that it copies from its request.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub status: u16,
    pub phrase: Option<String>,
    pub headers: Headers,
    pub body: Option<(&'static str, Vec<u8>)>,
    /// The dialog's local tag; None: a fresh one.
    pub tag: Option<String>,
    pub record_route: bool,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Answer { status, ..Answer::default() }
    }

    pub(crate) fn with<'a>(mut self, name: impl Into<Name<'a>>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Says why, in a word for programs. Source: RFC 3326.
    pub(crate) fn because(self, cause: &str) -> Self {
        let value = format!("SIP;cause={};text=\"{cause}\"", self.status);
        self.with(crate::message::HeaderName::Reason, value)
    }

    pub(crate) fn tagged(mut self, tag: &str) -> Self {
        self.tag = Some(tag.to_owned());
        self
    }
}

/// What a server transaction is found by. `method` is the request's, or INVITE for its ACK and CANCEL.
/// The trunk is part of it: no trunk reaches another's transactions. Source: RFC 3261 17.2.3.
pub(crate) fn server_key(trunk: TrunkId, request: &Request, method: &Method) -> String {
    let via = request.via();
    let TrunkId(trunk) = trunk;
    match via.branch() {
        Some(branch) if via.has_magic_cookie() => {
            format!("{trunk}\n{branch}\n{}\n{method}", via.sent_by())
        }
        // By the rules of RFC 2543; the To tag is left out, since an ACK has ours.
        _ => format!(
            "{trunk}\n{}\n{}\n{}\n{}\n{}\n{method}",
            request.uri(),
            request.from_tag().unwrap_or_default(),
            request.call_id(),
            request.cseq().number,
            // As sent: what we noted about the source would differ on another connection.
            via.sent_by(),
        ),
    }
}

/// What a client transaction is found by. Source: RFC 3261 17.1.3.
pub(crate) fn client_key(branch: &str, method: &Method) -> String {
    format!("{branch}\n{method}")
}

/// What two copies of one request share. Source: RFC 3261 8.2.2.2.
fn merge_key(trunk: TrunkId, request: &Request) -> Option<String> {
    let (None, Some(from_tag)) = (request.to_tag(), request.from_tag()) else {
        return None;
    };
    let cseq = request.cseq();
    Some(format!("{}\n{}\n{from_tag}\n{}\n{}", trunk.0, request.call_id(), cseq.number, cseq.method))
}

impl Endpoint {
    /// Begins a server transaction; the caller has looked at the bounds.
    pub(crate) fn open_server(
        &mut self,
        flow: Flow,
        request: Request,
        key: String,
        dialog: Option<DialogId>,
    ) -> TransactionId {
        let machine = match *request.method() {
            Method::INVITE => Machine::InviteServer(invite_server::State::Proceeding),
            _ => Machine::Server(server::State::Trying),
        };
        let id = TransactionId(self.next_id());
        let merge_key = (*request.method() != Method::CANCEL).then(|| merge_key(flow.trunk, &request)).flatten();
        if let Some(merge_key) = &merge_key {
            self.by_merge_key.entry(merge_key.clone()).or_insert(id);
        }
        let part = Part::Server { request: Some(Box::new(request)) };
        self.keep(id, Transaction { machine, key, merge_key, flow, wire: Vec::new(), interval: T1, dialog, part });
        id
    }

    pub(crate) fn keep(&mut self, id: TransactionId, transaction: Transaction) {
        self.by_key.insert(transaction.key.clone(), id);
        if let Some(dialog) = transaction.dialog.and_then(|id| self.dialogs.get_mut(&id)) {
            dialog.transactions += 1;
        }
        self.transactions.insert(id, transaction);
    }

    /// Whether another copy of this request is already being dealt with. Source: RFC 3261 8.2.2.2.
    pub(crate) fn is_merged(&self, id: TransactionId) -> bool {
        let key = self.transactions.get(&id).and_then(|transaction| transaction.merge_key.as_ref());
        key.and_then(|key| self.by_merge_key.get(key)).is_some_and(|first| *first != id)
    }

    /// The request that a server transaction has yet to answer finally.
    pub(crate) fn request_of(&self, id: TransactionId) -> Option<&Request> {
        match &self.transactions.get(&id)?.part {
            Part::Server { request } => request.as_deref(),
            Part::Client { .. } => None,
        }
    }

    /// The transaction now belongs to a dialog that its request made.
    pub(crate) fn adopt(&mut self, id: TransactionId, dialog: DialogId) {
        if let Some(transaction) = self.transactions.get_mut(&id) {
            transaction.dialog = Some(dialog);
        }
        if let Some(dialog) = self.dialogs.get_mut(&dialog) {
            dialog.transactions += 1;
        }
    }

    /// Sends a response within its transaction; one that has its final response already is left alone.
    pub(crate) fn respond(&mut self, id: TransactionId, answer: Answer, now: Instant) {
        let tag = match answer.tag.clone() {
            Some(tag) => tag,
            None => self.random_token(),
        };
        let server = self.config.user_agent.clone();
        let Some(transaction) = self.transactions.get_mut(&id) else {
            return;
        };
        let Part::Server { request } = &mut transaction.part else {
            return;
        };
        let Some(asked) = request.as_deref() else {
            return;
        };
        let status = answer.status;
        transaction.wire = response_to(asked, answer, &tag, &server).to_bytes();
        if status >= 200 {
            *request = None;
        }
        *self.count().responses_sent.entry(status).or_default() += 1;
        let on = match status {
            100..=199 => On::Provisional,
            200..=299 => On::Success,
            _ => On::Failure,
        };
        self.drive(id, on, None, now);
    }

    /// Answers without a transaction: when there is no room for one. Source: RFC 3261 8.2.7.
    pub(crate) fn respond_stateless(&mut self, flow: Flow, request: &Request, answer: Answer) {
        let status = answer.status;
        let bytes = response_to(request, answer, &self.stateless_tag, &self.config.user_agent).to_bytes();
        *self.count().responses_sent.entry(status).or_default() += 1;
        self.send(flow, bytes);
    }

    /// Moves a transaction on and does what its machine says. `response`: what came, for a client.
    pub(crate) fn drive(&mut self, id: TransactionId, on: On, response: Option<&Response>, now: Instant) {
        let Some(transaction) = self.transactions.get_mut(&id) else {
            return;
        };
        let reliable = transaction.flow.transport != Transport::Udp;
        let acts = transaction.machine.step(on, reliable);
        if matches!(on, On::Again | On::Timer(_)) && acts.contains(&Act::Send) {
            self.count().retransmissions_sent += 1;
        }
        for act in acts {
            self.act(id, *act, response, now);
        }
    }

    fn act(&mut self, id: TransactionId, act: Act, response: Option<&Response>, now: Instant) {
        let owner = Owner::Transaction(id);
        match act {
            Act::Send => self.send_wire(id, now),
            Act::SendAck => self.acknowledge_refusal(id, response),
            Act::Start(timer, after) => {
                let retransmits = matches!(timer, Timer::A | Timer::E | Timer::G);
                if let Some(transaction) = self.transactions.get_mut(&id).filter(|_| retransmits) {
                    transaction.interval = after;
                }
                self.deadlines.start(owner, timer, now + after);
            }
            Act::Stop(timer) => self.deadlines.stop(owner, timer),
            Act::Double(timer, longest) => {
                let Some(transaction) = self.transactions.get_mut(&id) else {
                    return;
                };
                transaction.interval = (transaction.interval * 2).min(longest);
                let after = transaction.interval;
                self.deadlines.start(owner, timer, now + after);
            }
            Act::Pass => match response {
                Some(response) => self.response_passed(id, response, now),
                None => self.refusal_settled(id),
            },
            Act::TimedOut => self.timed_out(id, now),
            Act::Cancel => self.send_cancel(id, now),
            Act::End => self.forget(id),
        }
    }

    fn timed_out(&mut self, id: TransactionId, now: Instant) {
        match self.transactions.get(&id).map(|transaction| &transaction.part) {
            Some(Part::Client { .. }) => self.unanswered(id, 408, now),
            Some(Part::Server { .. }) => self.refusal_settled(id),
            None => {}
        }
    }

    /// Sends the transaction's message over its flow; a response whose connection is gone takes another way to the peer.
    fn send_wire(&mut self, id: TransactionId, now: Instant) {
        let Some(transaction) = self.transactions.get_mut(&id) else {
            return;
        };
        let wire = transaction.wire.clone();
        match self.flows.best(transaction.flow) {
            Some(flow) => {
                transaction.flow = flow;
                self.send(flow, wire);
            }
            None if matches!(transaction.part, Part::Server { .. }) => self.connect_for_response(id, now),
            None => self.drop_counted(DropReason::NoWayBack),
        }
    }

    pub(crate) fn forget(&mut self, id: TransactionId) {
        self.deadlines.stop_all(Owner::Transaction(id));
        let Some(transaction) = self.transactions.remove(&id) else {
            return;
        };
        if self.by_key.get(&transaction.key) == Some(&id) {
            self.by_key.remove(&transaction.key);
        }
        if let Some(key) = transaction.merge_key
            && self.by_merge_key.get(&key) == Some(&id)
        {
            self.by_merge_key.remove(&key);
        }
        if let Some(dialog) = transaction.dialog.and_then(|id| self.dialogs.get_mut(&id)) {
            dialog.transactions = dialog.transactions.saturating_sub(1);
        }
        if matches!(transaction.part, Part::Client { .. }) {
            self.flows.request_ended(transaction.flow, id);
        }
    }

    pub(crate) fn count_request_sent(&mut self, method: &Method) {
        let label = Counters::label(method.as_str());
        *self.count().requests_sent.entry(label).or_default() += 1;
    }
}

fn response_to(request: &Request, answer: Answer, tag: &str, server: &str) -> Response {
    let mut builder = Response::to_request(request, answer.status);
    if answer.status > 100 {
        builder = builder.to_tag(tag);
    }
    if answer.record_route {
        builder = builder.record_route();
    }
    if let Some(phrase) = &answer.phrase {
        builder = builder.phrase(phrase);
    }
    for (name, value) in answer.headers.iter() {
        builder = builder.header(name, value);
    }
    if !server.is_empty() && answer.status > 100 {
        builder = builder.header("Server", server);
    }
    if let Some((content_type, body)) = answer.body {
        builder = builder.body(content_type, body);
    }
    builder.build()
}
