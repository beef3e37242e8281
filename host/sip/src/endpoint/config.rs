//! What the endpoint is made with.

use std::net::IpAddr;
use std::time::Duration;

use crate::door::Transport;

/// Everything an [`Endpoint`](crate::Endpoint) needs to know; it never changes afterwards.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Indexed by [`ListenerId`](crate::ListenerId).
    pub listeners: Vec<ListenerConfig>,
    /// Indexed by [`TrunkId`](crate::TrunkId).
    pub trunks: Vec<TrunkConfig>,
    /// The Server and User-Agent header; empty for none.
    pub user_agent: String,
    pub limits: Limits,
}

/// One listener, and how peers are told to reach it.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    pub transport: Transport,
    /// `externip`, or a name that means this instance alone: the host of our Contact and Via. IPv6 without brackets.
    pub advertised_host: String,
    /// The port of our Contact and Via.
    pub advertised_port: u16,
    /// The host for peers inside `localnet`: the address the listener is bound to. None: `advertised_host` for all.
    pub local_host: Option<String>,
    /// The port for peers inside `localnet`.
    pub local_port: u16,
    /// `localnet`: peers that reach us without address translation.
    pub localnet: Vec<Network>,
}

impl ListenerConfig {
    /// The host and port that a peer at this address is told. Units: none. Cost: one look at each network.
    pub fn advertised_to(&self, peer: IpAddr) -> (&str, u16) {
        match &self.local_host {
            Some(host) if self.localnet.iter().any(|network| network.contains(peer)) => (host, self.local_port),
            _ => (&self.advertised_host, self.advertised_port),
        }
    }
}

/// An address block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}

impl Network {
    pub fn contains(self, other: IpAddr) -> bool {
        let bits = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, true),
            IpAddr::V6(v6) => (v6.to_bits(), false),
        };
        let ((ours, our_family), (theirs, their_family)) = (bits(self.address), bits(other));
        our_family == their_family
            && (self.prefix == 0 || (ours ^ theirs) >> (128 - u32::from(self.prefix.min(128))) == 0)
    }
}

/// What matters to SIP about a trunk.
#[derive(Clone, Debug, Default)]
pub struct TrunkConfig {
    /// The host of the request-URI is then no reason to refuse; otherwise it must be one of ours, else 404.
    pub trusted: bool,
}

/// The bound of everything that a peer can make grow. Each has a test in `tests/endpoint_bounds.rs`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Transactions alive, absorbing ones included. Beyond: 503 without a transaction; BYE is served all the same, the
    /// peer's without a transaction, ours with one (so at most one more for each dialog).
    pub transactions: usize,
    /// Dialogs alive, early ones included. Beyond: 503.
    pub dialogs: usize,
    /// Transactions that one dialog keeps alive. Beyond: 500 without a transaction.
    pub transactions_per_dialog: usize,
    /// Requests of ours that wait for their turn within one dialog. Beyond: the newest is dropped.
    pub waiting_per_dialog: usize,
    /// Outputs not yet taken. Beyond: messages are neither read nor sent.
    pub outputs: usize,
    /// Connections known to be alive. Beyond: the oldest is forgotten.
    pub connections: usize,
    /// Connections asked for and not yet there. Beyond: the request fails at once.
    pub connecting: usize,
    /// Seconds of Retry-After in a 503 for overload.
    pub retry_after_s: u32,
    /// How long the call plane may take to answer an INVITE.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            transactions: 50_000,
            dialogs: 10_000,
            transactions_per_dialog: 256,
            waiting_per_dialog: 64,
            outputs: 65_536,
            connections: 20_000,
            connecting: 1_000,
            retry_after_s: 5,
            answer: Duration::from_secs(180),
        }
    }
}
