//! Counters, gauges and histograms, read by /metrics in Prometheus' text format.
//! Touching one costs an atomic addition; registering takes a lock and is done once per series, not per event.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Series per family; beyond it all further label values share one series called `other`.
const SERIES_MAX: usize = 1000;

#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn add(&self, difference: i64) {
        self.0.fetch_add(difference, Ordering::Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Durations, in seconds when shown.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// Upper bounds in microseconds, ascending.
    bounds_us: &'static [u64],
    /// One more than bounds: the last is everything above.
    counts: Vec<AtomicU64>,
    sum_us: AtomicU64,
}

impl Histogram {
    pub fn observe(&self, duration: std::time::Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.0.bounds_us.partition_point(|bound| *bound < us);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

#[derive(Clone, Debug)]
enum Series {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

#[derive(Debug)]
struct Family {
    help: &'static str,
    /// By the label text, `{trunk="exotel"}` or empty.
    series: BTreeMap<String, Series>,
}

/// The register of one process; clones share it.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Register>);

/// Brings what is counted elsewhere.
type Bring = Box<dyn Fn(&Metrics) + Send>;

#[derive(Default)]
struct Register {
    families: Mutex<BTreeMap<&'static str, Family>>,
    /// What is counted elsewhere, brought here when somebody looks.
    before_a_look: Mutex<Vec<Bring>>,
}

impl Metrics {
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Counter {
        match self.series(name, help, labels, || Series::Counter(Counter::default())) {
            Series::Counter(counter) => counter,
            other => unreachable!("{name} is registered as {other:?}"),
        }
    }

    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        match self.series(name, help, labels, || Series::Gauge(Gauge::default())) {
            Series::Gauge(gauge) => gauge,
            other => unreachable!("{name} is registered as {other:?}"),
        }
    }

    /// `bounds_us`: upper bounds in microseconds, ascending.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        bounds_us: &'static [u64],
    ) -> Histogram {
        let new = || {
            let counts = (0..=bounds_us.len()).map(|_| AtomicU64::new(0)).collect();
            Series::Histogram(Histogram(Arc::new(Buckets { bounds_us, counts, sum_us: AtomicU64::new(0) })))
        };
        match self.series(name, help, labels, new) {
            Series::Histogram(histogram) => histogram,
            other => unreachable!("{name} is registered as {other:?}"),
        }
    }

    fn families(&self) -> MutexGuard<'_, BTreeMap<&'static str, Family>> {
        // A panic while it was held leaves numbers, which are never half-written.
        self.0.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `bring` is called whenever the register is about to be shown. It adds what has come together since, and never waits.
    pub fn before_each_look(&self, bring: impl Fn(&Metrics) + Send + 'static) {
        self.0.before_a_look.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(bring));
    }

    fn series(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        new: impl FnOnce() -> Series,
    ) -> Series {
        let mut families = self.families();
        let family = families.entry(name).or_insert_with(|| Family { help, series: BTreeMap::new() });
        let mut text = label_text(labels);
        if family.series.len() >= SERIES_MAX && !family.series.contains_key(&text) {
            let others: Vec<_> = labels.iter().map(|(label, _)| (*label, "other")).collect();
            text = label_text(&others);
        }
        family.series.entry(text).or_insert_with(new).clone()
    }

    /// All of it. Source: Prometheus text exposition format 0.0.4.
    pub fn render(&self) -> String {
        let brings = self.0.before_a_look.lock().unwrap_or_else(PoisonError::into_inner);
        brings.iter().for_each(|bring| bring(self));
        drop(brings);
        let mut out = String::new();
        for (name, family) in self.families().iter() {
            let kind = match family.series.values().next() {
                Some(Series::Counter(_)) => "counter",
                Some(Series::Gauge(_)) => "gauge",
                Some(Series::Histogram(_)) => "histogram",
                None => continue,
            };
            let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
            for (labels, series) in &family.series {
                let _ = match series {
                    Series::Counter(counter) => writeln!(out, "{name}{labels} {}", counter.get()),
                    Series::Gauge(gauge) => writeln!(out, "{name}{labels} {}", gauge.get()),
                    Series::Histogram(histogram) => render_histogram(&mut out, name, labels, &histogram.0),
                };
            }
        }
        out
    }
}

fn render_histogram(out: &mut String, name: &str, labels: &str, buckets: &Buckets) -> std::fmt::Result {
    let inner = labels.trim_start_matches('{').trim_end_matches('}');
    let comma = if inner.is_empty() { "" } else { "," };
    let bounds = buckets.bounds_us.iter().map(|us| (*us as f64 / 1e6).to_string()).chain(["+Inf".to_owned()]);
    let mut total = 0;
    for (bound, count) in bounds.zip(&buckets.counts) {
        total += count.load(Ordering::Relaxed);
        writeln!(out, "{name}_bucket{{{inner}{comma}le=\"{bound}\"}} {total}")?;
    }
    let sum = buckets.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
    writeln!(out, "{name}_sum{labels} {sum}\n{name}_count{labels} {total}")
}

fn label_text(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escape = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    let pairs: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_register_renders_as_prometheus_text() {
        let metrics = Metrics::default();
        metrics.counter("calls_total", "Calls.", &[("result", "answered")]).add(2);
        metrics.counter("calls_total", "Calls.", &[("result", "answered")]).add(1);
        metrics.gauge("active", "Now.", &[]).set(-1);
        let seconds = metrics.histogram("frame_seconds", "Frames.", &[("tenant", "a\"b")], &[1000, 10_000]);
        seconds.observe(Duration::from_micros(1000));
        seconds.observe(Duration::from_micros(1001));
        seconds.observe(Duration::from_secs(1));
        let expect = "# HELP active Now.\n# TYPE active gauge\nactive -1\n\
            # HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total{result=\"answered\"} 3\n\
            # HELP frame_seconds Frames.\n# TYPE frame_seconds histogram\n\
            frame_seconds_bucket{tenant=\"a\\\"b\",le=\"0.001\"} 1\n\
            frame_seconds_bucket{tenant=\"a\\\"b\",le=\"0.01\"} 2\n\
            frame_seconds_bucket{tenant=\"a\\\"b\",le=\"+Inf\"} 3\n\
            frame_seconds_sum{tenant=\"a\\\"b\"} 1.002001\nframe_seconds_count{tenant=\"a\\\"b\"} 3\n";
        assert_eq!(metrics.render(), expect);
    }

    #[test]
    fn more_label_values_than_the_bound_share_one_series() {
        let metrics = Metrics::default();
        for value in 0..SERIES_MAX + 50 {
            metrics.counter("many", "Many.", &[("v", &value.to_string())]).add(1);
        }
        let text = metrics.render();
        assert!(text.contains("many{v=\"other\"} 50\n"), "{text}");
        assert_eq!(text.lines().count(), SERIES_MAX + 3);
    }
}
