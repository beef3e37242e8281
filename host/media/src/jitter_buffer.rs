//! The adaptive jitter buffer: decoded sound, addressed by timestamp, played at a distance from the wire that follows
//! the network's jitter within bounds.
//!
//! ```text
//!   offset of a sample = real time - its timestamp, both in samples.
//!
//!   fastest packet       slowest packet        playing now
//!        |<----- jitter ----->|<- margin ->|<- up to HYSTERESIS ->|
//!   -----+--------------------+------------+----------------------+----> offset
//!        |<------------- delay = playing - fastest -------------->|      min_ms <= delay <= max_ms
//! ```
//!
//! Below the margin a frame is put in, above the hysteresis one is taken out, each blended into its neighbour, and if
//! possible in a silence. So a clock that drifts against ours costs a frame now and then, and nothing else. Whole
//! frames, because then packets stay aligned with frames, and sound that needs no repair comes out bit for bit.

use crate::clock::{Extended, FRAME_SAMPLES};
use crate::concealment::Concealment;
use crate::{Codec, DropReason, FrameKind, g711};

const FRAME: i64 = FRAME_SAMPLES as i64;
const MARGIN: i64 = 40;
/// More than a frame, so that taking one out does not call for putting one in.
const HYSTERESIS: i64 = 200;
/// Jitter is what was seen in the last 8 half seconds.
const SPANS: usize = 8;
const SPAN_SAMPLES: i64 = 4000;
/// Ranges of sound with gaps between them: more than the deepest buffer of 10 ms packets has with every other one lost.
const RUNS_MAX: usize = 64;
/// Frames that a correction waits for a silence.
const PATIENCE_FRAMES: u32 = 50;
/// Mean magnitude below which a frame is silence.
const SILENCE: i32 = 150;

/// Bounds of the delay, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterBounds {
    pub min_ms: u32,
    /// At the start of a stream, before its jitter is known.
    pub initial_ms: u32,
    pub max_ms: u32,
}

impl Default for JitterBounds {
    fn default() -> Self {
        JitterBounds { min_ms: 10, initial_ms: 40, max_ms: 200 }
    }
}

impl JitterBounds {
    /// Half a second at most, and in order.
    fn sane(self) -> Self {
        let max_ms = self.max_ms.clamp(40, 500);
        let min_ms = self.min_ms.min(max_ms - 40);
        JitterBounds { min_ms, initial_ms: self.initial_ms.clamp(min_ms, max_ms - 40), max_ms }
    }
}

/// What became of the caller's sound. Counts, and the delay now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoundStats {
    pub frames_audio: u64,
    pub frames_concealed: u64,
    pub frames_absent: u64,
    /// Packets that came after their playout time.
    pub late: u64,
    pub frames_put_in: u64,
    pub frames_taken_out: u64,
    /// Between the fastest packet's arrival and its playing.
    pub playout_delay_ms: u32,
    pub playout_delay_ms_max: u32,
}

/// The smallest and largest offset seen in a span.
#[derive(Clone, Copy)]
struct Span {
    number: i64,
    fastest: i64,
    slowest: i64,
}

pub struct JitterBuffer {
    bounds: JitterBounds,
    ring: Box<[i16]>,
    /// Which samples the ring holds: disjoint ranges of extended timestamps, in order.
    runs: Vec<(i64, i64)>,
    timestamps: Extended,
    /// The next sample to play. None until the first packet.
    play: Option<i64>,
    /// Where `play` is put at the next frame: the first packet's timestamp and arrival.
    start: Option<(i64, i64)>,
    spans: [Option<Span>; SPANS],
    impatience: u32,
    concealment: Concealment,
    pub stats: SoundStats,
}

impl JitterBuffer {
    pub fn new(bounds: JitterBounds) -> Self {
        let bounds = bounds.sane();
        // Room for the deepest delay, one packet of 100 ms on top, and the history behind the playing point.
        let samples = ((bounds.max_ms + 120) as usize * 8).next_power_of_two();
        JitterBuffer {
            bounds,
            ring: vec![0; samples].into_boxed_slice(),
            runs: Vec::with_capacity(RUNS_MAX + 1),
            timestamps: Extended::default(),
            play: None,
            start: None,
            spans: [None; SPANS],
            impatience: 0,
            concealment: Concealment::default(),
            stats: SoundStats::default(),
        }
    }

    /// A new stream: what is buffered is gone, what was heard of it goes on to be concealed.
    pub fn restart(&mut self) {
        self.runs.clear();
        self.timestamps = Extended::default();
        self.play = None;
        self.start = None;
        self.spans = [None; SPANS];
        self.impatience = 0;
    }

    /// Whether a packet continues the sound at hand: neither further ahead than the buffer reaches nor further back
    /// than the longest delay.
    pub fn continues(&self, timestamp: u32, samples: usize) -> bool {
        let Some(play) = self.play.or(self.start.map(|(first, _)| first)) else {
            return true;
        };
        let at = self.timestamps.peek32(timestamp);
        at + samples as i64 <= play + self.ring.len() as i64 && at >= play - i64::from(self.bounds.max_ms) * 8
    }

    /// Takes the payload of one packet. Shape: 1 to 800 codes. `arrival` in samples of real time.
    /// Errors: `Late` if all of it has been played over, `Overflow` beyond the buffer. Cost: decode and store, no allocation.
    pub fn insert(&mut self, timestamp: u32, codec: Codec, payload: &[u8], arrival: i64) -> Result<(), DropReason> {
        let at = self.timestamps.peek32(timestamp);
        let end = at + payload.len() as i64;
        if !self.continues(timestamp, payload.len()) {
            // Too late to be waited for, so its delay teaches nothing; or beyond the buffer.
            let late = self.play.is_some_and(|play| at < play);
            self.stats.late += u64::from(late);
            return Err(if late { DropReason::Late } else { DropReason::Overflow });
        }
        if self.play.is_none() {
            let (first, first_arrival) = self.start.unwrap_or((at, arrival));
            let last = self.runs.last().map_or(end, |run| run.1.max(end));
            if last > at.min(first) + self.ring.len() as i64 {
                return Err(DropReason::Overflow);
            }
            self.start = Some((first.min(at), first_arrival));
        }
        self.note_offset(at, arrival);
        self.timestamps.keep(at);
        let from = self.play.map_or(at, |play| play.max(at));
        if from >= end {
            self.stats.late += 1;
            return Err(DropReason::Late);
        }
        if !self.add_run(from, end) {
            return Err(DropReason::Overflow);
        }
        let fresh = &payload[(from - at) as usize..];
        let start = self.place(from);
        let (head, tail) = fresh.split_at(fresh.len().min(self.ring.len() - start));
        g711::decode(codec, head, &mut self.ring[start..]);
        g711::decode(codec, tail, &mut self.ring);
        Ok(())
    }

    /// The next 20 ms. Shape: 160 samples, always filled. `now` in samples of real time. Cost: a copy, as a rule.
    pub fn pull(&mut self, now: i64, out: &mut [i16; FRAME_SAMPLES]) -> FrameKind {
        let kind = self.next_frame(now, out);
        match kind {
            FrameKind::Audio => self.stats.frames_audio += 1,
            FrameKind::Concealed => self.stats.frames_concealed += 1,
            FrameKind::Absent | FrameKind::Held => self.stats.frames_absent += 1,
        }
        kind
    }

    fn next_frame(&mut self, now: i64, out: &mut [i16; FRAME_SAMPLES]) -> FrameKind {
        if let (None, Some((first, arrival))) = (self.play, self.start) {
            // Whole frames of waiting, so that the first packet begins a frame.
            let wait = i64::from(self.bounds.initial_ms) * 8 - (now - arrival);
            self.play = Some(first - (wait.max(0) + FRAME - 1) / FRAME * FRAME);
        }
        let Some(mut play) = self.play else {
            return self.make_up(out);
        };
        let mut correction = self.correction(now, play);
        let missing = !self.overlaps(play, play + FRAME);
        if correction < 0 && (missing || (self.overlong() && !self.holds(play, play + 2 * FRAME))) {
            // Leaving out what is missing costs nothing; and what cannot be blended is left out where it must.
            self.stats.frames_taken_out += 1;
            play += FRAME;
            correction = self.correction(now, play);
        }
        let (frames, kind) = if self.holds(play, play + FRAME) {
            self.copy(play, out);
            let frames = self.correct(correction, play, out);
            self.concealment.real(out);
            (frames, FrameKind::Audio)
        } else if correction > 0 {
            // Not complete, and too early: it may be by the next tick.
            self.stats.frames_put_in += 1;
            self.impatience = 0;
            (0, self.make_up(out))
        } else {
            (1, self.piece_together(play, out))
        };
        self.play = Some(play + frames * FRAME);
        self.forget_before(play + frames * FRAME);
        kind
    }

    /// Below 0: too far behind the wire, take a frame out. Above 0: too close to it, put one in.
    fn correction(&mut self, now: i64, play: i64) -> i64 {
        let Some((fastest, slowest)) = self.offsets() else {
            return 0;
        };
        let (min, max) = (i64::from(self.bounds.min_ms) * 8, i64::from(self.bounds.max_ms) * 8);
        let offset = now - play;
        let delay = (offset - fastest).max(0);
        self.stats.playout_delay_ms = (delay / 8) as u32;
        self.stats.playout_delay_ms_max = self.stats.playout_delay_ms_max.max(self.stats.playout_delay_ms);
        let low = (slowest + MARGIN).min(fastest + max - HYSTERESIS).max(fastest + min);
        if offset < low {
            low - offset
        } else if offset >= low + HYSTERESIS {
            low + HYSTERESIS - offset - 1
        } else {
            self.impatience = 0;
            0
        }
    }

    fn overlong(&self) -> bool {
        self.stats.playout_delay_ms > self.bounds.max_ms
    }

    /// Carries out a correction on a whole frame in `out`, now if it is silent or urgent. Returns the frames to step by.
    fn correct(&mut self, correction: i64, play: i64, out: &mut [i16; FRAME_SAMPLES]) -> i64 {
        if correction == 0 || (correction < 0 && !self.holds(play + FRAME, play + 2 * FRAME)) {
            return 1;
        }
        let loudness = out.iter().map(|&s| i32::from(s).abs()).sum::<i32>() / FRAME_SAMPLES as i32;
        self.impatience += 1;
        if loudness > SILENCE && !self.overlong() && self.impatience < PATIENCE_FRAMES {
            return 1;
        }
        self.impatience = 0;
        let mut towards = [0; FRAME_SAMPLES];
        if correction < 0 {
            self.copy(play + FRAME, &mut towards);
        } else {
            towards.copy_from_slice(self.concealment.last_frame());
        }
        for (n, (sample, towards)) in out.iter_mut().zip(towards).enumerate() {
            let (weight, whole) = (n as i32, FRAME_SAMPLES as i32);
            *sample = ((i32::from(*sample) * (whole - weight) + i32::from(towards) * weight) / whole) as i16;
        }
        if correction < 0 {
            self.stats.frames_taken_out += 1;
            2
        } else {
            self.stats.frames_put_in += 1;
            0
        }
    }

    /// A frame of which some or all is missing.
    fn piece_together(&mut self, play: i64, out: &mut [i16; FRAME_SAMPLES]) -> FrameKind {
        if !self.overlaps(play, play + FRAME) {
            return self.make_up(out);
        }
        let mut at = play;
        let mut repaired = false;
        while at < play + FRAME {
            let run = self.runs.iter().find(|run| run.1 > at && run.0 < play + FRAME).copied();
            let (start, end) = run.map_or((play + FRAME, play + FRAME), |run| (run.0.max(at), run.1.min(play + FRAME)));
            let (gap, real) =
                ((at - play) as usize..(start - play) as usize, (start - play) as usize..(end - play) as usize);
            if !gap.is_empty() {
                repaired |= !self.concealment.faded();
                self.concealment.conceal(&mut out[gap]);
            }
            self.copy(start, &mut out[real.clone()]);
            self.concealment.real(&mut out[real]);
            at = end;
        }
        if repaired { FrameKind::Concealed } else { FrameKind::Audio }
    }

    fn make_up(&mut self, out: &mut [i16; FRAME_SAMPLES]) -> FrameKind {
        let kind = if self.concealment.faded() { FrameKind::Absent } else { FrameKind::Concealed };
        self.concealment.conceal(out);
        kind
    }

    fn note_offset(&mut self, at: i64, arrival: i64) {
        let origin = self.play.or(self.start.map(|(first, _)| first)).unwrap_or(at);
        let fastest = arrival - at;
        // Its first sample is wanted when the frame that holds it is played.
        let mut slowest = fastest + (at - origin).rem_euclid(FRAME);
        if self.spans.iter().all(Option::is_none) {
            slowest += i64::from(self.bounds.initial_ms) * 8 - MARGIN;
        }
        let number = arrival / SPAN_SAMPLES;
        let span = &mut self.spans[(number as usize) % SPANS];
        match span {
            Some(span) if span.number == number => {
                span.fastest = span.fastest.min(fastest);
                span.slowest = span.slowest.max(slowest);
            }
            _ => *span = Some(Span { number, fastest, slowest }),
        }
    }

    fn offsets(&self) -> Option<(i64, i64)> {
        let newest = self.spans.iter().flatten().map(|span| span.number).max()?;
        let recent = || self.spans.iter().flatten().filter(|span| span.number > newest - SPANS as i64);
        Some((recent().map(|s| s.fastest).min()?, recent().map(|s| s.slowest).max()?))
    }

    fn place(&self, at: i64) -> usize {
        at as usize & (self.ring.len() - 1)
    }

    fn copy(&self, at: i64, out: &mut [i16]) {
        let start = self.place(at);
        let first = out.len().min(self.ring.len() - start);
        let (head, tail) = out.split_at_mut(first);
        head.copy_from_slice(&self.ring[start..start + first]);
        tail.copy_from_slice(&self.ring[..tail.len()]);
    }

    fn holds(&self, from: i64, end: i64) -> bool {
        self.runs.iter().any(|run| run.0 <= from && end <= run.1)
    }

    fn overlaps(&self, from: i64, end: i64) -> bool {
        self.runs.iter().any(|run| run.0 < end && from < run.1)
    }

    /// False if there are too many gaps to keep account of.
    fn add_run(&mut self, from: i64, end: i64) -> bool {
        let first = self.runs.partition_point(|run| run.1 < from);
        let after = self.runs.partition_point(|run| run.0 <= end);
        if first == after {
            if self.runs.len() == RUNS_MAX {
                return false;
            }
            self.runs.insert(first, (from, end));
            return true;
        }
        self.runs[first] = (self.runs[first].0.min(from), self.runs[after - 1].1.max(end));
        self.runs.drain(first + 1..after);
        true
    }

    fn forget_before(&mut self, play: i64) {
        let gone = self.runs.partition_point(|run| run.1 <= play);
        self.runs.drain(..gone);
    }
}
