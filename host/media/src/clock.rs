//! Media time. `Instant` is for schedules, [`RtpTimestamp`] for media; they meet only here.

use std::time::{Duration, Instant};

/// All our media runs at 8000 Hz.
pub const SAMPLES_PER_MS: u32 = 8;
/// One frame: 20 ms.
pub const FRAME_SAMPLES: usize = 160;
pub const FRAME: Duration = Duration::from_millis(20);

/// An RTP timestamp: counts samples, wraps, begins anywhere. Source: RFC 3550 5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    pub fn plus(self, samples: u32) -> Self {
        RtpTimestamp(self.0.wrapping_add(samples))
    }

    /// Signed distance in samples, the short way round.
    pub fn since(self, earlier: RtpTimestamp) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }
}

/// Real time in samples since `epoch`, for comparing arrivals with timestamps. Resolution 1/8 ms.
pub fn samples_since(epoch: Instant, now: Instant) -> i64 {
    (now.saturating_duration_since(epoch).as_micros() * u128::from(SAMPLES_PER_MS) / 1000) as i64
}

/// Unwraps a counter of 16 or 32 bits, given its distance from the highest value so far.
/// The first value lies one whole cycle above zero, so that a reordered earlier one is not negative.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extended {
    highest: Option<i64>,
}

impl Extended {
    /// The extended value of a sequence number: its packet index (RFC 3711 3.3.1). Does not change the state.
    pub fn peek16(&self, value: u16) -> i64 {
        match self.highest {
            None => (1 << 16) + i64::from(value),
            Some(highest) => highest + i64::from(value.wrapping_sub(highest as u16) as i16),
        }
    }

    pub fn peek32(&self, value: u32) -> i64 {
        match self.highest {
            None => (1 << 32) + i64::from(value),
            Some(highest) => highest + i64::from(value.wrapping_sub(highest as u32) as i32),
        }
    }

    /// Keeps the highest seen.
    pub fn keep(&mut self, extended: i64) {
        self.highest = Some(self.highest.map_or(extended, |highest| highest.max(extended)));
    }

    pub fn highest(&self) -> Option<i64> {
        self.highest
    }
}

/// The grid of departures: one slot each ptime, anchored at the first send. After a stall slots are skipped, never
/// made up for, and media time goes on with real time.
#[derive(Clone, Debug)]
pub struct SendClock {
    next: Instant,
    ptime: Duration,
}

/// A wake-up this much before its slot counts as on time.
const EARLY: Duration = Duration::from_millis(2);

impl SendClock {
    pub fn start(at: Instant, ptime_ms: u32) -> Self {
        SendClock { next: at, ptime: Duration::from_millis(u64::from(ptime_ms)) }
    }

    pub fn set_ptime(&mut self, ptime_ms: u32) {
        self.ptime = Duration::from_millis(u64::from(ptime_ms));
    }

    /// All further slots are so much later.
    pub fn shift(&mut self, by: Duration) {
        self.next += by;
    }

    pub fn ptime(&self) -> Duration {
        self.ptime
    }

    pub fn next(&self) -> Instant {
        self.next
    }

    /// None before the slot. Else takes it, and says how many slots before it were missed.
    pub fn take(&mut self, now: Instant) -> Option<u32> {
        if now + EARLY < self.next {
            return None;
        }
        let behind = now.saturating_duration_since(self.next);
        let missed = (behind.as_nanos() / self.ptime.as_nanos().max(1)).min(u128::from(u32::MAX / 2)) as u32;
        self.next += self.ptime * (missed + 1);
        Some(missed)
    }
}
