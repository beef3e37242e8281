//! What the calls are made with: trunks, tenants, bounds and deadlines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use media::{Codec, SrtpPolicy};

use crate::routing::Routing;

/// Everything about this host that a call depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By [`sip::TrunkId`].
    pub trunks: Vec<Trunk>,
    pub routing: Arc<Routing>,
    /// Tenants with a quota; one that is not named has none of its own.
    pub tenants: Vec<Tenant>,
    pub limits: Limits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    pub name: String,
    /// Its P-Asserted-Identity and X- headers are believed; without it they are removed.
    pub trusted: bool,
    /// 403 for a call without P-Asserted-Identity. Source: RFC 3325 9.1.
    pub require_pai: bool,
    /// In order of preference.
    pub codecs: Vec<Codec>,
    pub srtp: SrtpPolicy,
    /// Where RTP may come from ...
    pub media_networks: Vec<IpNet>,
    /// ... and whether also from the address in the SDP.
    pub sdp_address_allowed: bool,
    pub max_calls: Option<u32>,
}

/// A tenant's quotas; None is no bound of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenant {
    pub name: String,
    /// At a time.
    pub max_calls: Option<u32>,
    /// New ones, with as many at once as a second brings.
    pub calls_per_second: Option<u32>,
}

/// Bounds and deadlines. The defaults are the ones that the documentation gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls on this host, those included whose bot still finishes its work.
    pub calls: u32,
    /// Headers of the INVITE that are kept for the bot and the summary, and their bytes altogether.
    pub headers: usize,
    pub header_bytes: usize,
    /// Requests for outbound calls whose second leg may still come.
    pub outbound_pending: usize,
    /// How long it may take to come.
    pub outbound: Duration,
    /// How long an INVITE waits for the answer of the trunk's API that may name it.
    pub outbound_answer: Duration,
    pub open_ports: Duration,
    /// The bot's `start`.
    pub start: Duration,
    /// A bot that lets it ring.
    pub ring: Duration,
    /// From our 200 to ACK or first packet. The dialog's own deadline is 32 s; this one only catches our bugs.
    pub acknowledge: Duration,
    pub fallback: Duration,
    /// The bot after hangup.
    pub linger: Duration,
    /// Our own parts: leg and bot being closed.
    pub close: Duration,
    /// The dialog after our BYE or refusal: Timer F or H with some room.
    pub dialog_end: Duration,
    /// No accepted packet for so long, while some are due.
    pub media_timeout: Duration,
    /// The longest call there may be.
    pub call: Duration,
    /// Retry-After of a 503, at most 5.
    pub retry_after_s: u32,
    pub notes: usize,
    pub note_key_bytes: usize,
    pub note_value_bytes: usize,
    /// Keys that wait to be sent.
    pub digits_queued: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            calls: 4000,
            headers: 64,
            header_bytes: 16 * 1024,
            outbound_pending: 1024,
            outbound: Duration::from_secs(120),
            outbound_answer: Duration::from_millis(500),
            open_ports: Duration::from_secs(2),
            start: Duration::from_millis(200),
            ring: Duration::from_secs(60),
            acknowledge: Duration::from_secs(70),
            fallback: Duration::from_secs(30),
            linger: Duration::from_secs(10),
            close: Duration::from_secs(5),
            dialog_end: Duration::from_secs(70),
            media_timeout: Duration::from_secs(60),
            call: Duration::from_secs(4 * 3600),
            retry_after_s: 5,
            notes: 16,
            note_key_bytes: 64,
            note_value_bytes: 1024,
            digits_queued: 64,
        }
    }
}

/// One moment on both clocks: schedules run on the first, records are written by the second.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    pub at: Instant,
    pub unix_ms: u64,
}

impl WallClock {
    /// Milliseconds since 1970-01-01 UTC at `now`, which may lie before [`WallClock::at`].
    pub fn unix_ms_at(&self, now: Instant) -> u64 {
        match now.checked_duration_since(self.at) {
            Some(since) => self.unix_ms.saturating_add(since.as_millis() as u64),
            None => self.unix_ms.saturating_sub(self.at.duration_since(now).as_millis() as u64),
        }
    }
}
