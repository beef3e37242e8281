//! Which connections are alive, as far as messages and the edge have told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::transactions::TransactionId;
use crate::door::{ConnectionId, Flow, Transport, TrunkId};

struct Live {
    flow: Flow,
    /// Dialogs whose last request went or came this way.
    dialogs: usize,
    /// Client transactions that went this way and still live.
    requests: BTreeSet<TransactionId>,
}

/// Bounded by `limit`; the oldest connection (they are numbered in order) is forgotten first.
pub(crate) struct Flows {
    live: BTreeMap<ConnectionId, Live>,
    by_peer: HashMap<(TrunkId, IpAddr), BTreeSet<ConnectionId>>,
    limit: usize,
}

impl Flows {
    pub(crate) fn new(limit: usize) -> Self {
        Flows { live: BTreeMap::new(), by_peer: HashMap::new(), limit }
    }

    pub(crate) fn seen(&mut self, flow: Flow) {
        let Some(connection) = flow.connection else {
            return;
        };
        if self.live.contains_key(&connection) {
            return;
        }
        self.live.insert(connection, Live { flow, dialogs: 0, requests: BTreeSet::new() });
        self.by_peer.entry((flow.trunk, flow.remote.ip())).or_default().insert(connection);
        if self.live.len() > self.limit
            && let Some((&oldest, _)) = self.live.first_key_value()
        {
            self.closed(oldest);
        }
    }

    /// Returns the requests of ours that went this way.
    pub(crate) fn closed(&mut self, connection: ConnectionId) -> BTreeSet<TransactionId> {
        let Some(Live { flow, requests, .. }) = self.live.remove(&connection) else {
            return BTreeSet::new();
        };
        let peer = (flow.trunk, flow.remote.ip());
        if let Some(connections) = self.by_peer.get_mut(&peer) {
            connections.remove(&connection);
            if connections.is_empty() {
                self.by_peer.remove(&peer);
            }
        }
        requests
    }

    pub(crate) fn request_began(&mut self, flow: Flow, id: TransactionId) {
        if let Some(live) = flow.connection.and_then(|connection| self.live.get_mut(&connection)) {
            live.requests.insert(id);
        }
    }

    pub(crate) fn request_ended(&mut self, flow: Flow, id: TransactionId) {
        if let Some(live) = flow.connection.and_then(|connection| self.live.get_mut(&connection)) {
            live.requests.remove(&id);
        }
    }

    /// A dialog has moved from one way to another, has begun (no `from`) or ended (no `to`).
    pub(crate) fn dialog_moved(&mut self, from: Option<Flow>, to: Option<Flow>) {
        let mut count = |flow: Option<Flow>, change: fn(usize) -> usize| {
            if let Some(live) = flow.and_then(|flow| flow.connection).and_then(|id| self.live.get_mut(&id)) {
                live.dialogs = change(live.dialogs);
            }
        };
        count(from, |dialogs| dialogs.saturating_sub(1));
        count(to, |dialogs| dialogs + 1);
    }

    pub(crate) fn carries_dialogs(&self, connection: ConnectionId) -> bool {
        self.live.get(&connection).is_some_and(|live| live.dialogs > 0)
    }

    /// This flow while it lives, else the newest live one from the same peer: of the same transport, else TLS for TCP.
    /// What was encrypted is never sent in the clear. A datagram's way has no end to notice, so it always lives.
    pub(crate) fn best(&self, flow: Flow) -> Option<Flow> {
        let Some(connection) = flow.connection else {
            return Some(flow);
        };
        if self.live.contains_key(&connection) {
            return Some(flow);
        }
        let connections = self.by_peer.get(&(flow.trunk, flow.remote.ip()))?;
        let newest = |transport: Transport| {
            connections.iter().rev().map(|id| self.live[id].flow).find(|other| other.transport == transport)
        };
        newest(flow.transport).or_else(|| if flow.transport == Transport::Tcp { newest(Transport::Tls) } else { None })
    }

    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }
}
