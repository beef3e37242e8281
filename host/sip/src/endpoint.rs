//! The one door: everything SIP comes in by [`Endpoint::handle`] and goes out by [`Endpoint::poll_output`].
//!
//! ```text
//!     Input::Message -> receive -> transactions -> uas / uac -> dialogs -> Output::Event
//!     Input::Command ------------------------------^                    -> Output::Send
//! ```
//! What follows lives in one file per concern: `endpoint/` for what all verbs share, `uas/` and `uac/` for the verbs.

pub(crate) mod config;
pub(crate) mod counters;
pub(crate) mod dialogs;
pub(crate) mod flows;
pub(crate) mod receive;
pub(crate) mod requests;
pub(crate) mod transactions;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::dialog::Dialog;
use crate::door::{Command, ConnectId, ConnectionId, DialogId, Event, Flow, Input, Output};
use crate::message::reason_phrase;
use crate::timers::{Deadlines, Timer};
use config::EndpointConfig;
use counters::{Counters, DropReason};
use flows::Flows;
use requests::Errand;
use transactions::{Transaction, TransactionId};

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Owner {
    Transaction(TransactionId),
    Dialog(DialogId),
    Connect(u64),
}

/// All SIP state of one host. Never touches a socket or a clock.
pub struct Endpoint {
    pub(crate) config: EndpointConfig,
    pub(crate) rng: StdRng,
    pub(crate) transactions: HashMap<TransactionId, Transaction>,
    pub(crate) by_key: HashMap<String, TransactionId>,
    /// Requests outside a dialog by what two copies of one share. Source: RFC 3261 8.2.2.2.
    pub(crate) by_merge_key: HashMap<String, TransactionId>,
    pub(crate) dialogs: HashMap<DialogId, Dialog>,
    pub(crate) by_local_tag: HashMap<String, DialogId>,
    pub(crate) flows: Flows,
    /// What waits for a connection that the edge was asked for.
    pub(crate) connecting: HashMap<u64, Errand>,
    pub(crate) deadlines: Deadlines<Owner>,
    pub(crate) draining: bool,
    outputs: VecDeque<Output>,
    counters: Counters,
    /// The To tag of answers that are given without state: the same for each retransmission (RFC 3261 8.2.7).
    pub(crate) stateless_tag: String,
    last_id: u64,
}

impl Endpoint {
    /// `seed` decides every tag, branch and random wait; give a secret one in production, since tags must not be guessed.
    pub fn new(config: EndpointConfig, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Endpoint {
            flows: Flows::new(config.limits.connections),
            config,
            stateless_tag: format!("{:016x}", rng.random::<u64>()),
            rng,
            transactions: HashMap::new(),
            by_key: HashMap::new(),
            by_merge_key: HashMap::new(),
            dialogs: HashMap::new(),
            by_local_tag: HashMap::new(),
            connecting: HashMap::new(),
            deadlines: Deadlines::new(),
            draining: false,
            outputs: VecDeque::new(),
            counters: Counters::default(),
            last_id: 0,
        }
    }

    /// Takes one input. Errors: none; what cannot be used is answered or counted.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        match input {
            Input::Message { flow, bytes } => self.receive(flow, bytes, now),
            Input::Closed { connection } => self.connection_closed(connection, now),
            Input::Connected { id: ConnectId(id), flow } => self.connected(id, flow, now),
            Input::ConnectFailed { id: ConnectId(id) } => self.connect_failed(id, now),
            Input::Command(command) => self.obey(command, now),
        }
    }

    /// The next thing for the edge to do. None: nothing until the next input or [`Endpoint::poll_timeout`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Endpoint::handle_timeout`] wants to be called. None: no timer runs.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((owner, timer)) = self.deadlines.take_due(now) {
            match owner {
                Owner::Transaction(id) => self.drive(id, crate::transaction::On::Timer(timer), None, now),
                Owner::Dialog(id) => self.dialog_timer(id, timer, now),
                Owner::Connect(id) => self.connect_failed(id, now),
            }
        }
    }

    /// Whether the last request of some dialog went or came by this connection: the edge keeps such ones alive.
    /// Cost: one look-up.
    pub fn flow_carries_dialogs(&self, connection: ConnectionId) -> bool {
        self.flows.carries_dialogs(connection)
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Transactions alive, absorbing ones included.
    pub fn transaction_count(&self) -> usize {
        self.transactions.len()
    }

    /// Dialogs alive, early ones included.
    pub fn dialog_count(&self) -> usize {
        self.dialogs.len()
    }

    pub fn connection_count(&self) -> usize {
        self.flows.len()
    }

    /// Timers that run; zero when every call has ended and every transaction is forgotten.
    pub fn timer_count(&self) -> usize {
        self.deadlines.len()
    }

    fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Ring { dialog } => self.ring(dialog, now),
            Command::Answer { dialog, sdp, headers } => self.answer(dialog, sdp, &headers, now),
            Command::Reject { dialog, rejection } => self.reject(dialog, &rejection, now),
            Command::AcceptOffer { dialog, sdp } => self.accept_offer(dialog, sdp, now),
            Command::RejectOffer { dialog, rejection } => self.reject_offer(dialog, &rejection, now),
            Command::Bye { dialog, reason } => self.hang_up(dialog, reason, now),
            Command::InfoDigit { dialog, digit, duration_ms } => self.send_info_digit(dialog, digit, duration_ms, now),
            Command::Invite(invite) => self.invite(*invite, now),
            Command::Acknowledge { dialog, sdp } => self.acknowledge(dialog, sdp, now),
            Command::Reinvite { dialog, sdp } => self.reinvite(dialog, sdp, now),
            Command::Refer { dialog, target, headers } => self.refer(dialog, target, headers, now),
            Command::ByeHeaders { dialog, headers } => self.keep_bye_headers(dialog, headers),
            Command::Cancel { dialog } => self.cancel(dialog, now),
            Command::Drain => self.draining = true,
        }
    }

    fn dialog_timer(&mut self, id: DialogId, timer: Timer, now: Instant) {
        match timer {
            Timer::Accept => self.repeat_success(id, now),
            Timer::NoAck => self.no_ack(id, now),
            Timer::Answer => self.answer_overdue(id, now),
            Timer::Ringing => self.ring(id, now),
            Timer::Glare => self.reinvite_again(id, now),
            Timer::Refresh => self.refresh_session(id, now),
            Timer::Expire => self.session_expired(id, now),
            Timer::Refer => self.refer_ended(id, 408, &reason_phrase(408)),
            // The others belong to transactions and connects.
            _ => {}
        }
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Hands bytes to the edge. Errors: dropped and counted if the outputs are full; timers send again.
    pub(crate) fn send(&mut self, flow: Flow, bytes: Vec<u8>) {
        if self.outputs_full() {
            return self.drop_counted(DropReason::OutputsFullOut);
        }
        self.outputs.push_back(Output::Send { flow, bytes });
    }

    pub(crate) fn push_output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn outputs_full(&self) -> bool {
        self.outputs.len() >= self.config.limits.outputs
    }

    pub(crate) fn count(&mut self) -> &mut Counters {
        &mut self.counters
    }

    pub(crate) fn drop_counted(&mut self, reason: DropReason) {
        self.counters.dropped(reason);
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A tag or the end of a branch: 64 random bits (RFC 3261 19.3 asks for 32).
    pub(crate) fn random_token(&mut self) -> String {
        format!("{:016x}", self.rng.random::<u64>())
    }
}
