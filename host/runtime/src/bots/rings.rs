//! What passes between a call's leg and its bot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use plugin::FrameKind;

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
