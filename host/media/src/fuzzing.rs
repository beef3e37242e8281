//! One function over bytes for each reader of this crate: called by the seeded mutator in `tests/fuzz.rs`, and fit to be
//! a cargo-fuzz target. Each may be handed anything; none may panic, hang or grow.

use std::time::{Duration, Instant};

use crate::jitter_buffer::{JitterBounds, JitterBuffer};
use crate::srtp::Inbound;
use crate::telephone_event::{Presses, parse_event};
use crate::{Codec, SrtpKey, SrtpSuite, rtcp, rtp};

/// The key under which `fuzz_srtp` opens; a corpus sealed with it gets through.
pub const SRTP_KEY: [u8; 30] = *b"patchbay fuzzing key and salt!";

/// A header and the payload's place in the datagram.
pub fn fuzz_rtp(bytes: &[u8]) {
    if let Ok(header) = rtp::parse_header(bytes)
        && let Ok(range) = rtp::payload_range(bytes, &header)
    {
        assert!(range.start >= rtp::HEADER_BYTES && range.end <= bytes.len());
    }
}

/// A compound of RTCP packets.
pub fn fuzz_rtcp(bytes: &[u8]) {
    let mut reports = 0;
    let _ = rtcp::parse_compound(bytes, |_| reports += 1);
    assert!(reports * 4 <= bytes.len(), "more reports than the packet has room for");
}

/// The same bytes as an SRTP and as an SRTCP packet.
pub fn fuzz_srtp(bytes: &[u8]) {
    for suite in [SrtpSuite::AesCm128HmacSha1_80, SrtpSuite::AesCm128HmacSha1_32] {
        let mut inbound = Inbound::new(suite, SrtpKey(SRTP_KEY));
        if let Ok(header) = rtp::parse_header(bytes) {
            for _ in 0..2 {
                let _ = inbound.open_rtp(bytes, &header);
            }
        }
        if let Ok(plain) = inbound.open_rtcp(bytes) {
            fuzz_rtcp(&plain);
        }
    }
}

/// A series of telephone-event payloads, eight bytes each: sequence step, timestamp step, time step in ms, SSRC, payload.
/// It begins at `now`, whenever that is.
pub fn fuzz_telephone_event(bytes: &[u8], mut now: Instant) {
    let mut presses = Presses::default();
    let (mut sequence, mut timestamp) = (0_u16, 0_u32);
    let mut keys = 0;
    for chunk in bytes.chunks(8) {
        let [step, jump, ms, ssrc] = [0, 1, 2, 3].map(|at| chunk.get(at).copied().unwrap_or(0));
        sequence = sequence.wrapping_add_signed(i16::from(step as i8));
        timestamp = timestamp.wrapping_add(u32::from(jump) * 80);
        now += Duration::from_millis(u64::from(ms));
        if let Ok(event) = parse_event(chunk.get(4..).unwrap_or(&[]))
            && let Ok(Some(_)) = presses.heard((u32::from(ssrc), sequence, timestamp), event, now)
        {
            keys += 1;
        }
    }
    assert!(keys <= bytes.len() / 4);
}

/// A series of audio packets, four bytes each: timestamp step (signed, in units that grow), length, time step in ms,
/// whether a frame is taken.
pub fn fuzz_jitter_buffer(bytes: &[u8]) {
    let bounds = JitterBounds::default();
    let mut buffer = JitterBuffer::new(bounds);
    let (mut timestamp, mut now) = (u32::MAX - 400, 0_i64);
    for chunk in bytes.chunks_exact(4) {
        let step = i32::from(chunk[0] as i8) << (chunk[3] >> 3 & 7);
        timestamp = timestamp.wrapping_add_signed(step * 8);
        let payload = [chunk[1]; 800];
        let length = (usize::from(chunk[1]) * 4).clamp(1, 800);
        if !buffer.continues(timestamp, length) && chunk[3] & 4 != 0 {
            buffer.restart();
        }
        let _ = buffer.insert(timestamp, Codec::Pcma, &payload[..length], now);
        now += i64::from(chunk[2]) * 8;
        for _ in 0..chunk[3] & 3 {
            buffer.pull(now, &mut [0; 160]);
        }
    }
}
