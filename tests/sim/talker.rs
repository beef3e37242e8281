//! One leg at its place on a media thread: what has arrived is read once a tick, one packet leaves each slot.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use call::LegOpening;
use media::{DigitTiming, Direction, DropReason, JitterBounds, Leg, LegEvent, LegParams, Negotiated, SoundSource};

use crate::sim::MediaDatagram;
use crate::stream::{Presses, Stream};

/// Packets that one phase reads; further ones wait, as they do in the socket.
const PACKETS_PER_PHASE: usize = 32;
/// Time enough for the slowest path, and for the first packet to be learnt from.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// Somebody who has nothing to do with any call.
pub const INTRUDER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
/// What is counted after a packet was accepted: in [`media::LegStats::packets_received`] already.
const AFTER_ACCEPTANCE: &[DropReason] = &[
    DropReason::BadPayloadLength,
    DropReason::ComfortNoise,
    DropReason::TooManySsrcs,
    DropReason::Unconfirmed,
    DropReason::Duplicate,
    DropReason::Late,
    DropReason::Overflow,
    DropReason::BadTelephoneEvent,
];

pub struct Talker {
    pub leg: Leg,
    /// Where its packets come from, as the other side sees it.
    pub source: SocketAddr,
    inbox: Vec<MediaDatagram>,
    stream: Stream,
    pub presses: Presses,
    delivered: u64,
    accepted: u64,
    opened: Instant,
    last_tick: Option<u64>,
    /// The host is busy elsewhere until then.
    pub stalled_until: Instant,
}

/// What one receive phase brought.
pub struct Heard {
    pub samples: [i16; 160],
    pub events: Vec<LegEvent>,
}

impl Talker {
    pub fn new(opening: LegOpening, digits: DigitTiming, source: SocketAddr, now: Instant) -> Talker {
        let params = LegParams {
            seed: u64::from(opening.ssrc),
            negotiated: opening.negotiated,
            ssrc: opening.ssrc,
            first_sequence: opening.first_sequence,
            first_timestamp: opening.first_timestamp,
            cname: opening.cname,
            media_networks: opening.media_networks,
            sdp_address_allowed: opening.sdp_address_allowed,
            jitter: JitterBounds::default(),
            media_timeout: opening.media_timeout,
            digits,
        };
        Talker {
            leg: Leg::new(params, now),
            source,
            inbox: Vec::new(),
            stream: Stream::default(),
            presses: Presses::default(),
            delivered: 0,
            accepted: 0,
            opened: now,
            last_tick: None,
            stalled_until: now,
        }
    }

    pub fn arrive(&mut self, datagram: MediaDatagram) {
        self.inbox.push(datagram);
    }

    pub fn renegotiate(&mut self, negotiated: Negotiated, now: Instant) {
        self.stream.set_ptime(negotiated.send_ptime_ms);
        if negotiated.telephone_event.is_none() {
            self.stream.events_taken_away();
        }
        self.leg.renegotiate(negotiated, now);
    }

    pub fn receive_phase(&mut self, now: Instant) -> Result<Heard, String> {
        let read = self.inbox.len().min(PACKETS_PER_PHASE);
        for mut datagram in self.inbox.drain(..read) {
            if datagram.from.port() % 2 == 1 {
                self.leg.receive_rtcp(&mut datagram.bytes, datagram.from, now);
                continue;
            }
            // RFC 5761 4: RTCP on the RTP port.
            let is_rtcp = matches!(datagram.bytes.get(1), Some(192..=223));
            self.delivered += u64::from(!is_rtcp);
            if self.leg.receive_rtp(&mut datagram.bytes, datagram.from, now).is_some() {
                if datagram.from.ip() == INTRUDER {
                    return Err("a packet from outside the media networks was accepted".into());
                }
                self.accepted += 1;
                datagram.press.into_iter().for_each(|press| self.presses.accepted(press));
            }
        }
        let mut samples = [0; 160];
        let frame = self.leg.take_frame(now, &mut samples);
        if self.last_tick.is_some_and(|last| last >= frame.tick) {
            return Err(format!("tick {} after {:?}", frame.tick, self.last_tick));
        }
        self.last_tick = Some(frame.tick);
        let mut events = Vec::new();
        while let Some(event) = self.leg.poll_event() {
            if let LegEvent::Digit { key, .. } = event {
                self.presses.reported(key);
            }
            events.push(event);
        }
        self.presses.check()?;
        Ok(Heard { samples, events })
    }

    /// The packet that leaves.
    pub fn send_phase(&mut self, now: Instant, sound: &mut dyn SoundSource) -> Result<Option<MediaDatagram>, String> {
        let negotiated = self.leg.negotiated().clone();
        let sends = matches!(negotiated.direction, Direction::SendRecv | Direction::SendOnly);
        let open = sends && negotiated.remote_rtp.is_some() && self.leg.destination().is_some();
        let mut packet = Vec::new();
        let to = self.leg.send(now, sound, &mut packet);
        let plain = to.map(|_| self.leg.plain_packet(&packet));
        let press = self.stream.sent(now, &negotiated, plain, open)?;
        if self.leg.next_send() != self.stream.next_slot() {
            return Err("the leg's grid is not start + n x ptime".into());
        }
        Ok(to.map(|to| MediaDatagram { from: self.source, to, bytes: packet, press }))
    }

    /// When the next send phase is.
    pub fn next_send(&self, now: Instant) -> Instant {
        self.stream.next_slot().unwrap_or(now).max(self.stalled_until)
    }

    /// Where the network does nothing to packets and no offer changes anything, both sides are heard, and each packet counts.
    pub fn check_undisturbed(&self, now: Instant) -> Result<(), String> {
        if self.accepted == self.delivered && (self.accepted > 0 || now < self.opened + HEARD_WITHIN) {
            return Ok(());
        }
        Err(format!("{} of {} packets accepted, though nothing disturbs them", self.accepted, self.delivered))
    }

    /// The leg's counters against what was seen from outside.
    pub fn check_counters(&self) -> Result<(), String> {
        let stats = self.leg.stats();
        if stats.packets_sent != self.stream.packets {
            return Err(format!("{} packets left, {} were counted", self.stream.packets, stats.packets_sent));
        }
        if stats.packets_received != self.accepted {
            return Err(format!("{} packets accepted, {} were counted", self.accepted, stats.packets_received));
        }
        let after: u64 = AFTER_ACCEPTANCE.iter().map(|reason| stats.drops.get(*reason)).sum();
        let rtcp = stats.drops.get(DropReason::BadRtcp) + stats.drops.get(DropReason::NotEncrypted);
        let before = stats.drops.total() - after - rtcp;
        // RTCP that was refused by its source is counted there too: never less than the RTP alone.
        if self.accepted + before < self.delivered {
            return Err(format!("{} packets came, {} accepted, {before} dropped", self.delivered, self.accepted));
        }
        if stats.digits_received != self.presses.count() as u64 {
            return Err(format!("{} presses reported, {} counted", self.presses.count(), stats.digits_received));
        }
        Ok(())
    }
}
