//! The playout queue of one call: sound that a bot wrote ahead, on its way to the leg's send phase.
//!
//! One writer (the bot's side), one reader (the media thread); neither ever waits for the other. Samples lie in a
//! wait-free ring. A *position* counts every sample ever written, so a mark is a position and needs no place in the ring.
//!
//! ```text
//!   written ----------------------------->|       writer only
//!   clear_to --------------->|                    writer stores, reader loads
//!   played ------->|                              reader stores, writer loads; steps over what was cleared
//! ```
//!
//! A paused queue keeps what it holds and gives silence; both act at the reader's next send phase.
//!
//! Why this is sound without a lock: each number has one storing side and only grows. The writer publishes samples
//! (ring) before it stores `clear_to` (Release), so a reader that sees a clear (Acquire) finds all that it must drop.
//! The reader pushes a [`Cleared`] before it stores `played` (Release), so a writer that has loaded `played` (Acquire)
//! finds the report of every gap that `played` stepped over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rtrb::{Consumer, Producer, RingBuffer};

const SAMPLES_PER_MS: u64 = 8;
/// Clears that the writer has not been told about yet. A further one joins the newest.
const CLEARS_MAX: usize = 16;

/// What became of one [`PlayoutWriter::write`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Samples taken, from the front; the rest did not fit.
    pub accepted: usize,
    /// All that waits, these samples included, rounded down to a ms.
    pub queued_ms: u32,
}

/// A clear has acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// As [`PlayoutWriter::clear`] named it.
    pub id: u64,
    /// The position where the sound was cut: the first sample that was not played.
    pub cut: u64,
    /// The position of the first sample that was kept. Marks in `cut < mark <= until` are never reached.
    pub until: u64,
    /// Samples heard before the cut since the queue was last empty. A pause is no such gap.
    pub played: u64,
}

#[derive(Default)]
struct Shared {
    clear_to: AtomicU64,
    played: AtomicU64,
    paused: AtomicBool,
}

/// What the reader reports: everything below `until` is gone, from `cut` on unheard.
#[derive(Clone, Copy, Default)]
struct Cut {
    cut: u64,
    until: u64,
    played: u64,
}

pub struct PlayoutWriter {
    ring: Producer<i16>,
    cuts: Consumer<Cut>,
    shared: Arc<Shared>,
    written: u64,
    next_clear: u64,
    pending: VecDeque<(u64, u64)>, // id, clear_to
    last_cut: Cut,
}

pub struct PlayoutReader {
    ring: Consumer<i16>,
    cuts: Producer<Cut>,
    shared: Arc<Shared>,
    read: u64,
    cleared_to: u64,
    /// Position at which the queue was last seen empty.
    run_start: u64,
}

/// A queue of at most `capacity_ms` of 8 kHz mono sound.
pub fn playout(capacity_ms: u32) -> (PlayoutWriter, PlayoutReader) {
    let (ring_in, ring_out) = RingBuffer::new(capacity_ms as usize * SAMPLES_PER_MS as usize);
    let (cuts_in, cuts_out) = RingBuffer::new(CLEARS_MAX);
    let shared = Arc::new(Shared::default());
    let writer = PlayoutWriter {
        ring: ring_in,
        cuts: cuts_out,
        shared: shared.clone(),
        written: 0,
        next_clear: 1,
        pending: VecDeque::with_capacity(CLEARS_MAX),
        last_cut: Cut::default(),
    };
    let reader = PlayoutReader { ring: ring_out, cuts: cuts_in, shared, read: 0, cleared_to: 0, run_start: 0 };
    (writer, reader)
}

impl PlayoutWriter {
    /// Appends what fits. Shape: any number of samples. Cost: one copy, no allocation, never waits.
    /// Samples of a clear that has not acted yet still take their place.
    pub fn write(&mut self, samples: &[i16]) -> Written {
        let (taken, _) = self.ring.push_partial_slice(samples);
        let accepted = taken.len();
        self.written += accepted as u64;
        Written { accepted, queued_ms: self.queued_ms() }
    }

    pub fn queued_ms(&self) -> u32 {
        // A cleared remainder is no longer queued, though the reader may not have dropped it yet.
        let gone = self.played().max(self.shared.clear_to.load(Ordering::Relaxed));
        ((self.written - gone) / SAMPLES_PER_MS) as u32
    }

    /// Samples written so far: the place of a mark set now.
    pub fn position(&self) -> u64 {
        self.written
    }

    /// Everything below this position has left for the caller, or was cleared: ask [`Self::poll_cleared`] until None
    /// *after* reading this and forget the marks it names; of the others, those at or below are reached.
    pub fn played(&self) -> u64 {
        self.shared.played.load(Ordering::Acquire)
    }

    /// From the reader's next send phase on nothing is played and nothing dropped, until `resume` or `clear`.
    pub fn pause(&mut self) {
        self.shared.paused.store(true, Ordering::Release);
    }

    /// Goes on with the sample after the last one that was played.
    pub fn resume(&mut self) {
        self.shared.paused.store(false, Ordering::Release);
    }

    /// All below this position is cleared, or about to be.
    pub fn cleared_to(&self) -> u64 {
        self.shared.clear_to.load(Ordering::Relaxed)
    }

    pub fn is_paused(&self) -> bool {
        self.shared.paused.load(Ordering::Relaxed)
    }

    /// Drops all that was written so far, at the reader's next send phase, and ends a pause. The id is given back by `poll_cleared`.
    pub fn clear(&mut self) -> u64 {
        // In this order: a reader that no longer sees the pause sees what it must drop.
        self.shared.clear_to.store(self.written, Ordering::Release);
        self.resume();
        if self.pending.len() == CLEARS_MAX
            && let Some(newest) = self.pending.back_mut()
        {
            newest.1 = self.written;
            return newest.0;
        }
        let id = self.next_clear;
        self.next_clear += 1;
        self.pending.push_back((id, self.written));
        id
    }

    /// The next clear that has acted, oldest first.
    pub fn poll_cleared(&mut self) -> Option<Cleared> {
        let &(id, until) = self.pending.front()?;
        while self.last_cut.until < until {
            self.last_cut = self.cuts.pop().ok()?;
        }
        self.pending.pop_front();
        let Cut { cut, played, .. } = self.last_cut;
        // One cut may answer several clears; what the first one reports, the next one found gone.
        self.last_cut.cut = cut.max(until);
        self.last_cut.played = 0;
        Some(Cleared { id, cut: cut.min(until), until, played })
    }
}

impl PlayoutReader {
    /// Acts on a clear without playing: called in each send phase in which the bot's own frame goes out instead.
    pub fn act_on_clear(&mut self) {
        let clear_to = self.shared.clear_to.load(Ordering::Acquire);
        if clear_to <= self.cleared_to || self.cuts.is_full() {
            return; // nothing new; or the writer, which lets CLEARS_MAX be pending, has not read its reports
        }
        let cut = self.read;
        let dropped = clear_to.saturating_sub(self.read);
        if let Ok(chunk) = self.ring.read_chunk(dropped as usize) {
            chunk.commit_all();
            self.read += dropped;
        }
        self.cleared_to = clear_to;
        let _ = self.cuts.push(Cut { cut, until: clear_to, played: cut - self.run_start });
        self.run_start = self.read;
        self.shared.played.store(self.read, Ordering::Release);
    }

    /// Takes the next samples to send. Shape: fills `out` from its front; returns how many, 0 when the queue is empty or
    /// paused; the rest of `out` is left as it was. Cost: one copy, no allocation, never waits.
    pub fn pull(&mut self, out: &mut [i16]) -> usize {
        let paused = self.shared.paused.load(Ordering::Acquire);
        self.act_on_clear();
        if paused && !self.ring.is_empty() {
            return 0;
        }
        let (taken, _) = self.ring.pop_partial_slice(out);
        let count = taken.len();
        if count == 0 {
            self.run_start = self.read;
            return 0;
        }
        self.read += count as u64;
        self.shared.played.store(self.read, Ordering::Release);
        count
    }

    /// Nothing to play, paused or not.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pull(reader: &mut PlayoutReader, count: usize) -> Vec<i16> {
        let mut out = vec![0; count];
        let pulled = reader.pull(&mut out);
        out.truncate(pulled);
        out
    }

    #[test]
    fn samples_come_out_in_order_and_marks_are_reached_when_played() {
        let (mut writer, mut reader) = playout(100);
        assert_eq!(writer.write(&[1; 160]), Written { accepted: 160, queued_ms: 20 });
        let mark = writer.position();
        writer.write(&[2; 160]);
        assert_eq!(pull(&mut reader, 100), [1; 100]);
        assert!(writer.played() < mark);
        assert_eq!(pull(&mut reader, 100), [[1; 60].as_slice(), &[2; 40]].concat());
        assert!(writer.played() >= mark);
        assert_eq!(writer.queued_ms(), 15);
    }

    #[test]
    fn what_does_not_fit_is_not_taken() {
        let (mut writer, mut reader) = playout(20);
        assert_eq!(writer.write(&[1; 200]).accepted, 160);
        assert_eq!(writer.write(&[1; 1]).accepted, 0);
        pull(&mut reader, 80);
        assert_eq!(writer.write(&[2; 200]), Written { accepted: 80, queued_ms: 20 });
    }

    #[test]
    fn a_clear_drops_what_was_written_before_it_and_keeps_what_came_after() {
        let (mut writer, mut reader) = playout(100);
        writer.write(&[1; 320]);
        pull(&mut reader, 160);
        let id = writer.clear();
        writer.write(&[2; 80]);
        assert_eq!(writer.queued_ms(), 10, "what is cleared no longer counts");
        assert_eq!(writer.poll_cleared(), None, "not before the reader's next pull");
        assert_eq!(pull(&mut reader, 160), [2; 80]);
        assert_eq!(writer.poll_cleared(), Some(Cleared { id, cut: 160, until: 320, played: 160 }));
        assert_eq!(writer.poll_cleared(), None);
        assert_eq!(writer.played(), 400);
    }

    #[test]
    fn a_clear_tells_what_was_heard_since_the_queue_was_last_empty() {
        let (mut writer, mut reader) = playout(100);
        writer.write(&[1; 160]);
        pull(&mut reader, 160);
        assert_eq!(reader.pull(&mut [0; 160]), 0);
        writer.write(&[2; 320]);
        pull(&mut reader, 40);
        writer.clear();
        reader.act_on_clear();
        assert_eq!(writer.poll_cleared().map(|c| (c.cut, c.played)), Some((200, 40)));
    }

    #[test]
    fn clears_of_an_empty_queue_and_clears_in_a_row_are_each_answered_once() {
        let (mut writer, mut reader) = playout(100);
        let first = writer.clear();
        assert_eq!(writer.poll_cleared(), Some(Cleared { id: first, cut: 0, until: 0, played: 0 }));
        writer.write(&[1; 160]);
        let second = writer.clear();
        writer.write(&[2; 160]);
        let third = writer.clear();
        reader.act_on_clear();
        assert_eq!(writer.poll_cleared(), Some(Cleared { id: second, cut: 0, until: 160, played: 0 }));
        assert_eq!(writer.poll_cleared(), Some(Cleared { id: third, cut: 160, until: 320, played: 0 }));
        assert_eq!(writer.poll_cleared(), None);
        assert!(reader.is_empty());
    }

    #[test]
    fn clears_beyond_the_bound_join_the_newest() {
        let (mut writer, mut reader) = playout(1000);
        let ids: Vec<u64> = (0..CLEARS_MAX + 5)
            .map(|_| {
                writer.write(&[1; 8]);
                writer.clear()
            })
            .collect();
        assert_eq!(ids[CLEARS_MAX - 1], ids[CLEARS_MAX + 4]);
        reader.act_on_clear();
        assert!(reader.is_empty());
        let mut answered = Vec::new();
        while let Some(cleared) = writer.poll_cleared() {
            answered.push(cleared.id);
        }
        assert_eq!(answered, ids[..CLEARS_MAX]);
    }

    #[test]
    fn a_paused_queue_is_silent_and_goes_on_where_it_stopped() {
        let (mut writer, mut reader) = playout(100);
        writer.write(&[1; 160]);
        let mark = writer.position();
        writer.write(&[2; 160]);
        assert_eq!(pull(&mut reader, 160), [1; 160]);
        writer.pause();
        for _ in 0..10 {
            assert_eq!(pull(&mut reader, 160), []);
        }
        assert_eq!((writer.played(), writer.queued_ms()), (mark, 20), "nothing is played and nothing lost");
        assert_eq!(writer.write(&[3; 160]).queued_ms, 40, "it can be written to");
        writer.resume();
        assert_eq!(pull(&mut reader, 160), [2; 160]);
        assert_eq!(pull(&mut reader, 160), [3; 160]);
    }

    #[test]
    fn a_pause_does_not_break_what_was_heard_without_a_gap() {
        let (mut writer, mut reader) = playout(100);
        writer.write(&[1; 480]);
        pull(&mut reader, 160);
        writer.pause();
        pull(&mut reader, 160);
        writer.resume();
        pull(&mut reader, 160);
        writer.clear();
        reader.act_on_clear();
        assert_eq!(writer.poll_cleared().map(|c| (c.cut, c.played)), Some((320, 320)));
    }

    #[test]
    fn a_clear_ends_the_pause() {
        let (mut writer, mut reader) = playout(100);
        writer.write(&[1; 320]);
        pull(&mut reader, 160);
        writer.pause();
        assert_eq!(pull(&mut reader, 160), []);
        let id = writer.clear();
        assert!(!writer.is_paused());
        writer.write(&[2; 160]);
        assert_eq!(pull(&mut reader, 160), [2; 160]);
        assert_eq!(writer.poll_cleared(), Some(Cleared { id, cut: 160, until: 320, played: 160 }));
    }

    #[test]
    fn a_queue_that_is_empty_when_paused_is_empty() {
        let (mut writer, mut reader) = playout(100);
        writer.write(&[1; 160]);
        pull(&mut reader, 160);
        writer.pause();
        assert_eq!(pull(&mut reader, 160), []);
        writer.resume();
        writer.write(&[2; 160]);
        pull(&mut reader, 40);
        writer.clear();
        reader.act_on_clear();
        assert_eq!(writer.poll_cleared().map(|c| c.played), Some(40), "what is heard was counted anew");
    }

    /// Two real threads: every sample written is either pulled, in order, or lies in a reported gap, and no report is
    /// missing when `played` steps over its gap.
    #[test]
    fn across_threads_every_sample_is_played_or_reported_cleared() {
        let (mut writer, mut reader) = playout(50);
        let player = std::thread::spawn(move || {
            let (mut heard, mut frame) = (Vec::new(), [0; 160]);
            while heard.last() != Some(&-1) {
                let pulled = reader.pull(&mut frame);
                heard.extend_from_slice(&frame[..pulled]);
                std::thread::yield_now();
            }
            heard
        });
        let (mut gaps, mut clears, mut next) = (Vec::new(), 0, 0_u64);
        let mut seen = Vec::new(); // what `played` said, and how many gaps had been reported right after
        let sample_at = |position: u64| (position % 30_000) as i16;
        while next < 200_000 {
            let samples: Vec<i16> = (next..next + 97).map(sample_at).collect();
            next += writer.write(&samples).accepted as u64;
            match seen.len() % 7 {
                0 => writer.pause(),
                1 | 2 => writer.resume(),
                _ => {}
            }
            if next % 5 == 0 && writer.pending.len() < CLEARS_MAX {
                writer.clear();
                clears += 1;
            }
            let played = writer.played();
            gaps.extend(std::iter::from_fn(|| writer.poll_cleared()).map(|cleared| (cleared.cut, cleared.until)));
            seen.push((played, gaps.len()));
            std::thread::yield_now();
        }
        writer.resume();
        while writer.write(&[-1]).accepted == 0 {}
        let heard = player.join().unwrap();
        gaps.extend(std::iter::from_fn(|| writer.poll_cleared()).map(|cleared| (cleared.cut, cleared.until)));
        assert_eq!(gaps.len(), clears);
        for (played, reported) in seen {
            let unreported = gaps[reported..].iter().find(|gap| gap.0 < gap.1 && gap.1 <= played);
            assert_eq!(unreported, None, "played said {played}");
        }
        let expected = (0..next).filter(|at| !gaps.iter().any(|gap| (gap.0..gap.1).contains(at))).map(sample_at);
        assert!(expected.chain([-1]).eq(heard), "{clears} clears");
    }
}
