//! From the bot's frames to packets, one each ptime.

use std::time::{Duration, Instant};

use crate::clock::{FRAME_SAMPLES, RtpTimestamp, SAMPLES_PER_MS, SendClock};
use crate::rtp::write_header;
use crate::srtp::Outbound;
use crate::telephone_event::{DigitSender, Slot};
use crate::{LegParams, Negotiated, PayloadType, SoundSource, g711};

/// Samples of the longest packet, 60 ms.
const PACKET_SAMPLES_MAX: usize = 480;

pub struct SendPath {
    ssrc: u32,
    sequence: u16,
    /// Media time of the next slot.
    timestamp: RtpTimestamp,
    clock: Option<SendClock>,
    /// Set at the start and by a gap in which nothing was sent; the next audio packet carries it.
    marker: bool,
    /// Sound taken from the source that did not fit the last packet.
    waiting: [i16; PACKET_SAMPLES_MAX + FRAME_SAMPLES],
    waiting_samples: usize,
    pub digits: DigitSender,
    pub srtp: Option<Outbound>,
    pub packets: u64,
    pub payload_bytes: u64,
    pub slots_skipped: u64,
    /// The last packet before encryption, if there is any.
    pub plain: Vec<u8>,
    /// When the last slot was, and its media time: what a sender report relates.
    pub last_slot: Option<(Instant, RtpTimestamp)>,
}

impl SendPath {
    pub fn new(params: &LegParams) -> Self {
        let srtp = params.negotiated.srtp.as_ref();
        SendPath {
            ssrc: params.ssrc,
            // Below 2^15: a receiver that misses the first packets still guesses the roll-over counter right (RFC 3711 3.3.1).
            sequence: params.first_sequence & 0x7fff,
            timestamp: RtpTimestamp(params.first_timestamp),
            clock: None,
            marker: true,
            waiting: [0; PACKET_SAMPLES_MAX + FRAME_SAMPLES],
            waiting_samples: 0,
            digits: DigitSender::new(params.digits),
            srtp: srtp.map(|srtp| Outbound::new(srtp.suite, srtp.ours.clone())),
            packets: 0,
            payload_bytes: 0,
            slots_skipped: 0,
            plain: Vec::with_capacity(crate::rtp::HEADER_BYTES + PACKET_SAMPLES_MAX),
            last_slot: None,
        }
    }

    pub fn renegotiate(&mut self, negotiated: &Negotiated) {
        match (&negotiated.srtp, &self.srtp) {
            (Some(srtp), Some(outbound)) if outbound.is(srtp.suite, &srtp.ours) => {}
            (Some(srtp), _) => self.srtp = Some(Outbound::new(srtp.suite, srtp.ours.clone())),
            (None, _) => self.srtp = None,
        }
        if let Some(clock) = &mut self.clock {
            clock.set_ptime(ptime_ms(negotiated));
        }
    }

    /// Moves the grid: the next slot is so much later, and nothing is sent in between. Media time goes on with real time.
    pub fn shift(&mut self, by: Duration) {
        if let Some(clock) = &mut self.clock
            && !by.is_zero()
        {
            clock.shift(by);
            self.timestamp = self.timestamp.plus(by.as_millis() as u32 * SAMPLES_PER_MS);
            self.marker = true;
        }
    }

    pub fn next_slot(&self) -> Option<Instant> {
        self.clock.as_ref().map(SendClock::next)
    }

    /// One packet into `out` if its slot has come. `open`: our direction and the peer's address let us send.
    /// Returns whether there is a packet. Cost: below 1 us with plain RTP, no allocation once `out` is warm.
    pub fn send(
        &mut self,
        now: Instant,
        negotiated: &Negotiated,
        open: bool,
        sound: &mut dyn SoundSource,
        out: &mut Vec<u8>,
    ) -> bool {
        let ptime_ms = ptime_ms(negotiated);
        let clock = self.clock.get_or_insert_with(|| SendClock::start(now, ptime_ms));
        let slot = clock.next();
        let Some(missed) = clock.take(now) else {
            return false;
        };
        let length = ptime_ms * SAMPLES_PER_MS;
        let at = self.timestamp.plus(missed.wrapping_mul(length));
        self.timestamp = at.plus(length);
        self.marker |= missed > 0 || !open;
        if !open {
            self.digits.cut_short();
            return false;
        }
        self.slots_skipped += u64::from(missed);
        self.last_slot = Some((slot + clock.ptime() * missed, at));
        let what = match negotiated.telephone_event {
            Some(_) => self.digits.next(at, length),
            None => Slot::Audio,
        };
        if length as usize == FRAME_SAMPLES && self.waiting_samples == 0 {
            // As a rule a packet is a frame, which then never lies in the leg's own memory.
            let frame = next_frame(sound);
            return self.write(what, at, frame.as_ref().map_or(&[], |frame| frame), FRAME_SAMPLES, negotiated, out);
        }
        let samples = self.fill(length as usize, sound);
        self.write(what, at, &samples[..length as usize], length as usize, negotiated, out)
    }

    /// Takes as many frames as this packet needs, and what is left of the last one back again.
    fn fill(&mut self, length: usize, sound: &mut dyn SoundSource) -> [i16; PACKET_SAMPLES_MAX + FRAME_SAMPLES] {
        while self.waiting_samples < length {
            let frame = next_frame(sound).unwrap_or([0; FRAME_SAMPLES]);
            self.waiting[self.waiting_samples..][..FRAME_SAMPLES].copy_from_slice(&frame);
            self.waiting_samples += FRAME_SAMPLES;
        }
        let samples = self.waiting;
        self.waiting.copy_within(length..self.waiting_samples, 0);
        self.waiting_samples -= length;
        samples
    }

    /// `samples`: of the packet's length, or none, which is silence.
    fn write(
        &mut self,
        what: Slot,
        at: RtpTimestamp,
        samples: &[i16],
        length: usize,
        negotiated: &Negotiated,
        out: &mut Vec<u8>,
    ) -> bool {
        let mut header = rtp::header::Header {
            version: 2,
            sequence_number: self.sequence,
            ssrc: self.ssrc,
            timestamp: at.0,
            payload_type: negotiated.payload_type.0,
            ..Default::default()
        };
        match what {
            Slot::Event { start, payload, first } => {
                header.timestamp = start.0;
                header.marker = first;
                header.payload_type = negotiated.telephone_event.unwrap_or(PayloadType(0)).0;
                write_header(&header, out);
                out.extend_from_slice(&payload);
            }
            Slot::Audio if !samples.is_empty() => {
                header.marker = std::mem::take(&mut self.marker);
                write_header(&header, out);
                g711::encode(negotiated.codec, samples, out);
            }
            Slot::Audio | Slot::Muted => {
                header.marker = std::mem::take(&mut self.marker);
                write_header(&header, out);
                out.resize(out.len() + length, g711::silence(negotiated.codec));
            }
        }
        let payload_bytes = out.len() - crate::rtp::HEADER_BYTES;
        if let Some(srtp) = &mut self.srtp {
            self.plain.clone_from(out);
            if !srtp.seal_rtp(&header, out) {
                return false;
            }
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.payload_bytes += payload_bytes as u64;
        true
    }
}

/// The source is asked also while keys are sent: its time passes muted.
fn next_frame(sound: &mut dyn SoundSource) -> Option<[i16; FRAME_SAMPLES]> {
    let mut frame = [0; FRAME_SAMPLES];
    sound.next_frame(&mut frame).then_some(frame)
}

/// What our buffers are made for; anything else would be a fault of ours, and is 20 ms.
fn ptime_ms(negotiated: &Negotiated) -> u32 {
    match negotiated.send_ptime_ms {
        known @ (10 | 20 | 30 | 40 | 60) => known,
        _ => 20,
    }
}
