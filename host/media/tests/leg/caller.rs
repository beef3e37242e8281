//! The other end: writes RTP by hand, so that nothing of the crate under test vouches for itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::{
    Codec, DigitTiming, Direction, FRAME, Frame, FrameKind, JitterBounds, Leg, LegEvent, LegParams, Negotiated,
    PayloadType, SoundSource,
};

pub const PCMU: u8 = 0;
pub const PCMA: u8 = 8;
pub const COMFORT_NOISE: u8 = 13;
pub const EVENT: u8 = 101;

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn negotiated() -> Negotiated {
    Negotiated {
        codec: Codec::Pcma,
        payload_type: PayloadType(PCMA),
        receive: vec![(PayloadType(PCMA), Codec::Pcma), (PayloadType(PCMU), Codec::Pcmu)],
        telephone_event: Some(PayloadType(EVENT)),
        comfort_noise: Some(PayloadType(COMFORT_NOISE)),
        remote_rtp: Some(address("10.0.0.1:4000")),
        remote_rtcp: Some(address("10.0.0.1:4001")),
        rtcp_mux: false,
        direction: Direction::SendRecv,
        held: false,
        send_ptime_ms: 20,
        srtp: None,
    }
}

pub fn params(negotiated: Negotiated) -> LegParams {
    LegParams {
        negotiated,
        ssrc: 0x0bad_cafe,
        first_sequence: 0x7ffe,
        first_timestamp: 0xffff_ff00,
        cname: "3f2a@leg".into(),
        media_networks: vec!["10.0.0.0/8".parse().unwrap()],
        sdp_address_allowed: false,
        jitter: JitterBounds::default(),
        media_timeout: Duration::from_secs(60),
        digits: DigitTiming::default(),
        seed: 7,
    }
}

/// One stream of packets, and the clock of the test.
pub struct Caller {
    pub leg: Leg,
    pub start: Instant,
    pub now: Instant,
    pub from: SocketAddr,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
}

/// What we sent, read by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: Vec<u8>,
}

pub fn read_packet(bytes: &[u8]) -> Packet {
    assert_eq!(bytes[0], 0x80, "version 2, no padding, extension or CSRC");
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    Packet {
        marker: bytes[1] & 0x80 != 0,
        payload_type: bytes[1] & 0x7f,
        sequence: (word(0) & 0xffff) as u16,
        timestamp: word(4),
        ssrc: word(8),
        payload: bytes[12..].to_vec(),
    }
}

pub fn write_packet(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80, payload_type];
    out.extend(sequence.to_be_bytes());
    out.extend(timestamp.to_be_bytes());
    out.extend(ssrc.to_be_bytes());
    out.extend(payload);
    out
}

impl Caller {
    pub fn new(params: LegParams) -> Self {
        let now = Instant::now();
        Caller {
            leg: Leg::new(params, now),
            start: now,
            now,
            from: address("10.0.0.1:4000"),
            ssrc: 0x1111,
            sequence: 65_530,
            timestamp: 0xffff_f000,
        }
    }

    pub fn plain() -> Self {
        Self::new(params(negotiated()))
    }

    /// The next packet of the stream, not sent yet.
    pub fn next(&mut self, payload_type: u8, payload: &[u8]) -> Vec<u8> {
        let packet = write_packet(payload_type, self.sequence, self.timestamp, self.ssrc, payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(payload.len() as u32);
        packet
    }

    pub fn deliver(&mut self, mut packet: Vec<u8>) {
        let _ = self.leg.receive_rtp(&mut packet, self.from, self.now);
    }

    pub fn say(&mut self, payload: &[u8]) {
        let packet = self.next(PCMA, payload);
        self.deliver(packet);
    }

    pub fn take(&mut self) -> (Frame, [i16; 160]) {
        let mut out = [0x5a5a; 160];
        let frame = self.leg.take_frame(self.now, &mut out);
        (frame, out)
    }

    /// Twenty ms: one packet in, one frame out.
    pub fn tick(&mut self, payload: &[u8]) -> (Frame, [i16; 160]) {
        self.say(payload);
        let taken = self.take();
        self.now += FRAME;
        taken
    }

    /// So many ticks of sound, to get past the start.
    pub fn warm_up(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.tick(&[0x55; 160]);
        }
        self.events();
    }

    pub fn events(&mut self) -> Vec<LegEvent> {
        std::iter::from_fn(|| self.leg.poll_event()).collect()
    }

    pub fn kinds(&mut self, ticks: usize) -> Vec<FrameKind> {
        let kinds = (0..ticks).map(|_| {
            let kind = self.take().0.kind;
            self.now += FRAME;
            kind
        });
        kinds.collect()
    }

    /// The packet that leaves now, if one does.
    pub fn sent(&mut self, sound: &mut dyn SoundSource) -> Option<Packet> {
        let mut out = Vec::new();
        self.leg.send(self.now, sound, &mut out).map(|_| read_packet(&out))
    }

    /// All that leaves in the next so many ms, looked for every 10 ms.
    pub fn sent_for(&mut self, duration_ms: u64, sound: &mut dyn SoundSource) -> Vec<Packet> {
        let mut packets = Vec::new();
        for _ in 0..duration_ms / 10 {
            packets.extend(self.sent(sound));
            self.now += ms(10);
        }
        packets
    }
}

/// A-law codes that never repeat within a frame's length, so that a sample out of place is seen.
pub fn codes(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|n| ((n * 7 + n / 256) % 251) as u8).collect()
}

/// Decodes A-law with the arithmetic of ITU-T G.711, written again for the tests.
pub fn alaw(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (segment, n) = (i32::from(code >> 4 & 7), i32::from(code & 15));
    let magnitude = if segment == 0 { n * 16 + 8 } else { (n * 16 + 264) << (segment - 1) };
    (if code & 0x80 != 0 { magnitude } else { -magnitude }) as i16
}
