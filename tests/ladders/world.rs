//! A caller, a network and a host. Time jumps to what happens next; every message is a line of the ladder when it is sent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use call::{
    Accept, BotAct, BotEvent, BotStats, CallId, Called, Calls, Direction, Fallback, Input, Ladder, Limits, Live, Ports,
    Route, Routing, Settings, StartFailure, Summary, Trunk, WallClock,
};
use media::{Codec, LegEvent, LegStats, SrtpPolicy};
use sip::{
    Command, ConnectionId, DialogId, Endpoint, EndpointConfig, Event, Flow, ListenerConfig, ListenerId, OutgoingInvite,
    Transport, TrunkConfig, TrunkId,
};

pub const CALLER: &str = "192.0.2.9:443";
pub const HOST: &str = "198.51.100.1:5070";
/// The caller's own name of its call.
pub const OUTGOING: DialogId = DialogId::outgoing(1);
pub const OFFER: &str = "v=0\r\no=root 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 37456 RTP/AVP 8 0 96\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 telephone-event/8000\r\na=sendrecv\r\n";

const NETWORK: Duration = Duration::from_millis(5);
const BOT_START: Duration = Duration::from_millis(2);
const PROMPT: Duration = Duration::from_millis(1500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Caller,
    Host,
}

/// What the bot answers when it is started.
pub enum Bot {
    Accepts,
    Rings,
    Fails(StartFailure),
}

/// What happens at a moment to come.
enum Due {
    Message { to: End, connection: u64, bytes: Vec<u8> },
    Edge(Input),
}

struct Loss {
    from: End,
    start: &'static str,
    left: usize,
}

pub struct World {
    pub now: Instant,
    begin: Instant,
    transport: Transport,
    caller: Endpoint,
    /// The caller is a script: what reaches it is kept here, and its endpoint hears nothing.
    pub raw: bool,
    pub inbox: VecDeque<String>,
    host: Endpoint,
    pub calls: Calls,
    pub bot: Bot,
    due: Vec<(Instant, Due)>,
    losses: Vec<Loss>,
    connection: u64,
    connected: bool,
    host_call: Option<CallId>,
    ports_open: i32,
    ladder: Ladder,
    lines: Vec<String>,
    /// What the caller's endpoint said, and what the bot was told.
    pub caller_events: VecDeque<Event>,
    pub bot_events: Vec<BotEvent>,
    pub summaries: Vec<Summary>,
}

fn endpoint(transport: Transport, address: &str, seed: u64) -> Endpoint {
    let address: SocketAddr = address.parse().expect("a literal");
    let listener = ListenerConfig {
        transport,
        advertised_host: address.ip().to_string(),
        advertised_port: address.port(),
        local_host: None,
        local_port: 0,
        localnet: Vec::new(),
    };
    let config = EndpointConfig {
        listeners: vec![listener],
        trunks: vec![TrunkConfig { trusted: true }],
        user_agent: "patchbay".into(),
        limits: sip::Limits::default(),
    };
    Endpoint::new(config, seed)
}

fn settings() -> Settings {
    let route = Route {
        name: "menu".into(),
        trunk: None,
        called: Called::Prefix("+91".into()),
        tenant: "acme".into(),
        plugin: "menu".into(),
        bot: "menu".into(),
        config: Default::default(),
        fallback: Some(Fallback { prompt: "sorry".into() }),
        ring: false,
        max_calls: None,
    };
    let trunk = Trunk {
        name: "exotel".into(),
        trusted: true,
        require_pai: false,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        srtp: SrtpPolicy::Prefer,
        media_networks: Vec::new(),
        sdp_address_allowed: true,
        max_calls: None,
    };
    Settings {
        trunks: vec![trunk],
        routing: Arc::new(Routing::new([route])),
        tenants: Vec::new(),
        limits: Limits::default(),
    }
}

impl World {
    pub fn new(transport: Transport) -> World {
        let now = Instant::now();
        World {
            now,
            begin: now,
            transport,
            caller: endpoint(transport, CALLER, 1),
            raw: false,
            inbox: VecDeque::new(),
            host: endpoint(transport, HOST, 2),
            calls: Calls::new(settings(), [3; 32], WallClock { at: now, unix_ms: 0 }),
            bot: Bot::Accepts,
            due: Vec::new(),
            losses: Vec::new(),
            connection: 1,
            connected: true,
            host_call: None,
            ports_open: 0,
            ladder: Ladder::new(now, "uac", "host"),
            lines: Vec::new(),
            caller_events: VecDeque::new(),
            bot_events: Vec::new(),
            summaries: Vec::new(),
        }
    }

    fn flow(&self, at: End) -> Flow {
        let remote = if at == End::Caller { HOST } else { CALLER };
        Flow {
            transport: self.transport,
            listener: ListenerId(0),
            connection: (self.transport != Transport::Udp).then_some(ConnectionId(self.connection)),
            remote: remote.parse().expect("a literal"),
            trunk: TrunkId(0),
        }
    }

    /// The call as the host numbers it; every ladder has one.
    fn call(&self) -> CallId {
        self.host_call.expect("the INVITE has reached the host")
    }

    pub fn lose(&mut self, from: End, start: &'static str, count: usize) {
        self.losses.push(Loss { from, start, left: count });
    }

    pub fn remark(&mut self, text: &str) {
        let s = (self.now - self.begin).as_secs_f64();
        self.lines.push(format!("{s:.3}  -- {text}"));
    }

    pub fn invite(&mut self, called: &str, sdp: &str, headers: &[(&str, &str)]) {
        let invite = OutgoingInvite {
            dialog: OUTGOING,
            uri: format!("sip:{called}@198.51.100.1:5070"),
            from: "<sip:+918888888888@192.0.2.9>".into(),
            flow: self.flow(End::Caller),
            sdp: sdp.into(),
            headers: headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        };
        self.caller(Command::Invite(Box::new(invite)));
    }

    /// A call up to where both sides talk.
    pub fn talking(transport: Transport, headers: &[(&str, &str)]) -> World {
        let mut world = World::new(transport);
        world.invite("+911234567890", OFFER, headers);
        world.run_ms(1000);
        assert_eq!(world.bot_events, [BotEvent::Answered]);
        world
    }

    /// The caller does something.
    pub fn caller(&mut self, command: Command) {
        self.caller.handle(sip::Input::Command(command), self.now);
        self.pump();
    }

    /// The bot, the leg or the operator does something.
    pub fn edge(&mut self, input: impl FnOnce(CallId) -> Input) {
        let input = input(self.call());
        self.calls.handle(input, self.now);
        self.pump();
    }

    pub fn bot_acts(&mut self, act: BotAct) {
        self.edge(|call| Input::Bot { call, act });
    }

    pub fn leg(&mut self, event: LegEvent) {
        self.edge(|call| Input::Leg { call, event });
    }

    /// Any input that concerns no call.
    pub fn host(&mut self, input: Input) {
        self.calls.handle(input, self.now);
        self.pump();
    }

    /// The connection breaks, and both ends notice. The next message opens another one.
    pub fn cut(&mut self) {
        self.remark("the connection is lost");
        let connection = ConnectionId(self.connection);
        self.due.retain(|(_, due)| !matches!(due, Due::Message { .. }));
        for endpoint in [&mut self.caller, &mut self.host] {
            endpoint.handle(sip::Input::Closed { connection }, self.now);
        }
        self.connected = false;
        self.pump();
    }

    /// The scripted caller sends a message.
    pub fn send_raw(&mut self, text: String) {
        let flow = self.flow(End::Caller);
        self.send(End::Caller, flow, text.into_bytes());
    }

    /// The caller is gone without a word: what is sent to it reaches nobody.
    pub fn caller_falls_silent(&mut self) {
        self.remark("the caller falls silent");
        self.caller = endpoint(self.transport, CALLER, 1);
        self.raw = true;
    }

    /// Carries out what everybody wants until nobody wants more.
    fn pump(&mut self) {
        loop {
            let mut idle = true;
            for at in [End::Caller, End::Host] {
                let endpoint = if at == End::Caller { &mut self.caller } else { &mut self.host };
                if let Some(output) = endpoint.poll_output() {
                    idle = false;
                    self.carry_out_sip(at, output);
                }
            }
            if let Some(output) = self.calls.poll_output() {
                idle = false;
                self.carry_out_call(output);
            }
            if idle {
                return;
            }
        }
    }

    fn carry_out_sip(&mut self, at: End, output: sip::Output) {
        match output {
            sip::Output::Send { flow, bytes } => self.send(at, flow, bytes),
            sip::Output::Connect { id, .. } => {
                if !self.connected {
                    self.connection += 1;
                    self.connected = true;
                    let who = if at == End::Caller { "uac" } else { "host" };
                    self.remark(&format!("{who} opens a connection"));
                }
                let flow = self.flow(at);
                let endpoint = if at == End::Caller { &mut self.caller } else { &mut self.host };
                endpoint.handle(sip::Input::Connected { id, flow }, self.now);
            }
            sip::Output::Event(event) if at == End::Caller => self.caller_events.push_back(event),
            sip::Output::Event(event) => {
                if let Event::Invite { dialog, .. } = &event {
                    self.host_call = Some(*dialog);
                }
                self.calls.handle(Input::Sip(event), self.now);
            }
        }
    }

    fn send(&mut self, from: End, flow: Flow, bytes: Vec<u8>) {
        let connection = flow.connection.map_or(0, |id| id.0);
        let gone = flow.connection.is_some() && (!self.connected || connection != self.connection);
        let meant = |loss: &&mut Loss| loss.from == from && loss.left > 0 && bytes.starts_with(loss.start.as_bytes());
        let lost = self.losses.iter_mut().find(meant).map(|loss| loss.left -= 1).is_some() || gone;
        let (direction, to) =
            if from == End::Caller { (Direction::Out, End::Host) } else { (Direction::In, End::Caller) };
        let line = self.ladder.message(self.now, direction, &bytes);
        self.lines.push(if lost { format!("{line}  (lost)") } else { line });
        if !lost {
            self.due.push((self.now + NETWORK, Due::Message { to, connection, bytes }));
        }
    }

    /// The edge: ports at once, a bot after 2 ms, legs and bots that close when they are told to.
    fn carry_out_call(&mut self, output: call::Output) {
        use call::Output;
        let now = self.now;
        match output {
            Output::Sip(command) => self.host.handle(sip::Input::Command(command), now),
            Output::OpenPorts { call, .. } => {
                let ports = Ports { advertised: [198, 51, 100, 1].into(), rtp: 10000, rtcp: 10001 };
                self.ports_open += 1;
                self.later(Duration::ZERO, Input::PortsOpened { call, ports });
            }
            Output::FreePorts { .. } => self.ports_open -= 1,
            Output::StartBot { call, .. } => {
                let accept = |ring| Ok(Accept { ring, frames: true });
                let result = match &self.bot {
                    Bot::Accepts => accept(false),
                    Bot::Rings => accept(true),
                    Bot::Fails(failure) => Err(failure.clone()),
                };
                self.later(BOT_START, Input::BotStarted { call, result });
            }
            Output::OpenLeg { leg, .. } => {
                let pt = leg.negotiated.payload_type.0;
                self.media(&format!("RTP pt={pt} every {} ms", leg.negotiated.send_ptime_ms));
            }
            Output::UpdateLeg { negotiated, .. } => {
                let held = if negotiated.held { " held" } else { "" };
                let deaf = if negotiated.direction == media::Direction::SendOnly { " to the caller only" } else { "" };
                self.media(&format!("RTP pt={}{held}{deaf}", negotiated.payload_type.0));
            }
            Output::CloseLeg { call } => {
                self.media("RTP ends");
                self.later(Duration::ZERO, Input::LegClosed { call, stats: Box::<LegStats>::default() });
            }
            Output::BotEvent { call, event } => {
                if let BotEvent::Hangup { .. } = event {
                    self.later(Duration::ZERO, Input::Bot { call, act: BotAct::Done });
                }
                self.bot_events.push(event);
            }
            Output::CloseBot { call } => {
                self.later(Duration::ZERO, Input::BotEnded { call, stats: Box::<BotStats>::default() });
            }
            Output::PlayFallback { call, prompt } => {
                self.media(&format!("the prompt '{prompt}'"));
                self.later(PROMPT, Input::FallbackPlayed { call });
            }
            Output::Summary(summary) => self.summaries.push(*summary),
            Output::SendDigits { .. } | Output::Milestone { .. } | Output::Outbound(_) | Output::Drained => {}
        }
    }

    fn media(&mut self, text: &str) {
        let line = self.ladder.note(self.now, Direction::In, text);
        self.lines.push(line);
    }

    fn later(&mut self, after: Duration, input: Input) {
        self.due.push((self.now + after, Due::Edge(input)));
    }

    fn next(&self) -> Option<Instant> {
        let timers = [self.caller.poll_timeout(), self.host.poll_timeout(), self.calls.poll_timeout()];
        timers.into_iter().flatten().chain(self.due.iter().map(|(at, _)| *at)).min()
    }

    pub fn run_ms(&mut self, ms: u64) {
        self.run_until(self.now + Duration::from_millis(ms));
    }

    fn run_until(&mut self, end: Instant) {
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(index) = self.due.iter().position(|(at, _)| *at <= now) {
            match self.due.remove(index).1 {
                Due::Edge(input) => self.calls.handle(input, now),
                Due::Message { to: End::Caller, bytes, .. } if self.raw => {
                    self.inbox.push_back(String::from_utf8_lossy(&bytes).into_owned());
                }
                Due::Message { to, connection, bytes } => {
                    let mut flow = self.flow(to);
                    flow.connection = flow.connection.map(|_| ConnectionId(connection));
                    let endpoint = if to == End::Caller { &mut self.caller } else { &mut self.host };
                    endpoint.handle(sip::Input::Message { flow, bytes: &bytes }, now);
                }
            }
            self.pump();
        }
        self.caller.handle_timeout(now);
        self.host.handle_timeout(now);
        self.calls.handle_timeout(now);
        self.pump();
    }

    /// Until nothing is to come; then nothing may be left, and the ladder is the one in the file.
    #[track_caller]
    pub fn finish(&mut self, name: &str) {
        let mut steps = 0;
        while let Some(next) = self.next() {
            self.now = self.now.max(next);
            self.step();
            steps += 1;
            assert!(steps < 10_000, "it never ends:\n{}", self.lines.join("\n"));
        }
        assert_eq!(self.calls.live(), Live::default(), "what ended holds nothing");
        assert_eq!(self.ports_open, 0);
        assert_eq!(self.summaries.len(), 1, "one record per call");
        for (who, endpoint) in [("uac", &self.caller), ("host", &self.host)] {
            let left = (endpoint.transaction_count(), endpoint.dialog_count(), endpoint.timer_count());
            assert_eq!(left, (0, 0, 0), "transactions, dialogs, timers of {who}");
        }
        compare(name, &(self.lines.join("\n") + "\n"));
    }
}

#[track_caller]
fn compare(name: &str, seen: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ladders/snapshots").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_LADDERS").is_some() {
        std::fs::write(&path, seen).expect("the snapshot can be written");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == seen, "{name}: the ladder differs. Kept:\n{kept}\nSeen:\n{seen}\nMeant? UPDATE_LADDERS=1");
}
