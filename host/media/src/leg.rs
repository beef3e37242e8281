//! The media side of one call.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::clock::{FRAME, FRAME_SAMPLES, SAMPLES_PER_MS};
use crate::receive_path::ReceivePath;
use crate::rtcp::{Reporter, Sent};
use crate::send_path::SendPath;
use crate::{DigitTiming, DigitsRefused, Direction, DropReason, JitterBounds, LegStats, Negotiated};

/// Events that wait to be polled; further ones are counted and dropped. Digits among them: 64 at most wait in a call.
const EVENTS_MAX: usize = 64;

/// How a leg begins.
#[derive(Clone, Debug)]
pub struct LegParams {
    pub negotiated: Negotiated,
    pub ssrc: u32,
    /// Random, below 2^15.
    pub first_sequence: u16,
    /// Random.
    pub first_timestamp: u32,
    /// RFC 7022: random, for this call only.
    pub cname: String,
    /// Where RTP and RTCP may come from ...
    pub media_networks: Vec<IpNet>,
    /// ... and whether also from the SDP's address, wherever that lies.
    pub sdp_address_allowed: bool,
    pub jitter: JitterBounds,
    pub media_timeout: Duration,
    pub digits: DigitTiming,
    /// For the intervals of RTCP.
    pub seed: u64,
}

/// What became of one frame from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    Audio,
    /// In part or all made up, to hide a loss.
    Concealed,
    /// Silence, because nothing came.
    Absent,
    /// Silence, because the call is on hold.
    Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Counts 20 ms from the leg's first frame; steps by more than one where the host skipped.
    pub tick: u64,
    pub kind: FrameKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegEvent {
    /// The first RTP packet was accepted.
    FirstPacket,
    /// The caller pressed a key. `tick` is that of the frame taken next.
    Digit { key: char, tick: u64 },
    /// The keys ordered under this id have been sent.
    DigitsSent { id: u64 },
    /// They will not be: an offer took telephone-event away.
    DigitsCancelled { id: u64 },
    /// We listen and send to another address from now on.
    SourceMoved { from: Option<SocketAddr>, to: SocketAddr },
    /// Nothing acceptable came for the whole time-out. Said once, until something comes again.
    MediaTimeout,
}

/// Where the sound for the caller comes from.
pub trait SoundSource {
    /// The next 20 ms, asked for when the packet that carries it leaves: the bot's frame, else the playout queue.
    /// Shape: fills 160 samples and returns true; false is silence, whatever was written.
    /// Asked once for each 20 ms sent, so twice in a row for packets of 40 ms and every other time for 10 ms.
    fn next_frame(&mut self, frame: &mut [i16; FRAME_SAMPLES]) -> bool;
}

/// Silence.
impl SoundSource for () {
    fn next_frame(&mut self, _: &mut [i16; FRAME_SAMPLES]) -> bool {
        false
    }
}

pub struct Leg {
    negotiated: Negotiated,
    receive: ReceivePath,
    send: SendPath,
    rtcp: Reporter,
    rtcp_source: Option<SocketAddr>,
    media_timeout: Duration,
    /// From when silence counts as one.
    watched_since: Instant,
    timed_out: bool,
    first_frame: Option<Instant>,
    next_tick: u64,
    events: VecDeque<LegEvent>,
    events_dropped: u64,
    digits_received: u64,
    source_moves: u64,
}

impl Leg {
    pub fn new(params: LegParams, now: Instant) -> Self {
        Leg {
            receive: ReceivePath::new(&params, now),
            send: SendPath::new(&params),
            rtcp: Reporter::new(params.ssrc, &params.cname, params.seed, now),
            rtcp_source: None,
            media_timeout: params.media_timeout,
            watched_since: now,
            timed_out: false,
            first_frame: None,
            next_tick: 0,
            events: VecDeque::with_capacity(EVENTS_MAX),
            events_dropped: 0,
            digits_received: 0,
            source_moves: 0,
            negotiated: params.negotiated,
        }
    }

    /// A new offer was answered. An unchanged one disturbs nothing: source, SRTP contexts, buffers and counters go on.
    pub fn renegotiate(&mut self, negotiated: Negotiated, now: Instant) {
        if self.negotiated.remote_rtcp != negotiated.remote_rtcp {
            self.rtcp_source = None;
        }
        self.receive.renegotiate(&negotiated, now);
        self.send.renegotiate(&negotiated);
        if negotiated.telephone_event.is_none() {
            while let Some(id) = self.send.digits.cancel() {
                self.event(LegEvent::DigitsCancelled { id });
            }
        }
        self.negotiated = negotiated;
    }

    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// A datagram on the RTP port. Never fails: what cannot be used is counted under its [`DropReason`].
    /// Returns the packet if it was accepted, decrypted in place, for who wants to capture it.
    pub fn receive_rtp<'a>(&mut self, datagram: &'a mut [u8], from: SocketAddr, now: Instant) -> Option<&'a [u8]> {
        // RFC 5761 4: RTCP's packet types are no payload types of ours.
        if self.negotiated.rtcp_mux && matches!(datagram.get(1), Some(192..=223)) {
            self.receive_rtcp(datagram, from, now);
            return None;
        }
        let first = self.receive.packets == 0;
        let news = self.receive.receive(datagram, from, &self.negotiated, now).ok()?;
        self.timed_out = false;
        if first {
            self.event(LegEvent::FirstPacket);
        }
        if let Some(moved) = news.moved {
            self.source_moves += 1;
            self.event(LegEvent::SourceMoved { from: moved.from, to: moved.to });
        }
        if let Some(key) = news.key {
            self.digits_received += 1;
            self.event(LegEvent::Digit { key, tick: self.next_tick });
        }
        datagram.get(..news.plain_bytes)
    }

    /// Whether another packet may be in the socket after the one received last. False is a guess by the sender's beat so far:
    /// one that got faster is found out only by reading on now and then.
    pub fn may_have_more(&self) -> bool {
        self.receive.more
    }

    /// A datagram on the RTCP port, or multiplexed on the RTP port.
    pub fn receive_rtcp(&mut self, datagram: &mut [u8], from: SocketAddr, now: Instant) {
        if let Err(reason) = self.hear_rtcp(datagram, from, now) {
            self.receive.drops.count(reason);
        }
    }

    fn hear_rtcp(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) -> Result<(), DropReason> {
        let source = &self.receive.source;
        if source.settled() && source.destination().is_some_and(|settled| settled.ip() != from.ip()) {
            return Err(DropReason::OtherSource);
        }
        if !source.in_networks(from.ip()) {
            return Err(DropReason::ForeignNetwork);
        }
        let streams = &mut self.receive.streams;
        match &mut self.receive.srtp {
            Some(srtp) => self.rtcp.hear(&srtp.open_rtcp(datagram)?, streams, now)?,
            None => self.rtcp.hear(datagram, streams, now)?,
        }
        self.rtcp_source = Some(from);
        Ok(())
    }

    /// The caller's next 20 ms; called once for each, at the leg's receive phase. Shape: all 160 samples are written.
    pub fn take_frame(&mut self, now: Instant, out: &mut [i16; FRAME_SAMPLES]) -> Frame {
        let first = *self.first_frame.get_or_insert(now);
        // Rounded, because the phase may drift a little; never back.
        let elapsed = now.saturating_duration_since(first) + FRAME / 2;
        let tick = self.next_tick.max((elapsed.as_millis() / FRAME.as_millis()) as u64);
        self.next_tick = tick + 1;
        let mut kind = self.receive.take_frame(now, out);
        if self.held() {
            out.fill(0);
            kind = FrameKind::Held;
        }
        self.watch(now);
        Frame { tick, kind }
    }

    /// Between the arrival of the fastest packet and its playing, now: how deep the jitter buffer is.
    pub fn playout_delay_ms(&self) -> u32 {
        self.receive.sound.stats.playout_delay_ms
    }

    fn held(&self) -> bool {
        self.negotiated.held || !self.receiving()
    }

    fn receiving(&self) -> bool {
        matches!(self.negotiated.direction, Direction::SendRecv | Direction::RecvOnly)
    }

    fn watch(&mut self, now: Instant) {
        if self.held() {
            (self.watched_since, self.timed_out) = (now, false);
            return;
        }
        let silent_since = self.receive.last_heard.max(self.watched_since);
        if !self.timed_out && now.saturating_duration_since(silent_since) >= self.media_timeout {
            self.timed_out = true;
            self.event(LegEvent::MediaTimeout);
        }
    }

    /// The next packet, if its slot has come: called at the leg's send phase, and 10 ms after it if the ptime is 10 or
    /// 30 ms ([`Leg::next_send`] tells). `now` is best the time of the phase, not that of a wake-up shortly after it: the first call anchors the
    /// grid, one slot each ptime. Sends silence where `sound` has none, nothing while our direction or a hold forbids it.
    /// `out` is overwritten. Returns where to.
    pub fn send(&mut self, now: Instant, sound: &mut dyn SoundSource, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let allowed = matches!(self.negotiated.direction, Direction::SendRecv | Direction::SendOnly)
            && self.negotiated.remote_rtp.is_some();
        let to = self.receive.source.destination().filter(|_| allowed);
        let sent = self.send.send(now, &self.negotiated, to.is_some(), sound, out);
        while let Some(id) = self.send.digits.take_finished() {
            self.event(LegEvent::DigitsSent { id });
        }
        to.filter(|_| sent)
    }

    /// The packet that [`Leg::send`] wrote last, as it was before encryption, for who wants to capture it.
    pub fn plain_packet<'a>(&'a self, sent: &'a [u8]) -> &'a [u8] {
        if self.send.srtp.is_some() { &self.send.plain } else { sent }
    }

    /// When the next packet is due; None before the first call of [`Leg::send`].
    pub fn next_send(&self) -> Option<Instant> {
        self.send.next_slot()
    }

    /// Moves both of the leg's phases, so that they follow the caller's packets closely: frames are taken and packets sent so much later
    /// from now on. Once in a call, near its beginning: the one longer step is a gap, with a marker after it, in which timestamps go on.
    /// False, and nothing is moved: keys are being sent, whose durations a gap would belie.
    pub fn shift_phases(&mut self, by: Duration) -> bool {
        if self.send.digits.is_busy() {
            return false;
        }
        self.send.shift(by);
        if let Some(first) = &mut self.first_frame {
            *first += by;
        }
        self.receive.sound.settle();
        true
    }

    /// Queues keys for the caller's side, `,` a pause of 500 ms. Sound is muted meanwhile; [`LegEvent::DigitsSent`] follows.
    pub fn send_digits(&mut self, id: u64, keys: &str) -> Result<(), DigitsRefused> {
        if self.negotiated.telephone_event.is_none() {
            return Err(DigitsRefused::NotNegotiated);
        }
        self.send.digits.order(id, keys)
    }

    /// A report, if one is due (about every 5 s). `out` is overwritten. Returns where to.
    pub fn poll_rtcp(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<SocketAddr> {
        self.rtcp.due(now).then(|| self.write_rtcp(false, now, out)).flatten()
    }

    pub fn next_rtcp(&self) -> Instant {
        self.rtcp.next()
    }

    /// The last report, with BYE. To be sent once, at the end.
    pub fn bye_rtcp(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<SocketAddr> {
        self.write_rtcp(true, now, out)
    }

    fn write_rtcp(&mut self, bye: bool, now: Instant, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let to = match self.negotiated.rtcp_mux {
            true => self.receive.source.destination(),
            false => self.rtcp_source.or(self.negotiated.remote_rtcp),
        }?;
        let timestamp = self.send.last_slot.map_or(0, |(at, media)| {
            let since = now.saturating_duration_since(at).as_millis() as u32;
            media.plus(since.wrapping_mul(SAMPLES_PER_MS)).0
        });
        let sent = Sent { packets: self.send.packets, payload_bytes: self.send.payload_bytes, timestamp };
        self.rtcp.write(sent, &mut self.receive.streams, bye, now, out);
        match &mut self.send.srtp {
            Some(srtp) => srtp.seal_rtcp(out).then_some(to),
            None => Some(to),
        }
    }

    fn event(&mut self, event: LegEvent) {
        if self.events.len() == EVENTS_MAX {
            self.events_dropped += 1;
        } else {
            self.events.push_back(event);
        }
    }

    pub fn poll_event(&mut self) -> Option<LegEvent> {
        self.events.pop_front()
    }

    /// Where our RTP goes now: to the learnt source, else the SDP's address.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.receive.source.destination()
    }

    pub fn stats(&self) -> LegStats {
        let receive = &self.receive;
        let jitter = receive.audio.and_then(|ssrc| receive.streams.find(ssrc)).map_or(0, |stream| stream.jitter());
        let ms = |samples: u32| f64::from(samples) / f64::from(SAMPLES_PER_MS);
        LegStats {
            packets_received: receive.packets,
            payload_bytes_received: receive.payload_bytes,
            packets_lost: receive.streams.lost(),
            packets_reordered: receive.streams.reordered,
            packets_sent: self.send.packets,
            payload_bytes_sent: self.send.payload_bytes,
            send_slots_skipped: self.send.slots_skipped,
            source_moves: self.source_moves,
            stream_restarts: receive.restarts,
            sound: receive.sound.stats,
            jitter_ms: ms(jitter),
            remote_jitter_ms: self.rtcp.remote_jitter.map(ms),
            remote_lost: self.rtcp.remote_lost,
            round_trip: self.rtcp.round_trip,
            rtcp_received: self.rtcp.received,
            rtcp_sent: self.rtcp.sent,
            digits_received: self.digits_received,
            digits_sent: self.send.digits.sent,
            events_dropped: self.events_dropped,
            drops: receive.drops,
        }
    }
}
