//! What a caller makes of the host's REFER, written by hand: our endpoint is asked for no transfers, it asks for them.

use std::collections::BTreeMap;

use crate::caller::{Caller, State};
use crate::network::Network;
use crate::sim::{Due, End, Sim};

/// The CSeq of a caller's requests: the endpoint's own, moved up behind those that are written by hand.
#[derive(Default)]
pub struct Numbers {
    /// From the endpoint's to those on the wire.
    moved: BTreeMap<u32, u32>,
    last: u32,
}

impl Numbers {
    pub fn by_hand(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    pub fn sent(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if bytes.starts_with(b"SIP/2.0 ") {
            return bytes;
        }
        rewritten(&bytes, |number| {
            let last = &mut self.last;
            let moved = self.moved.entry(number).or_insert_with(|| {
                *last = if *last == 0 { number } else { *last + 1 };
                *last
            });
            Some(*moved)
        })
    }

    pub fn received(&self, bytes: &[u8]) -> Vec<u8> {
        if !bytes.starts_with(b"SIP/2.0 ") {
            return bytes.to_vec();
        }
        rewritten(bytes, |number| self.moved.iter().find(|(_, moved)| **moved == number).map(|(own, _)| *own))
    }
}

fn rewritten(bytes: &[u8], number: impl FnOnce(u32) -> Option<u32>) -> Vec<u8> {
    const START: &str = "\r\nCSeq: ";
    let text = String::from_utf8_lossy(bytes);
    let place = text.find(START).map(|at| at + START.len());
    let end = place.and_then(|from| Some(from + text[from..].find(' ')?));
    let (Some(from), Some(end)) = (place, end) else { return bytes.to_vec() };
    let other = text[from..end].parse().ok().and_then(number);
    match other {
        Some(other) => format!("{}{other}{}", &text[..from], &text[end..]).into_bytes(),
        None => bytes.to_vec(),
    }
}

/// The REFER that was taken first: its answer goes out again with each copy.
pub struct Referred {
    refer: String,
}

fn line<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default()
}

impl Caller {
    /// True: it is a REFER, and is served here.
    pub fn referred(&mut self, sim: &mut Sim, network: &mut Network, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        if !text.starts_with("REFER ") {
            return false;
        }
        let whole = line(&text, "Refer-To: <").ends_with('>') && line(&text, "X-Ticket: ") == "7";
        sim.must(whole, || format!("a REFER without whom to call, or without the bot's header: {text}"));
        // One after the first is refused at once: one plan, one transfer.
        let cseq = line(&text, "CSeq: ");
        if self.referred.is_none() {
            self.referred = Some(Referred { refer: text.to_string() });
            for (number, (after_ms, ..)) in self.plan.refer.notifies.iter().enumerate() {
                sim.after(*after_ms, Due::Notify { caller: self.index, number });
            }
        }
        let is_first = self.referred.as_ref().is_some_and(|first| line(&first.refer, "CSeq: ") == cseq);
        let status = if is_first { self.plan.refer.answer } else { Some(603) };
        if let Some(status) = status {
            let vias: String =
                text.lines().filter(|line| line.starts_with("Via: ")).map(|via| format!("{via}\r\n")).collect();
            let answer = format!(
                "SIP/2.0 {status} As planned\r\n{vias}From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq}\r\n\
                 Contact: <sip:caller@192.0.2.{}:5060>\r\nContent-Length: 0\r\n\r\n",
                line(&text, "From: "),
                line(&text, "To: "),
                line(&text, "Call-ID: "),
                10 + self.index,
            );
            self.send_by_hand(sim, network, answer);
        }
        true
    }

    /// The NOTIFY of this number. Over UDP one that is lost stays lost.
    pub fn notify(&mut self, sim: &mut Sim, network: &mut Network, number: usize) {
        let (Some(Referred { refer }), State::Talking) = (&self.referred, self.state) else { return };
        let (_, status, last) = self.plan.refer.notifies[number];
        let contact = line(refer, "Contact: <").split('>').next().unwrap_or_default();
        let state = if last { "terminated;reason=noresource" } else { "active;expires=60" };
        let body = format!("SIP/2.0 {status} As planned\r\n");
        let transport = match self.plan.transport {
            sip::Transport::Udp => "UDP",
            sip::Transport::Tcp => "TCP",
            sip::Transport::Tls => "TLS",
        };
        let message = format!(
            "NOTIFY {contact} SIP/2.0\r\nVia: SIP/2.0/{transport} 192.0.2.{ip}:5060;branch=z9hG4bKnotify{ip}x{number}\r\n\
             Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} NOTIFY\r\n\
             Contact: <sip:caller@192.0.2.{ip}:5060>\r\nEvent: refer\r\nSubscription-State: {state}\r\n\
             Content-Type: message/sipfrag\r\nContent-Length: {}\r\n\r\n{body}",
            line(refer, "To: "),
            line(refer, "From: "),
            line(refer, "Call-ID: "),
            self.numbers.by_hand(),
            body.len(),
            ip = 10 + self.index,
        );
        self.send_by_hand(sim, network, message);
    }

    fn send_by_hand(&self, sim: &mut Sim, network: &mut Network, message: String) {
        if self.plan.transport != sip::Transport::Udp && self.connection.is_none() {
            return; // lost with its connection
        }
        let flow = network.flow(self.index, End::Caller, self.connection);
        network.send(sim, self.index, End::Caller, flow, message.into_bytes());
    }
}
