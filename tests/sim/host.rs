//! The host: the real endpoint, calls and legs, and an edge that is played: ports, media threads, bot workers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use call::{
    BotAct, BotEvent, BotStats, CallId, Called, Calls, Fallback, Input, LegOpening, Limits, Output, Ports, Route,
    Routing, Settings, Summary, Tenant, Trunk, WallClock,
};
use media::{Codec, DigitTiming, LegEvent, LegStats, SrtpPolicy};
use sip::{Endpoint, EndpointConfig, ListenerConfig, Transport, TrunkConfig};

use crate::books::Books;
use crate::bot::{Bot, BotDo, Tone, Voice};
use crate::network::{HOST_IP, Network, host_port};
use crate::scenario::{CallerPlan, EdgePlan, HostAct, Scenario};
use crate::sim::{Due, LegOf, MediaDatagram, Sim, ms};
use crate::talker::Talker;

pub struct HostLeg {
    pub caller: usize,
    pub talker: Talker,
    voice: Option<Voice>,
    frames: bool,
}

pub struct Host {
    pub endpoint: Endpoint,
    pub calls: Calls,
    pub books: Books,
    edge: EdgePlan,
    plans: Vec<CallerPlan>,
    free_ports: VecDeque<u16>,
    ports: BTreeMap<CallId, u16>,
    pub legs: BTreeMap<CallId, HostLeg>,
    pub bots: BTreeMap<CallId, Bot>,
    pub call_of: BTreeMap<usize, CallId>,
    caller_of: BTreeMap<CallId, usize>,
    closed: BTreeMap<CallId, LegStats>,
    /// INFO by caller and CSeq: its digit, and which were answered 200.
    infos: BTreeMap<(usize, String), char>,
    infos_taken: BTreeSet<(usize, String)>,
}

fn endpoint(seed: u64) -> Endpoint {
    let listener = |transport| ListenerConfig {
        transport,
        advertised_host: HOST_IP.into(),
        advertised_port: host_port(transport),
        local_host: None,
        local_port: 0,
        localnet: Vec::new(),
    };
    let config = EndpointConfig {
        listeners: [Transport::Udp, Transport::Tcp, Transport::Tls].map(listener).to_vec(),
        trunks: vec![TrunkConfig { trusted: true }; 3],
        user_agent: "patchbay".into(),
        limits: sip::Limits::default(),
    };
    Endpoint::new(config, seed)
}

fn settings(edge: &EdgePlan) -> Settings {
    let route = |number: &str, fallback: Option<Fallback>| Route {
        name: number.into(),
        trunk: None,
        called: Called::Prefix(number.into()),
        tenant: "acme".into(),
        plugin: "scripted".into(),
        bot: "scripted".into(),
        config: Default::default(),
        ring: fallback.is_none(),
        fallback,
        max_calls: None,
    };
    let trunk = |(name, srtp): (&str, SrtpPolicy)| Trunk {
        name: name.into(),
        trusted: true,
        require_pai: false,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        srtp,
        media_networks: vec!["203.0.113.0/24".parse().expect("a network")],
        sdp_address_allowed: true,
        max_calls: None,
    };
    let routes = [route("+911", Some(Fallback { prompt: "sorry".into() })), route("+912", None)];
    let policies = [("prefer", SrtpPolicy::Prefer), ("require", SrtpPolicy::Require), ("off", SrtpPolicy::Off)];
    Settings {
        trunks: policies.map(trunk).to_vec(),
        routing: Arc::new(Routing::new(routes)),
        tenants: vec![Tenant { name: "acme".into(), max_calls: edge.tenant_calls, calls_per_second: None }],
        limits: limits(),
    }
}

/// The defaults, but for what would make each run long.
fn limits() -> Limits {
    let seconds = Duration::from_secs;
    Limits {
        ring: seconds(12),
        media_timeout: seconds(6),
        call: seconds(150),
        fallback: seconds(8),
        ..Limits::default()
    }
}

impl Host {
    pub fn new(scenario: &Scenario, sim: &Sim) -> Host {
        let edge = scenario.edge.clone();
        let wall = WallClock { at: sim.begin, unix_ms: 0 };
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&scenario.seed.to_le_bytes());
        Host {
            endpoint: endpoint(scenario.seed ^ 0x4057),
            calls: Calls::new(settings(&edge), seed, wall),
            books: Books::new(limits()),
            plans: scenario.callers.clone(),
            free_ports: (0..edge.port_pairs as u16).map(|pair| 10_000 + 2 * pair).collect(),
            ports: BTreeMap::new(),
            legs: BTreeMap::new(),
            bots: BTreeMap::new(),
            call_of: BTreeMap::new(),
            caller_of: BTreeMap::new(),
            closed: BTreeMap::new(),
            infos: BTreeMap::new(),
            infos_taken: BTreeSet::new(),
            edge,
        }
    }

    pub fn input(&mut self, sim: &mut Sim, input: Input) {
        self.books.input(&input);
        self.calls.handle(input, sim.now);
    }

    pub fn event(&mut self, sim: &mut Sim, event: sip::Event) {
        sim.take(self.books.sip_event(&event));
        if let sip::Event::Invite { dialog, flow, .. } = &event {
            let std::net::IpAddr::V4(ip) = flow.remote.ip() else { return sim.fail("an INVITE over IPv6") };
            let caller = usize::from(ip.octets()[3]) - 10;
            self.call_of.insert(caller, *dialog);
            self.caller_of.insert(*dialog, caller);
        }
        self.calls.handle(Input::Sip(event), sim.now);
    }

    pub fn carry_out(&mut self, sim: &mut Sim, network: &Network, output: Output) {
        sim.take(self.books.output(&output, sim.now));
        match output {
            Output::Sip(command) => self.endpoint.handle(sip::Input::Command(command), sim.now),
            Output::OpenPorts { call, .. } => self.open_ports(sim, call),
            Output::FreePorts { call } => {
                let port = self.ports.remove(&call);
                sim.must(port.is_some(), || format!("{call:?} frees ports that it does not have"));
                self.free_ports.extend(port);
            }
            Output::StartBot { call, .. } => self.start_bot(sim, call),
            Output::OpenLeg { call, leg } => self.open_leg(sim, call, *leg),
            Output::UpdateLeg { call, negotiated } => {
                sim.say(|| format!("host: {call:?} leg {:?}", (negotiated.direction, negotiated.held)));
                if let Some(leg) = self.legs.get_mut(&call) {
                    leg.talker.renegotiate(*negotiated, sim.now);
                }
            }
            Output::CloseLeg { call } => self.close_leg(sim, network, call),
            Output::SendDigits { call, id, keys } => self.send_digits(sim, call, id, &keys),
            Output::BotEvent { call, event } => self.tell_bot(sim, call, event),
            Output::PlayFallback { call, .. } => {
                if let Some(after_ms) = self.bots.get(&call).and_then(|bot| bot.plan.fallback_ms) {
                    sim.after(after_ms, Due::Edge(Box::new(Input::FallbackPlayed { call })));
                }
            }
            Output::CloseBot { call } => {
                if let Some(bot) = self.bots.remove(&call) {
                    sim.must(bot.info_told == bot.info_expected, || wrong_infos(&bot));
                }
                let stats = Box::<BotStats>::default();
                sim.after(self.edge.bot_close_ms, Due::Edge(Box::new(Input::BotEnded { call, stats })));
            }
            Output::Summary(summary) => self.summary(sim, &summary),
            Output::Milestone { call, milestone } => sim.say(|| format!("host: {call:?} {milestone:?}")),
            Output::Outbound(event) => sim.say(|| format!("host: {event:?}")),
            Output::Drained => sim.say(|| "host: drained".into()),
        }
    }

    fn open_ports(&mut self, sim: &mut Sim, call: CallId) {
        let input = match self.free_ports.pop_front() {
            Some(rtp) => {
                self.ports.insert(call, rtp);
                let advertised = HOST_IP.parse().expect("an address");
                Input::PortsOpened { call, ports: Ports { advertised, rtp, rtcp: rtp + 1 } }
            }
            None => Input::PortsExhausted { call },
        };
        sim.after(self.edge.ports_ms, Due::Edge(Box::new(input)));
    }

    fn start_bot(&mut self, sim: &mut Sim, call: CallId) {
        let caller = self.caller_of[&call];
        let plan = self.plans[caller].bot.clone();
        for (after_ms, act) in plan.acts.iter().filter(|(_, act)| *act == BotDo::Answer) {
            sim.after(*after_ms, Due::Bot { call, act: act.clone() });
        }
        let started = Input::BotStarted { call, result: plan.start.clone() };
        sim.after(plan.start_ms, Due::Edge(Box::new(started)));
        self.bots.insert(call, Bot::new(call, plan));
    }

    fn open_leg(&mut self, sim: &mut Sim, call: CallId, opening: LegOpening) {
        let Some(port) = self.ports.get(&call) else { return sim.fail(format!("{call:?} opens a leg without ports")) };
        let source = format!("{HOST_IP}:{port}").parse().expect("an address");
        let frames = opening.frames;
        sim.say(|| format!("host: {call:?} leg opens, {:?}", opening.negotiated));
        let leg = HostLeg {
            caller: self.caller_of[&call],
            talker: Talker::new(opening, DigitTiming::default(), source, sim.now),
            voice: self.bots.get_mut(&call).and_then(Bot::voice),
            frames,
        };
        self.legs.insert(call, leg);
        let phase_ms = sim.up_to(9) * 2;
        sim.after(phase_ms, Due::ReceivePhase(LegOf::Host(call)));
        sim.after(phase_ms + 10, Due::SendPhase(LegOf::Host(call)));
    }

    fn close_leg(&mut self, sim: &mut Sim, network: &Network, call: CallId) {
        let Some(mut leg) = self.legs.remove(&call) else { return sim.fail(format!("{call:?} closes no leg")) };
        sim.take(leg.talker.check_counters().map_err(|why| format!("{call:?}: {why}")));
        let plan = &self.plans[leg.caller];
        // Until the ACK is here a caller with a late offer sends nothing: one that was never there is not heard.
        if plan.is_undisturbed() && plan.network.cuts.is_empty() && self.books.is_acknowledged(call) {
            sim.take(leg.talker.check_undisturbed(sim.now).map_err(|why| format!("{call:?}: {why}")));
        }
        self.say_rtcp(sim, network, &mut leg, true);
        let stats = leg.talker.leg.stats();
        self.closed.insert(call, stats);
        let closed = Input::LegClosed { call, stats: Box::new(stats) };
        sim.after(self.edge.leg_close_ms, Due::Edge(Box::new(closed)));
    }

    fn say_rtcp(&self, sim: &mut Sim, network: &Network, leg: &mut HostLeg, bye: bool) {
        let mut report = Vec::new();
        let media = &mut leg.talker.leg;
        let to = if bye { media.bye_rtcp(sim.now, &mut report) } else { media.poll_rtcp(sim.now, &mut report) };
        let Some(to) = to else { return };
        let mut from = leg.talker.source;
        if !media.negotiated().rtcp_mux {
            from.set_port(from.port() + 1);
        }
        network.send_media(sim, leg.caller, MediaDatagram { from, to, bytes: report, press: None });
    }

    fn send_digits(&mut self, sim: &mut Sim, call: CallId, id: u64, keys: &str) {
        let taken = self.legs.get_mut(&call).is_some_and(|leg| leg.talker.leg.send_digits(id, keys).is_ok());
        if let (false, Some(bot)) = (taken, self.bots.get_mut(&call)) {
            sim.take(bot.order_done(id));
        }
    }

    fn tell_bot(&mut self, sim: &mut Sim, call: CallId, event: BotEvent) {
        sim.say(|| format!("bot:  {call:?} is told {event:?}"));
        let Some(bot) = self.bots.get_mut(&call) else { return sim.fail(format!("{event:?} for no bot")) };
        match event {
            BotEvent::Answered => {
                for (after_ms, act) in bot.plan.acts.iter().filter(|(_, act)| *act != BotDo::Answer) {
                    sim.after(*after_ms, Due::Bot { call, act: act.clone() });
                }
            }
            BotEvent::Hangup { .. } => {
                if let Some(after_ms) = bot.plan.done_ms {
                    sim.after(after_ms, Due::Bot { call, act: BotDo::Done });
                }
            }
            _ => {}
        }
        sim.take(bot.tell(event));
    }

    pub fn bot_acts(&mut self, sim: &mut Sim, call: CallId, act: BotDo) {
        let Some(bot) = self.bots.get_mut(&call).filter(|bot| !bot.dead) else { return };
        sim.say(|| format!("bot:  {call:?} {act:?}"));
        let act = match act {
            BotDo::Play { for_ms } => return bot.play(for_ms),
            BotDo::Clear => return bot.clear(),
            BotDo::HangUp { after_playout: true } => return bot.hang_up_after_playout(),
            BotDo::HangUp { after_playout: false } => BotAct::Hangup,
            BotDo::Answer => BotAct::Answer,
            BotDo::Done => BotAct::Done,
            BotDo::Note => BotAct::Note { key: "mood".into(), value: "scripted".into() },
            BotDo::SendDigits(keys) => {
                bot.digit_orders += 1;
                BotAct::SendDigits { id: bot.digit_orders, keys }
            }
            BotDo::Fault => {
                bot.dead = true;
                return self.input(sim, Input::BotFaulted { call, why: "scripted".into() });
            }
        };
        self.input(sim, Input::Bot { call, act });
    }

    pub fn acts(&mut self, sim: &mut Sim, network: &Network, act: HostAct) {
        sim.say(|| format!("host: {act:?}"));
        match act {
            HostAct::Drain => self.input(sim, Input::Drain { limit: Duration::from_secs(10) }),
            HostAct::Overload(overloaded) => self.input(sim, Input::Overload(overloaded)),
            HostAct::HangUp(caller) => {
                if let Some(call) = self.call_of.get(&caller).copied() {
                    self.input(sim, Input::Hangup { call });
                }
            }
            HostAct::GiveUpLeg(caller) => {
                let call = self.call_of.get(&caller).copied();
                if let Some(call) = call.filter(|call| self.legs.contains_key(call)) {
                    let before = std::mem::take(&mut self.edge.leg_close_ms);
                    self.close_leg(sim, network, call);
                    self.edge.leg_close_ms = before;
                }
            }
        }
    }

    pub fn receive_phase(&mut self, sim: &mut Sim, call: CallId) {
        let Some(leg) = self.legs.get_mut(&call) else { return };
        let heard = match leg.talker.receive_phase(sim.now) {
            Ok(heard) => heard,
            Err(violation) => return sim.fail(format!("{call:?}: {violation}")),
        };
        let mut inputs = Vec::new();
        if let Some(bot) = self.bots.get_mut(&call).filter(|bot| !bot.dead) {
            let (frames, talking) = (leg.frames && bot.frames, self.books.is_talking(call));
            if let (true, true, true, Some(voice)) = (frames, bot.plan.echoes, talking, &mut leg.voice) {
                voice.answer = Some(heard.samples);
            }
            for event in &heard.events {
                match event {
                    LegEvent::Digit { key: '*', .. } if bot.plan.obeys_star && talking => {
                        inputs.push(Input::Bot { call, act: BotAct::Hangup });
                    }
                    LegEvent::DigitsSent { id } | LegEvent::DigitsCancelled { id } => sim.take(bot.order_done(*id)),
                    _ => {}
                }
            }
            match bot.advance() {
                Ok(true) => inputs.push(Input::Bot { call, act: BotAct::Hangup }),
                Ok(false) => {}
                Err(violation) => sim.fail(format!("{call:?}: {violation}")),
            }
        }
        let mut next_ms = 20;
        if sim.permille(self.edge.stalls_permille) {
            let stall_ms = 5 + sim.up_to(400);
            leg.talker.stalled_until = sim.now + ms(stall_ms);
            next_ms += stall_ms / 20 * 20;
            sim.say(|| format!("host: the media thread stalls for {stall_ms} ms"));
        }
        sim.after(next_ms, Due::ReceivePhase(LegOf::Host(call)));
        for event in heard.events {
            sim.say(|| format!("host: {call:?} {event:?}"));
            self.input(sim, Input::Leg { call, event });
        }
        inputs.into_iter().for_each(|input| self.input(sim, input));
    }

    pub fn send_phase(&mut self, sim: &mut Sim, network: &Network, call: CallId) {
        let Some(mut leg) = self.legs.remove(&call) else { return };
        let mut silence = Tone(0);
        let sent = match &mut leg.voice {
            Some(voice) => leg.talker.send_phase(sim.now, voice),
            None => leg.talker.send_phase(sim.now, &mut silence),
        };
        if let Some(broken) = leg.voice.as_mut().and_then(|voice| voice.broken.take()) {
            sim.fail(format!("{call:?}: {broken}"));
        }
        match sent {
            Ok(Some(datagram)) => network.send_media(sim, leg.caller, datagram),
            Ok(None) => {}
            Err(violation) => sim.fail(format!("{call:?}: {violation}")),
        }
        self.say_rtcp(sim, network, &mut leg, false);
        let next = leg.talker.next_send(sim.now);
        sim.at(next, Due::SendPhase(LegOf::Host(call)));
        self.legs.insert(call, leg);
    }

    fn summary(&mut self, sim: &mut Sim, summary: &Summary) {
        sim.say(|| format!("host: {}", summary.to_json_line()));
        let call = self.caller_of.keys().find(|call| call::call_name(**call) == summary.call).copied();
        let (Some(media), Some(stats)) = (&summary.media, call.and_then(|call| self.closed.get(&call))) else { return };
        let same = media.packets_sent == stats.packets_sent
            && media.packets_received == stats.packets_received
            && media.digits_received == stats.digits_received
            && media.digits_sent == stats.digits_sent;
        sim.must(same, || format!("the record says {media:?}, the leg {stats:?}"));
    }

    /// An INFO on its way in: remembered until it is answered.
    pub fn note_info(&mut self, caller: usize, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let digit = text.lines().find_map(|line| line.strip_prefix("Signal="));
        if let (true, Some(cseq), Some(digit)) =
            (text.starts_with("INFO "), cseq(&text), digit.and_then(|d| d.chars().next()))
        {
            self.infos.insert((caller, cseq), digit);
        }
    }

    /// An INFO that is answered 200 counts once, if the call is up and no telephone-event was negotiated.
    pub fn note_answer(&mut self, caller: usize, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let Some(cseq) = cseq(&text).filter(|cseq| text.starts_with("SIP/2.0 200") && cseq.ends_with(" INFO")) else {
            return;
        };
        let (Some(call), Some(digit)) = (self.call_of.get(&caller), self.infos.get(&(caller, cseq.clone()))) else {
            return;
        };
        let by_info = self.legs.get(call).is_some_and(|leg| leg.talker.leg.negotiated().telephone_event.is_none());
        if self.infos_taken.insert((caller, cseq)) && by_info && self.books.is_talking(*call) {
            self.bots
                .get_mut(call)
                .filter(|bot| bot.hears())
                .into_iter()
                .for_each(|bot| bot.info_expected.push(*digit));
        }
    }

    /// After every step.
    pub fn check(&self, sim: &mut Sim) {
        sim.take(self.books.check(&self.calls, &self.endpoint, sim.now));
        let wrong = self.bots.values().find(|bot| bot.info_told != bot.info_expected);
        if let Some(bot) = wrong {
            sim.fail(wrong_infos(bot));
        }
    }

    /// Nothing is left.
    pub fn check_end(&self, sim: &mut Sim, pairs: usize) {
        let counts = (self.endpoint.dialog_count(), self.endpoint.transaction_count(), self.endpoint.timer_count());
        sim.must(counts == (0, 0, 0), || format!("the host's dialogs, transactions and timers at the end: {counts:?}"));
        let connections = self.endpoint.connection_count();
        sim.must(connections == 0, || format!("{connections} connections are known after all were closed"));
        let left = (self.legs.len(), self.bots.len(), self.ports.len(), self.free_ports.len());
        sim.must(left == (0, 0, 0, pairs), || format!("legs, bots, ports taken and free at the end: {left:?}"));
        let invites = self.caller_of.len();
        sim.must(self.books.summaries == invites, || format!("{} records of {invites} calls", self.books.summaries));
    }
}

fn wrong_infos(bot: &Bot) -> String {
    format!("{:?}: digits by INFO {:?} were told as {:?}", bot.call, bot.info_expected, bot.info_told)
}

fn cseq(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("CSeq: ")).map(str::to_owned)
}
