//! Every bound and deadline of the edge, in one place; each has its test in `tests/edge_bounds.rs`.

use std::time::Duration;

use crate::config::Limits;

#[derive(Clone, Debug)]
pub struct Bounds {
    /// Connections at a time, both ways, unfinished handshakes included. Beyond: closed at accept.
    pub connections: usize,
    /// Of those, from one IPv4 address or one IPv6 /64. Beyond: closed at accept.
    pub connections_per_address: usize,
    /// TLS handshakes at a time. Beyond: closed at accept.
    pub unfinished_handshakes: usize,
    /// From accept to the end of the handshake. Beyond: closed.
    pub handshake: Duration,
    /// From the first byte of a message to its last. Beyond: closed.
    pub unfinished_message: Duration,
    /// From byte to byte on a connection without dialogs. Beyond: closed.
    pub idle: Duration,
    /// One write. Beyond: closed.
    pub write: Duration,
    /// Bytes queued for one connection. Beyond: closed.
    pub send_buffer_bytes: usize,
    /// Between our keep-alives on a connection that carries dialogs.
    pub keep_alive: Duration,
    /// From [`Edge::connect`](super::Edge::connect) to its event.
    pub connect: Duration,
    /// Connects at a time; more wait within their deadline.
    pub connects: usize,
    /// Messages that wait for the core. Beyond: UDP is dropped, streams are not read.
    pub queued_messages: usize,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        Self {
            connections: limits.connections,
            connections_per_address: limits.connections_per_address,
            unfinished_handshakes: limits.unfinished_handshakes,
            handshake: Duration::from_secs(limits.handshake_s),
            unfinished_message: Duration::from_secs(limits.unfinished_message_s),
            idle: Duration::from_secs(limits.idle_s),
            write: Duration::from_secs(10),
            send_buffer_bytes: limits.send_buffer_bytes,
            keep_alive: Duration::from_secs(limits.keep_alive_s),
            connect: Duration::from_secs(limits.connect_s),
            connects: 64,
            queued_messages: limits.queued_messages,
        }
    }
}
