//! Reception by SSRC: packet index, duplicates, order, loss and jitter. Source: RFC 3550 6.4.1, A.1, A.3, A.8.

use std::time::Instant;

use crate::DropReason;
use crate::clock::Extended;
use crate::rtp::RtpHeader;

/// SSRCs that one leg follows; the one heard least recently gives way.
const STREAMS_MAX: usize = 4;
/// A.1: further ahead or further back than this is not loss or reordering but another numbering.
const DROPOUT_MAX: i64 = 3000;
const MISORDER_MAX: i64 = 100;

/// How a packet lies to the numbers before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    New,
    Ahead,
    /// Reordered, or a copy.
    Behind,
    Jump,
}

#[derive(Debug)]
pub struct Stream {
    pub ssrc: u32,
    index: Extended,
    base: i64,
    received: u64,
    /// Bit n: the packet n before the highest was seen.
    seen: u64,
    /// In 1/16 samples, as A.8 keeps it.
    jitter_16: i64,
    transit: Option<i64>,
    last_heard: Instant,
    expected_prior: i64,
    received_prior: u64,
    /// Middle 32 bits of the last SR's NTP time, and its arrival.
    pub sender_report: Option<(u32, Instant)>,
}

/// One reception report's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    pub fraction_lost: u8,
    pub lost: i64,
    pub highest: u32,
    pub jitter: u32,
}

impl Stream {
    fn new(ssrc: u32, now: Instant) -> Self {
        Stream {
            ssrc,
            index: Extended::default(),
            base: 0,
            received: 0,
            seen: 0,
            jitter_16: 0,
            transit: None,
            last_heard: now,
            expected_prior: 0,
            received_prior: 0,
            sender_report: None,
        }
    }

    fn place(&self, sequence: u16) -> Place {
        let Some(highest) = self.index.highest() else {
            return Place::New;
        };
        match self.index.peek16(sequence) - highest {
            1..=DROPOUT_MAX => Place::Ahead,
            ahead if (-MISORDER_MAX..=0).contains(&ahead) => Place::Behind,
            _ => Place::Jump,
        }
    }

    fn count(&mut self, sequence: u16) -> Result<(), DropReason> {
        let index = self.index.peek16(sequence);
        let highest = self.index.highest().unwrap_or(index);
        match index - highest {
            0 if self.received > 0 => return Err(DropReason::Duplicate),
            ahead @ 0.. => self.seen = self.seen.checked_shl(ahead as u32).unwrap_or(0) | 1,
            behind if behind > -64 => {
                let bit = 1 << -behind;
                if self.seen & bit != 0 {
                    return Err(DropReason::Duplicate);
                }
                self.seen |= bit;
            }
            _ => {} // too far back to know
        }
        if self.received == 0 {
            self.base = index;
        }
        self.base = self.base.min(index);
        self.received += 1;
        self.index.keep(index);
        Ok(())
    }

    fn expected(&self) -> i64 {
        self.index.highest().map_or(0, |highest| highest - self.base + 1)
    }

    pub fn lost(&self) -> i64 {
        self.expected() - self.received as i64
    }

    pub fn jitter(&self) -> u32 {
        (self.jitter_16 >> 4) as u32
    }

    /// A.8. Both in samples; `arrival` from any epoch.
    pub fn note_transit(&mut self, timestamp: u32, arrival: i64) {
        let transit = i64::from((arrival as u32).wrapping_sub(timestamp));
        if let Some(before) = self.transit.replace(transit) {
            let d = i64::from(((transit as u32).wrapping_sub(before as u32) as i32).unsigned_abs());
            self.jitter_16 += d - ((self.jitter_16 + 8) >> 4);
        }
    }

    /// 6.4: only such sources get a block.
    pub fn heard_since_report(&self) -> bool {
        self.received > self.received_prior
    }

    /// A.3; begins the next interval.
    pub fn report(&mut self) -> Reception {
        let expected = self.expected();
        let expected_now = expected - self.expected_prior;
        let lost_now = expected_now - (self.received - self.received_prior) as i64;
        self.expected_prior = expected;
        self.received_prior = self.received;
        let fraction_lost = match expected_now > 0 && lost_now > 0 {
            true => ((lost_now << 8) / expected_now).min(255) as u8,
            false => 0,
        };
        let highest = self.index.highest().unwrap_or(0) as u32;
        Reception { fraction_lost, lost: self.lost(), highest, jitter: self.jitter() }
    }
}

/// The SSRCs of one leg.
#[derive(Debug)]
pub struct Streams {
    known: Vec<Stream>,
    lost_before: u64,
    pub reordered: u64,
}

impl Default for Streams {
    fn default() -> Self {
        Streams { known: Vec::with_capacity(STREAMS_MAX), lost_before: 0, reordered: 0 }
    }
}

impl Streams {
    pub fn place(&self, header: &RtpHeader) -> Place {
        self.known.iter().find(|s| s.ssrc == header.ssrc).map_or(Place::New, |s| s.place(header.sequence))
    }

    /// Counts a packet of a stream, which begins anew at a jump. Errors: `Duplicate`.
    pub fn count(&mut self, header: &RtpHeader, now: Instant) -> Result<&mut Stream, DropReason> {
        let place = self.place(header);
        let mut at = self.known.iter().position(|s| s.ssrc == header.ssrc);
        if let (Some(old), Place::Jump) = (at, place) {
            self.forget(old);
            at = None;
        }
        let at = at.unwrap_or_else(|| self.begin(header.ssrc, now));
        let stream = &mut self.known[at];
        stream.last_heard = now;
        stream.count(header.sequence)?;
        self.reordered += u64::from(place == Place::Behind);
        Ok(stream)
    }

    fn begin(&mut self, ssrc: u32, now: Instant) -> usize {
        if self.known.len() == STREAMS_MAX
            && let Some(oldest) = (0..STREAMS_MAX).min_by_key(|&at| self.known[at].last_heard)
        {
            self.forget(oldest);
        }
        self.known.push(Stream::new(ssrc, now));
        self.known.len() - 1
    }

    fn forget(&mut self, at: usize) {
        let gone = self.known.remove(at);
        self.lost_before += gone.lost().max(0) as u64;
    }

    pub fn get(&mut self, ssrc: u32) -> Option<&mut Stream> {
        self.known.iter_mut().find(|s| s.ssrc == ssrc)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.known.iter_mut()
    }

    pub fn find(&self, ssrc: u32) -> Option<&Stream> {
        self.known.iter().find(|s| s.ssrc == ssrc)
    }

    pub fn lost(&self) -> u64 {
        self.lost_before + self.known.iter().map(|s| s.lost().max(0) as u64).sum::<u64>()
    }
}
