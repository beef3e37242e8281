//! What one leg counted, for its call's summary and the host's metrics.

use std::time::Duration;

use crate::{Drops, SoundStats};

/// Counters since the leg began, and a few gauges. Taken by copy: no reference into the leg is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegStats {
    /// RTP that was accepted: from the right source, authenticated, negotiated.
    pub packets_received: u64,
    pub payload_bytes_received: u64,
    /// Of the audio and event streams: expected by sequence number, but never seen.
    pub packets_lost: u64,
    pub packets_reordered: u64,
    pub packets_sent: u64,
    pub payload_bytes_sent: u64,
    /// Slots in which nothing could leave because the host was late for them.
    pub send_slots_skipped: u64,
    pub source_moves: u64,
    /// New SSRCs and confirmed jumps that restarted the jitter buffer.
    pub stream_restarts: u64,
    pub sound: SoundStats,
    /// Interarrival jitter of the audio stream, RFC 3550 A.8.
    pub jitter_ms: f64,
    /// From the last report of the peer that named our stream.
    pub remote_jitter_ms: Option<f64>,
    pub remote_lost: Option<i32>,
    pub round_trip: Option<Duration>,
    pub rtcp_received: u64,
    pub rtcp_sent: u64,
    pub digits_received: u64,
    pub digits_sent: u64,
    /// Events that found the leg's queue full.
    pub events_dropped: u64,
    pub drops: Drops,
}
