//! Two endpoints on a simulated network in virtual time, and one endpoint that is spoken to in text.
#![allow(dead_code)] // Each test file uses its part.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sip::*;

mod texts;
pub use texts::*;

pub const CALLER: &str = "192.0.2.1:5060";
pub const HOST: &str = "198.51.100.1:5070";
pub const OFFER: &str =
    "v=0\r\no=root 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 37456 RTP/AVP 8 0 96\r\n";
pub const ANSWER: &str =
    "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 10000 RTP/AVP 8\r\n";
pub const HOLD: &str = "v=0\r\no=root 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 37456 RTP/AVP 8\r\na=sendonly\r\n";

const DELAY: Duration = Duration::from_millis(5);

pub fn config(transport: Transport, address: &str) -> EndpointConfig {
    let address: SocketAddr = address.parse().unwrap();
    let listener = ListenerConfig {
        transport,
        advertised_host: address.ip().to_string(),
        advertised_port: address.port(),
        local_host: None,
        local_port: 0,
        localnet: Vec::new(),
    };
    EndpointConfig {
        listeners: vec![listener],
        trunks: vec![TrunkConfig { trusted: true }; 2],
        user_agent: "patchbay".into(),
        limits: Limits::default(),
    }
}

pub fn flow(transport: Transport, connection: u64, remote: &str) -> Flow {
    Flow {
        transport,
        listener: ListenerId(0),
        connection: (transport != Transport::Udp).then_some(ConnectionId(connection)),
        remote: remote.parse().unwrap(),
        trunk: TrunkId(0),
    }
}

/// One end of a [`Pair`].
pub struct Side {
    pub endpoint: Endpoint,
    pub events: VecDeque<Event>,
    /// Start lines of what it sent, lost ones included.
    pub sent: Vec<(Instant, String)>,
    /// The same whole.
    pub texts: Vec<String>,
    /// How the peer sees this end.
    address: SocketAddr,
}

impl Side {
    /// Takes the next event; the test fails if there is none.
    pub fn event(&mut self) -> Event {
        self.events.pop_front().expect("an event")
    }

    pub fn ending(&mut self) -> Ending {
        match self.event() {
            Event::Ended { ending, .. } => ending,
            other => panic!("not an ending: {other:?}"),
        }
    }

    pub fn count_sent(&self, start: &str) -> usize {
        self.sent.iter().filter(|(_, line)| line.starts_with(start)).count()
    }

    pub fn last_text(&self, start: &str) -> &str {
        self.texts.iter().rev().find(|text| text.starts_with(start)).expect("such a message")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Uac,
    Uas,
}

struct Datagram {
    at: Instant,
    to: End,
    connection: u64,
    bytes: Vec<u8>,
}

/// What a test makes the network lose: the next `left` messages from `from` whose start line begins so.
struct Loss {
    from: End,
    start: String,
    left: usize,
}

pub struct Pair {
    pub now: Instant,
    pub start: Instant,
    pub uac: Side,
    pub uas: Side,
    transport: Transport,
    /// Connections that live, newest last.
    pub connections: Vec<u64>,
    pub connects_succeed: bool,
    pub connects: Vec<Target>,
    in_flight: Vec<Datagram>,
    losses: Vec<Loss>,
    /// Of every datagram, by the seed.
    pub loss_percent: u32,
    rng: StdRng,
    last_connection: u64,
}

impl Pair {
    pub fn new(transport: Transport) -> Self {
        Self::seeded(transport, 1, |_| {})
    }

    pub fn seeded(transport: Transport, seed: u64, change: impl Fn(&mut EndpointConfig)) -> Self {
        let side = |address: &str, seed| {
            let mut config = config(transport, address);
            change(&mut config);
            Side {
                endpoint: Endpoint::new(config, seed),
                events: VecDeque::new(),
                sent: Vec::new(),
                texts: Vec::new(),
                address: address.parse().unwrap(),
            }
        };
        let now = Instant::now();
        Pair {
            now,
            start: now,
            uac: side(CALLER, 2 * seed),
            uas: side(HOST, 2 * seed + 1),
            transport,
            connections: vec![1],
            connects_succeed: true,
            connects: Vec::new(),
            in_flight: Vec::new(),
            losses: Vec::new(),
            loss_percent: 0,
            rng: StdRng::seed_from_u64(seed),
            last_connection: 1,
        }
    }

    pub fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Uac => &mut self.uac,
            End::Uas => &mut self.uas,
        }
    }

    pub fn lose(&mut self, from: End, start: &str, count: usize) {
        self.losses.push(Loss { from, start: start.into(), left: count });
    }

    /// The flow on which `at` sees its peer.
    fn flow_at(&self, at: End, connection: u64) -> Flow {
        let remote = if at == End::Uac { self.uas.address } else { self.uac.address };
        flow(self.transport, connection, &remote.to_string())
    }

    pub fn command(&mut self, end: End, command: Command) {
        let now = self.now;
        self.side(end).endpoint.handle(Input::Command(command), now);
        self.collect();
    }

    pub fn invite(&mut self, sdp: &str, headers: &[(&str, &str)]) -> DialogId {
        let dialog = DialogId::outgoing(1);
        let flow = self.flow_at(End::Uac, *self.connections.last().unwrap_or(&0));
        let invite = OutgoingInvite {
            dialog,
            uri: "sip:+911234@198.51.100.1:5070".into(),
            from: "\"Caller\" <sip:+910000@192.0.2.1>".into(),
            flow,
            sdp: sdp.into(),
            headers: headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        };
        self.command(End::Uac, Command::Invite(Box::new(invite)));
        dialog
    }

    /// Lets the INVITE arrive. Returns the UAS's name for the dialog.
    pub fn offered(&mut self) -> DialogId {
        self.settle();
        match self.uas.event() {
            Event::Invite { dialog, .. } => dialog,
            other => panic!("not an INVITE: {other:?}"),
        }
    }

    /// A call up to the ACK. Returns the names of the caller's and the host's dialog.
    pub fn connect(&mut self) -> (DialogId, DialogId) {
        self.connect_with(&[])
    }

    pub fn connect_with(&mut self, headers: &[(&str, &str)]) -> (DialogId, DialogId) {
        let caller = self.invite(OFFER, headers);
        let host = self.offered();
        self.answer(host);
        self.settle();
        assert!(matches!(self.uac.event(), Event::Accepted { .. }));
        assert!(matches!(self.uas.event(), Event::Acknowledged { sdp: None, .. }));
        (caller, host)
    }

    pub fn answer(&mut self, dialog: DialogId) {
        self.command(End::Uas, Command::Answer { dialog, sdp: ANSWER.into(), headers: Vec::new() });
    }

    pub fn bye(&mut self, end: End, dialog: DialogId) {
        self.command(end, Command::Bye { dialog, reason: None });
    }

    /// Takes what both endpoints want done.
    fn collect(&mut self) {
        for end in [End::Uac, End::Uas] {
            while let Some(output) = self.side(end).endpoint.poll_output() {
                match output {
                    Output::Send { flow, bytes } => self.send(end, flow, bytes),
                    Output::Event(event) => self.side(end).events.push_back(event),
                    Output::Connect { id, target } => self.open(end, id, target),
                }
            }
        }
    }

    fn send(&mut self, from: End, flow: Flow, bytes: Vec<u8>) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let line = text.lines().next().unwrap_or_default().to_owned();
        let now = self.now;
        self.side(from).sent.push((now, line.clone()));
        self.side(from).texts.push(text);
        let connection = flow.connection.map_or(0, |id| id.0);
        let cut = flow.connection.is_some() && !self.connections.contains(&connection);
        let meant =
            self.losses.iter_mut().find(|loss| loss.from == from && loss.left > 0 && line.starts_with(&loss.start));
        let lost = meant.map(|loss| loss.left -= 1).is_some() || self.rng.random_range(0..100) < self.loss_percent;
        if !cut && !lost {
            let to = if from == End::Uac { End::Uas } else { End::Uac };
            self.in_flight.push(Datagram { at: now + DELAY, to, connection, bytes });
        }
    }

    fn open(&mut self, end: End, id: ConnectId, target: Target) {
        self.connects.push(target);
        let now = self.now;
        let input = if self.connects_succeed {
            let connection = self.new_connection();
            Input::Connected { id, flow: self.flow_at(end, connection) }
        } else {
            Input::ConnectFailed { id }
        };
        self.side(end).endpoint.handle(input, now);
    }

    pub fn new_connection(&mut self) -> u64 {
        self.last_connection += 1;
        self.connections.push(self.last_connection);
        self.last_connection
    }

    /// Every connection breaks, and both ends notice.
    pub fn cut(&mut self) {
        let now = self.now;
        for connection in std::mem::take(&mut self.connections) {
            self.in_flight.retain(|datagram| datagram.connection != connection);
            for end in [End::Uac, End::Uas] {
                self.side(end).endpoint.handle(Input::Closed { connection: ConnectionId(connection) }, now);
            }
        }
        self.collect();
    }

    /// Nothing gets through any more, and nobody notices.
    pub fn silence(&mut self) {
        self.loss_percent = 100;
        self.in_flight.clear();
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.iter().map(|datagram| datagram.at).min()
    }

    /// Jumps to what happens next. False: nothing will, ever.
    pub fn progress(&mut self) -> bool {
        let timers = [self.uac.endpoint.poll_timeout(), self.uas.endpoint.poll_timeout()];
        let Some(next) = timers.into_iter().flatten().chain(self.next_arrival()).min() else { return false };
        self.now = self.now.max(next);
        let now = self.now;
        while let Some(index) = self.in_flight.iter().position(|datagram| datagram.at <= now) {
            let datagram = self.in_flight.remove(index);
            let flow = self.flow_at(datagram.to, datagram.connection);
            self.side(datagram.to).endpoint.handle(Input::Message { flow, bytes: &datagram.bytes }, now);
            self.collect();
        }
        for end in [End::Uac, End::Uas] {
            self.side(end).endpoint.handle_timeout(now);
        }
        self.collect();
        true
    }

    /// Until nothing is in flight; timers fire only if they are due before.
    pub fn settle(&mut self) {
        while self.next_arrival().is_some() {
            self.progress();
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timers = [self.uac.endpoint.poll_timeout(), self.uas.endpoint.poll_timeout()];
            let next = timers.into_iter().flatten().chain(self.next_arrival()).min();
            if next.is_none_or(|next| next > end) {
                break;
            }
            self.progress();
        }
        self.now = end;
    }

    /// Until the last timer; then both ends hold nothing. Bounded, so that a timer that goes on for ever fails.
    pub fn finish(&mut self) {
        let mut steps = 0;
        while self.progress() {
            steps += 1;
            assert!(steps < 10_000, "a timer never ends");
        }
        for end in [End::Uac, End::Uas] {
            let endpoint = &self.side(end).endpoint;
            assert_eq!(
                (endpoint.transaction_count(), endpoint.dialog_count(), endpoint.timer_count()),
                (0, 0, 0),
                "left behind by {end:?}"
            );
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }
}

/// One endpoint, spoken to in text.
pub struct Host {
    pub endpoint: Endpoint,
    pub now: Instant,
    pub events: VecDeque<Event>,
    pub connects: Vec<(ConnectId, Target)>,
    pub replies: VecDeque<(Flow, String)>,
}

impl Host {
    pub fn new(config: EndpointConfig) -> Self {
        Host {
            endpoint: Endpoint::new(config, 7),
            now: Instant::now(),
            events: VecDeque::new(),
            connects: Vec::new(),
            replies: VecDeque::new(),
        }
    }

    pub fn on(transport: Transport) -> Self {
        Self::new(config(transport, HOST))
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.endpoint.handle(input, self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send { flow, bytes } => {
                    self.replies.push_back((flow, String::from_utf8_lossy(&bytes).into_owned()))
                }
                Output::Event(event) => self.events.push_back(event),
                Output::Connect { id, target } => self.connects.push((id, target)),
            }
        }
    }

    pub fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    /// Says something on a flow; what comes back waits in `replies`.
    pub fn hear(&mut self, flow: Flow, text: &str) {
        self.input(Input::Message { flow, bytes: text.as_bytes() });
    }

    /// Says something, and takes the one final answer.
    pub fn ask(&mut self, flow: Flow, text: &str) -> String {
        self.replies.clear();
        self.hear(flow, text);
        let finals: Vec<_> =
            self.replies.drain(..).map(|(_, text)| text).filter(|text| !text.starts_with("SIP/2.0 1")).collect();
        assert_eq!(finals.len(), 1, "answers to {text}: {finals:?}");
        finals.into_iter().next().unwrap()
    }

    /// The status of the one final answer.
    pub fn status(&mut self, flow: Flow, text: &str) -> u16 {
        status_of(&self.ask(flow, text))
    }

    pub fn reply(&mut self) -> (Flow, String) {
        self.replies.pop_front().expect("a message")
    }

    pub fn event(&mut self) -> Event {
        self.events.pop_front().expect("an event")
    }

    /// Lets time pass, timers fire in their order.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.endpoint.poll_timeout().filter(|next| *next <= end) {
            self.now = next;
            self.endpoint.handle_timeout(next);
            self.collect();
        }
        self.now = end;
    }

    /// INVITE, 200, ACK by text. Returns the dialog and our tag.
    pub fn call(&mut self, flow: Flow, invite: &str) -> (DialogId, String) {
        self.hear(flow, invite);
        let Event::Invite { dialog, .. } = self.event() else { panic!("no INVITE") };
        self.command(Command::Answer { dialog, sdp: ANSWER.into(), headers: Vec::new() });
        let (_, ok) = self.replies.drain(..).next_back().expect("a 200");
        assert!(ok.starts_with("SIP/2.0 200"), "{ok}");
        let tag = header(&ok, "To").split("tag=").nth(1).expect("our tag").to_owned();
        self.hear(
            flow,
            &in_dialog(invite, "ACK", &tag, header(invite, "CSeq").split(' ').next().unwrap().parse().unwrap(), ""),
        );
        assert!(matches!(self.event(), Event::Acknowledged { .. }));
        (dialog, tag)
    }
}
