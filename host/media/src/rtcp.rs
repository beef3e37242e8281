//! RTCP: what we report and what the peer reports. Source: RFC 3550 6.
//!
//! The rtcp crate reads and writes single packets of types 200 to 203, after their lengths have been checked here: its
//! reader panics on other types, and on some that lie about their length.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::source_description::{SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem};
use webrtc_util::marshal::{Marshal, Unmarshal};

use crate::DropReason;
use crate::streams::Streams;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const GOODBYE: u8 = 203;
/// Packets of one compound that are looked at.
const PACKETS_MAX: usize = 16;
/// 6.2: five seconds, each time between half and one and a half of it; the first one half.
const INTERVAL_MS: u64 = 5000;

/// What one packet of a compound says, as far as we use it.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A sender report's SSRC, and the middle 32 bits of its NTP time.
    Sender {
        ssrc: u32,
        ntp_middle: u32,
    },
    /// One reception report block.
    Block(ReceptionReport),
    Goodbye,
}

/// Reads a compound, plain or decrypted. Errors: `BadRtcp`, RFC 3550 A.2: version, lengths, and a report as its first packet.
/// Types other than reports and BYE are passed over.
pub fn parse_compound(mut rest: &[u8], mut heard: impl FnMut(Report)) -> Result<(), DropReason> {
    if !matches!(rest.get(1), Some(&(SENDER_REPORT | RECEIVER_REPORT))) {
        return Err(DropReason::BadRtcp);
    }
    for _ in 0..PACKETS_MAX {
        let &[first, kind, l0, l1, ..] = rest else {
            return if rest.is_empty() { Ok(()) } else { Err(DropReason::BadRtcp) };
        };
        let length = (usize::from(u16::from_be_bytes([l0, l1])) + 1) * 4;
        if first >> 6 != 2 || length > rest.len() {
            return Err(DropReason::BadRtcp);
        }
        let (packet, after) = rest.split_at(length);
        parse_packet(kind, usize::from(first & 0x1f), packet, &mut heard)?;
        rest = after;
    }
    Ok(())
}

fn parse_packet(kind: u8, count: usize, mut packet: &[u8], heard: &mut impl FnMut(Report)) -> Result<(), DropReason> {
    // Fixed part, and what each counted item takes.
    let needed = match kind {
        SENDER_REPORT => 28 + 24 * count,
        RECEIVER_REPORT => 8 + 24 * count,
        GOODBYE => 4 + 4 * count,
        _ => return Ok(()),
    };
    if packet.len() < needed {
        return Err(DropReason::BadRtcp);
    }
    let blocks = match kind {
        SENDER_REPORT => {
            let report = SenderReport::unmarshal(&mut packet).map_err(|_| DropReason::BadRtcp)?;
            heard(Report::Sender { ssrc: report.ssrc, ntp_middle: (report.ntp_time >> 16) as u32 });
            report.reports
        }
        RECEIVER_REPORT => ReceiverReport::unmarshal(&mut packet).map_err(|_| DropReason::BadRtcp)?.reports,
        _ => {
            heard(Report::Goodbye);
            return Ok(());
        }
    };
    blocks.into_iter().for_each(|block| heard(Report::Block(block)));
    Ok(())
}

/// What we have sent, for a sender report.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub packets: u64,
    pub payload_bytes: u64,
    /// The media time that belongs to now.
    pub timestamp: u32,
}

/// Our reports, and what the peer's told us.
pub struct Reporter {
    epoch: Instant,
    ssrc: u32,
    cname: String,
    next: Instant,
    random: SmallRng,
    sent_before: u64,
    pub sent: u64,
    pub received: u64,
    pub round_trip: Option<Duration>,
    pub remote_lost: Option<i32>,
    pub remote_jitter: Option<u32>,
}

impl Reporter {
    pub fn new(ssrc: u32, cname: &str, seed: u64, now: Instant) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let next = now + Duration::from_millis(random.random_range(INTERVAL_MS / 4..INTERVAL_MS * 3 / 4));
        Reporter {
            epoch: now,
            ssrc,
            cname: cname.chars().take(200).filter(char::is_ascii).collect(),
            next,
            random,
            sent_before: 0,
            sent: 0,
            received: 0,
            round_trip: None,
            remote_lost: None,
            remote_jitter: None,
        }
    }

    pub fn next(&self) -> Instant {
        self.next
    }

    pub fn due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + Duration::from_millis(self.random.random_range(INTERVAL_MS / 2..INTERVAL_MS * 3 / 2));
        true
    }

    /// 6.4.1 allows the NTP time to count from any moment; ours counts from the leg's beginning: a leg knows no wall time.
    fn ntp(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.epoch);
        (elapsed.as_secs() << 32) | ((u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000)
    }

    /// Takes note of a compound from the peer.
    pub fn hear(&mut self, compound: &[u8], streams: &mut Streams, now: Instant) -> Result<(), DropReason> {
        let ntp_now = (self.ntp(now) >> 16) as u32;
        parse_compound(compound, |report| match report {
            Report::Sender { ssrc, ntp_middle } => {
                if let Some(stream) = streams.get(ssrc) {
                    stream.sender_report = Some((ntp_middle, now));
                }
            }
            Report::Block(block) if block.ssrc == self.ssrc => {
                // 24 bits, signed.
                self.remote_lost = Some((block.total_lost << 8) as i32 >> 8);
                self.remote_jitter = Some(block.jitter);
                let units = ntp_now.wrapping_sub(block.last_sender_report).wrapping_sub(block.delay);
                if block.last_sender_report != 0 && (units as i32) >= 0 {
                    self.round_trip = Some(Duration::from_micros(u64::from(units) * 1_000_000 / 65_536));
                }
            }
            Report::Block(_) | Report::Goodbye => {}
        })?;
        self.received += 1;
        Ok(())
    }

    /// Writes SR or RR, SDES, and BYE if this is the end. Cost: allocates; every five seconds.
    pub fn write(&mut self, sent: Sent, streams: &mut Streams, bye: bool, now: Instant, out: &mut Vec<u8>) {
        out.clear();
        let reports = streams.iter_mut().filter(|s| s.heard_since_report()).map(|s| block(s, now)).collect();
        let written = if sent.packets > self.sent_before {
            SenderReport {
                ssrc: self.ssrc,
                ntp_time: self.ntp(now),
                rtp_time: sent.timestamp,
                packet_count: sent.packets as u32,
                octet_count: sent.payload_bytes as u32,
                reports,
                ..Default::default()
            }
            .marshal()
        } else {
            ReceiverReport { ssrc: self.ssrc, reports, ..Default::default() }.marshal()
        };
        self.sent_before = sent.packets;
        let cname = SourceDescriptionItem {
            sdes_type: SdesType::SdesCname,
            text: Bytes::copy_from_slice(self.cname.as_bytes()),
        };
        let chunks = vec![SourceDescriptionChunk { source: self.ssrc, items: vec![cname] }];
        for part in [written, SourceDescription { chunks }.marshal()].into_iter().flatten() {
            out.extend_from_slice(&part);
        }
        if bye {
            // 6.6: one source, no reason. Not by the rtcp crate, which pads an empty reason with three bytes and sets the P bit for it:
            // padding is a multiple of four.
            out.extend_from_slice(&[0x81, GOODBYE, 0, 1]);
            out.extend_from_slice(&self.ssrc.to_be_bytes());
        }
        self.sent += 1;
    }
}

fn block(stream: &mut crate::streams::Stream, now: Instant) -> ReceptionReport {
    let reception = stream.report();
    let (last_sender_report, delay) = stream.sender_report.map_or((0, 0), |(ntp, at)| {
        let since = now.saturating_duration_since(at);
        (ntp, (since.as_micros() * 65_536 / 1_000_000) as u32)
    });
    ReceptionReport {
        ssrc: stream.ssrc,
        fraction_lost: reception.fraction_lost,
        // 24 bits, signed.
        total_lost: (reception.lost.clamp(-0x80_0000, 0x7f_ffff) as u32) & 0xff_ffff,
        last_sequence_number: reception.highest,
        jitter: reception.jitter,
        last_sender_report,
        delay,
    }
}
