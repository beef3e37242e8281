//! What goes past the core, shown to those who asked: one capture per call.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use crate::observe::{Capture, Captures, Direction};

/// Calls whose captures are remembered; of more, the oldest is forgotten, which closes its file.
const CAPTURES_OPEN_MAX: usize = 512;
/// Timer H, and room for a last retransmission.
const LAST_MESSAGES: Duration = Duration::from_secs(35);

pub struct Witness {
    pub captures: Captures,
    open: HashMap<Vec<u8>, Capture>,
    order: VecDeque<Vec<u8>>,
    ending: VecDeque<(Instant, Vec<u8>)>,
    /// By [`sip::ListenerId`]: our end of what is captured.
    locals: Vec<SocketAddr>,
}

impl Witness {
    pub fn new(captures: Captures, locals: Vec<SocketAddr>) -> Self {
        Self { captures, open: HashMap::new(), order: VecDeque::new(), ending: VecDeque::new(), locals }
    }

    /// Cost: a load while nobody asked.
    pub fn message(&mut self, direction: Direction, flow: &sip::Flow, bytes: &[u8]) {
        if self.open.is_empty() && !self.captures.are_on() {
            return;
        }
        let call_id = match sip::Message::parse(bytes) {
            Ok(sip::Message::Request(request)) => request.call_id().as_bytes().to_vec(),
            Ok(sip::Message::Response(response)) => response.call_id().as_bytes().to_vec(),
            Err(_) => return,
        };
        if !self.open.contains_key(&call_id) && bytes.starts_with(b"INVITE ") {
            self.begin(&call_id);
        }
        let Some(capture) = self.open.get(&call_id) else { return };
        let local = self.locals.get(usize::from(flow.listener.0)).copied().unwrap_or(flow.remote);
        let (from, to) = match direction {
            Direction::Received => (flow.remote, local),
            Direction::Sent => (local, flow.remote),
        };
        capture.sip(SystemTime::now(), from, to, bytes);
    }

    fn begin(&mut self, call_id: &[u8]) {
        let Some(capture) = self.captures.open(&String::from_utf8_lossy(call_id)) else { return };
        if self.order.len() >= CAPTURES_OPEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.open.remove(&oldest);
        }
        self.open.insert(call_id.to_vec(), capture);
        self.order.push_back(call_id.to_vec());
    }

    /// The capture of a call, for its leg.
    pub fn capture_of(&self, sip_call_id: &str) -> Option<Capture> {
        self.open.get(sip_call_id.as_bytes()).cloned()
    }

    /// The call is over; its last messages (a refusal and its ACK, the answer to BYE) still belong into the capture.
    pub fn end(&mut self, sip_call_id: &str, now: Instant) {
        if self.open.contains_key(sip_call_id.as_bytes()) {
            self.ending.push_back((now + LAST_MESSAGES, sip_call_id.as_bytes().to_vec()));
        }
    }

    /// Closes what has ended long enough ago.
    pub fn close_ended(&mut self, now: Instant) {
        while self.ending.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, ended)) = self.ending.pop_front() else { break };
            self.open.remove(&ended);
            self.order.retain(|open| *open != ended);
        }
    }
}
