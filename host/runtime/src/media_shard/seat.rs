//! One leg at its place on a media thread: the sans-IO leg, its sockets, and the call's rings.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use call::CallId;
use media::{Leg, LegEvent};

use super::ShardEvent;
use super::listening::{Beat, Listening};
use super::schedule::PHASE;
use super::stamp;
use super::tap::Tap;
use super::voice::Voice;
use crate::bots::{FromCaller, Lane, PHASES, Pressed};
use crate::soon::touch;

/// Packets read for one leg in one phase. More is a flood: it waits in the socket's buffer, and the kernel drops what does not fit.
const PACKETS_PER_PHASE_MAX: usize = 32;
/// So often, in phases of its own, a leg's socket is read until nothing is left in it; else until nothing is expected.
const READ_OUT_EVERY_TICKS: u64 = 16;
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
    /// While the beat of the sender is not known: the socket is read in every phase.
    pub listening: Option<Listening>,
    /// The phase in which a frame was taken last, and before which none is: one tick and more between them.
    pub took: u64,
    pub takes_from: u64,
}

/// Scratch space of one media thread.
pub struct Scratch {
    datagram: [u8; DATAGRAM_BYTES_MAX],
    packet: Vec<u8>,
    frame: [i16; 160],
    /// How long the packet that was read last had waited, in microseconds.
    pub waited_us: fn(&UdpSocket) -> i64,
}

impl Scratch {
    pub fn new() -> Self {
        Self {
            datagram: [0; DATAGRAM_BYTES_MAX],
            packet: Vec::with_capacity(DATAGRAM_BYTES_MAX),
            frame: [0; 160],
            waited_us: stamp::waited_us,
        }
    }
}

impl Seat {
    /// The receive phase: reads what has come and hands 20 ms of it to the bot, to be answered by `due`.
    pub fn receive(
        &mut self,
        phase: u64,
        now: Instant,
        due: Instant,
        scratch: &mut Scratch,
        events: &mut dyn FnMut(ShardEvent),
    ) {
        self.read(phase, now, scratch);
        if phase < self.takes_from {
            return;
        }
        self.took = phase;
        let frame = self.leg.take_frame(now, &mut scratch.frame);
        self.voice.ends.shared.tick.store(frame.tick, Ordering::Relaxed);
        self.tell_events(events);
        if self.heard && self.voice.ends.is_heard() {
            let delay_ms = u16::try_from(self.leg.playout_delay_ms()).unwrap_or(u16::MAX);
            let budget_ms = due.saturating_duration_since(now).as_millis() as u8;
            let kind = kind(frame.kind);
            let from_caller = FromCaller { tick: frame.tick, due, kind, budget_ms, delay_ms, samples: scratch.frame };
            if self.voice.ends.hand_over(from_caller) {
                self.voice.await_answer(frame.tick);
            }
        }
    }

    /// Reads the RTP socket, without waiting: as a rule one packet, after which no other is expected before the next tick.
    pub fn read(&mut self, phase: u64, now: Instant, scratch: &mut Scratch) {
        let reads_out = self.listening.is_some()
            || (phase / PHASES as u64).wrapping_add(self.call.0).is_multiple_of(READ_OUT_EVERY_TICKS);
        for _ in 0..PACKETS_PER_PHASE_MAX {
            let Ok((len, source)) = self.rtp.recv_from(&mut scratch.datagram) else { break };
            let accepted = self.take_rtp(&mut scratch.datagram[..len], source, now);
            if let (Some(listening), true) = (&mut self.listening, accepted) {
                listening.heard(phase, (scratch.waited_us)(&self.rtp));
            }
            if !reads_out && !self.leg.may_have_more() {
                break;
            }
        }
    }

    /// What the search for the sender's beat has come to; over unless it says `NotYet`.
    pub fn beat(&mut self, phase: u64) -> Beat {
        let beat = self.listening.as_ref().map_or(Beat::Nowhere, |listening| listening.beat(phase));
        if beat != Beat::NotYet {
            self.listening = None;
        }
        beat
    }

    /// Moves to another receive phase, and so to another send phase and its bot to another batch. False: it stays.
    pub fn follow_beat(&mut self, to: usize, lane: &Lane) -> bool {
        let from = self.voice.ends.phase;
        let later = (to + PHASES - from) % PHASES;
        if !self.leg.shift_phases(PHASE * later as u32) || later == 0 {
            return false;
        }
        self.takes_from = self.took + (PHASES + later) as u64;
        self.voice.ends.phase = to;
        lane.follow(self.call, &self.voice.ends.lane_phase, to);
        true
    }

    fn take_rtp(&mut self, datagram: &mut [u8], source: SocketAddr, now: Instant) -> bool {
        let accepted = self.leg.receive_rtp(datagram, source, now);
        if let (Some(tap), Some(plain)) = (&self.tap, accepted) {
            tap.received(source, plain);
        }
        accepted.is_some()
    }

    /// RTCP is rare: read now and then, not in every tick.
    pub fn exchange_rtcp(&mut self, now: Instant, scratch: &mut Scratch) {
        for _ in 0..PACKETS_PER_PHASE_MAX {
            match self.rtcp.recv_from(&mut scratch.datagram) {
                Ok((len, source)) => {
                    // Round trips count to the arrival, not to this reading.
                    let waited = Duration::from_micros(u64::try_from((scratch.waited_us)(&self.rtcp)).unwrap_or(0));
                    let arrived = now.checked_sub(waited).unwrap_or(now);
                    self.leg.receive_rtcp(&mut scratch.datagram[..len], source, arrived);
                }
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
                tap.sent(destination, self.leg.plain_packet(&scratch.packet));
            }
        }
    }

    /// What is behind pointers of a seat whose turn comes next.
    pub fn touch_rings(&self) {
        let ends = &self.voice.ends;
        touch(&*ends.shared);
        ends.frames.touch();
        ends.answers.touch();
    }

    pub fn say_bye(&mut self, now: Instant, scratch: &mut Scratch) {
        if let Some(destination) = self.leg.bye_rtcp(now, &mut scratch.packet) {
            self.send_rtcp(destination, &scratch.packet);
        }
    }

    fn press(&mut self, key: Pressed) {
        self.voice.ends.press(key);
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
