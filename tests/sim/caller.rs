//! One caller: a real endpoint and a real leg, and the script that drives them. Its offers are in `offers`.

use call::LegOpening;
use media::{DigitTiming, LegEvent, Negotiated};
use sip::{Command, DialogId, Endpoint, EndpointConfig, Event, ListenerConfig, OutgoingInvite, TrunkConfig};

use crate::bot::Tone;
use crate::description::{Desk, Session};
use crate::network::{HOST_IP, Network, host_port};
use crate::offers::Offering;
use crate::scenario::{Act, CallerPlan};
use crate::sim::{Due, End, LegOf, MediaDatagram, Sim, ms};
use crate::talker::Talker;
use crate::transfer::{Numbers, Referred};

/// The host ends a call before that: only a caller that did not hear of it is still there.
const LONGEST_MS: u64 = 200_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Idle,
    Calling,
    Talking,
    Over,
    /// It does nothing any more, and nothing reaches it.
    Vanished,
}

pub struct Caller {
    pub index: usize,
    pub plan: CallerPlan,
    pub endpoint: Endpoint,
    pub state: State,
    pub connection: Option<u64>,
    pub desk: Desk,
    pub offering: Offering,
    pub talker: Option<Talker>,
    pub muted: bool,
    tone: Tone,
    /// The host has put it on hold.
    pub held: bool,
    pub numbers: Numbers,
    pub referred: Option<Referred>,
    /// The last request of ours within the dialog, as it went out.
    pub last_request: Option<String>,
    orders: u64,
}

impl Caller {
    pub fn new(index: usize, plan: CallerPlan, seed: u64) -> Caller {
        let listener = ListenerConfig {
            transport: plan.transport,
            advertised_host: format!("192.0.2.{}", 10 + index),
            advertised_port: 5060,
            local_host: None,
            local_port: 0,
            localnet: Vec::new(),
        };
        let config = EndpointConfig {
            listeners: vec![listener],
            trunks: vec![TrunkConfig { trusted: true }],
            user_agent: "caller".into(),
            limits: sip::Limits::default(),
        };
        Caller {
            index,
            endpoint: Endpoint::new(config, seed ^ (index as u64 + 1) << 32),
            state: State::Idle,
            connection: None,
            desk: plan.desk.clone(),
            offering: Offering::Nothing,
            talker: None,
            muted: plan.mute,
            tone: Tone(0),
            held: false,
            numbers: Numbers::default(),
            referred: None,
            last_request: None,
            orders: 0,
            plan,
        }
    }

    pub fn dialog(&self) -> DialogId {
        DialogId::outgoing(self.index as u64)
    }

    pub fn command(&mut self, sim: &Sim, command: Command) {
        self.endpoint.handle(sip::Input::Command(command), sim.now);
    }

    pub fn dial(&mut self, sim: &mut Sim, network: &mut Network) {
        self.connection = network.open(sim, self.index);
        self.state = State::Calling;
        let mut headers = vec![("P-Asserted-Identity".to_owned(), "<sip:+918888888888@trunk.example>".to_owned())];
        if let Some(expires) = self.plan.session_expires {
            headers.extend([("Supported".into(), "timer".into()), ("Session-Expires".into(), expires.into())]);
        }
        let invite = OutgoingInvite {
            dialog: self.dialog(),
            uri: format!("sip:{}@{HOST_IP}:{}", self.plan.called, host_port(self.plan.transport)),
            from: format!("<sip:+918888888888@192.0.2.{}>", 10 + self.index),
            flow: network.flow(self.index, End::Caller, self.connection),
            sdp: if self.plan.late_offer { Vec::new() } else { self.desk.offer() },
            headers,
        };
        if let Some(after_ms) = self.plan.cancels_at_ms {
            sim.after(after_ms, Due::Cancel { caller: self.index });
        }
        if let Some(after_ms) = self.plan.vanishes_at_ms {
            sim.after(after_ms, Due::Vanish { caller: self.index });
        }
        self.command(sim, Command::Invite(Box::new(invite)));
    }

    pub fn event(&mut self, sim: &mut Sim, event: Event) {
        match event {
            Event::Accepted { response, .. } => {
                let body = sip::session_of_response(&response).unwrap_or_default().to_vec();
                self.accepted(sim, &body);
            }
            Event::Ended { ending, .. } => {
                let index = self.index;
                sim.say(|| format!("uac{index}: ended, {ending:?}"));
                self.state = State::Over;
                if let Some(talker) = self.talker.take() {
                    sim.take(talker.check_counters().map_err(|why| format!("uac{index}: {why}")));
                    if self.plan.is_undisturbed() {
                        sim.take(talker.check_undisturbed(sim.now).map_err(|why| format!("uac{index}: {why}")));
                    }
                }
            }
            Event::Offer { sdp, .. } => self.offered(sim, sdp),
            Event::OfferAnswered { sdp, .. } => self.offer_answered(sim, &sdp),
            Event::OfferRejected { status, .. } => self.offer_rejected(sim, status),
            _ => {}
        }
    }

    fn accepted(&mut self, sim: &mut Sim, body: &[u8]) {
        let theirs = match Session::read(body) {
            Ok(theirs) => theirs,
            Err(why) => return sim.fail(format!("the 200's description: {why}")),
        };
        if self.plan.late_offer {
            let answer = self.desk.answer(&theirs);
            self.command(sim, Command::Acknowledge { dialog: self.dialog(), sdp: answer });
            if !self.desk.can_take(&theirs) {
                // The host is to hang up: it has no use for this answer.
                return;
            }
        }
        let lines = if self.desk.video && !self.plan.late_offer { 2 } else { 1 };
        sim.must(theirs.lines == lines, || format!("{} m-lines answered to {lines}", theirs.lines));
        let theirs = if self.plan.late_offer { self.desk.taken(&theirs) } else { theirs };
        match self.desk.settle(&theirs) {
            Ok(negotiated) => self.open_leg(sim, negotiated),
            Err(why) => return sim.fail(format!("the 200's description: {why}")),
        }
        self.state = State::Talking;
        sim.after(LONGEST_MS, Due::GiveUp { caller: self.index });
        for (number, (after_ms, _)) in self.plan.acts.iter().enumerate() {
            sim.after(*after_ms, Due::Act { caller: self.index, number });
        }
    }

    fn open_leg(&mut self, sim: &mut Sim, negotiated: Negotiated) {
        let opening = LegOpening {
            negotiated,
            ssrc: 0xca11_0000 + self.index as u32,
            first_sequence: sim.up_to(0x7fff) as u16,
            first_timestamp: sim.up_to(u64::from(u32::MAX)) as u32,
            cname: format!("caller{}", self.index),
            media_networks: vec!["198.51.100.0/24".parse().expect("a network")],
            sdp_address_allowed: true,
            media_timeout: ms(20_000),
            frames: false,
        };
        let digits = DigitTiming { tone_ms: 100, gap_ms: self.plan.key_gap_ms };
        self.talker = Some(Talker::new(opening, digits, self.source(), sim.now));
        sim.after(1, Due::ReceivePhase(LegOf::Caller(self.index)));
        sim.after(11, Due::SendPhase(LegOf::Caller(self.index)));
    }

    /// Where its RTP comes from, as the host sees it.
    pub fn source(&self) -> std::net::SocketAddr {
        match self.plan.natted {
            true => format!("203.0.113.{}:{}", 10 + self.index, self.desk.address.port() + 20_000).parse(),
            false => Ok(self.desk.address),
        }
        .expect("an address")
    }

    pub fn act(&mut self, sim: &mut Sim, network: &mut Network, number: usize) {
        if self.state != State::Talking {
            return;
        }
        let (index, act) = (self.index, self.plan.acts[number].1.clone());
        sim.say(|| format!("uac{index}: {act:?}"));
        match act {
            Act::Keys(keys) => {
                self.orders += 1;
                let order = self.orders;
                // Refused where telephone-event was not negotiated: then nothing is pressed.
                let _ = self.talker.as_mut().map(|talker| talker.leg.send_digits(order, &keys));
            }
            Act::InfoKeys(_) if self.offering.scripted() => {}
            Act::InfoKeys(keys) => {
                for digit in keys.chars() {
                    self.command(sim, Command::InfoDigit { dialog: self.dialog(), digit, duration_ms: 160 });
                }
            }
            Act::Bye if self.offering.scripted() => {}
            Act::Bye => self.command(sim, Command::Bye { dialog: self.dialog(), reason: None }),
            Act::Vanish => self.vanish(sim),
            Act::Mute => self.muted = true,
            Act::Update(hold) => self.update(sim, network, hold),
            offer => self.make_offer(sim, offer),
        }
    }

    pub fn vanish(&mut self, sim: &mut Sim) {
        if self.state != State::Over {
            let index = self.index;
            sim.say(|| format!("uac{index}: is gone"));
            self.state = State::Vanished;
            self.talker = None;
        }
    }

    pub fn cancel(&mut self, sim: &mut Sim) {
        if self.state == State::Calling {
            let index = self.index;
            sim.say(|| format!("uac{index}: gives up"));
            self.command(sim, Command::Cancel { dialog: self.dialog() });
        }
    }

    /// Nothing is heard of the host any more, or the call is longer than any.
    pub fn give_up(&mut self, sim: &mut Sim) {
        if self.state == State::Talking {
            self.command(sim, Command::Bye { dialog: self.dialog(), reason: None });
        }
    }

    pub fn receive_phase(&mut self, sim: &mut Sim) {
        let (index, leg) = (self.index, LegOf::Caller(self.index));
        let Some(talker) = &mut self.talker else { return };
        match talker.receive_phase(sim.now) {
            Err(violation) => sim.fail(format!("uac{index}: {violation}")),
            Ok(heard) => {
                for event in heard.events {
                    sim.say(|| format!("uac{index}: {event:?}"));
                    if event == LegEvent::MediaTimeout && !self.offering.scripted() {
                        sim.after(0, Due::GiveUp { caller: index });
                    }
                }
            }
        }
        sim.after(20, Due::ReceivePhase(leg));
    }

    pub fn send_phase(&mut self, sim: &mut Sim, network: &Network) {
        let Some(talker) = &mut self.talker else { return };
        match talker.send_phase(sim.now, &mut self.tone) {
            Err(violation) => sim.fail(format!("uac{}: {violation}", self.index)),
            Ok(Some(datagram)) if !self.muted => network.send_media(sim, self.index, datagram),
            Ok(_) => {}
        }
        let mut report = Vec::new();
        if let Some(to) = talker.leg.poll_rtcp(sim.now, &mut report).filter(|_| !self.muted) {
            let mut from = talker.source;
            if !talker.leg.negotiated().rtcp_mux {
                from.set_port(from.port() + 1);
            }
            network.send_media(sim, self.index, MediaDatagram { from, to, bytes: report, press: None });
        }
        let next = talker.next_send(sim.now);
        sim.at(next, Due::SendPhase(LegOf::Caller(self.index)));
    }

    /// What went out, for requests that are written by hand.
    pub fn note_sent(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let in_dialog = text.lines().any(|line| line.starts_with("To: ") && line.contains(";tag="));
        if in_dialog && !text.starts_with("SIP/2.0") {
            self.last_request = Some(text.into_owned());
        }
    }
}
