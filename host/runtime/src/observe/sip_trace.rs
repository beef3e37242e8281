//! Every SIP message with its direction, transport and time, as `sip set debug on` shows it. Keys are blanked; all else is
//! as on the wire, which is what a trace is for, so it is off unless asked for, and turned on and off by SIGUSR1.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use media::sdp::redact_crypto;
use sip::Transport;

use crate::config::scheme;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Received,
    Sent,
}

/// The switch; clones share it.
#[derive(Clone, Debug, Default)]
pub struct SipTrace(Arc<AtomicBool>);

impl SipTrace {
    pub fn new(on: bool) -> Self {
        Self(Arc::new(AtomicBool::new(on)))
    }

    /// Returns whether it is on now.
    pub fn toggle(&self) -> bool {
        !self.0.fetch_xor(true, Ordering::Relaxed)
    }

    /// Logs one message. Cost: an atomic load while off.
    pub fn message(&self, direction: Direction, transport: Transport, remote: SocketAddr, bytes: &[u8]) {
        if self.0.load(Ordering::Relaxed) {
            tracing::info!(target: "sip_trace", "{}", as_text(direction, transport, remote, bytes));
        }
    }
}

fn as_text(direction: Direction, transport: Transport, remote: SocketAddr, bytes: &[u8]) -> String {
    let message = redact_crypto(bytes);
    let way = match direction {
        Direction::Received => "<- received from",
        Direction::Sent => "-> sent to",
    };
    // A terminal must not be steered by what a peer sends.
    let text: String = String::from_utf8_lossy(&message)
        .chars()
        .map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { ' ' } else { c })
        .collect();
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    format!("{way} {}:{remote}, {} bytes\n{}", scheme(transport), bytes.len(), lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traced_message_shows_direction_transport_and_text_but_neither_keys_nor_control_bytes() {
        let message = b"INVITE sip:a@b SIP/2.0\r\nX: \x1b[2J\xff\r\n\r\na=crypto:1 X inline:c2VjcmV0\r\n";
        let remote = "203.0.113.7:5060".parse().unwrap();
        let text = as_text(Direction::Received, Transport::Tls, remote, message);
        assert_eq!(
            text,
            "<- received from tls:203.0.113.7:5060, 66 bytes\nINVITE sip:a@b SIP/2.0\nX:  [2J\u{fffd}\n\na=crypto:1 X inline:********"
        );
    }

    #[test]
    fn the_switch_is_shared_and_toggles() {
        let trace = SipTrace::new(false);
        let clone = trace.clone();
        assert!(clone.toggle());
        assert!(!trace.toggle());
    }
}
