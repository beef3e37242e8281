//! Guest CPU against its quota: a bucket for each call, and one for each tenant that holds all of its calls' together.
//! What `start` uses has a limit of its own and is not counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Allowance;

/// A bucket that fills at `rate` up to `size`, and can owe as much. Units: microseconds.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    per_second: i64,
    size: i64,
    level: i64,
    filled: Instant,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self { per_second: 0, size: 0, level: 0, filled: now }
    }

    fn of(allowance: &Allowance, now: Instant) -> Self {
        let mut bucket = Self::new(now);
        bucket.widen(allowance);
        bucket
    }

    fn widen(&mut self, allowance: &Allowance) {
        self.per_second += i64::from(allowance.cpu_ms_per_call_second) * 1000;
        self.size += i64::from(allowance.cpu_burst_ms) * 1000;
        self.level += i64::from(allowance.cpu_burst_ms) * 1000;
    }

    fn narrow(&mut self, allowance: &Allowance) {
        self.per_second -= i64::from(allowance.cpu_ms_per_call_second) * 1000;
        self.size -= i64::from(allowance.cpu_burst_ms) * 1000;
        self.level = self.level.clamp(-self.size, self.size);
    }

    fn take(&mut self, now: Instant, used_us: u64) {
        // A year at most, so that nothing here overflows.
        let elapsed_us = now.saturating_duration_since(self.filled).as_micros().min(31_536_000_000_000) as i64;
        self.filled = now;
        let filled = self.level.saturating_add(self.per_second.saturating_mul(elapsed_us) / 1_000_000);
        let used = i64::try_from(used_us).unwrap_or(i64::MAX);
        self.level = filled.min(self.size).saturating_sub(used).max(-self.size);
    }

    /// Whether it is overdrawn: from below nothing until it is half full again.
    fn is_over(&self, was_over: bool) -> bool {
        if was_over { self.level < self.size / 2 } else { self.level < 0 }
    }
}

/// One call's, on its worker. Cost: a comparison in a tick in which no guest time was counted.
#[repr(C)]
pub struct CpuQuota {
    /// Of the instance that runs.
    counted: Duration,
    over: bool,
    bucket: Bucket,
    tenant: Arc<AtomicU64>,
}

impl CpuQuota {
    pub fn new(allowance: &Allowance, tenant: Arc<AtomicU64>, now: Instant) -> Self {
        Self { bucket: Bucket::of(allowance, now), counted: Duration::ZERO, over: false, tenant }
    }

    /// Another instance runs, which has used so much by now.
    pub fn begin(&mut self, guest_time: Duration) {
        self.counted = guest_time;
    }

    /// True when it has just become too much.
    pub fn count(&mut self, now: Instant, guest_time: Duration) -> bool {
        let used_us = guest_time.saturating_sub(self.counted).as_micros() as u64;
        if used_us == 0 && !self.over {
            return false;
        }
        self.counted += Duration::from_micros(used_us);
        self.tenant.fetch_add(used_us, Ordering::Relaxed);
        self.bucket.take(now, used_us);
        let over = self.bucket.is_over(self.over);
        let was_over = std::mem::replace(&mut self.over, over);
        self.over && !was_over
    }

    pub fn is_over(&self) -> bool {
        self.over
    }
}

/// All tenants that have calls, on the core's side.
#[derive(Default)]
pub struct Tenants(HashMap<String, Tenant>);

struct Tenant {
    /// Added to by every call's worker. Units: microseconds.
    used_us: Arc<AtomicU64>,
    seen_us: u64,
    calls: usize,
    bucket: Bucket,
    over: bool,
}

impl Tenants {
    /// One more call; what it uses is to be added to what is returned.
    pub fn join(&mut self, name: &str, allowance: &Allowance, now: Instant) -> Arc<AtomicU64> {
        let new = || Tenant { used_us: Arc::default(), seen_us: 0, calls: 0, bucket: Bucket::new(now), over: false };
        let tenant = self.0.entry(name.to_owned()).or_insert_with(new);
        tenant.calls += 1;
        tenant.bucket.widen(allowance);
        Arc::clone(&tenant.used_us)
    }

    pub fn leave(&mut self, name: &str, allowance: &Allowance) {
        if let Some(tenant) = self.0.get_mut(name) {
            tenant.calls -= 1;
            tenant.bucket.narrow(allowance);
        }
    }

    /// Calls `tell` with each tenant that has gone over what all its calls may use together, or is back. One without calls is.
    pub fn look(&mut self, now: Instant, mut tell: impl FnMut(&str, bool)) {
        self.0.retain(|name, tenant| {
            let used_us = tenant.used_us.load(Ordering::Relaxed);
            tenant.bucket.take(now, used_us - tenant.seen_us);
            tenant.seen_us = used_us;
            let over = tenant.bucket.is_over(tenant.over);
            if std::mem::replace(&mut tenant.over, over) != over {
                tell(name, over);
            }
            over || tenant.calls > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance =
        Allowance { memory_bytes: 0, playout_ms: 0, cpu_ms_per_call_second: 10, cpu_burst_ms: 50 };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_bot_within_its_quota_is_never_over_and_one_beyond_it_is_once_per_episode() {
        let start = Instant::now();
        for (used_each_second, episodes) in [(9, 0), (10, 0), (12, 1), (500, 1)] {
            let mut quota = CpuQuota::new(&ALLOWANCE, Arc::default(), start);
            let breaches =
                (1..=100).filter(|second| quota.count(start + ms(1000 * second), ms(used_each_second * second)));
            assert_eq!(breaches.count(), episodes, "{used_each_second} ms a second");
        }
    }

    #[test]
    fn what_was_saved_up_may_be_used_at_once_and_no_more() {
        let start = Instant::now();
        let mut quota = CpuQuota::new(&ALLOWANCE, Arc::default(), start);
        assert!(!quota.count(start + ms(60_000), ms(50)));
        assert!(quota.count(start + ms(60_000), ms(51)));
        assert!(quota.is_over());
    }

    #[test]
    fn it_is_back_within_when_half_of_its_burst_is_saved_up_again() {
        let start = Instant::now();
        let mut quota = CpuQuota::new(&ALLOWANCE, Arc::default(), start);
        assert!(quota.count(start, ms(10_000)), "owes 50 ms, not ten seconds");
        assert!(!quota.count(start + ms(7_400), ms(10_000)) && quota.is_over());
        assert!(!quota.count(start + ms(7_600), ms(10_000)) && !quota.is_over());
        assert!(quota.count(start + ms(7_600), ms(10_100)), "another episode");
    }

    #[test]
    fn what_an_instance_used_before_it_ran_is_not_counted() {
        let start = Instant::now();
        let mut quota = CpuQuota::new(&ALLOWANCE, Arc::default(), start);
        quota.begin(ms(200));
        assert!(!quota.count(start, ms(250)));
        assert!(quota.count(start, ms(251)));
    }

    fn looked(tenants: &mut Tenants, now: Instant) -> Vec<(String, bool)> {
        let mut told = Vec::new();
        tenants.look(now, |name, over| told.push((name.to_owned(), over)));
        told
    }

    #[test]
    fn a_tenant_is_over_when_its_calls_together_are_and_told_once_each_way() {
        let start = Instant::now();
        let mut tenants = Tenants::default();
        let used: Vec<_> = (0..4).map(|_| tenants.join("acme", &ALLOWANCE, start)).collect();
        let other = tenants.join("rival", &ALLOWANCE, start);
        // One call uses what all four may, and is within what they may together.
        used[0].fetch_add(190_000, Ordering::Relaxed);
        other.fetch_add(40_000, Ordering::Relaxed);
        assert_eq!(looked(&mut tenants, start + ms(1000)), []);
        used[3].fetch_add(400_000, Ordering::Relaxed);
        assert_eq!(looked(&mut tenants, start + ms(2000)), [("acme".to_owned(), true)]);
        assert_eq!(looked(&mut tenants, start + ms(3000)), []);
        assert_eq!(looked(&mut tenants, start + ms(13_000)), [("acme".to_owned(), false)]);
        assert_eq!(looked(&mut tenants, start + ms(14_000)), []);
    }

    #[test]
    fn a_tenant_whose_calls_are_over_owes_nothing_and_leaves_nothing() {
        let start = Instant::now();
        let mut tenants = Tenants::default();
        tenants.join("acme", &ALLOWANCE, start).fetch_add(1_000_000, Ordering::Relaxed);
        assert_eq!(looked(&mut tenants, start), [("acme".to_owned(), true)]);
        tenants.leave("acme", &ALLOWANCE);
        assert_eq!(looked(&mut tenants, start), [("acme".to_owned(), false)]);
        assert!(tenants.0.is_empty());
    }
}
