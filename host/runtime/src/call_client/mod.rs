//! `patchbay call`: one call placed with the host's own SIP endpoint and leg, and a report of how it went.
//! It is a caller like any other: nothing it does goes past the wire.

mod called;
mod report;
mod sound;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use call::{Direction, Ladder};
use clap::Parser;
use media::sdp::{self, Fresh, Offer, Session};
use media::{Codec, LegEvent, LocalMedia, SrtpPolicy};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sip::{Command, DialogId, Ending, Event, Flow, Input, OutgoingInvite, Output, Transport};
use tokio::sync::mpsc;
use tokio_rustls::rustls::ClientConfig;

use crate::cli::{self, CallArgs, Cli};
use crate::config::{self, Config, Trunk};
use crate::observe::{Metrics, SipTrace};
use crate::rtp_ports::RtpPorts;
use crate::said::{complain, say};
use crate::signalling::{Bounds, Edge, EdgeEvent, Signalling};
use crate::wiring;
pub(crate) use called::Called;
pub use report::CallReport;
pub(crate) use sound::write_wav;
use sound::{Heard, Sound, SoundCommand, SoundEvent};

const DIALOG: DialogId = DialogId::outgoing(1);
const KEYS: u64 = 1;
/// The longest recording that is played.
const PLAY_SECONDS_MAX: u32 = 3600;
/// After the recording: what is still on its way back is heard.
const TAIL: Duration = Duration::from_secs(1);
/// A call that nobody ends.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Ports of calls that we place: above those that a host on the same machine answers on, below the ephemeral ones.
const RTP_PORTS: std::ops::RangeInclusive<u16> = 20_002..=32_000;

/// What the command line asks for, read and found right.
pub struct Order<'a> {
    args: &'a CallArgs,
    target: Called,
    play: Option<Vec<i16>>,
    /// How the callee is connected to over TLS; None: as the command line says.
    pub tls: Option<Arc<ClientConfig>>,
    /// Where our RTP comes from; None: from where our signalling does.
    pub media_from: Option<IpAddr>,
}

impl<'a> Order<'a> {
    /// Errors: the caller's own mistakes, to be told before anything is sent.
    pub fn read(args: &'a CallArgs) -> anyhow::Result<Self> {
        let target = Called::parse(&args.uri)?;
        let named = |path: &Path| path.display().to_string();
        let play =
            args.play.as_deref().map(|path| wiring::read_sound(path, PLAY_SECONDS_MAX).with_context(|| named(path)));
        if let Some(ca) = &args.tls_ca {
            std::fs::metadata(ca).with_context(|| named(ca))?;
        }
        Ok(Self { args, target, play: play.transpose()?, tls: None, media_from: None })
    }
}

/// Places the call and waits for its end. Errors: what was asked for cannot be done at all; a refusal is a report.
pub async fn call(order: Order<'_>) -> anyhow::Result<CallReport> {
    let Order { args, target, play, tls, media_from } = order;
    let remote = target.first_address().await?;
    let local = crate::signalling::address_towards(remote).with_context(|| format!("no route to {remote}"))?;
    let config = client_config(args, target.transport, local)?;
    let metrics = Metrics::default();
    let client = |trunk: &Trunk| tls.clone().map_or_else(|| crate::tls::client_config(trunk), Ok);
    let (bounds, trace) = (Bounds::from(&config.limits), SipTrace::default());
    let signalling = Signalling::bind_with(&config, bounds, &metrics, trace, client)?;
    let endpoint_config = wiring::endpoint_config(&config, &signalling.listeners);
    let mut rng = StdRng::from_os_rng();
    let mut caller = Caller {
        endpoint: sip::Endpoint::new(endpoint_config, rng.random()),
        edge: signalling.edge,
        edge_events: signalling.events,
        ladder: args.ladder.then(|| Ladder::new(Instant::now(), "uac", "host")),
        ladder_to_stderr: args.json,
        report: CallReport { ended_by: "failure", ..CallReport::default() },
        rng,
        invited: Instant::now(),
        answered: None,
        ended: false,
        hanging_up: false,
        last_offer: None,
        session: None,
        local: None,
        waits: HashSet::new(),
    };
    let heard = caller.run(args, &target, media_from.unwrap_or(local), play).await?;
    let mut report = caller.report;
    if let Some(heard) = heard {
        report.packets_sent = heard.stats.packets_sent;
        report.packets_received = heard.stats.packets_received;
        report.packets_lost = heard.stats.packets_lost;
        if let Some(path) = &args.record {
            sound::write_wav(path, &heard.samples).with_context(|| path.display().to_string())?;
            report.recording = Some(path.display().to_string());
        }
    }
    Ok(report)
}

/// What has to happen before we hang up by ourselves.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Wait {
    Play,
    Digits,
}

struct Caller {
    endpoint: sip::Endpoint,
    edge: Edge,
    edge_events: mpsc::Receiver<EdgeEvent>,
    ladder: Option<Ladder>,
    ladder_to_stderr: bool,
    report: CallReport,
    rng: StdRng,
    invited: Instant,
    answered: Option<Instant>,
    ended: bool,
    hanging_up: bool,
    last_offer: Option<Offer>,
    session: Option<Session>,
    local: Option<LocalMedia>,
    waits: HashSet<Wait>,
}

impl Caller {
    /// `local`: of our media.
    async fn run(
        &mut self,
        args: &CallArgs,
        target: &Called,
        local: IpAddr,
        play: Option<Vec<i16>>,
    ) -> anyhow::Result<Option<Heard>> {
        let start = RTP_PORTS.start() + self.rng.random_range(0..(RTP_PORTS.len() as u16 - 200)) / 2 * 2;
        let mut ports = Some(
            RtpPorts::new(start..=start + 199, Duration::ZERO)
                .open(local, Instant::now())
                .context("no free RTP ports")?,
        );
        let rtp_port = ports.as_ref().map_or(0, |ports| ports.rtp_port);
        self.local = Some(LocalMedia {
            address: local,
            rtp_port,
            rtcp_port: rtp_port + 1,
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            srtp: if args.srtp { SrtpPolicy::Require } else { SrtpPolicy::Off },
            holds: false,
        });
        self.edge.connect(sip::ConnectId(0), target.way());
        let (sound_sender, mut sound_events) = mpsc::unbounded_channel();
        let (mut sound, mut play): (Option<Sound>, _) = (None, play);
        let mut hangup_at = Instant::now() + LONGEST;
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        while !self.ended {
            let timer = self.endpoint.poll_timeout().unwrap_or(hangup_at).min(if self.hanging_up {
                Instant::now() + LONGEST
            } else {
                hangup_at
            });
            tokio::select! {
                Some(event) = self.edge_events.recv() => self.take_edge(event, &args.uri),
                Some(event) = sound_events.recv() => {
                    if self.take_sound(event) {
                        hangup_at = hangup_at.min(Instant::now() + TAIL);
                    }
                }
                () = tokio::time::sleep_until(timer.into()) => {
                    let now = Instant::now();
                    self.endpoint.handle_timeout(now);
                    if now >= hangup_at {
                        self.hang_up(now);
                    }
                }
                _ = &mut interrupted, if !self.hanging_up => self.hang_up(Instant::now()),
            }
            let answered_before = self.answered.is_some();
            self.carry_out()?;
            if let (Some(session), false) = (&self.session, answered_before && sound.is_some())
                && let Some(ports) = ports.take()
            {
                let play = play.take();
                if play.is_some() && args.duration.is_none() {
                    self.waits.insert(Wait::Play);
                }
                let started = Sound::start(
                    session.negotiated.clone(),
                    ports,
                    play.unwrap_or_default(),
                    self.rng.random(),
                    sound_sender.clone(),
                )?;
                if let Some(keys) = &args.digits {
                    self.waits.insert(Wait::Digits);
                    started.command(SoundCommand::Press { id: KEYS, keys: keys.clone() });
                }
                if let Some(duration) = args.duration {
                    hangup_at = Instant::now() + Duration::from_secs_f64(duration);
                }
                sound = Some(started);
            } else if let (Some(session), Some(sound)) = (&self.session, &sound) {
                sound.command(SoundCommand::Renegotiate(Box::new(session.negotiated.clone())));
            }
        }
        let heard = sound.map(Sound::stop).transpose()?;
        if self.report.digits_sent.is_empty() && !self.waits.contains(&Wait::Digits) {
            self.report.digits_sent = args.digits.clone().unwrap_or_default();
        }
        self.edge_events.close();
        self.edge.close_all().await;
        Ok(heard)
    }

    fn take_edge(&mut self, event: EdgeEvent, uri: &str) {
        let now = Instant::now();
        match event {
            EdgeEvent::Message { flow, bytes } => {
                self.show(Direction::In, &bytes);
                self.endpoint.handle(Input::Message { flow, bytes: &bytes }, now);
            }
            EdgeEvent::Closed { connection } => self.endpoint.handle(Input::Closed { connection }, now),
            EdgeEvent::Connected { id: sip::ConnectId(0), flow } => self.invite(uri, flow, now),
            EdgeEvent::ConnectFailed { id: sip::ConnectId(0) } => {
                (self.report.status, self.report.phrase) = (503, "no connection to the callee".to_owned());
                self.ended = true;
            }
            EdgeEvent::Connected { id, flow } => self.endpoint.handle(Input::Connected { id, flow }, now),
            EdgeEvent::ConnectFailed { id } => self.endpoint.handle(Input::ConnectFailed { id }, now),
        }
    }

    fn invite(&mut self, uri: &str, flow: Flow, now: Instant) {
        let Some(local) = &self.local else { return };
        let offer = sdp::offer(local, None, &Fresh::draw(&mut self.rng));
        let from = format!("<sip:patchbay@{}>", bracketed(local.address));
        let invite = OutgoingInvite {
            dialog: DIALOG,
            uri: uri.to_owned(),
            from,
            flow,
            sdp: offer.sdp.clone(),
            headers: Vec::new(),
        };
        self.last_offer = Some(offer);
        self.invited = now;
        self.endpoint.handle(Input::Command(Command::Invite(Box::new(invite))), now);
    }

    /// True: nothing is left to wait for, we may hang up.
    fn take_sound(&mut self, event: SoundEvent) -> bool {
        let waited = !self.waits.is_empty();
        match event {
            SoundEvent::Played => drop(self.waits.remove(&Wait::Play)),
            SoundEvent::Leg(LegEvent::DigitsSent { .. }) => {
                // Without a recording the callee is listened to until it hangs up.
                let played_something = self.waits.contains(&Wait::Play);
                self.waits.remove(&Wait::Digits);
                self.show_note(Direction::Out, "digits sent");
                return played_something && self.waits.is_empty();
            }
            SoundEvent::Leg(LegEvent::DigitsCancelled { .. }) => {
                self.show_note(Direction::Out, "digits not sent: telephone-event was not negotiated")
            }
            SoundEvent::Leg(LegEvent::Digit { key, .. }) => self.report.digits_received.push(key),
            SoundEvent::Leg(LegEvent::FirstPacket) => self.show_note(Direction::In, "RTP"),
            SoundEvent::Leg(LegEvent::MediaTimeout) => self.show_note(Direction::In, "no RTP for 30 s"),
            SoundEvent::Leg(LegEvent::SourceMoved { .. }) => {}
        }
        waited && self.waits.is_empty()
    }

    fn hang_up(&mut self, now: Instant) {
        self.hanging_up = true;
        let command = match self.answered {
            Some(_) => Command::Bye { dialog: DIALOG, reason: None },
            None => Command::Cancel { dialog: DIALOG },
        };
        self.endpoint.handle(Input::Command(command), now);
    }

    fn carry_out(&mut self) -> anyhow::Result<()> {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send { flow, bytes } => {
                    self.show(Direction::Out, &bytes);
                    self.edge.send(flow, bytes);
                }
                Output::Connect { id, target } => self.edge.connect(sip::ConnectId(id.0 + 1), target),
                Output::Event(event) => self.take_event(event)?,
            }
        }
        Ok(())
    }

    fn take_event(&mut self, event: Event) -> anyhow::Result<()> {
        let now = Instant::now();
        match event {
            Event::Accepted { response, .. } => {
                self.report.status = response.status();
                self.report.phrase = response.phrase().into_owned();
                self.report.setup_ms = Some(round(now.duration_since(self.invited).as_secs_f64() * 1e3));
                self.answered = Some(now);
                self.take_answer(sip::session_of_response(&response), now);
            }
            Event::Offer { sdp, .. } => self.answer_offer(sdp.as_deref(), now),
            Event::OfferAnswered { sdp, .. } => self.take_answer(Some(&sdp), now),
            Event::InfoDigit { digit, .. } => self.report.digits_received.push(digit),
            Event::Ended { ending, .. } => self.end(ending, now),
            Event::Invite { dialog, .. } => {
                let rejection = sip::Rejection { status: 486, phrase: None, reason: None, retry_after_s: None };
                self.endpoint.handle(Input::Command(Command::Reject { dialog, rejection }), now);
            }
            Event::Ringing { .. }
            | Event::Acknowledged { .. }
            | Event::OfferRejected { .. }
            | Event::OfferWithdrawn { .. }
            | Event::ReferProgress { .. }
            | Event::ReferEnded { .. } => {}
        }
        Ok(())
    }

    fn take_answer(&mut self, answer: Option<&[u8]>, now: Instant) {
        let session =
            self.last_offer.as_ref().and_then(|offer| sdp::accept_answer(offer, &sdp::read(answer?).ok()?).ok());
        match session {
            Some(session) => {
                self.report.codec = Some(if session.negotiated.codec == Codec::Pcma { "PCMA" } else { "PCMU" });
                self.report.srtp = session.negotiated.srtp.is_some();
                self.session = Some(session);
            }
            None => {
                self.report.phrase = "the answer's session cannot be used".to_owned();
                self.report.ended_by = "failure";
                self.hang_up(now);
            }
        }
    }

    /// The callee's re-INVITE or UPDATE.
    fn answer_offer(&mut self, offered: Option<&[u8]>, now: Instant) {
        let fresh = Fresh::draw(&mut self.rng);
        let Some(local) = &self.local else { return };
        let command = match offered {
            None => {
                let offer = sdp::offer(local, self.session.as_ref(), &fresh);
                let sdp = offer.sdp.clone();
                self.last_offer = Some(offer);
                Command::AcceptOffer { dialog: DIALOG, sdp }
            }
            Some(bytes) => {
                let answered = sdp::read(bytes)
                    .ok()
                    .and_then(|offer| sdp::answer(&offer, local, self.session.as_ref(), &fresh).ok());
                match answered {
                    Some(session) => {
                        let sdp = session.sdp.clone();
                        self.session = Some(session);
                        Command::AcceptOffer { dialog: DIALOG, sdp }
                    }
                    None => Command::RejectOffer {
                        dialog: DIALOG,
                        rejection: sip::Rejection { status: 488, phrase: None, reason: None, retry_after_s: None },
                    },
                }
            }
        };
        self.endpoint.handle(Input::Command(command), now);
    }

    fn end(&mut self, ending: Ending, now: Instant) {
        self.ended = true;
        self.report.seconds = self.answered.map_or(0.0, |answered| round(now.duration_since(answered).as_secs_f64()));
        match ending {
            Ending::PeerBye { .. } => self.report.ended_by = "callee",
            Ending::OurBye => self.report.ended_by = "caller",
            Ending::Cancelled => (self.report.status, self.report.phrase) = (487, "Request Terminated".to_owned()),
            Ending::Refused { status, phrase } => (self.report.status, self.report.phrase) = (status, phrase),
            Ending::Gone { status } | Ending::Rejected { status } => {
                self.report.phrase = format!("the dialog ended with {status}")
            }
            Ending::NoAck | Ending::SessionExpired => self.report.phrase = "the session was not kept up".to_owned(),
        }
    }

    fn show(&mut self, direction: Direction, bytes: &[u8]) {
        let line = self.ladder.as_mut().map(|ladder| ladder.message(Instant::now(), direction, bytes));
        self.print(line);
    }

    fn show_note(&mut self, direction: Direction, note: &str) {
        let line = self.ladder.as_mut().map(|ladder| ladder.note(Instant::now(), direction, note));
        self.print(line);
    }

    /// With --json stdout holds the report and nothing else.
    fn print(&self, line: Option<String>) {
        match line {
            Some(line) if self.ladder_to_stderr => complain(line),
            Some(line) => say(line),
            None => {}
        }
    }
}

/// One listener on the address that leads to the callee, everybody may answer.
fn client_config(args: &CallArgs, transport: Transport, local: IpAddr) -> anyhow::Result<Config> {
    // A connection of ours needs no TLS listener, and we have no certificate for one.
    let scheme = if transport == Transport::Udp { "udp" } else { "tcp" };
    let listen = format!("{scheme}://{}", SocketAddr::new(local, 0));
    let flags = ["patchbay", "serve", "--listen", &listen, "--allow", "0.0.0.0/0", "--allow", "::/0"];
    let cli::Command::Serve(serve) = Cli::try_parse_from(flags)?.command else { bail!("flags of a caller") };
    let mut config = config::from_flags(&serve)?;
    for trunk in &mut config.trunks {
        trunk.tls_ca.clone_from(&args.tls_ca);
        trunk.tls_server_name.clone_from(&args.tls_server_name);
    }
    Ok(config)
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
