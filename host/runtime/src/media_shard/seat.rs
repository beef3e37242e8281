//! One leg at its place on a media thread: the sans-IO leg, its sockets, and the call's rings.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::Instant;

use call::CallId;
use media::{Leg, LegEvent};

use super::ShardEvent;
use super::tap::Tap;
use super::voice::Voice;
use crate::bots::{FromCaller, Pressed};

/// Packets read for one leg in one phase. More is a flood: it waits in the socket's buffer, and the kernel drops what does not fit.
const PACKETS_PER_PHASE_MAX: usize = 32;
const DATAGRAM_BYTES_MAX: usize = 2048;

pub struct Seat {
    pub call: CallId,
    pub leg: Leg,
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub voice: Voice,
    /// Where the call's packets are shown to, decrypted.
    pub tap: Option<Tap>,
    pub ptime_ms: u32,
    /// Frames reach the bot from the first packet or the ACK on; silence before that does not.
    pub heard: bool,
}

/// Scratch space of one media thread.
pub struct Scratch {
    datagram: [u8; DATAGRAM_BYTES_MAX],
    packet: Vec<u8>,
    frame: [i16; 160],
}

impl Scratch {
    pub fn new() -> Self {
        Self { datagram: [0; DATAGRAM_BYTES_MAX], packet: Vec::with_capacity(DATAGRAM_BYTES_MAX), frame: [0; 160] }
    }
}

impl Seat {
    /// The receive phase: reads what has come and hands 20 ms of it to the bot, to be answered by `due`.
    pub fn receive(&mut self, now: Instant, due: Instant, scratch: &mut Scratch, events: &mut dyn FnMut(ShardEvent)) {
        for _ in 0..PACKETS_PER_PHASE_MAX {
            match self.rtp.recv_from(&mut scratch.datagram) {
                Ok((len, source)) => self.take_rtp(&mut scratch.datagram[..len], source, now),
                Err(_) => break,
            }
        }
        let frame = self.leg.take_frame(now, &mut scratch.frame);
        self.voice.ends.shared.tick.store(frame.tick, Ordering::Relaxed);
        self.tell_events(events);
        if self.heard && self.voice.ends.shared.wants_frames.load(Ordering::Relaxed) {
            let from_caller = FromCaller { tick: frame.tick, kind: kind(frame.kind), samples: scratch.frame, due };
            // The bot's side lets the oldest go; here the ring is full only if nobody has entered the bot for a second.
            if self.voice.ends.frames.push(from_caller).is_err() {
                self.voice.ends.shared.overruns.fetch_add(1, Ordering::Relaxed);
            }
            self.voice.await_answer(frame.tick);
        }
    }

    fn take_rtp(&mut self, datagram: &mut [u8], source: SocketAddr, now: Instant) {
        let accepted = self.leg.receive_rtp(datagram, source, now);
        if let (Some(tap), Some(plain)) = (&self.tap, accepted) {
            tap.received(source, plain);
        }
    }

    /// RTCP is rare: read now and then, not in every tick.
    pub fn exchange_rtcp(&mut self, now: Instant, scratch: &mut Scratch) {
        for _ in 0..PACKETS_PER_PHASE_MAX {
            match self.rtcp.recv_from(&mut scratch.datagram) {
                Ok((len, source)) => self.leg.receive_rtcp(&mut scratch.datagram[..len], source, now),
                Err(_) => break,
            }
        }
        if let Some(destination) = self.leg.poll_rtcp(now, &mut scratch.packet) {
            self.send_rtcp(destination, &scratch.packet);
        }
    }

    fn send_rtcp(&self, destination: SocketAddr, packet: &[u8]) {
        let socket = if self.leg.negotiated().rtcp_mux { &self.rtp } else { &self.rtcp };
        // Lost like any datagram.
        let _ = socket.send_to(packet, destination);
    }

    /// The send phase: one packet, whatever there is to say.
    pub fn send(&mut self, now: Instant, scratch: &mut Scratch) {
        let destination = self.leg.send(now, &mut self.voice, &mut scratch.packet);
        if let Some(destination) = destination {
            // A full socket buffer or an unreachable peer loses this packet, as the network may.
            let _ = self.rtp.send_to(&scratch.packet, destination);
            if let Some(tap) = &self.tap {
                tap.sent(destination, self.leg.plain_packet());
            }
        }
    }

    pub fn say_bye(&mut self, now: Instant, scratch: &mut Scratch) {
        if let Some(destination) = self.leg.bye_rtcp(now, &mut scratch.packet) {
            self.send_rtcp(destination, &scratch.packet);
        }
    }

    fn press(&mut self, key: Pressed) {
        if self.voice.ends.digits.push(key).is_err() {
            self.voice.ends.shared.digits_overfull.store(true, Ordering::Relaxed);
        }
    }

    fn tell_events(&mut self, events: &mut dyn FnMut(ShardEvent)) {
        while let Some(event) = self.leg.poll_event() {
            match event {
                LegEvent::FirstPacket => self.heard = true,
                LegEvent::Digit { key, tick } => self.press(Pressed { key, tick }),
                _ => {}
            }
            events(ShardEvent::Leg { call: self.call, event });
        }
    }
}

fn kind(kind: media::FrameKind) -> plugin::FrameKind {
    match kind {
        media::FrameKind::Audio => plugin::FrameKind::Audio,
        media::FrameKind::Concealed => plugin::FrameKind::Concealed,
        media::FrameKind::Absent => plugin::FrameKind::Absent,
        media::FrameKind::Held => plugin::FrameKind::Held,
    }
}
