//! SRTP and SRTCP: webrtc-srtp behind guards for what it does not check (lengths, the E bit, how many SSRCs it keeps).
//!
//! Every SSRC has a context of its own, kept only once a packet of it has authenticated. So a forged SSRC costs a key
//! derivation and leaves nothing behind, and cannot move the replay window of a real one.
//! webrtc-srtp copies each packet into a new buffer: SRTP is the one path here that allocates for each packet.

use bytes::Bytes;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

use crate::rtp::{HEADER_BYTES, RtpHeader};
use crate::{DropReason, SrtpKey, SrtpSuite};

/// Packets behind the newest that may still come in: 1.28 s of 10 ms packets.
const REPLAY_WINDOW: usize = 128;
/// SSRCs of one peer key. More than the four streams a leg follows, because forgetting one would let it be replayed.
const SSRCS_MAX: usize = 16;
const SRTCP_INDEX_BYTES: usize = 4;
/// Both suites: the 32 of AES_CM_128_HMAC_SHA1_32 is for SRTP only. Source: RFC 4568 6.2.
const SRTCP_TAG_BYTES: usize = 10;
/// Header and SSRC of the first RTCP packet: what stays readable.
const RTCP_CLEAR_BYTES: usize = 8;

fn context(suite: SrtpSuite, key: &SrtpKey) -> Option<Context> {
    let profile = match suite {
        SrtpSuite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        SrtpSuite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    let (master, salt) = key.0.split_at(16);
    let windows = (srtp_replay_protection(REPLAY_WINDOW), srtcp_replay_protection(REPLAY_WINDOW));
    Context::new(master, salt, profile, Some(windows.0), Some(windows.1)).ok()
}

/// webrtc-srtp reads the SSRC, the sequence number and the length out of a header, no more: so one whose CSRC list is
/// as long as the real CSRC list and extension together stands for any header.
fn header_for(header: &RtpHeader) -> rtp::header::Header {
    rtp::header::Header {
        sequence_number: header.sequence,
        ssrc: header.ssrc,
        csrc: vec![0; (header.header_bytes - HEADER_BYTES) / 4],
        ..Default::default()
    }
}

fn reason(error: webrtc_srtp::Error) -> DropReason {
    use webrtc_srtp::Error;
    match error {
        Error::SrtpSsrcDuplicated(..) | Error::SrtcpSsrcDuplicated(..) => DropReason::Replayed,
        _ => DropReason::Unauthenticated,
    }
}

/// What comes from the peer, under one key of the peer's.
pub struct Inbound {
    suite: SrtpSuite,
    key: SrtpKey,
    rtp: Vec<(u32, Context)>,
    rtcp: Vec<(u32, Context)>,
}

impl Inbound {
    pub fn new(suite: SrtpSuite, key: SrtpKey) -> Self {
        Inbound { suite, key, rtp: Vec::new(), rtcp: Vec::new() }
    }

    /// The same key goes on with its roll-over counters and replay windows.
    pub fn is(&self, suite: SrtpSuite, key: &SrtpKey) -> bool {
        self.suite == suite && self.key == *key
    }

    /// Authenticates and decrypts a packet. Returns it whole, header included, tag taken off.
    /// Errors: `Replayed` (seen before decryption), `Unauthenticated`, `TooManySsrcs`.
    /// Cost: 0.4 us and two copies; for an unknown SSRC a key derivation on top.
    pub fn open_rtp(&mut self, packet: &[u8], header: &RtpHeader) -> Result<Bytes, DropReason> {
        let read = header_for(header);
        let open = |context: &mut Context| context.decrypt_rtp_with_header(packet, &read).map_err(reason);
        with_context(&mut self.rtp, self.suite, &self.key, header.ssrc, open)
    }

    /// The same for a compound RTCP packet. Errors: also `BadRtcp` (too short to be one) and `NotEncrypted` (E bit).
    pub fn open_rtcp(&mut self, packet: &[u8]) -> Result<Bytes, DropReason> {
        let trailer = SRTCP_INDEX_BYTES + SRTCP_TAG_BYTES;
        if packet.len() < RTCP_CLEAR_BYTES + trailer || packet[0] >> 6 != 2 {
            return Err(DropReason::BadRtcp);
        }
        if packet[packet.len() - trailer] & 0x80 == 0 {
            return Err(DropReason::NotEncrypted);
        }
        let ssrc = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let open = |context: &mut Context| context.decrypt_rtcp(packet).map_err(reason);
        with_context(&mut self.rtcp, self.suite, &self.key, ssrc, open)
    }
}

fn with_context(
    known: &mut Vec<(u32, Context)>,
    suite: SrtpSuite,
    key: &SrtpKey,
    ssrc: u32,
    open: impl FnOnce(&mut Context) -> Result<Bytes, DropReason>,
) -> Result<Bytes, DropReason> {
    if let Some((_, context)) = known.iter_mut().find(|(of, _)| *of == ssrc) {
        return open(context);
    }
    if known.len() >= SSRCS_MAX {
        return Err(DropReason::TooManySsrcs);
    }
    let mut fresh = context(suite, key).ok_or(DropReason::Unauthenticated)?;
    let opened = open(&mut fresh)?;
    known.push((ssrc, fresh));
    Ok(opened)
}

/// What we send, under our key. Outgoing packets come in order, so there is nothing to guard.
pub struct Outbound {
    suite: SrtpSuite,
    key: SrtpKey,
    /// None if the crate refused the key: then nothing is sent, rather than in the clear.
    context: Option<Context>,
}

impl Outbound {
    pub fn new(suite: SrtpSuite, key: SrtpKey) -> Self {
        let context = context(suite, &key);
        Outbound { suite, key, context }
    }

    pub fn is(&self, suite: SrtpSuite, key: &SrtpKey) -> bool {
        self.suite == suite && self.key == *key
    }

    /// Encrypts a packet with a header of 12 bytes, in place. False if the key is used up (2^48 packets).
    pub fn seal_rtp(&mut self, header: &rtp::header::Header, packet: &mut Vec<u8>) -> bool {
        let sealed = self.context.as_mut().and_then(|context| context.encrypt_rtp_with_header(packet, header).ok());
        replace(packet, sealed)
    }

    pub fn seal_rtcp(&mut self, packet: &mut Vec<u8>) -> bool {
        let sealed = self.context.as_mut().and_then(|context| context.encrypt_rtcp(packet).ok());
        replace(packet, sealed)
    }
}

fn replace(packet: &mut Vec<u8>, sealed: Option<Bytes>) -> bool {
    packet.clear();
    if let Some(sealed) = &sealed {
        packet.extend_from_slice(sealed);
    }
    sealed.is_some()
}
