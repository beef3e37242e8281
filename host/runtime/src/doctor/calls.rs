//! What a peer sees of the host that runs: OPTIONS answered by each listener, and a call with sound both ways.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use sip::Transport;

use super::addresses::is_ours;
use super::listeners::Host;
use super::probe::{self, Failure};
use super::{Case, Finding, Verdict, routes};
use crate::call_client::{self, CallReport};
use crate::cli::CallArgs;
use crate::config::{Listener, Srtp, Trunk, scheme};
use crate::signalling::address_towards;

const TONE_HZ: f64 = 440.0;
const TONE_SAMPLES: usize = 12_000;
const TONE_LEVEL: f64 = 12_000.0;
/// What an echo of the tone surely has, and silence surely not.
const HEARD_LEVEL: u16 = 2_000;

pub(super) fn options(case: &Case) -> Vec<Finding> {
    case.config.listeners.iter().filter_map(|listener| asked(case, listener)).collect()
}

/// None: nobody knows where it listens.
fn asked(case: &Case, listener: &Listener) -> Option<Finding> {
    let (to, transport) = (reached_at(listener)?, listener.listen.transport);
    let name = listener.listen;
    if case.host == Host::Absent {
        return Some(Finding::unknown(name, "no patchbay runs", "start it, and ask again"));
    }
    if let Some(outsider) = outsider(case, to) {
        let why = format!("{outsider} is in no trunk's networks: the host does not answer this machine, as it should");
        return Some(Finding::unknown(
            name,
            why,
            format!("a [[trunks]] with networks = [\"{outsider}\"] lets the doctor ask"),
        ));
    }
    Some(match probe::options(transport, to, &listener.certificates) {
        Ok((200, _)) => Finding::well(name, "is answered 200"),
        Ok((status, phrase)) => Finding::wrong(
            name,
            format!("is answered {status} {phrase}"),
            "503 is a host that drains or is full: see its log",
        ),
        Err(Failure::NoConnection(error)) => {
            Finding::wrong(name, format!("no connection: {error}"), "is the host running?")
        }
        Err(Failure::NoAnswer(error)) => Finding::wrong(
            name,
            error,
            "its log says what it makes of this machine; restart it if its configuration is older",
        ),
    })
}

/// Where this machine reaches it.
fn reached_at(listener: &Listener) -> Option<SocketAddr> {
    let address = listener.listen.address;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (address.port() != 0).then(|| SocketAddr::new(ip, address.port()))
}

/// The address that the host sees us by, if that is no trunk's.
fn outsider(case: &Case, to: SocketAddr) -> Option<IpAddr> {
    let from = address_towards(to.ip()).unwrap_or(to.ip());
    case.config.trunk_of(from).is_none().then_some(from)
}

/// Calls an echo and listens for its own tone; again with SRTP, where the trunk that we count as takes it, and again with RTP from
/// another address than signalling, where this machine has one.
pub(super) fn call(case: &Case) -> Vec<Finding> {
    if case.host == Host::Absent {
        return vec![Finding::unknown("", "no patchbay runs", "start it, and ask again")];
    }
    let reached = case.config.listeners.iter().filter_map(|listener| Some((listener, reached_at(listener)?)));
    // In the clear, if it is listened for.
    let Some((listener, to)) = reached.min_by_key(|(listener, _)| listener.listen.transport == Transport::Tls) else {
        return vec![Finding::unknown("", "no listener has a port to call", "give one a port other than 0")];
    };
    let from = address_towards(to.ip()).ok();
    let trunk = from.and_then(|from| Some((from, case.config.trunk_of(from)?)));
    let Some((from, trunk)) = trunk.and_then(|(from, id)| Some((from, case.config.trunks.get(usize::from(id.0))?)))
    else {
        return vec![Finding::unknown("", "this machine is in no trunk's networks", "as above")];
    };
    let routing = routes::routing(case).unwrap_or_default();
    let mut numbers = case.args.called.iter().map(|number| call::called_number(number)).chain(["echo".to_owned()]);
    let is_echo =
        |number: &String| routes::plugin(case, &routing, &trunk.name, number).is_some_and(|plugin| plugin == "echo");
    let Some(number) = numbers.find(is_echo) else {
        let why = format!("no number leads trunk {} to the bot `echo`", trunk.name);
        return vec![Finding::unknown(
            "",
            why,
            "route one to echo.wasm and name it by --called: its echo shows that sound goes both ways",
        )];
    };
    let how = scheme(listener.listen.transport);
    let plain = Way { uri: format!("sip:{number}@{to};transport={how}"), listener, srtp: false, media_from: None };
    placed(trunk, from, &plain)
}

/// How one call is placed.
struct Way<'a> {
    uri: String,
    listener: &'a Listener,
    srtp: bool,
    media_from: Option<IpAddr>,
}

fn placed(trunk: &Trunk, from: IpAddr, plain: &Way) -> Vec<Finding> {
    let srtp = match trunk.srtp {
        Srtp::Require => &[true][..],
        Srtp::Prefer => &[false, true],
        Srtp::Off => &[false],
    };
    let other = elsewhere(trunk, from);
    // Where the trunk's RTP comes from elsewhere alone, ours does so too.
    let usual = if takes_media_from(trunk, from) { None } else { other };
    let place = |srtp, media_from| Way { uri: plain.uri.clone(), srtp, media_from, ..*plain }.placed();
    let mut findings: Vec<Finding> = srtp.iter().map(|srtp| place(*srtp, usual)).collect();
    let all_well = findings.iter().all(|finding| finding.verdict == Verdict::Well);
    match other {
        // What is wrong already would only be said again.
        Some(_) if usual.is_none() && all_well => findings.push(place(srtp[0], other)),
        None if !trunk.media_networks.is_empty() => findings.push(Finding::unknown(
            "",
            "this machine has no second address in media_networks: RTP from elsewhere than signalling is not tried",
            "let the trunk call, and look at the call's summary for packets",
        )),
        _ => {}
    }
    findings
}

fn takes_media_from(trunk: &Trunk, address: IpAddr) -> bool {
    trunk.media_networks.is_empty() || trunk.media_networks.iter().any(|network| network.0.contains(&address))
}

/// An address of this machine, other than this one, that the trunk's RTP may come from.
fn elsewhere(trunk: &Trunk, from: IpAddr) -> Option<IpAddr> {
    // On loopback all of 127.0.0.0/8 is ours.
    let loopback = (2..=254).map(|last| IpAddr::from([127, 0, 0, last])).filter(|_| from.is_loopback());
    let routed = trunk.media_networks.iter().filter_map(|network| address_towards(network.0.addr()).ok());
    let suits = |address: &IpAddr| {
        *address != from
            && address.is_ipv4() == from.is_ipv4()
            && takes_media_from(trunk, *address)
            && is_ours(*address)
    };
    loopback.chain(routed).find(suits)
}

impl Way<'_> {
    fn placed(&self) -> Finding {
        let srtp = if self.srtp { " with SRTP" } else { "" };
        let from = self.media_from.map(|from| format!(" with RTP from {from}")).unwrap_or_default();
        let what = format!("{}{srtp}{from}", self.uri);
        match Sounds::new().and_then(|sounds| sounds.place(self)) {
            Ok(heard) => judged(what, &heard),
            Err(error) => Finding::unknown(what, format!("{error:#}"), "`patchbay call` says more"),
        }
    }
}

fn judged(what: String, Heard { report, level }: &Heard) -> Finding {
    if report.status != 200 {
        let why = format!("is answered {} {}", report.status, report.phrase);
        return Finding::wrong(what, why, "`patchbay call --ladder` shows the messages, the host's log the cause");
    }
    if report.packets_received == 0 {
        let why = format!("{} packets were sent and none came back", report.packets_sent);
        return Finding::wrong(what, why, "open the UDP ports of `rtp.ports` both ways, and see what is advertised");
    }
    if *level < HEARD_LEVEL {
        let why =
            format!("{} packets came back and all are silent: ours do not reach the host", report.packets_received);
        let mend = "open the UDP ports of `rtp.ports`; media_networks must hold the address that RTP comes from";
        return Finding::wrong(what, why, mend);
    }
    let lost = report.packets_lost;
    Finding::well(what, format!("its sound comes back, {} packets, {lost} lost", report.packets_received))
}

struct Heard {
    report: CallReport,
    /// The loudest sample.
    level: u16,
}

/// A tone to play and a place for what is heard, in a folder that goes with this.
struct Sounds {
    folder: PathBuf,
}

impl Sounds {
    fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("patchbay-doctor-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&folder)?;
        Ok(Self { folder })
    }

    fn place(&self, way: &Way) -> anyhow::Result<Heard> {
        let (tone, echo) = (self.folder.join("tone.wav"), self.folder.join("echo.wav"));
        let step = TONE_HZ * std::f64::consts::TAU / 8000.0;
        let samples: Vec<i16> = (0..TONE_SAMPLES).map(|at| ((at as f64 * step).sin() * TONE_LEVEL) as i16).collect();
        call_client::write_wav(&tone, &samples)?;
        let args = CallArgs {
            uri: way.uri.clone(),
            tls_ca: None,
            tls_server_name: None,
            srtp: way.srtp,
            play: Some(tone),
            record: Some(echo.clone()),
            digits: None,
            duration: None,
            ladder: false,
            json: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let certificates = &way.listener.certificates;
        let pinned = || probe::pinned_config(certificates).map_err(anyhow::Error::msg);
        let tls = (!certificates.is_empty()).then(pinned).transpose()?;
        let mut order = call_client::Order::read(&args)?;
        (order.tls, order.media_from) = (tls, way.media_from);
        let report = runtime.block_on(call_client::call(order))?;
        Ok(Heard { report, level: loudest(&echo)? })
    }
}

/// 0 if there was no call to record.
fn loudest(path: &Path) -> anyhow::Result<u16> {
    if !path.exists() {
        return Ok(0);
    }
    let samples = crate::wiring::read_sound(path, 60)?;
    Ok(samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0))
}

impl Drop for Sounds {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
