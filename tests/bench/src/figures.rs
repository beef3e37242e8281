//! From what was written down to the figures.

use serde_json::{Map, Value, json};

use crate::leg::Leg;
use crate::measured::Moment;
use crate::tally::{Nanos, RoundTrip, Sample};

/// All that one measurement saw.
pub struct Seen {
    pub calls: usize,
    pub seconds: u64,
    pub interval: (Nanos, Nanos),
    pub budget_ms: u32,
    pub legs: Vec<Leg>,
    /// At the beginning and at the end of the interval.
    pub cpu: (Moment, Moment),
    /// Before the first call, at the end of the interval, after the last call.
    pub rss_kib: [u64; 3],
    /// Of calls placed one at a time. Units: ns.
    pub setups: Vec<i64>,
    pub setups_per_second: f64,
}

const TICK_NS: Nanos = 20_000_000;
const SAMPLES_PER_FRAME: u32 = 160;

/// The figures by name. What this bot or an echo cannot show is null: frames that never return are no round trips.
pub fn of(seen: &Seen) -> Value {
    let samples: Vec<&Sample> = seen.legs.iter().filter_map(|leg| leg.sample.as_deref()).collect();
    let all = |of: &dyn Fn(&Sample) -> Vec<Nanos>| samples.iter().flat_map(|sample| of(sample)).collect::<Vec<_>>();
    let late = Spread::of(all(&|sample| lateness(sample, seen.interval)));
    let own = Spread::of(all(&|sample| sample.own_lateness.clone()));
    let trips = Spread::of(all(&|sample| round_trips(sample, seen.interval).map(|trip| trip.took).collect()));
    let added = Spread::of(all(&|sample| {
        let from_due = round_trips(sample, seen.interval).map(|trip| trip.took_from_due);
        from_due.map(|took| added_delay(took, seen.budget_ms)).collect()
    }));
    let setups = Spread::of(seen.setups.clone());
    let sent: usize = seen.legs.iter().map(|leg| leg.returned.frames()).sum();
    let lost: usize = seen.legs.iter().map(|leg| leg.returned.lost()).sum();
    let call_seconds = (seen.calls as u64 * seen.seconds) as f64;
    let [rss_base, rss, rss_after] = seen.rss_kib;
    let mut threads = Map::new();
    for (name, ran_ms) in &seen.cpu.1.threads_ms {
        let ran_ms = ran_ms - seen.cpu.0.threads_ms.get(name).unwrap_or(&0.0);
        threads.insert(name.clone(), json!(rounded(ran_ms / call_seconds)));
    }
    json!({
        "cpu_ms_per_call_second": rounded((seen.cpu.1.cpu_ms - seen.cpu.0.cpu_ms) / call_seconds),
        "rss_kib_per_call": rounded(rss.saturating_sub(rss_base) as f64 / seen.calls as f64),
        "rss_base_kib": rss_base,
        "rss_after_kib": rss_after,
        "frames_sent": sent,
        "lost_frames": if trips.0.is_empty() { Value::Null } else { json!(lost) },
        "late_p50_ms": late.at(0.5),
        "late_p99_ms": late.at(0.99),
        "late_p999_ms": late.at(0.999),
        "late_max_ms": late.at(1.0),
        "generator_late_p999_ms": own.at(0.999),
        "added_delay_p50_ms": added.at(0.5),
        "added_delay_p99_ms": added.at(0.99),
        "rtt_p50_ms": trips.at(0.5),
        "setup_p50_ms": setups.at(0.5),
        "setup_p99_ms": setups.at(0.99),
        "setups_per_second": rounded(seen.setups_per_second),
        "sampled_legs": samples.len(),
        "departures_timed": late.0.len(),
        "threads_ms_per_call_second": threads,
    })
}

/// The figures of setups, under a name of their own.
pub fn add_setups(figures: &mut Value, name: &str, setups: Vec<i64>) {
    let setups = Spread::of(setups);
    for (part, at) in [("p50", 0.5), ("p99", 0.99)] {
        figures[format!("{name}_{part}_ms")] = setups.at(at);
    }
}

/// How much later than its leg's grid each packet of the interval left the host. The grid is 20 ms, anchored once, at the
/// earliest departure of the first second; RTP timestamps tell which slot a packet belongs to.
pub fn lateness(sample: &Sample, (from, until): (Nanos, Nanos)) -> Vec<Nanos> {
    let within: Vec<_> = sample.arrivals.iter().filter(|(_, at)| (from..until).contains(at)).collect();
    let Some((first, _)) = within.first() else { return Vec::new() };
    let off_grid = |(timestamp, at): &(u32, Nanos)| {
        let slot = (timestamp.wrapping_sub(*first) as i32) / SAMPLES_PER_FRAME as i32;
        at - Nanos::from(slot) * TICK_NS
    };
    let anchored =
        within.iter().filter(|(_, at)| *at < from + 1_000_000_000).map(|departure| off_grid(departure)).min();
    let Some(anchor) = anchored else { return Vec::new() };
    within.iter().map(|departure| off_grid(departure) - anchor).collect()
}

fn round_trips(sample: &Sample, (from, until): (Nanos, Nanos)) -> impl Iterator<Item = RoundTrip> {
    sample.round_trips.iter().copied().filter(move |trip| (from..until).contains(&trip.ended))
}

/// What of a round trip is the host's own, jitter buffer apart. That buffer holds a frame for whole ticks; what is left is the wait
/// for the leg's next receive phase (less than a tick), the bot's budget, and lateness. Counted from when the frame should have been sent:
/// one that we send late waits as much less in the jitter buffer, and by its own time it would seem to have waited a tick less there.
fn added_delay(trip: Nanos, budget_ms: u32) -> Nanos {
    let budget = Nanos::from(budget_ms) * 1_000_000;
    trip - (trip - budget).max(0) / TICK_NS * TICK_NS
}

/// Values in order.
struct Spread(Vec<Nanos>);

impl Spread {
    fn of(mut values: Vec<Nanos>) -> Spread {
        values.sort_unstable();
        Spread(values)
    }

    /// The value below which this share lies, in ms; null if there is none.
    fn at(&self, share: f64) -> Value {
        let index = (share * self.0.len() as f64).ceil() as usize;
        match self.0.get(index.max(1) - 1) {
            Some(nanos) => json!(rounded(*nanos as f64 / 1e6)),
            None => Value::Null,
        }
    }
}

/// The value below which this share lies.
pub fn share(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let index = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(index.max(1) - 1).copied()
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

pub fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn lateness_is_measured_from_the_earliest_departure_of_the_first_second() {
        let departures = [(0, 5), (1, 3), (2, 4), (60, 3), (61, 13), (63, 2)];
        let arrivals = departures.map(|(slot, late)| {
            (7_u32.wrapping_sub(320).wrapping_add(slot * 160), Nanos::from(slot) * TICK_NS + late * MS)
        });
        let sample = Sample { arrivals: arrivals.to_vec(), ..Sample::default() };
        assert_eq!(lateness(&sample, (0, 100 * TICK_NS)), [2, 0, 1, 0, 10, -1].map(|late| late * MS));
    }

    #[test]
    fn added_delay_leaves_out_whole_ticks_of_waiting() {
        for (trip, added) in [(10, 10), (12, 12), (29, 29), (31, 11), (72, 12), (8, 8)] {
            assert_eq!(added_delay(trip * MS, 10), added * MS, "{trip} ms");
        }
    }

    #[test]
    fn a_share_of_the_values_lies_at_or_below() {
        let spread = Spread::of((1..=1000).map(|n| n * MS).collect());
        assert_eq!(
            [0.5, 0.99, 0.999, 1.0].map(|share| spread.at(share)),
            [500.0, 990.0, 999.0, 1000.0].map(|v| json!(v))
        );
        assert_eq!(Spread::of(vec![]).at(0.5), Value::Null);
    }
}
