//! What passes between a call's leg and its bot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Instant;

use media::{PlayoutReader, PlayoutWriter};
use plugin::FrameKind;

use super::cell::FRAMES_WAITING_MAX;
use super::operations::DIGITS_MAX;

pub type Frame = [i16; 160];

/// 20 ms from the caller, on its way to the bot.
pub struct FromCaller {
    pub tick: u64,
    pub kind: FrameKind,
    pub samples: Frame,
    /// When the answer's packet leaves: what comes later is late.
    pub due: Instant,
}

/// 20 ms from the bot, on its way to the caller.
pub struct FromBot {
    pub tick: u64,
    pub samples: Frame,
}

/// A key press on its way to the bot.
pub struct Pressed {
    pub key: char,
    pub tick: u64,
}

/// What both sides of the rings read without waiting.
#[derive(Default)]
pub struct Shared {
    /// The last tick that the bot is done with, plus one.
    pub answered: AtomicU64,
    /// Whether the media thread should hand over frames at all.
    pub wants_frames: AtomicBool,
    /// The leg's newest tick.
    pub tick: AtomicU64,
    /// Departures with nothing to say for a bot that wants to answer each frame.
    pub underruns: AtomicU64,
    /// Frames that found the ring full.
    pub overruns: AtomicU64,
    /// Digits found no room: the bot is not taking them.
    pub digits_overfull: AtomicBool,
}

/// The bot's ends of the rings.
pub struct BotEnds {
    pub frames: rtrb::Consumer<FromCaller>,
    pub digits: rtrb::Consumer<Pressed>,
    pub answers: rtrb::Producer<FromBot>,
    pub shared: Arc<Shared>,
}

/// The media thread's ends of the rings between leg and bot.
pub struct MediaEnds {
    pub phase: usize,
    /// What the bot's lane goes by; changed by `Lane::follow`.
    pub lane_phase: Arc<AtomicUsize>,
    pub frames: rtrb::Producer<FromCaller>,
    pub digits: rtrb::Producer<Pressed>,
    pub answers: rtrb::Consumer<FromBot>,
    pub playout: PlayoutReader,
    pub shared: Arc<Shared>,
}

/// All ends of one call's rings, and of its playout queue.
pub fn rings(phase: usize, playout_ms: u32) -> (MediaEnds, BotEnds, PlayoutWriter) {
    let (writer, playout) = media::playout(playout_ms);
    let (frames_in, frames) = rtrb::RingBuffer::new(2 * FRAMES_WAITING_MAX);
    let (digits_in, digits) = rtrb::RingBuffer::new(DIGITS_MAX);
    let (answers_in, answers) = rtrb::RingBuffer::new(FRAMES_WAITING_MAX);
    let shared = Arc::new(Shared::default());
    let bot = BotEnds { frames, digits, answers: answers_in, shared: Arc::clone(&shared) };
    let lane_phase = Arc::new(AtomicUsize::new(phase));
    (MediaEnds { phase, lane_phase, frames: frames_in, digits: digits_in, answers, playout, shared }, bot, writer)
}
