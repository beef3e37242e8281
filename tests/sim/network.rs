//! The paths between callers and host: datagrams that get lost, copied, late and out of order; streams that arrive whole and
//! in order, cut anywhere into pieces, until the connection is cut.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use call::{Direction, Ladder};
use sip::framing::{Frame, StreamReader};
use sip::{ConnectionId, Flow, ListenerId, Transport, TrunkId};

use crate::scenario::{CallerPlan, Profile};
use crate::sim::{Due, End, MediaDatagram, Sim, ms};
use crate::talker::INTRUDER;

pub const HOST_IP: &str = "198.51.100.1";

/// One way of a stream.
struct Way {
    reader: StreamReader,
    last_arrival: Instant,
    /// Its end knows of the cut.
    closed: bool,
}

struct Connection {
    caller: usize,
    cut: bool,
    to_host: Way,
    to_caller: Way,
}

impl Connection {
    fn way(&mut self, at: End) -> &mut Way {
        if at == End::Host { &mut self.to_host } else { &mut self.to_caller }
    }
}

/// One caller's line.
struct Line {
    profile: Profile,
    transport: Transport,
    trunk: u16,
    ladder: Ladder,
}

pub struct Network {
    lines: Vec<Line>,
    connections: BTreeMap<u64, Connection>,
    /// Messages given to the host's endpoint: requests and responses.
    pub requests_to_host: u64,
    pub responses_to_host: u64,
}

impl Network {
    pub fn new(plans: &[CallerPlan], begin: Instant) -> Network {
        let line = |(index, plan): (usize, &CallerPlan)| Line {
            profile: plan.network.clone(),
            transport: plan.transport,
            trunk: plan.trunk,
            ladder: Ladder::new(begin, &format!("uac{index}"), "host"),
        };
        Network {
            lines: plans.iter().enumerate().map(line).collect(),
            connections: BTreeMap::new(),
            requests_to_host: 0,
            responses_to_host: 0,
        }
    }

    /// The way as one end names it.
    pub fn flow(&self, caller: usize, at: End, connection: Option<u64>) -> Flow {
        let Line { transport, trunk, .. } = self.lines[caller];
        let (remote, listener, trunk) = match at {
            End::Host => (format!("192.0.2.{}:5060", 10 + caller), host_listener(transport), trunk),
            End::Caller => (format!("{HOST_IP}:{}", host_port(transport)), 0, 0),
        };
        Flow {
            transport,
            listener: ListenerId(listener),
            connection: connection.map(ConnectionId),
            remote: remote.parse().expect("an address"),
            trunk: TrunkId(trunk),
        }
    }

    /// None over UDP.
    pub fn open(&mut self, sim: &mut Sim, caller: usize) -> Option<u64> {
        if self.lines[caller].transport == Transport::Udp {
            return None;
        }
        let id = self.connections.len() as u64 + 1;
        let way = || Way { reader: StreamReader::new(), last_arrival: sim.now, closed: false };
        let connection = Connection { caller, cut: false, to_host: way(), to_caller: way() };
        self.connections.insert(id, connection);
        sim.say(|| format!("-- uac{caller}: connection {id} is open"));
        Some(id)
    }

    /// Whether a new connection comes up at this moment.
    pub fn works(&self, sim: &Sim, caller: usize) -> bool {
        let since = sim.elapsed();
        let down = |(at, lasts): &(u64, u64)| (ms(*at)..ms(at + lasts)).contains(&since);
        !self.lines[caller].profile.cuts.iter().any(down)
    }

    /// Cuts whatever is open on this line: what is under way is lost, and each end learns of it in its own time.
    pub fn cut(&mut self, sim: &mut Sim, caller: usize) {
        for (&id, connection) in self.connections.iter_mut().filter(|(_, c)| c.caller == caller && !c.cut) {
            connection.cut = true;
            sim.say(|| format!("-- uac{caller}: connection {id} is cut"));
            for at in [End::Caller, End::Host] {
                let noticed_ms = if sim.permille(500) { sim.up_to(50) } else { sim.up_to(4000) };
                sim.after(noticed_ms, Due::Closed { connection: id, at });
            }
        }
    }

    /// The end knows now. Its caller, if it had not heard of that before.
    pub fn closed(&mut self, connection: u64, at: End) -> Option<usize> {
        let connection = self.connections.get_mut(&connection)?;
        let way = connection.way(at);
        (!std::mem::replace(&mut way.closed, true)).then_some(connection.caller)
    }

    /// One message leaves.
    pub fn send(&mut self, sim: &mut Sim, caller: usize, from: End, flow: Flow, bytes: Vec<u8>) {
        sim.stamp(&bytes);
        let direction = if from == End::Caller { Direction::Out } else { Direction::In };
        let line = self.lines[caller].ladder.message(sim.now, direction, &bytes);
        match flow.connection {
            None => self.send_datagram(sim, caller, from, bytes, line),
            Some(ConnectionId(id)) => self.send_stream(sim, id, from, bytes, line),
        }
    }

    fn send_datagram(&mut self, sim: &mut Sim, caller: usize, from: End, bytes: Vec<u8>, line: String) {
        let profile = self.lines[caller].profile.clone();
        let mut copies = 0;
        for arrives_ms in travel(sim, &profile, profile.sip_lost_permille) {
            copies += 1;
            sim.at(sim.now + arrives_ms, Due::Datagram { caller, at: from.other(), bytes: bytes.clone() });
        }
        sim.say_line(|| match copies {
            0 => format!("{line}  (lost)"),
            1 => line,
            _ => format!("{line}  (twice)"),
        });
    }

    fn send_stream(&mut self, sim: &mut Sim, id: u64, from: End, mut bytes: Vec<u8>, line: String) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return sim.fail(format!("sent on connection {id}, which never was"));
        };
        if connection.way(from).closed {
            return sim.fail(format!("sent on connection {id}, which is known to be closed"));
        }
        let cut = connection.cut;
        sim.say_line(|| if cut { format!("{line}  (lost)") } else { line });
        if cut {
            return;
        }
        let profile = &self.lines[connection.caller].profile;
        if sim.permille(50) {
            bytes.splice(0..0, *b"\r\n\r\n");
        }
        while !bytes.is_empty() {
            let most = bytes.len() as u64;
            let piece = if sim.permille(500) { most } else { 1 + sim.up_to(most - 1) };
            let rest = bytes.split_off(piece as usize);
            let delay = ms(profile.delay_ms + sim.up_to(profile.jitter_ms));
            let way = connection.way(from.other());
            way.last_arrival = way.last_arrival.max(sim.now + delay);
            sim.at(way.last_arrival, Due::Stream { connection: id, at: from.other(), bytes });
            bytes = rest;
        }
    }

    /// What a piece of a stream completes, and whose line it is.
    pub fn arrived(&mut self, sim: &mut Sim, id: u64, at: End, bytes: &[u8]) -> Option<(usize, Vec<Vec<u8>>)> {
        let connection = self.connections.get_mut(&id)?;
        let (caller, cut) = (connection.caller, connection.cut);
        if cut {
            return None;
        }
        let way = connection.way(at);
        way.reader.push(bytes);
        let mut messages = Vec::new();
        for frame in way.reader.by_ref() {
            match frame {
                Ok(Frame::Message(message)) => messages.push(message),
                Ok(Frame::Ping) => {}
                Err(error) => sim.fail(format!("a clean stream could not be read: {error:?}")),
            }
        }
        Some((caller, messages))
    }

    pub fn count_to_host(&mut self, bytes: &[u8]) {
        if bytes.starts_with(b"SIP/2.0 ") {
            self.responses_to_host += 1;
        } else {
            self.requests_to_host += 1;
        }
    }

    pub fn send_media(&self, sim: &mut Sim, caller: usize, datagram: MediaDatagram) {
        sim.stamp(&datagram.bytes);
        let profile = self.lines[caller].profile.clone();
        let since = sim.elapsed();
        let gap = profile.gaps.iter().any(|(at, lasts)| (ms(*at)..ms(at + lasts)).contains(&since));
        let lost = if gap { 1000 } else { profile.rtp_lost_permille };
        for after in travel(sim, &profile, lost) {
            sim.at(sim.now + after, Due::Media(datagram.clone()));
        }
        if profile.intruder && sim.permille(100) {
            let from = SocketAddr::new(INTRUDER, 4000);
            sim.at(sim.now + ms(profile.delay_ms), Due::Media(MediaDatagram { from, ..datagram }));
        }
    }
}

/// How long each copy of a datagram travels; none if it is lost.
fn travel(sim: &mut Sim, profile: &Profile, lost_permille: u32) -> Vec<Duration> {
    if sim.permille(lost_permille) {
        return Vec::new();
    }
    let copies = if sim.permille(profile.copied_permille) { 2 } else { 1 };
    (0..copies).map(|_| ms(profile.delay_ms + sim.up_to(profile.jitter_ms))).collect()
}

pub fn host_listener(transport: Transport) -> u16 {
    match transport {
        Transport::Udp => 0,
        Transport::Tcp => 1,
        Transport::Tls => 2,
    }
}

pub fn host_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp => 5060,
        Transport::Tcp => 5070,
        Transport::Tls => 443,
    }
}
