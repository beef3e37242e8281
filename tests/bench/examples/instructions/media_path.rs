//! A packet in, a frame; a frame, a packet out.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::{
    Codec, DigitTiming, Direction, FRAME, JitterBounds, Leg, LegParams, Negotiated, PayloadType, SoundSource, Srtp,
    SrtpKey, SrtpSuite, g711, playout,
};

use crate::{Piece, Run};

/// Legs walked in order, so that each finds its memory cold, as on a media thread.
const MANY: usize = 2000;

pub const PIECES: &[Piece] = &[
    Piece { name: "receive_path", make: |_| receive(None) },
    Piece { name: "receive_path_srtp", make: |_| receive(Some(srtp())) },
    Piece { name: "send_path_frame", make: |_| send(None, Box::new(Always)) },
    Piece { name: "send_path_queue", make: |_| send_queue() },
    Piece { name: "send_path_silence", make: |_| send(None, Box::new(())) },
    Piece { name: "send_path_srtp", make: |_| send(Some(srtp()), Box::new(Always)) },
    Piece { name: "decode_pcma", make: |_| decode(Codec::Pcma) },
    Piece { name: "decode_pcmu", make: |_| decode(Codec::Pcmu) },
    Piece { name: "encode_pcma", make: |_| encode(Codec::Pcma) },
    Piece { name: "encode_pcmu", make: |_| encode(Codec::Pcmu) },
    Piece { name: "cold_leg_tick", make: |_| cold_legs() },
];

fn srtp() -> Srtp {
    let key = SrtpKey([7; 30]);
    Srtp { suite: SrtpSuite::AesCm128HmacSha1_80, tag: 1, ours: key.clone(), theirs: key }
}

fn from() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 4000))
}

fn leg(srtp: Option<Srtp>, start: Instant) -> Leg {
    let negotiated = Negotiated {
        codec: Codec::Pcma,
        payload_type: PayloadType(8),
        receive: vec![(PayloadType(8), Codec::Pcma)],
        telephone_event: Some(PayloadType(101)),
        comfort_noise: None,
        remote_rtp: Some(from()),
        remote_rtcp: None,
        rtcp_mux: false,
        direction: Direction::SendRecv,
        held: false,
        send_ptime_ms: 20,
        srtp,
    };
    let params = LegParams {
        negotiated,
        ssrc: 1,
        first_sequence: 1,
        first_timestamp: 1,
        cname: "c".into(),
        media_networks: vec![ipnet::IpNet::from(std::net::IpAddr::from([10, 0, 0, 1]))],
        sdp_address_allowed: false,
        jitter: JitterBounds::default(),
        media_timeout: Duration::from_secs(60),
        digits: DigitTiming::default(),
        seed: 1,
    };
    Leg::new(params, start)
}

/// The caller's packet of that tick.
fn packet(tick: u32) -> [u8; 172] {
    let mut packet = [0; 172];
    packet[12..].iter_mut().enumerate().for_each(|(at, code)| *code = (at * 37 + tick as usize) as u8);
    packet[..2].copy_from_slice(&[0x80, 8]);
    packet[2..4].copy_from_slice(&(tick as u16).to_be_bytes());
    packet[4..8].copy_from_slice(&(tick * 160).to_be_bytes());
    packet[11] = 1;
    packet
}

/// A frame for each packet.
struct Always;

impl SoundSource for Always {
    fn next_frame(&mut self, frame: &mut [i16; 160]) -> bool {
        frame.iter_mut().enumerate().for_each(|(at, sample)| *sample = at as i16 * 99);
        true
    }
}

fn receive(srtp: Option<Srtp>) -> Run {
    let start = Instant::now();
    let mut listener = leg(srtp.clone(), start);
    // Another leg with the same key seals what this one opens.
    let mut speaker = leg(srtp.clone(), start);
    let (mut frame, mut sealed) = ([0; 160], Vec::new());
    Ok(Box::new(move |tick, meter| {
        let now = start + FRAME * tick;
        match srtp {
            Some(_) => drop(speaker.send(now, &mut Always, &mut sealed)),
            None => sealed = packet(tick).to_vec(),
        }
        meter.count(|| {
            assert!(listener.receive_rtp(&mut sealed, from(), now).is_some());
            listener.take_frame(now, &mut frame);
        });
    }))
}

fn send(srtp: Option<Srtp>, mut sound: Box<dyn SoundSource>) -> Run {
    let start = Instant::now();
    let mut speaker = leg(srtp, start);
    let mut out = Vec::new();
    Ok(Box::new(move |tick, meter| {
        let now = start + FRAME * tick;
        meter.count(|| assert!(speaker.send(now, &mut *sound, &mut out).is_some()));
    }))
}

struct Queue(media::PlayoutReader);

impl SoundSource for Queue {
    fn next_frame(&mut self, frame: &mut [i16; 160]) -> bool {
        self.0.pull(frame) > 0
    }
}

fn send_queue() -> Run {
    let start = Instant::now();
    let mut speaker = leg(None, start);
    let (mut writer, reader) = playout(1000);
    let (mut queue, mut out) = (Queue(reader), Vec::new());
    Ok(Box::new(move |tick, meter| {
        let now = start + FRAME * tick;
        writer.write(&[1000; 160]);
        meter.count(|| assert!(speaker.send(now, &mut queue, &mut out).is_some()));
    }))
}

fn decode(codec: Codec) -> Run {
    let mut samples = [0; 160];
    Ok(Box::new(move |tick, meter| {
        let payload = packet(tick);
        meter.count(|| g711::decode(codec, &payload[12..], &mut samples));
    }))
}

fn encode(codec: Codec) -> Run {
    let (mut samples, mut payload) = ([0; 160], Vec::with_capacity(160));
    Ok(Box::new(move |_, meter| {
        Always.next_frame(&mut samples);
        meter.count(|| {
            payload.clear();
            g711::encode(codec, &samples, &mut payload);
        });
    }))
}

/// One tick of one leg of many, both ways: a packet in, a frame out of it, a packet out.
fn cold_legs() -> Run {
    let start = Instant::now();
    let mut legs: Vec<Leg> = (0..MANY).map(|_| leg(None, start)).collect();
    let (mut frame, mut out) = ([0; 160], Vec::new());
    let mut next = 0;
    // Sound is there from the third tick on.
    for tick in 0..4 {
        for leg in &mut legs {
            let now = start + FRAME * tick;
            leg.receive_rtp(&mut packet(tick), from(), now);
            leg.take_frame(now, &mut frame);
            leg.send(now, &mut Always, &mut out);
        }
    }
    Ok(Box::new(move |_, meter| {
        let (tick, at) = (4 + (next / MANY) as u32, next % MANY);
        next += 1;
        let (now, mut packet) = (start + FRAME * tick, packet(tick));
        meter.count(|| {
            assert!(legs[at].receive_rtp(&mut packet, from(), now).is_some());
            legs[at].take_frame(now, &mut frame);
            assert!(legs[at].send(now, &mut Always, &mut out).is_some());
        });
    }))
}
