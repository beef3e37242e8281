//! Engines that hear: what is said goes in as it is heard, transcripts come out, utterance after utterance.
//!
//! Where an utterance begins and ends is the host's to say, by its voice activity detector: an engine's own is never asked for, so
//! that a bot's rules hold whatever engine a tenant has.

mod realtime;
mod session;
#[cfg(test)]
mod tests;
mod utterance;

use std::time::Duration;

use futures_util::stream::BoxStream;
use tokio::sync::mpsc;

use crate::Fault;

pub use realtime::Realtime;
pub use utterance::ByUtterance;

/// Of one utterance: 60 s. What is longer is `too-long`.
pub const HEARD_SAMPLES_MAX: usize = 480_000;
/// That ended and whose transcripts have not come. The next that ends is `timed-out`.
pub const UTTERANCES_WAITING_MAX: usize = 4;
/// Of one transcript.
pub(crate) const TRANSCRIPT_BYTES_MAX: usize = 16 * 1024;

/// What the engine is told beside the sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listen {
    /// Empty: the configuration's.
    pub language: String,
    /// Words that are likely; empty: none.
    pub hint: String,
}

/// What the caller says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// 8 kHz. The first begins an utterance.
    Samples(Vec<i16>),
    /// It is over. One without samples is none.
    Stopped,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Counted from 0, in the order in which they were heard.
    pub utterance: u64,
    pub what: Telling,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Telling {
    /// All of it so far; the engine may think better of it.
    Partial(String),
    /// The end of this utterance. May be empty: nothing was understood.
    Final {
        text: String,
        /// From `Stopped` to here.
        engine: Duration,
    },
    /// The end of this utterance; the next may succeed.
    Failed(Fault),
}

pub trait SpeechToText: Send + Sync {
    /// Ends once `heard` is closed and of each utterance its end was told. Ends come in the order of the utterances.
    fn listen(&self, listen: Listen, heard: mpsc::Receiver<Heard>) -> BoxStream<'static, Told>;
}
