//! A message comes in: to whom it belongs, and whether there is room for it.

use std::time::Instant;

use super::Endpoint;
use super::counters::{Counters, DropReason};
use super::transactions::{Answer, client_key, server_key};
use crate::door::{Flow, ListenerId, TrunkId};
use crate::message::{HeaderName, Message, Method, Request, Response};
use crate::reader::ParseError;
use crate::transaction::{Machine, On, invite_server};

impl Endpoint {
    pub(crate) fn receive(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        let (ListenerId(listener), TrunkId(trunk)) = (flow.listener, flow.trunk);
        if usize::from(listener) >= self.config.listeners.len() || usize::from(trunk) >= self.config.trunks.len() {
            return self.drop_counted(DropReason::UnknownOrigin);
        }
        if self.outputs_full() {
            return self.drop_counted(DropReason::OutputsFullIn);
        }
        self.flows.seen(flow);
        match Message::parse(bytes) {
            Ok(Message::Request(request)) => self.receive_request(flow, request, now),
            Ok(Message::Response(response)) => self.receive_response(flow, &response, now),
            Err(error) => self.refuse_unreadable(flow, &error),
        }
    }

    /// What could not be read is answered if enough of it could. Source: RFC 3261 8.2, RFC 4475.
    fn refuse_unreadable(&mut self, flow: Flow, error: &ParseError) {
        let Some(refusal) = &error.refusal else {
            return self.drop_counted(DropReason::Unreadable);
        };
        *self.count().responses_sent.entry(refusal.status()).or_default() += 1;
        let bytes = refusal.to_bytes(flow.remote, &self.stateless_tag);
        self.send(flow, bytes);
    }

    fn receive_request(&mut self, flow: Flow, mut request: Request, now: Instant) {
        let label = Counters::label(request.method().as_str());
        *self.count().requests_received.entry(label).or_default() += 1;
        if *request.method() == Method::ACK {
            return self.receive_ack(flow, &request, now);
        }
        let key = server_key(flow.trunk, &request, request.method());
        request.note_source(flow.remote);
        if let Some(&id) = self.by_key.get(&key) {
            self.count().retransmissions_received += 1;
            if let Some(transaction) = self.transactions.get_mut(&id) {
                transaction.flow = flow;
            }
            return self.drive(id, On::Again, None, now);
        }
        let dialog = self.dialog_of(flow, &request);
        let full = self.transactions.len() >= self.config.limits.transactions;
        let crowded = dialog
            .and_then(|id| self.dialogs.get(&id))
            .is_some_and(|dialog| dialog.transactions >= self.config.limits.transactions_per_dialog);
        if full || crowded {
            return match dialog {
                // Which makes room.
                Some(dialog) if *request.method() == Method::BYE => {
                    self.serve_bye_stateless(flow, dialog, &request, now)
                }
                _ => {
                    let answer = if full { self.overloaded() } else { Answer::new(500) };
                    self.respond_stateless(flow, &request, answer);
                }
            };
        }
        let id = self.open_server(flow, request.clone(), key, dialog);
        self.serve(id, flow, request, dialog, now);
    }

    /// 503 for the whole host. Source: RFC 3261 21.5.4.
    pub(crate) fn overloaded(&self) -> Answer {
        let retry_after = self.config.limits.retry_after_s.to_string();
        Answer::new(503).because("overload").with(HeaderName::RetryAfter, retry_after)
    }

    /// Of a refusal: within the INVITE's transaction. Of a 2xx: by dialog and CSeq, even if its branch is wrongly that of
    /// the INVITE, or a peer of RFC 2543 sends none. Never answered.
    fn receive_ack(&mut self, flow: Flow, request: &Request, now: Instant) {
        let key = server_key(flow.trunk, request, &Method::INVITE);
        let found = self.by_key.get(&key).copied();
        let accepted = Machine::InviteServer(invite_server::State::Accepted);
        let refused = found.filter(|id| self.transactions.get(id).is_some_and(|found| found.machine != accepted));
        if let Some(id) = refused {
            return self.drive(id, On::Ack, None, now);
        }
        match self.dialog_of(flow, request) {
            Some(id) => self.acknowledged(id, flow, request, now),
            None => self.drop_counted(DropReason::StrayAck),
        }
    }

    fn receive_response(&mut self, flow: Flow, response: &Response, now: Instant) {
        *self.count().responses_received.entry(response.status()).or_default() += 1;
        let key = client_key(response.via().branch().unwrap_or_default(), &response.cseq().method);
        let found = self.by_key.get(&key).copied();
        let ours = found.filter(|id| self.transactions.get(id).is_some_and(|found| found.flow.trunk == flow.trunk));
        let Some(id) = ours else {
            return self.drop_counted(DropReason::StrayResponse);
        };
        let on = match response.status() {
            100..=199 => On::Provisional,
            200..=299 => On::Success,
            _ => On::Failure,
        };
        self.drive(id, on, Some(response), now);
    }
}
