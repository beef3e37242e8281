//! One packet's way from the wire to the bot's frame: [`ReceivePath::receive`] and [`ReceivePath::take_frame`].

use std::net::SocketAddr;
use std::time::Instant;

use crate::clock::{FRAME_SAMPLES, samples_since};
use crate::jitter_buffer::JitterBuffer;
use crate::rtp::{RtpHeader, parse_header, payload_range};
use crate::source::{Move, Source};
use crate::srtp::Inbound;
use crate::streams::{Place, Streams};
use crate::telephone_event::{Presses, parse_event};
use crate::{Codec, DropReason, Drops, FrameKind, LegParams, Negotiated, PayloadType};

/// 100 ms of G.711.
const PAYLOAD_MAX: usize = 800;
/// RFC 3551 6: its static number.
const COMFORT_NOISE: PayloadType = PayloadType(13);
/// Two packets confirm each other if they are at most so far apart.
const CONFIRM_SEQUENCE: u16 = 3;
const CONFIRM_SAMPLES: u32 = 8000;

/// What a packet had to tell besides its sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    pub moved: Option<Move>,
    pub key: Option<char>,
    /// The packet's length without its SRTP tag.
    pub plain_bytes: usize,
}

#[derive(Clone, Copy)]
enum Content {
    Audio(Codec),
    TelephoneEvent,
    ComfortNoise,
}

/// The first packet of a new SSRC, or after a jump. A second one that follows it is believed.
#[derive(Clone, Copy)]
struct Unconfirmed {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

pub struct ReceivePath {
    epoch: Instant,
    pub source: Source,
    pub srtp: Option<Inbound>,
    pub streams: Streams,
    /// The SSRC that carries the sound. Digits may come on another one.
    pub audio: Option<u32>,
    unconfirmed: Option<Unconfirmed>,
    pub sound: JitterBuffer,
    presses: Presses,
    pub drops: Drops,
    pub packets: u64,
    pub payload_bytes: u64,
    pub restarts: u64,
    pub last_heard: Instant,
    /// After the packet received last there may be another one in the socket.
    pub more: bool,
}

impl ReceivePath {
    pub fn new(params: &LegParams, now: Instant) -> Self {
        let negotiated = &params.negotiated;
        let source = Source::new(params.media_networks.clone(), params.sdp_address_allowed, negotiated.remote_rtp);
        ReceivePath {
            epoch: now,
            source,
            srtp: negotiated.srtp.as_ref().map(|srtp| Inbound::new(srtp.suite, srtp.theirs.clone())),
            streams: Streams::default(),
            audio: None,
            unconfirmed: None,
            sound: JitterBuffer::new(params.jitter),
            presses: Presses::default(),
            drops: Drops::default(),
            packets: 0,
            payload_bytes: 0,
            restarts: 0,
            last_heard: now,
            more: true,
        }
    }

    pub fn renegotiate(&mut self, negotiated: &Negotiated, now: Instant) {
        self.source.offered(negotiated.remote_rtp, now);
        match (&negotiated.srtp, &self.srtp) {
            (Some(srtp), Some(inbound)) if inbound.is(srtp.suite, &srtp.theirs) => {}
            (Some(srtp), _) => self.srtp = Some(Inbound::new(srtp.suite, srtp.theirs.clone())),
            (None, _) => self.srtp = None,
        }
    }

    /// From wire to jitter buffer. Shape: one datagram, decrypted in place if SRTP.
    /// Errors: the reason why it went no further, already counted. Cost: well below 1 us; no allocation but in SRTP.
    pub fn receive(
        &mut self,
        datagram: &mut [u8],
        from: SocketAddr,
        negotiated: &Negotiated,
        now: Instant,
    ) -> Result<News, DropReason> {
        self.more = true;
        let taken = self.take(datagram, from, negotiated, now);
        if let Err(reason) = taken {
            self.drops.count(reason);
        }
        taken
    }

    fn take(
        &mut self,
        datagram: &mut [u8],
        from: SocketAddr,
        negotiated: &Negotiated,
        now: Instant,
    ) -> Result<News, DropReason> {
        let header = parse_header(datagram)?;
        self.source.admits(from, now)?;
        let content = content_of(header.payload_type, negotiated)?;
        let packet = match &mut self.srtp {
            None => &datagram[..],
            Some(srtp) => {
                let opened = srtp.open_rtp(datagram, &header)?;
                let plain = datagram.get_mut(..opened.len()).ok_or(DropReason::BadRtpHeader)?;
                plain.copy_from_slice(&opened);
                &plain[..]
            }
        };
        let plain_bytes = packet.len();
        let payload = &packet[payload_range(packet, &header)?];
        let moved = self.source.heard(from, header.ssrc, header.sequence, now)?;
        self.packets += 1;
        self.payload_bytes += payload.len() as u64;
        self.last_heard = now;
        let key = match self.dispatch(content, &header, payload, now) {
            Ok(key) => key,
            Err(reason) => {
                self.drops.count(reason);
                None
            }
        };
        Ok(News { moved, key, plain_bytes })
    }

    fn dispatch(
        &mut self,
        content: Content,
        header: &RtpHeader,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<char>, DropReason> {
        match content {
            Content::Audio(codec) => self.audio(codec, header, payload, now).map(|()| None),
            Content::TelephoneEvent => {
                self.count_beside_audio(header, now);
                let event = parse_event(payload)?;
                self.presses.heard((header.ssrc, header.sequence, header.timestamp), event, now)
            }
            Content::ComfortNoise => {
                self.count_beside_audio(header, now);
                Err(DropReason::ComfortNoise)
            }
        }
    }

    /// Counts what is not sound. A sender that numbers its events by themselves, on the SSRC of its sound, must not make
    /// that look like a jump; and a copy is as good as the first: Presses knows them apart.
    fn count_beside_audio(&mut self, header: &RtpHeader, now: Instant) {
        if self.audio != Some(header.ssrc) || self.streams.place(header) != Place::Jump {
            let _ = self.streams.count(header, now);
        }
    }

    fn audio(&mut self, codec: Codec, header: &RtpHeader, payload: &[u8], now: Instant) -> Result<(), DropReason> {
        if payload.is_empty() || payload.len() > PAYLOAD_MAX {
            return Err(DropReason::BadPayloadLength);
        }
        let goes_on = self.audio == Some(header.ssrc)
            && match self.streams.place(header) {
                Place::Jump => false,
                Place::Behind => true, // reordered, however late
                Place::Ahead | Place::New => self.sound.continues(header.timestamp, payload.len()),
            };
        if !goes_on && self.audio.is_some() {
            self.confirm(header)?;
            self.sound.restart();
            self.restarts += 1;
        }
        self.audio = Some(header.ssrc);
        self.unconfirmed = None;
        let arrival = samples_since(self.epoch, now);
        let stream = self.streams.count(header, now)?;
        stream.note_transit(header.timestamp, arrival);
        self.sound.insert(header.timestamp, codec, payload, arrival)?;
        self.more = self.sound.may_be_followed(header.timestamp, payload.len(), arrival);
        Ok(())
    }

    fn confirm(&mut self, header: &RtpHeader) -> Result<(), DropReason> {
        let (sequence, timestamp) = (header.sequence, header.timestamp);
        let first = self.unconfirmed.replace(Unconfirmed { ssrc: header.ssrc, sequence, timestamp });
        let confirmed = first.is_some_and(|first| {
            first.ssrc == header.ssrc
                && (1..=CONFIRM_SEQUENCE).contains(&sequence.wrapping_sub(first.sequence))
                && (1..=CONFIRM_SAMPLES).contains(&timestamp.wrapping_sub(first.timestamp))
        });
        if confirmed { Ok(()) } else { Err(DropReason::Unconfirmed) }
    }

    /// The next 20 ms for the bot.
    pub fn take_frame(&mut self, now: Instant, out: &mut [i16; FRAME_SAMPLES]) -> FrameKind {
        self.sound.pull(samples_since(self.epoch, now), out)
    }
}

fn content_of(payload_type: PayloadType, negotiated: &Negotiated) -> Result<Content, DropReason> {
    if let Some(&(_, codec)) = negotiated.receive.iter().find(|(known, _)| *known == payload_type) {
        return Ok(Content::Audio(codec));
    }
    match Some(payload_type) {
        known if known == negotiated.telephone_event => Ok(Content::TelephoneEvent),
        known if known == negotiated.comfort_noise => Ok(Content::ComfortNoise),
        // Gateways send it unasked.
        Some(COMFORT_NOISE) => Ok(Content::ComfortNoise),
        _ => Err(DropReason::UnknownPayloadType),
    }
}
