//! What passes between a call's leg and its bot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use media::{PlayoutReader, PlayoutWriter};
use plugin::FrameKind;

use super::cell::FRAMES_WAITING_MAX;
use super::operations::DIGITS_MAX;
use super::slots;

pub type Frame = [i16; 160];

/// 20 ms from the caller, on its way to the bot.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct FromCaller {
    pub tick: u64,
    /// When the answer's packet leaves: what comes later is late.
    pub due: Instant,
    pub kind: FrameKind,
    /// From when it was taken from the leg until `due`.
    pub budget_ms: u8,
    /// How long its packets waited in the jitter buffer before.
    pub delay_ms: u16,
    pub samples: Frame,
}

/// 20 ms from the bot, on its way to the caller.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct FromBot {
    pub tick: u64,
    pub samples: Frame,
}

/// A key press on its way to the bot.
pub struct Pressed {
    pub key: char,
    pub tick: u64,
}

/// Frames that wait at most; the bot's side lets the oldest go before that.
const FRAMES_MAX: usize = 2 * FRAMES_WAITING_MAX;

pub type FramesIn = slots::Producer<FromCaller, FRAMES_MAX>;
pub type FramesOut = slots::Consumer<FromCaller, FRAMES_MAX>;
pub type AnswersIn = slots::Producer<FromBot, FRAMES_WAITING_MAX>;
pub type AnswersOut = slots::Consumer<FromBot, FRAMES_WAITING_MAX>;

/// What both sides of the rings read without waiting: one cache line, which goes over and back once a tick.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Shared {
    /// The last tick that the bot is done with, plus one.
    pub answered: AtomicU64,
    /// The leg's newest tick.
    pub tick: AtomicU64,
    /// Whether the bot wants frames.
    pub wants_frames: AtomicBool,
    /// Whether the host hears them itself, whatever the bot wants.
    pub listens: AtomicBool,
    /// Digits wait, or found no room.
    pressed: AtomicBool,
    /// Digits found no room: the bot is not taking them.
    digits_overfull: AtomicBool,
    /// Departures with nothing to say for a bot that wants to answer each frame.
    pub underruns: AtomicU64,
    /// Frames that found the ring full.
    pub overruns: AtomicU64,
}

/// The bot's ends of the rings.
#[repr(C)]
pub struct BotEnds {
    pub shared: Arc<Shared>,
    pub frames: FramesOut,
    pub answers: AnswersIn,
    digits: rtrb::Consumer<Pressed>,
}

impl BotEnds {
    /// Calls `take` with each digit that has come; whether one found no room. Cost: a load where none has.
    pub fn take_digits(&mut self, mut take: impl FnMut(Pressed)) -> bool {
        // Cleared before the ring is read: what comes meanwhile is seen now or in the next turn.
        if !self.shared.pressed.load(Ordering::Relaxed) || !self.shared.pressed.swap(false, Ordering::AcqRel) {
            return false;
        }
        while let Ok(pressed) = self.digits.pop() {
            take(pressed);
        }
        self.shared.digits_overfull.load(Ordering::Relaxed)
    }
}

/// The media thread's ends of the rings between leg and bot.
pub struct MediaEnds {
    pub phase: usize,
    /// What the bot's lane goes by; changed by `Lane::follow`.
    pub lane_phase: Arc<AtomicUsize>,
    pub frames: FramesIn,
    pub digits: rtrb::Producer<Pressed>,
    pub answers: AnswersOut,
    pub playout: PlayoutReader,
    pub shared: Arc<Shared>,
}

impl MediaEnds {
    /// Whether anybody on the bot's side takes frames.
    pub fn is_heard(&self) -> bool {
        self.shared.wants_frames.load(Ordering::Relaxed) || self.shared.listens.load(Ordering::Relaxed)
    }

    /// On its way to the bot's side; whether an answer is to be awaited.
    pub fn hand_over(&mut self, frame: FromCaller) -> bool {
        let wanted = self.shared.wants_frames.load(Ordering::Relaxed);
        // The bot's side lets the oldest go; here the ring is full only if nobody has entered the bot for a second.
        if self.frames.push(frame).is_err() && wanted {
            self.shared.overruns.fetch_add(1, Ordering::Relaxed);
        }
        wanted
    }

    /// On its way to the bot.
    pub fn press(&mut self, key: Pressed) {
        if self.digits.push(key).is_err() {
            self.shared.digits_overfull.store(true, Ordering::Relaxed);
        }
        self.shared.pressed.store(true, Ordering::Release);
    }
}

/// All ends of one call's rings, and of its playout queue.
pub fn rings(phase: usize, playout_ms: u32) -> (MediaEnds, BotEnds, PlayoutWriter) {
    let (writer, playout) = media::playout(playout_ms);
    let (frames_in, frames) = slots::slots();
    let (digits_in, digits) = rtrb::RingBuffer::new(DIGITS_MAX);
    let (answers_in, answers) = slots::slots();
    let shared = Arc::new(Shared::default());
    let bot = BotEnds { frames, digits, answers: answers_in, shared: Arc::clone(&shared) };
    let lane_phase = Arc::new(AtomicUsize::new(phase));
    (MediaEnds { phase, lane_phase, frames: frames_in, digits: digits_in, answers, playout, shared }, bot, writer)
}
