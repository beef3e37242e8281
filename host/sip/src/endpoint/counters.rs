//! What the endpoint has seen, for metrics.

use std::collections::BTreeMap;

/// Why something was dropped unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// Not SIP, or too broken to be answered.
    Unreadable,
    /// A response that belongs to no transaction of ours.
    StrayResponse,
    /// An ACK that acknowledges nothing.
    StrayAck,
    /// The outputs were full when a message came.
    OutputsFullIn,
    /// The outputs were full when a message was to go out.
    OutputsFullOut,
    /// A response whose connection is gone, and no other leads to the peer.
    NoWayBack,
    /// A request of ours beyond `waiting_per_dialog`.
    TooManyWaiting,
    /// From a listener or trunk that is not configured.
    UnknownOrigin,
    /// A command that the dialog's state does not allow.
    CommandOutOfPlace,
}

/// Counts since start. Sources of labels are bounded: methods outside RFCs count as `other`.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub requests_received: BTreeMap<&'static str, u64>,
    pub requests_sent: BTreeMap<&'static str, u64>,
    pub responses_received: BTreeMap<u16, u64>,
    pub responses_sent: BTreeMap<u16, u64>,
    /// Sent again by a timer or because the peer asked again.
    pub retransmissions_sent: u64,
    pub retransmissions_received: u64,
    pub dropped: BTreeMap<DropReason, u64>,
}

/// The methods that are counted by name.
const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "INFO",
    "UPDATE",
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "MESSAGE",
    "PUBLISH",
    "PRACK",
];

impl Counters {
    pub(crate) fn label(method: &str) -> &'static str {
        METHODS.iter().find(|name| **name == method).copied().unwrap_or("other")
    }

    pub(crate) fn dropped(&mut self, reason: DropReason) {
        *self.dropped.entry(reason).or_default() += 1;
    }
}
