//! What a tenant may use of the world outside, and what it has used.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Refusal};

/// Of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// HTTP requests under way at a time.
    pub requests: u32,
    /// WebSockets open at a time.
    pub sockets: u32,
    /// As the network carries them, TLS included; a minute's worth may be used at once.
    pub bytes_in_per_minute: u64,
    pub bytes_out_per_minute: u64,
    /// Body of a request.
    pub request_bytes: usize,
    /// Body of a response that comes whole.
    pub whole_bytes: usize,
    /// Body of a response that comes in pieces.
    pub response_bytes: u64,
    /// Of name, connection and TLS handshake together.
    pub connect: Duration,
    /// Between two pieces of a body; of silence on a WebSocket.
    pub idle: Duration,
    /// Of a whole HTTP exchange, and the most that a request may ask for.
    pub exchange: Duration,
    /// Of a connection, after its last request.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            requests: 64,
            sockets: 32,
            bytes_in_per_minute: 256 << 20,
            bytes_out_per_minute: 256 << 20,
            request_bytes: 16 << 20,
            whole_bytes: 1 << 20,
            response_bytes: 64 << 20,
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            exchange: Duration::from_secs(120),
            keep_alive: Duration::from_secs(30),
        }
    }
}

/// What may be used of something in a minute, refilled as time passes.
#[derive(Debug, Default)]
struct Allowance {
    /// Used, minus what came back since.
    used: u64,
    at: Option<Instant>,
}

impl Allowance {
    /// Takes what was used already, which may be more than is left; then nothing is left until that much time has passed.
    fn take(&mut self, amount: u64, per_minute: u64, now: Instant) -> bool {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let back = u128::from(per_minute) * passed.as_micros() / 60_000_000;
        // Kept until it is a whole one, else what is taken often would never come back.
        if back > 0 || self.at.is_none() {
            self.used = self.used.saturating_sub(u64::try_from(back).unwrap_or(u64::MAX));
            self.at = Some(now);
        }
        let is_left = self.used < per_minute;
        self.used = self.used.saturating_add(amount);
        is_left
    }
}

/// What a tenant has under way and has used; its calls and connections share it.
#[derive(Debug, Default)]
pub(crate) struct Account {
    bytes_in: Mutex<Allowance>,
    bytes_out: Mutex<Allowance>,
    pub(crate) counts: Counts,
}

/// Each counts up, but those that are open.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub requests: AtomicU64,
    pub requests_open: AtomicU64,
    pub sockets: AtomicU64,
    pub sockets_open: AtomicU64,
    pub connections: AtomicU64,
    pub connections_open: AtomicU64,
    pub connections_reused: AtomicU64,
    pub redirects: AtomicU64,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
    failed: [AtomicU64; Code::ALL.len()],
    refused: [AtomicU64; Refusal::ALL.len()],
}

/// What a page of metrics shows of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub requests: u64,
    pub requests_open: u64,
    pub sockets: u64,
    pub sockets_open: u64,
    pub connections: u64,
    pub connections_open: u64,
    pub connections_reused: u64,
    pub redirects: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// By code.
    pub failed: [(Code, u64); Code::ALL.len()],
    /// Those of them that a rule or a bound let not out, by which.
    pub refused: [(Refusal, u64); Refusal::ALL.len()],
}

impl Counts {
    pub fn failed(&self, error: &Error) {
        one_more(&self.failed[error.code as usize]);
        error.refusal.iter().for_each(|refusal| one_more(&self.refused[*refusal as usize]));
    }

    pub fn read(&self) -> Usage {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Usage {
            requests: read(&self.requests),
            requests_open: read(&self.requests_open),
            sockets: read(&self.sockets),
            sockets_open: read(&self.sockets_open),
            connections: read(&self.connections),
            connections_open: read(&self.connections_open),
            connections_reused: read(&self.connections_reused),
            redirects: read(&self.redirects),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            failed: Code::ALL.map(|code| (code, read(&self.failed[code as usize]))),
            refused: Refusal::ALL.map(|refusal| (refusal, read(&self.refused[refusal as usize]))),
        }
    }
}

pub(crate) fn one_more(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// What a tenant has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    Request,
    Socket,
    Connection,
}

impl Account {
    /// Bytes that a connection has read. False: they were more than was left.
    pub fn received(&self, bytes: usize, limits: &Limits, now: Instant) -> bool {
        self.counts.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        take(&self.bytes_in, bytes, limits.bytes_in_per_minute, now)
    }

    pub fn sent(&self, bytes: usize, limits: &Limits, now: Instant) -> bool {
        self.counts.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
        take(&self.bytes_out, bytes, limits.bytes_out_per_minute, now)
    }

    fn open(&self, what: Opened) -> &AtomicU64 {
        match what {
            Opened::Request => &self.counts.requests_open,
            Opened::Socket => &self.counts.sockets_open,
            Opened::Connection => &self.counts.connections_open,
        }
    }

    /// A request more, until what it returns is dropped. Errors: `quota`.
    pub fn request(self: &Arc<Account>, limits: &Limits) -> Result<Open, Error> {
        let refused = || Error::refused(Refusal::Requests, format!("the tenant has {} requests open", limits.requests));
        self.begin(Opened::Request, &self.counts.requests, limits.requests).ok_or_else(refused)
    }

    /// The same of a WebSocket.
    pub fn socket(self: &Arc<Account>, limits: &Limits) -> Result<Open, Error> {
        let refused =
            || Error::refused(Refusal::WebSockets, format!("the tenant has {} WebSockets open", limits.sockets));
        self.begin(Opened::Socket, &self.counts.sockets, limits.sockets).ok_or_else(refused)
    }

    /// The same of a connection: they are no more than requests, WebSockets and what is kept idle.
    pub fn connected(self: &Arc<Account>) -> Open {
        one_more(&self.counts.connections);
        one_more(&self.counts.connections_open);
        Open { account: self.clone(), what: Opened::Connection }
    }

    fn begin(self: &Arc<Account>, what: Opened, all: &AtomicU64, most: u32) -> Option<Open> {
        let more = |open: u64| (open < u64::from(most)).then_some(open + 1);
        self.open(what).fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        one_more(all);
        Some(Open { account: self.clone(), what })
    }
}

fn take(allowance: &Mutex<Allowance>, bytes: usize, per_minute: u64, now: Instant) -> bool {
    allowance.lock().unwrap_or_else(PoisonError::into_inner).take(bytes as u64, per_minute, now)
}

/// What is open, until it is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    account: Arc<Account>,
    what: Opened,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.account.open(self.what).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_a_minutes_worth_and_comes_back_with_time() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut allowance = Allowance::default();
        assert!(allowance.take(40, 60, at(0)));
        assert!(allowance.take(40, 60, at(0)), "the last may be more than is left");
        assert!(!allowance.take(0, 60, at(20_000)), "80 less 20");
        assert!(allowance.take(1, 60, at(21_000)));
        assert!(!allowance.take(0, 60, at(21_999)), "less than one has come back");
        assert!(allowance.take(0, 60, at(22_000)), "and was not lost");
        assert!(allowance.take(60, 60, at(600_000)), "no more than a minute's worth is saved up");
        assert!(!allowance.take(0, 60, at(600_000)));
    }

    #[test]
    fn so_many_are_open_at_a_time_and_a_closed_one_makes_room() {
        let account = Arc::new(Account::default());
        let limits = Limits { requests: 2, sockets: 1, ..Limits::default() };
        let first = account.request(&limits).unwrap();
        let _second = account.request(&limits).unwrap();
        let _socket = account.socket(&limits).unwrap();
        assert_eq!(account.request(&limits).unwrap_err().code, Code::Quota);
        assert_eq!(account.socket(&limits).unwrap_err().code, Code::Quota);
        drop(first);
        assert!(account.request(&limits).is_ok());
        let usage = account.counts.read();
        assert_eq!((usage.requests, usage.requests_open, usage.sockets_open), (3, 1, 1));
    }
}
