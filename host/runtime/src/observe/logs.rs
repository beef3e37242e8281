//! Logs go to stderr through a thread of their own, so that a stalled terminal or pipe stalls nobody.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::Counter;
use crate::config::Log;

/// Lines that wait for stderr; beyond it they are dropped and counted.
const LINES_QUEUED_MAX: usize = 4096;

/// `info`, `info,runtime=debug`.
pub fn parse_filter(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(text).map_err(|error| error.to_string())
}

/// Starts logging, once per process. Errors: a filter that is none, or logging had been started before.
pub fn start_logs(log: &Log, dropped: Counter) -> Result<(), String> {
    super::show_personal(log.personal);
    let (lines, waiting) = sync_channel::<Line>(LINES_QUEUED_MAX);
    let writer = move || {
        let mut stderr = io::stderr();
        for line in waiting {
            // Nowhere is left to say that stderr is gone.
            match line {
                Line::Text(text) => drop(stderr.write_all(&text)),
                Line::Flush(done) => drop(done.try_send(())),
            }
        }
    };
    std::thread::Builder::new().name("logs".into()).spawn(writer).map_err(|error| error.to_string())?;
    let _ = FLUSH.set(lines.clone());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parse_filter(&log.level)?)
        .with_ansi(false)
        .with_writer(Queue { lines, dropped });
    let started = if log.json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
    started.map_err(|error| error.to_string())
}

static FLUSH: std::sync::OnceLock<SyncSender<Line>> = std::sync::OnceLock::new();

/// Waits, half a second at most, until the lines logged so far are written. For the end of the process.
pub fn flush_logs() {
    let Some(lines) = FLUSH.get() else { return };
    let (done, written) = sync_channel(1);
    if lines.try_send(Line::Flush(done)).is_ok() {
        let _ = written.recv_timeout(Duration::from_millis(500));
    }
}

enum Line {
    Text(Vec<u8>),
    Flush(SyncSender<()>),
}

struct Queue {
    lines: SyncSender<Line>,
    dropped: Counter,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = QueuedLine<'a>;

    fn make_writer(&'a self) -> QueuedLine<'a> {
        QueuedLine { queue: self, text: Vec::new() }
    }
}

/// One line being formatted; dropped, it is queued.
struct QueuedLine<'a> {
    queue: &'a Queue,
    text: Vec<u8>,
}

impl Write for QueuedLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for QueuedLine<'_> {
    fn drop(&mut self) {
        let line = Line::Text(std::mem::take(&mut self.text));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.lines.try_send(line) {
            self.queue.dropped.add(1);
        }
    }
}

/// At most one log line per interval for events that anyone may cause; tells how many were kept back.
pub struct LogLimit {
    start: Instant,
    interval: Duration,
    /// Milliseconds after `start` from which the next line may go.
    next_ms: AtomicU64,
    kept_back: AtomicU64,
}

impl LogLimit {
    pub fn new(interval: Duration) -> Self {
        Self { start: Instant::now(), interval, next_ms: AtomicU64::new(0), kept_back: AtomicU64::new(0) }
    }

    /// Some(n): log now, n events went unlogged since the last line.
    pub fn allow(&self, now: Instant) -> Option<u64> {
        let now_ms = now.saturating_duration_since(self.start).as_millis() as u64;
        let due = self.next_ms.load(Ordering::Relaxed);
        let next = now_ms + self.interval.as_millis() as u64;
        let ours =
            now_ms >= due && self.next_ms.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if ours {
            return Some(self.kept_back.swap(0, Ordering::Relaxed));
        }
        self.kept_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_line_appears_once_per_interval_and_counts_the_rest() {
        let limit = LogLimit::new(Duration::from_secs(1));
        let start = limit.start;
        assert_eq!(limit.allow(start), Some(0));
        assert_eq!(limit.allow(start + Duration::from_millis(1)), None);
        assert_eq!(limit.allow(start + Duration::from_millis(999)), None);
        assert_eq!(limit.allow(start + Duration::from_millis(1000)), Some(2));
        assert_eq!(limit.allow(start + Duration::from_millis(1001)), None);
    }

    #[test]
    fn lines_that_find_the_queue_full_are_dropped_and_counted_and_nobody_waits() {
        let (lines, waiting) = sync_channel(LINES_QUEUED_MAX);
        let queue = Queue { lines, dropped: Counter::default() };
        for _ in 0..LINES_QUEUED_MAX + 2 {
            queue.make_writer().write_all(b"line\n").unwrap();
        }
        assert_eq!(queue.dropped.get(), 2);
        assert_eq!(waiting.try_iter().count(), 4096);
    }

    #[test]
    fn a_filter_that_is_none_is_an_error() {
        assert!(parse_filter("info,runtime=debug").is_ok());
        assert!(parse_filter("runtime=shout").is_err());
    }
}
