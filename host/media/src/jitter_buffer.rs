//! The adaptive jitter buffer: decoded sound, addressed by timestamp, played at a distance from the wire that follows
//! the network's jitter within bounds.
//!
//! ```text
//!   offset of a sample = real time - its timestamp, both in samples.
//!
//!   fastest packet       slowest packet        playing now
//!        |<----- jitter ----->|<---- up to HYSTERESIS ----->|
//!   -----+--------------------+-----------------------------+----> offset
//!        |<---------- delay = playing - fastest ----------->|      min_ms <= delay <= max_ms
//! ```
//!
//! A packet is in time if it is there when its frame is pulled, and packets are seen when sockets are read, just before the pull:
//! the slowest one needs no margin on top of what reading in steps of a tick rounds up anyway.
//!
//! Below the slowest packet a frame is put in, above the hysteresis one is taken out, each blended into its neighbour. So a clock that
//! drifts against ours costs a frame now and then, and nothing else. Whole frames, because then packets stay aligned with frames, and
//! sound that needs no repair comes out bit for bit. A frame put in loses nothing; one taken out is lost, so that waits for a pause in
//! the sound: the longer, the less there is to gain.
//!
//! Where nothing is there to be played, the buffer waits: nobody knows yet whether what is missing is lost or only late. If it comes, it is
//! played, and the delay has grown by the wait; if something later comes instead, what was made up meanwhile stood in for it.

use crate::clock::{Extended, FRAME_SAMPLES};
use crate::concealment::Concealment;
use crate::{Codec, DropReason, FrameKind, g711};

const FRAME: i64 = FRAME_SAMPLES as i64;
const FRAME_MS: u32 = 20;
/// Of the delay, whatever the bounds say: a packet that comes a little later than all before it is still in time.
const DELAY_MIN: i64 = 40;
/// More than a frame, so that taking one out does not call for putting one in.
const HYSTERESIS: i64 = 200;
/// Jitter is what was seen in the last 8 half seconds.
const SPANS: usize = 8;
const SPAN_SAMPLES: i64 = 4000;
/// Ranges of sound with gaps between them: more than the deepest buffer of 10 ms packets has with every other one lost.
const RUNS_MAX: usize = 64;
/// Frames that putting one in waits for a pause.
const PATIENCE_TO_GROW: u32 = 50;
/// Frames that taking one out waits for a pause, while one, two, or more are too many: a minute, ten seconds, a half.
const PATIENCE_TO_SHRINK: [u32; 3] = [3000, 500, 25];
/// Mean magnitude below which a frame is silence.
const SILENCE: i32 = 150;
/// A frame with this share of the mean since the wait began is a pause in sound that is never silent ...
const PAUSE_SHARE: i64 = 4;
/// ... once so many frames are known.
const PAUSE_KNOWN_FRAMES: u32 = 25;
/// So many packets one after the other that are all late: the sender's clock stood still, and what is known of it is of no use.
const LATE_IN_A_ROW_MAX: u32 = 10;
/// Over which one frame goes over into another that did not follow it: 5 ms.
const JOIN_SAMPLES: usize = 40;

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
        JitterBounds { min_ms: 10, initial_ms: 20, max_ms: 200 }
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
    /// Fastest and slowest of all of them.
    offsets: Option<(i64, i64)>,
    /// Frames made up while nothing was there, for which `play` has not moved on: they stand in for what turns out to be lost.
    waited: i64,
    late_in_a_row: u32,
    /// The delay that is kept while the jitter is unknown, and the span of the first packet.
    caution: (i64, i64),
    impatience: u32,
    /// Magnitudes of the frames since a correction was called for, for knowing a pause when it comes.
    loudness_sum: i64,
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
            offsets: None,
            waited: 0,
            late_in_a_row: 0,
            caution: (0, 0),
            impatience: 0,
            loudness_sum: 0,
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
        self.offsets = None;
        self.waited = 0;
        self.late_in_a_row = 0;
        self.be_patient();
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
            self.late_in_a_row += 1;
            if self.late_in_a_row >= LATE_IN_A_ROW_MAX {
                self.restart();
            }
            return Err(DropReason::Late);
        }
        self.late_in_a_row = 0;
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

    /// Whether the packet after one that comes now may be here already: it follows by this one's length, and none is
    /// faster than the fastest.
    pub fn may_be_followed(&self, timestamp: u32, samples: usize, arrival: i64) -> bool {
        let behind = |fastest: i64| arrival - self.timestamps.peek32(timestamp) - fastest;
        self.offsets.is_none_or(|(fastest, _)| behind(fastest) >= samples as i64)
    }

    /// The next 20 ms. Shape: 160 samples, always filled. `now` in samples of real time. Cost: a copy, as a rule.
    pub fn pull(&mut self, now: i64, out: &mut [i16; FRAME_SAMPLES]) -> FrameKind {
        let kind = self.next_frame(now, out);
        self.stats.playout_delay_ms_max = self.stats.playout_delay_ms_max.max(self.stats.playout_delay_ms);
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
        let Some(play) = self.play else {
            return self.make_up(out);
        };
        let (play, correction) = self.skip_missing(now, play);
        let (frames, kind) = if self.holds(play, play + FRAME) {
            self.stats.frames_put_in += std::mem::take(&mut self.waited) as u64;
            self.copy(play, out);
            let frames = self.correct(correction, play, out);
            self.concealment.real(out);
            (frames, FrameKind::Audio)
        } else if correction > 0 {
            // Not complete, and too early: it may be by the next tick.
            self.stats.frames_put_in += 1;
            self.be_patient();
            (0, self.make_up(out))
        } else if self.may_wait(now, play) {
            self.waited += 1;
            (0, self.make_up(out))
        } else {
            (1, self.piece_together(play, out))
        };
        self.play = Some(play + frames * FRAME);
        self.forget_before(play + frames * FRAME);
        kind
    }

    /// Leaves out what is missing where that costs nothing: frames were made up for it already, or the delay is too long.
    /// Returns where to play, and the correction that is left.
    fn skip_missing(&mut self, now: i64, mut play: i64) -> (i64, i64) {
        while self.waited > 0 && !self.overlaps(play, play + FRAME) && self.reaches_beyond(play + FRAME) {
            self.waited -= 1;
            play += FRAME;
        }
        loop {
            let correction = self.correction(now, play);
            let missing = !self.overlaps(play, play + FRAME) && self.reaches_beyond(play + FRAME);
            // What cannot be blended is left out where it must, and all but the last frame of what is far too much.
            let must = self.overlong(0) && (self.overlong(FRAME_MS) || !self.holds(play, play + 2 * FRAME));
            if correction >= 0 || !(missing || must) {
                return (play, correction);
            }
            self.stats.frames_taken_out += 1;
            play += FRAME;
        }
    }

    /// Nothing is there that would say that what is missing is lost, and the delay may grow by a frame.
    fn may_wait(&self, now: i64, play: i64) -> bool {
        let longest = i64::from(self.bounds.max_ms) * 8 - HYSTERESIS;
        !self.reaches_beyond(play + FRAME)
            && self.offsets.is_some_and(|(fastest, _)| now - play + FRAME - fastest <= longest)
    }

    /// Below 0: too far behind the wire, take a frame out. Above 0: too close to it, put one in.
    fn correction(&mut self, now: i64, play: i64) -> i64 {
        let Some((fastest, slowest)) = self.offsets else {
            return 0;
        };
        let (min, max) = (i64::from(self.bounds.min_ms) * 8, i64::from(self.bounds.max_ms) * 8);
        // What was made up counts as played until what it stands in for comes.
        let offset = now - play - self.waited * FRAME;
        let delay = (offset - fastest).max(0);
        self.stats.playout_delay_ms = (delay / 8) as u32;
        let low = slowest.min(fastest + max - HYSTERESIS).max(fastest + min.max(DELAY_MIN).max(self.caution.0));
        if offset < low {
            low - offset
        } else if offset >= low + HYSTERESIS {
            low + HYSTERESIS - offset - 1
        } else {
            self.be_patient();
            0
        }
    }

    /// The sender's beat is known now, and frames are pulled to it: what was kept out of caution, and what the change added, goes
    /// at the next frame, while the call is young.
    pub fn settle(&mut self) {
        self.caution.0 = 0;
        self.impatience = PATIENCE_TO_SHRINK[0];
    }

    fn be_patient(&mut self) {
        (self.impatience, self.loudness_sum) = (0, 0);
    }

    /// Whether the delay is above its bound by more than this.
    fn overlong(&self, by_ms: u32) -> bool {
        self.stats.playout_delay_ms > self.bounds.max_ms + by_ms
    }

    /// Carries out a correction on a whole frame in `out`, now if there is a pause or no time to wait for one.
    /// Returns the frames to step by.
    fn correct(&mut self, correction: i64, play: i64, out: &mut [i16; FRAME_SAMPLES]) -> i64 {
        if correction == 0 || (correction < 0 && !self.holds(play + FRAME, play + 2 * FRAME)) {
            return 1;
        }
        let pause = self.is_pause(out);
        let patience = match -correction / FRAME {
            _ if correction > 0 => PATIENCE_TO_GROW,
            excess => PATIENCE_TO_SHRINK[(excess as usize).min(PATIENCE_TO_SHRINK.len() - 1)],
        };
        if !pause && !self.overlong(0) && self.impatience < patience {
            return 1;
        }
        self.be_patient();
        if correction < 0 {
            // The next frame instead of this one, entered from where this one would have begun.
            let left = *out;
            self.copy(play + FRAME, out);
            blend(&left[..JOIN_SAMPLES], &mut out[..JOIN_SAMPLES]);
            self.stats.frames_taken_out += 1;
            2
        } else {
            // This frame twice, the first time leading back to what was before it.
            let mut towards = [0; FRAME_SAMPLES];
            towards.copy_from_slice(self.concealment.last_frame());
            blend(out, &mut towards);
            *out = towards;
            self.stats.frames_put_in += 1;
            0
        }
    }

    /// Whether a frame taken out or put in here is hardly heard. Counts the frames that were asked about.
    fn is_pause(&mut self, frame: &[i16; FRAME_SAMPLES]) -> bool {
        let loudness = frame.iter().map(|&s| i32::from(s).abs()).sum::<i32>() / FRAME_SAMPLES as i32;
        let (known, sum) = (self.impatience, self.loudness_sum);
        self.impatience += 1;
        self.loudness_sum += i64::from(loudness);
        loudness <= SILENCE
            || (known >= PAUSE_KNOWN_FRAMES && i64::from(loudness) * i64::from(known) * PAUSE_SHARE < sum)
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
        let slowest = fastest + (at - origin).rem_euclid(FRAME);
        let number = arrival / SPAN_SAMPLES;
        if self.offsets.is_none() {
            self.caution = (i64::from(self.bounds.initial_ms) * 8, number);
        }
        let span = &mut self.spans[(number as usize) % SPANS];
        if let (Some(span), Some(all)) = (span.as_mut().filter(|span| span.number == number), &mut self.offsets) {
            (span.fastest, span.slowest) = (span.fastest.min(fastest), span.slowest.max(slowest));
            *all = (all.0.min(fastest), all.1.max(slowest));
            return;
        }
        *span = Some(Span { number, fastest, slowest });
        self.begin_span();
    }

    /// What is older than the last eight half seconds is forgotten.
    fn begin_span(&mut self) {
        let newest = self.spans.iter().flatten().map(|span| span.number).max().unwrap_or(0);
        let recent = || self.spans.iter().flatten().filter(|span| span.number > newest - SPANS as i64);
        self.offsets = recent().map(|span| span.fastest).min().zip(recent().map(|span| span.slowest).max());
        if newest >= self.caution.1 + SPANS as i64 {
            self.caution.0 = 0;
        }
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

    /// Whether there is sound that is later than `end`.
    fn reaches_beyond(&self, end: i64) -> bool {
        self.runs.last().is_some_and(|run| run.1 > end)
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

/// Goes over from one piece of sound into another of the same length, which it overwrites.
fn blend(from: &[i16], into: &mut [i16]) {
    let whole = into.len() as i32;
    for ((n, from), into) in (0..).zip(from).zip(into) {
        *into = ((i32::from(*from) * (whole - n) + i32::from(*into) * n) / whole) as i16;
    }
}
