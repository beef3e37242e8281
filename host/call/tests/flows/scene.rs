//! Calls with a scripted edge: a test says what comes in, and reads what goes out as words.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use call::{
    Accept, BotAct, BotEvent, BotStats, CallId, Called, Calls, Fallback, Input, Limits, Live, Milestone, Output, Ports,
    Route, Routing, Settings, Summary, Tenant, Trunk, WallClock,
};
use media::{Codec, LegEvent, LegStats, SrtpPolicy};
use sip::{Command, Ending, Event, Flow, ListenerId, Message, Rejection, Transport, TrunkId};

pub const CALL: CallId = sip::DialogId(1);
pub const MENU: &str = "+911234567890";
pub const RINGING: &str = "+911111111111";
pub const NO_FALLBACK: &str = "+912222222222";

pub const OFFER: &str = "v=0\r\no=root 1 1 IN IP4 192.0.2.9\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 37456 RTP/AVP 8 0 96\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 telephone-event/8000\r\na=sendrecv\r\na=ptime:20\r\n";

pub struct Scene {
    pub calls: Calls,
    pub now: Instant,
    pub summaries: Vec<Summary>,
    pub milestones: Vec<Milestone>,
    words: Vec<String>,
    pub last: Vec<Output>,
}

pub fn route(number: &str, ring: bool, fallback: bool) -> Route {
    Route {
        name: format!("to {number}"),
        trunk: Some("exotel".into()),
        called: Called::Exact(number.into()),
        tenant: "acme".into(),
        plugin: "menu".into(),
        bot: "menu".into(),
        config: Default::default(),
        fallback: fallback.then(|| Fallback { prompt: "sorry".into() }),
        ring,
        max_calls: None,
    }
}

pub fn settings() -> Settings {
    let trunk = |name: &str, trusted| Trunk {
        name: name.into(),
        trusted,
        require_pai: false,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        srtp: SrtpPolicy::Prefer,
        media_networks: vec!["192.0.2.0/24".parse().unwrap()],
        sdp_address_allowed: true,
        max_calls: None,
    };
    let routes = [route(MENU, false, true), route(RINGING, true, true), route(NO_FALLBACK, false, false)];
    let for_all = Route { trunk: None, ..route("echo", false, false) };
    Settings {
        trunks: vec![trunk("exotel", true), trunk("world", false)],
        routing: Arc::new(Routing::new(routes.into_iter().chain([for_all]))),
        tenants: vec![Tenant { name: "acme".into(), max_calls: Some(3), calls_per_second: None }],
        limits: Limits::default(),
    }
}

/// A request as the endpoint hands it in.
pub fn request(called: &str, headers: &str, body: &str) -> Box<sip::Request> {
    let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let text = format!(
        "INVITE sip:{called}@198.51.100.1:5070;transport=tcp SIP/2.0\r\n\
         Via: SIP/2.0/TCP 192.0.2.9:443;branch=z9hG4bK2414\r\n\
         From: \"+918888888888\" <sip:+918888888888@pstn.example>;tag=as2aef\r\n\
         To: <sip:{called}@198.51.100.1>\r\n\
         Call-ID: 7a1c@pstn.example\r\n\
         CSeq: 102 INVITE\r\n\
         Contact: <sip:+918888888888@192.0.2.9:5060>\r\n\
         Max-Forwards: 67\r\n{headers}{content}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    match Message::parse(text.as_bytes()).expect("a readable INVITE") {
        Message::Request(request) => Box::new(request),
        Message::Response(_) => unreachable!("it is a request"),
    }
}

pub fn flow(trunk: u16) -> Flow {
    let remote: SocketAddr = "192.0.2.9:40000".parse().unwrap();
    Flow { transport: Transport::Tcp, listener: ListenerId(0), connection: None, remote, trunk: TrunkId(trunk) }
}

impl Scene {
    pub fn new(settings: Settings) -> Scene {
        // Any moment to begin with: there is no other way to make an `Instant`. From here on time is what the test says.
        let now = Instant::now();
        let calls = Calls::new(settings, [7; 32], WallClock { at: now, unix_ms: 1_000_000 });
        Scene { calls, now, summaries: Vec::new(), milestones: Vec::new(), words: Vec::new(), last: Vec::new() }
    }

    pub fn input(&mut self, input: Input) -> &mut Self {
        self.calls.handle(input, self.now);
        self.collect();
        self
    }

    pub fn sip(&mut self, event: Event) -> &mut Self {
        self.input(Input::Sip(event))
    }

    pub fn wait_ms(&mut self, ms: u64) -> &mut Self {
        let end = self.now + Duration::from_millis(ms);
        while let Some(due) = self.calls.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.calls.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
        self
    }

    fn collect(&mut self) {
        while let Some(output) = self.calls.poll_output() {
            match &output {
                Output::Summary(summary) => self.summaries.push((**summary).clone()),
                Output::Milestone { milestone, .. } => self.milestones.push(milestone.clone()),
                other => self.words.push(word(other)),
            }
            self.last.push(output);
        }
    }

    /// What went out since the last look, milestones and summaries left off.
    pub fn words(&mut self) -> Vec<String> {
        self.last.clear();
        std::mem::take(&mut self.words)
    }

    #[track_caller]
    pub fn expect(&mut self, words: &[&str]) -> &mut Self {
        assert_eq!(self.words(), words);
        self
    }

    pub fn invite(&mut self, called: &str) -> &mut Self {
        self.invite_as(CALL, 0, request(called, "", OFFER))
    }

    pub fn invite_as(&mut self, dialog: CallId, trunk: u16, request: Box<sip::Request>) -> &mut Self {
        self.sip(Event::Invite { dialog, flow: flow(trunk), request })
    }

    pub fn ports(&mut self, call: CallId) -> &mut Self {
        let ports = Ports { advertised: "198.51.100.1".parse().unwrap(), rtp: 10000 + 2 * call.0 as u16, rtcp: 10001 };
        self.input(Input::PortsOpened { call, ports })
    }

    pub fn bot(&mut self, act: BotAct) -> &mut Self {
        self.input(Input::Bot { call: CALL, act })
    }

    pub fn leg(&mut self, event: LegEvent) -> &mut Self {
        self.input(Input::Leg { call: CALL, event })
    }

    pub fn started(&mut self, ring: bool) -> &mut Self {
        self.input(Input::BotStarted { call: CALL, result: Ok(Accept { ring, frames: true }) })
    }

    pub fn acknowledged(&mut self) -> &mut Self {
        self.sip(Event::Acknowledged { dialog: CALL, sdp: None })
    }

    pub fn ended(&mut self, ending: Ending) -> &mut Self {
        self.sip(Event::Ended { dialog: CALL, ending })
    }

    pub fn leg_closed(&mut self) -> &mut Self {
        self.input(Input::LegClosed { call: CALL, stats: Box::default() })
    }

    pub fn bot_ended(&mut self) -> &mut Self {
        self.input(Input::BotEnded { call: CALL, stats: Box::new(BotStats::default()) })
    }

    /// A call up to where both sides talk.
    pub fn talking(called: &str) -> Scene {
        let mut scene = Scene::new(settings());
        scene.invite(called).ports(CALL).started(false).acknowledged();
        scene.words();
        scene
    }

    /// Nothing is held any more, and the record of every call is written.
    #[track_caller]
    pub fn nothing_left(&mut self, summaries: usize) -> &mut Self {
        assert_eq!(self.calls.live(), Live::default());
        assert_eq!(self.calls.poll_timeout(), None);
        assert_eq!(self.summaries.len(), summaries);
        self
    }
}

pub fn stats() -> LegStats {
    LegStats { packets_sent: 100, packets_received: 98, packets_lost: 2, jitter_ms: 1.234, ..LegStats::default() }
}

fn refusal(rejection: &Rejection) -> String {
    let reason = rejection.reason.as_ref().map_or("-", |reason| reason.text.as_str());
    let retry = rejection.retry_after_s.map_or(String::new(), |s| format!(" retry-after {s}"));
    format!("{} {reason}{retry}", rejection.status)
}

/// Which way a description it says sound flows.
fn direction(sdp: &[u8]) -> String {
    let text = String::from_utf8_lossy(sdp);
    let word = ["sendonly", "recvonly", "inactive"].into_iter().find(|word| text.contains(&format!("a={word}\r\n")));
    word.unwrap_or("sendrecv").to_owned()
}

fn word(output: &Output) -> String {
    match output {
        Output::Sip(command) => match command {
            Command::Ring { .. } => "180".into(),
            Command::Answer { sdp, headers, .. } => {
                let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
                format!("200 {} {}", if sdp.is_empty() { "nothing" } else { "sdp" }, names.join(" "))
                    .trim_end()
                    .to_owned()
            }
            Command::Reinvite { sdp, .. } => format!("re-INVITE {}", direction(sdp)),
            Command::AcceptOffer { sdp, .. } if direction(sdp) == "sendonly" => "accept offer sendonly".into(),
            Command::Refer { target, headers, .. } => format!("REFER {} +{}", target.uri(), headers.len()),
            Command::ByeHeaders { headers, .. } => format!("BYE headers {}", headers.len()),
            Command::Reject { rejection, .. } => refusal(rejection),
            Command::AcceptOffer { .. } => "accept offer".into(),
            Command::RejectOffer { rejection, .. } => format!("refuse offer {}", rejection.status),
            Command::Bye { reason: None, .. } => "BYE".into(),
            Command::Bye { reason: Some(reason), .. } => {
                format!("BYE {};{} {}", reason.protocol, reason.cause.unwrap_or(0), reason.text)
            }
            Command::InfoDigit { digit, .. } => format!("INFO {digit}"),
            Command::Drain => "drain sip".into(),
            other => format!("{other:?}"),
        },
        Output::OpenPorts { want, .. } => format!("open ports {}", if want.ipv6 { "IPv6" } else { "IPv4" }),
        Output::FreePorts { .. } => "free ports".into(),
        Output::StartBot { .. } => "start bot".into(),
        Output::OpenLeg { .. } => "open leg".into(),
        Output::UpdateLeg { negotiated, .. } => {
            let deaf = if negotiated.direction == media::Direction::SendOnly { " deaf" } else { "" };
            format!("update leg{}{deaf}", if negotiated.held { " held" } else { "" })
        }
        Output::CloseLeg { .. } => "close leg".into(),
        Output::BotEvent { event, .. } => match event {
            BotEvent::Hangup { by, cause } => format!("bot: hangup {} {}", by.as_str(), cause.as_str()),
            BotEvent::Digit { key } => format!("bot: digit {key}"),
            BotEvent::DigitsSent { id } => format!("bot: digits sent {id}"),
            BotEvent::Answered => "bot: answered".into(),
            BotEvent::Hold => "bot: hold".into(),
            BotEvent::Control { id, event } => format!("bot: control {id} {event:?}"),
            BotEvent::Resume => "bot: resume".into(),
        },
        Output::SendDigits { id, keys, .. } => format!("send digits {id} {keys}"),
        Output::PlayFallback { prompt, .. } => format!("play {prompt}"),
        Output::CloseBot { .. } => "close bot".into(),
        Output::Drained => "drained".into(),
        Output::Outbound(event) => format!("{event:?}"),
        Output::Summary(_) | Output::Milestone { .. } => unreachable!("collected apart"),
    }
}
