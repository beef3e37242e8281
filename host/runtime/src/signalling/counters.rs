//! What the edge counts.

use sip::Transport;

use super::connection::Why;
use super::table::Sent;
use crate::config::scheme;
use crate::observe::{Counter, Gauge, Metrics};

/// Why a source was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// In no trunk's networks.
    Outside,
    Connections,
    ConnectionsPerAddress,
    UnfinishedHandshakes,
}

impl Refused {
    const ALL: [Refused; 4] =
        [Refused::Outside, Refused::Connections, Refused::ConnectionsPerAddress, Refused::UnfinishedHandshakes];

    pub fn as_str(self) -> &'static str {
        match self {
            Refused::Outside => "outside",
            Refused::Connections => "connections",
            Refused::ConnectionsPerAddress => "connections_per_address",
            Refused::UnfinishedHandshakes => "unfinished_handshakes",
        }
    }
}

pub(super) struct Counters {
    pub active: Gauge,
    pub certificate_reloads: Counter,
    pub handshakes_failed: Counter,
    pub udp_queue_full: Counter,
    pub udp_keep_alive: Counter,
    pub connected: Counter,
    pub connect_failed: Counter,
    refused: Vec<Counter>,
    closed: Vec<Counter>,
    received: [Counter; 3],
    sent: [Counter; 3],
    unsent: [Counter; 3],
}

const TRANSPORTS: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

impl Counters {
    pub fn new(metrics: &Metrics) -> Self {
        let by_transport =
            |name, help| TRANSPORTS.map(|transport| metrics.counter(name, help, &[("transport", scheme(transport))]));
        let udp = |reason| {
            metrics.counter("patchbay_udp_dropped_total", "Datagrams that reached no dialog.", &[("reason", reason)])
        };
        let connects = |result| {
            metrics.counter("patchbay_connects_total", "Connections that we asked for.", &[("result", result)])
        };
        let refused = |why: Refused| {
            let help = "Sources not let in.";
            metrics.counter("patchbay_sources_refused_total", help, &[("reason", why.as_str())])
        };
        let closed = |why: Why| {
            let help = "Connections that ended.";
            metrics.counter("patchbay_connections_closed_total", help, &[("reason", why.as_str())])
        };
        let unsent = |reason| {
            let help = "Messages of ours that could not leave.";
            metrics.counter("patchbay_sip_unsent_total", help, &[("reason", reason)])
        };
        Self {
            active: metrics.gauge("patchbay_connections_active", "Signalling connections.", &[]),
            certificate_reloads: metrics.counter("patchbay_certificate_reloads_total", "Certificates reloaded.", &[]),
            handshakes_failed: metrics.counter("patchbay_tls_handshakes_failed_total", "TLS handshakes failed.", &[]),
            udp_queue_full: udp("queue_full"),
            udp_keep_alive: udp("keep_alive"),
            connected: connects("connected"),
            connect_failed: connects("failed"),
            refused: Refused::ALL.into_iter().map(refused).collect(),
            closed: Why::ALL.into_iter().map(closed).collect(),
            received: by_transport("patchbay_sip_messages_received_total", "SIP messages received."),
            sent: by_transport("patchbay_sip_messages_sent_total", "SIP messages sent."),
            unsent: ["failed", "no_connection", "stalled"].map(unsent),
        }
    }

    pub fn refused(&self, why: Refused) {
        self.refused[why as usize].add(1);
    }

    pub fn closed(&self, why: Why) {
        self.closed[why as usize].add(1);
    }

    pub fn received(&self, transport: Transport) {
        self.received[transport as usize].add(1);
    }

    pub fn sent(&self, transport: Transport, sent: Sent) {
        match sent {
            Sent::Yes => self.sent[transport as usize].add(1),
            Sent::Failed => self.unsent[0].add(1),
            Sent::NoConnection => self.unsent[1].add(1),
            Sent::Stalled => self.unsent[2].add(1),
        }
    }
}
