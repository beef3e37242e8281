//! A caller's later offers, by re-INVITE and UPDATE, and its answers to the host's.

use media::Negotiated;
use sip::{Command, Rejection};

use crate::caller::{Caller, State};
use crate::description::{Desk, Hold, Session};
use crate::network::Network;
use crate::scenario::Act;
use crate::sim::{Due, End, Sim};

/// What waits for an answer.
#[derive(Debug)]
pub enum Offering {
    Nothing,
    /// A re-INVITE with this description.
    Sent(Box<Desk>),
    /// A re-INVITE without one.
    Asked,
    /// An UPDATE of our own writing: the endpoint's numbers no longer fit, so it sends no more requests.
    Updating {
        desk: Box<Desk>,
        message: String,
        cseq: String,
    },
    Updated,
}

impl Offering {
    pub fn scripted(&self) -> bool {
        matches!(self, Offering::Updating { .. } | Offering::Updated)
    }
}

impl Caller {
    /// Both sides agree, as far as this one knows, whether it holds: then what the host thinks must be the same.
    pub fn agreed_hold(&self) -> Option<Hold> {
        let settled = matches!(self.offering, Offering::Nothing | Offering::Updated);
        (settled && self.state == State::Talking).then_some(self.desk.hold)
    }

    pub fn make_offer(&mut self, sim: &mut Sim, act: Act) {
        if !matches!(self.offering, Offering::Nothing) {
            return;
        }
        let mut desk = Desk { version: self.desk.version + 1, ..self.desk.clone() };
        let asks = matches!(act, Act::AskForOffer);
        match act {
            Act::Hold(hold) => desk.hold = hold,
            Act::Resume => (desk.hold, desk.listens) = (Hold::No, false),
            Act::Move => desk.address.set_port(desk.address.port() + 2),
            Act::Codecs(codecs, events) => (desk.codecs, desk.events) = (codecs, events),
            Act::Ptime(ptime_ms) => (desk.ptime_ms, desk.packet_ms) = (Some(ptime_ms), ptime_ms),
            Act::Rekey(byte) => {
                desk.crypto = desk.crypto.map(|mut crypto| {
                    crypto.key.0[0] ^= byte;
                    crypto
                });
            }
            Act::Listen => desk.listens = true,
            Act::Unusable => desk.codecs = vec![18],
            Act::Again => desk.version -= 1,
            _ => {}
        }
        let sdp = if asks { Vec::new() } else { desk.offer() };
        self.offering = if sdp.is_empty() { Offering::Asked } else { Offering::Sent(Box::new(desk)) };
        self.command(sim, Command::Reinvite { dialog: self.dialog(), sdp });
    }

    pub fn offer_answered(&mut self, sim: &mut Sim, sdp: &[u8]) {
        match std::mem::replace(&mut self.offering, Offering::Nothing) {
            Offering::Sent(desk) => self.take_answer(sim, *desk, sdp),
            Offering::Asked => {
                let theirs = match Session::read(sdp) {
                    Ok(theirs) => theirs,
                    Err(why) => return sim.fail(format!("the host's offer: {why}")),
                };
                self.desk.version += 1;
                let answer = self.desk.answer(&theirs);
                self.command(sim, Command::Acknowledge { dialog: self.dialog(), sdp: answer });
                // An answer that the host cannot use changes nothing, on neither side.
                if let (true, Ok(negotiated)) =
                    (self.desk.can_take(&theirs), self.desk.settle(&self.desk.taken(&theirs)))
                {
                    self.adopt(sim, self.desk.clone(), negotiated);
                }
            }
            other => {
                self.offering = other;
                sim.fail("an answer to no offer");
            }
        }
    }

    fn take_answer(&mut self, sim: &mut Sim, desk: Desk, sdp: &[u8]) {
        let settled = Session::read(sdp).and_then(|theirs| {
            let expected = match (desk.hold, desk.listens) {
                (Hold::SendOnly, _) => "recvonly",
                (Hold::Inactive, _) => "inactive",
                (_, true) => "sendonly",
                _ => "sendrecv",
            };
            let fits = match expected {
                // The host takes no sound of a caller whom its bot holds.
                "recvonly" => ["recvonly", "inactive"],
                "sendrecv" => ["sendrecv", "sendonly"],
                _ => [expected; 2],
            };
            if !fits.contains(&theirs.direction.as_str()) && desk.hold != Hold::Zero {
                return Err(format!("answered {} where one of {fits:?} fits", theirs.direction));
            }
            desk.settle(&theirs)
        });
        match settled {
            Ok(negotiated) => self.adopt(sim, desk, negotiated),
            Err(why) => sim.fail(format!("the answer to a re-INVITE: {why}")),
        }
    }

    fn adopt(&mut self, sim: &mut Sim, desk: Desk, negotiated: Negotiated) {
        self.desk = desk;
        let source = self.source();
        if let Some(talker) = &mut self.talker {
            talker.source = source;
            talker.renegotiate(negotiated, sim.now);
        }
    }

    pub fn offer_rejected(&mut self, sim: &mut Sim, status: u16) {
        let index = self.index;
        sim.say(|| format!("uac{index}: its offer was answered {status}"));
        if !self.offering.scripted() {
            self.offering = Offering::Nothing;
        }
    }

    /// The host refreshes the session, puts us on hold or takes us back: apart from that ours is as it was.
    pub fn offered(&mut self, sim: &mut Sim, sdp: Option<Vec<u8>>) {
        let dialog = self.dialog();
        // The endpoint does not know of our UPDATE, so that it falls to us to say so.
        if let Offering::Updating { .. } = self.offering {
            let rejection = Rejection { status: 491, phrase: None, reason: None, retry_after_s: None };
            return self.command(sim, Command::RejectOffer { dialog, rejection });
        }
        let theirs = match sdp.as_deref().map(Session::read).transpose() {
            Ok(Some(theirs)) => theirs,
            Ok(None) => return self.command(sim, Command::AcceptOffer { dialog, sdp: self.desk.offer() }),
            Err(why) => return sim.fail(format!("the host's offer: {why}")),
        };
        if std::mem::replace(&mut self.held, theirs.holds()) != theirs.holds() {
            self.desk.version += 1;
        }
        self.command(sim, Command::AcceptOffer { dialog, sdp: self.desk.answer(&theirs) });
        if let (true, Ok(negotiated)) = (self.desk.can_take(&theirs), self.desk.settle(&self.desk.taken(&theirs))) {
            self.adopt(sim, self.desk.clone(), negotiated);
        }
    }

    /// Writes an UPDATE after the model of the last request.
    pub fn update(&mut self, sim: &mut Sim, network: &mut Network, hold: Hold) {
        let (Offering::Nothing, Some(model)) = (&self.offering, &self.last_request) else { return };
        let line = |name: &str| model.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let uri = model.split(' ').nth(1).unwrap_or_default();
        let cseq = format!("{} UPDATE", self.numbers.by_hand());
        let via = line("Via: ").split(";branch=").next().unwrap_or_default();
        let desk = Desk { version: self.desk.version + 1, hold, ..self.desk.clone() };
        let sdp = String::from_utf8(desk.offer()).expect("we write text");
        let message = format!(
            "UPDATE {uri} SIP/2.0\r\nVia: {via};branch=z9hG4bKupdate{}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {cseq}\r\nContact: <sip:caller@192.0.2.{}:5060>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            self.index,
            line("From: "),
            line("To: "),
            line("Call-ID: "),
            10 + self.index,
            sdp.len(),
        );
        self.offering = Offering::Updating { desk: Box::new(desk), message, cseq };
        self.send_update(sim, network, 10);
    }

    /// Sends it (again), as a client transaction does over UDP.
    pub fn send_update(&mut self, sim: &mut Sim, network: &mut Network, left: u32) {
        let Offering::Updating { message, .. } = &self.offering else { return };
        if self.state != State::Talking {
            return;
        }
        let over_udp = self.plan.transport == sip::Transport::Udp;
        if !over_udp && self.connection.is_none() {
            return; // lost with its connection, and never answered
        }
        let flow = network.flow(self.index, End::Caller, self.connection);
        network.send(sim, self.index, End::Caller, flow, message.clone().into_bytes());
        if over_udp && left > 0 {
            sim.after(1000, Due::UpdateAgain { caller: self.index, left: left - 1 });
        }
    }

    /// True if this is the answer to our UPDATE, of which the endpoint knows nothing.
    pub fn update_answered(&mut self, sim: &mut Sim, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        let is_ours =
            text.starts_with("SIP/2.0") && text.lines().any(|l| l.starts_with("CSeq: ") && l.ends_with(" UPDATE"));
        let Offering::Updating { desk, cseq, .. } = &self.offering else { return is_ours && self.offering.scripted() };
        if !is_ours || !text.contains(cseq.as_str()) {
            return is_ours;
        }
        let status: u16 = text.get(8..11).and_then(|status| status.parse().ok()).unwrap_or(0);
        let desk = (**desk).clone();
        self.offering = Offering::Updated;
        if (200..300).contains(&status) {
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).as_bytes().to_vec();
            self.take_answer(sim, desk, &body);
        } else {
            self.offer_rejected(sim, status);
        }
        true
    }
}
