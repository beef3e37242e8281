//! How much of everything the admin port takes, and how long it waits. One table: docs/limits.md.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A JSON body.
pub const JSON_BYTES_MAX: usize = 128 << 10;
/// A request's line and headers together.
pub const HEAD_BYTES_MAX: usize = 32 << 10;
/// What may wait to be told its rate is over: addresses, and tokens.
const KEYS_MAX: usize = 4096;

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// At a time; more wait in the listener's backlog.
    pub connections: usize,
    /// Of one IPv4 address or IPv6 /64; more are closed at accept. Loopback is not counted: a proxy may be there.
    pub connections_of_one: usize,
    pub handshake: Duration,
    /// From when a request may come to the end of its headers.
    pub head: Duration,
    /// One write that the client does not take.
    pub write: Duration,
    /// A connection takes no new request after so long.
    pub life: Duration,
    pub pace: Pace,
    /// Requests of one token.
    pub requests: Rate,
    /// Wrong tokens from one address, which has the width of `connections_of_one`.
    pub failures: Rate,
    pub uploads: usize,
    pub uploads_of_one: usize,
    pub tails: usize,
    pub tails_of_one: usize,
    /// How often a tail looks whether its token is still good.
    pub tail_check: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 256,
            connections_of_one: 64,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            write: Duration::from_secs(10),
            life: Duration::from_secs(60),
            pace: Pace { grace: Duration::from_secs(10), bytes_per_second: 64 << 10 },
            requests: Rate { per_second: 50.0, burst: 100.0 },
            failures: Rate { per_second: 0.1, burst: 10.0 },
            uploads: 4,
            uploads_of_one: 1,
            tails: 64,
            tails_of_one: 8,
            tail_check: Duration::from_secs(15),
        }
    }
}

/// How fast a body has to come: at any moment after the grace, so many bytes for each second since.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub grace: Duration,
    pub bytes_per_second: u64,
}

impl Pace {
    /// How long after its beginning the next byte is waited for.
    pub fn deadline(&self, received: usize) -> Duration {
        self.grace + Duration::from_secs_f64(received as f64 / self.bytes_per_second as f64)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub per_second: f64,
    pub burst: f64,
}

/// Token buckets, one for each key, so many at most: beyond them the one with the most left is forgotten.
pub struct Buckets<K> {
    rate: Rate,
    levels: Mutex<HashMap<K, (f64, Instant)>>,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    pub fn new(rate: Rate) -> Self {
        Self { rate, levels: Mutex::default() }
    }

    /// Takes one. Errors: there is none, with the time until there is.
    pub fn take(&self, key: &K, now: Instant) -> Result<(), Duration> {
        let mut levels = self.lock();
        let level = self.level(&levels, key, now);
        if level < 1.0 {
            return Err(Duration::from_secs_f64(((1.0 - level) / self.rate.per_second).min(3600.0)));
        }
        self.put(&mut levels, key, level - 1.0, now);
        Ok(())
    }

    /// The last one taken is not counted.
    pub fn give_back(&self, key: &K, now: Instant) {
        let mut levels = self.lock();
        let level = self.level(&levels, key, now);
        self.put(&mut levels, key, (level + 1.0).min(self.rate.burst), now);
    }

    pub fn knows(&self, key: &K) -> bool {
        self.lock().contains_key(key)
    }

    pub fn forget(&self, key: &K) {
        self.lock().remove(key);
    }

    fn level(&self, levels: &HashMap<K, (f64, Instant)>, key: &K, now: Instant) -> f64 {
        levels.get(key).map_or(self.rate.burst, |(level, at)| {
            let since = now.saturating_duration_since(*at).as_secs_f64();
            (level + since * self.rate.per_second).min(self.rate.burst)
        })
    }

    fn put(&self, levels: &mut HashMap<K, (f64, Instant)>, key: &K, level: f64, now: Instant) {
        if levels.len() >= KEYS_MAX && !levels.contains_key(key) {
            let fullest =
                levels.keys().max_by(|one, two| self.level(levels, one, now).total_cmp(&self.level(levels, two, now)));
            if let Some(fullest) = fullest.cloned() {
                levels.remove(&fullest);
            }
        }
        levels.insert(key.clone(), (level, now));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (f64, Instant)>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many at a time of one key, and of all.
pub struct Places<K: Eq + Hash> {
    of_one: usize,
    of_all: usize,
    taken: Mutex<HashMap<K, usize>>,
}

/// Given back when dropped.
pub struct Place<K: Eq + Hash> {
    places: Arc<Places<K>>,
    key: K,
}

impl<K: Eq + Hash + Clone> Places<K> {
    pub fn new(of_one: usize, of_all: usize) -> Arc<Self> {
        Arc::new(Self { of_one, of_all, taken: Mutex::default() })
    }

    /// None: all are taken.
    pub fn take(self: &Arc<Self>, key: K) -> Option<Place<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_this = taken.get(&key).copied().unwrap_or(0);
        if of_this >= self.of_one || taken.values().sum::<usize>() >= self.of_all {
            return None;
        }
        taken.insert(key.clone(), of_this + 1);
        Some(Place { places: Arc::clone(self), key })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_what_time_brings() {
        let buckets = Buckets::new(Rate { per_second: 2.0, burst: 3.0 });
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(buckets.take(&"a", start), Ok(()));
        }
        assert_eq!(buckets.take(&"a", start), Err(Duration::from_millis(500)));
        assert_eq!(buckets.take(&"b", start), Ok(()), "each key has its own");
        assert_eq!(buckets.take(&"a", start + Duration::from_millis(500)), Ok(()));
        buckets.give_back(&"a", start + Duration::from_millis(500));
        assert_eq!(buckets.take(&"a", start + Duration::from_millis(500)), Ok(()));
        assert!(buckets.take(&"a", start + Duration::from_millis(500)).is_err());
    }

    #[test]
    fn beyond_so_many_keys_the_one_with_the_most_left_is_forgotten() {
        let buckets = Buckets::new(Rate { per_second: 0.001, burst: 2.0 });
        let now = Instant::now();
        for _ in 0..2 {
            assert_eq!(buckets.take(&usize::MAX, now), Ok(()));
        }
        for key in 0..2 * KEYS_MAX {
            assert_eq!(buckets.take(&key, now), Ok(()));
        }
        assert_eq!(buckets.lock().len(), KEYS_MAX);
        assert!(buckets.take(&usize::MAX, now).is_err(), "whoever is over its rate is remembered");
    }

    #[test]
    fn places_are_counted_for_one_and_for_all_and_given_back() {
        let places = Places::new(1, 2);
        let first = places.take("a");
        assert!(first.is_some() && places.take("a").is_none());
        let second = places.take("b");
        assert!(second.is_some() && places.take("c").is_none());
        drop(first);
        assert!(places.take("a").is_some() && places.taken.lock().unwrap().len() == 1);
    }

    #[test]
    fn a_body_may_take_its_time_as_long_as_it_grows() {
        let pace = Pace { grace: Duration::from_secs(10), bytes_per_second: 1000 };
        assert_eq!(pace.deadline(0), Duration::from_secs(10));
        assert_eq!(pace.deadline(5000), Duration::from_secs(15));
    }
}
