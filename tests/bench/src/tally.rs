//! What is written down while the packets fly; nothing here is computed before the end.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Moments, in ns since the generator began. Kernel timestamps are by the wall clock, so its distance is kept: neither
/// clock is stepped while we measure, and both are slewed alike.
#[derive(Clone)]
pub struct Clock {
    epoch: Instant,
    epoch_wall: Duration,
}

pub type Nanos = i64;

impl Clock {
    pub fn new() -> Clock {
        let epoch = Instant::now();
        Clock { epoch, epoch_wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    pub fn now(&self) -> Nanos {
        self.of(Instant::now())
    }

    pub fn of(&self, moment: Instant) -> Nanos {
        moment.saturating_duration_since(self.epoch).as_nanos() as Nanos
    }

    pub fn of_wall(&self, wall: Duration) -> Nanos {
        wall.as_nanos() as Nanos - self.epoch_wall.as_nanos() as Nanos
    }
}

/// How often each frame of the measured interval came back. Every leg has this.
#[derive(Default)]
pub struct Returned {
    first: Option<u32>,
    frames: u32,
    times: Vec<u8>,
}

impl Returned {
    pub fn make_room(&mut self, frames: usize) {
        self.times = vec![0; frames];
    }

    pub fn sent(&mut self, index: u32) {
        self.first.get_or_insert(index);
        self.frames += 1;
    }

    pub fn came_back(&mut self, index: u32) {
        let Some(at) = self.first.and_then(|first| index.checked_sub(first)) else { return };
        if let Some(times) = self.times.get_mut(at as usize) {
            *times = times.saturating_add(1);
        }
    }

    pub fn frames(&self) -> usize {
        (self.frames as usize).min(self.times.len())
    }

    /// Frames that did not come back exactly once.
    pub fn lost(&self) -> usize {
        self.times[..self.frames()].iter().filter(|times| **times != 1).count()
    }
}

/// Packets from the host by their sequence numbers, whatever is in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub packets: u64,
    /// First and highest so far, counted on beyond 16 bits.
    span: Option<(u64, u64)>,
}

impl Heard {
    pub fn packet(&mut self, sequence: u16) {
        self.packets += 1;
        let (_, highest) = self.span.get_or_insert((sequence.into(), sequence.into()));
        // Older ones, which a network may deliver late, move nothing.
        let ahead = sequence.wrapping_sub(*highest as u16);
        if ahead < 1 << 15 {
            *highest += u64::from(ahead);
        }
    }

    /// Sent by the host, as its numbers say, and not heard. The host's own skipped ticks take no number.
    pub fn lost(&self) -> u64 {
        self.span.map_or(0, |(first, highest)| (highest - first + 1).saturating_sub(self.packets))
    }
}

/// More frames than are ever under way.
const UNDER_WAY: usize = 256;

/// A frame of ours under way.
#[derive(Clone, Copy)]
pub struct Sent {
    index: u32,
    at: Nanos,
    due: Nanos,
}

/// A frame that came back.
#[derive(Clone, Copy)]
pub struct RoundTrip {
    pub ended: Nanos,
    /// From our sending it.
    pub took: Nanos,
    /// From when we should have sent it.
    pub took_from_due: Nanos,
}

/// A leg whose packets are timed.
pub struct Sample {
    pub sent: [Sent; UNDER_WAY],
    /// RTP timestamp and arrival of each packet from the host.
    pub arrivals: Vec<(u32, Nanos)>,
    pub round_trips: Vec<RoundTrip>,
    /// By how much we sent too late.
    pub own_lateness: Vec<Nanos>,
}

impl Default for Sample {
    fn default() -> Sample {
        let nothing = Sent { index: u32::MAX, at: 0, due: 0 };
        Sample { sent: [nothing; UNDER_WAY], arrivals: vec![], round_trips: vec![], own_lateness: vec![] }
    }
}

impl Sample {
    pub fn sends(&mut self, index: u32, now: Nanos, due: Nanos, measured: bool) {
        self.sent[index as usize % UNDER_WAY] = Sent { index, at: now, due };
        if measured {
            self.own_lateness.push(now - due);
        }
    }

    pub fn arrives(&mut self, timestamp: u32, echo_of: Option<u32>, at: Nanos) {
        self.arrivals.push((timestamp, at));
        let Some(index) = echo_of else { return };
        let sent = self.sent[index as usize % UNDER_WAY];
        if sent.index == index {
            self.round_trips.push(RoundTrip { ended: at, took: at - sent.at, took_from_due: at - sent.due });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_was_not_heard_is_lost_over_a_wrap_too() {
        for (sequences, lost) in
            [(&[][..], 0), (&[7], 0), (&[65_534, 65_535, 0, 1], 0), (&[65_534, 1], 2), (&[5, 7, 6], 0), (&[5, 7], 1)]
        {
            let mut heard = Heard::default();
            sequences.iter().for_each(|sequence| heard.packet(*sequence));
            assert_eq!((heard.packets, heard.lost()), (sequences.len() as u64, lost), "{sequences:?}");
        }
    }
}
