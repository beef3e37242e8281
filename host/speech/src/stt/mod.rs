//! Engines that hear: what is said goes in as it is heard, transcripts come out, utterance after utterance.
//!
//! Where an utterance begins and ends is the host's to say, by its voice activity detector: an engine's own is never asked for, so
//! that a bot's rules hold whatever engine a tenant has.

mod realtime;
mod session;
#[cfg(test)]
mod tests;
mod utterance;

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use tokio::sync::mpsc;

use crate::{Code, Fault, SttConfig, TELEPHONE_RATE, Wire};

/// Of one utterance: the 60 s that a bot may ask for, and what is kept from before it began. What is longer is `too-long`.
pub const HEARD_SAMPLES_MAX: usize = 488_000;
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

/// By utterance, or in real time where the configuration says so.
pub struct OpenAiTranscription {
    config: Arc<SttConfig>,
    wire: Arc<dyn Wire>,
}

impl OpenAiTranscription {
    pub fn new(config: SttConfig, wire: Arc<dyn Wire>) -> OpenAiTranscription {
        OpenAiTranscription { config: Arc::new(config), wire }
    }
}

impl SpeechToText for OpenAiTranscription {
    fn listen(&self, listen: Listen, heard: mpsc::Receiver<Heard>) -> BoxStream<'static, Told> {
        let asked = Asked { config: self.config.clone(), wire: self.wire.clone(), listen };
        match asked.config.realtime {
            true => realtime::listen(asked, heard),
            false => utterance::listen(asked, heard),
        }
    }
}

/// Which engine listens, and to what.
#[derive(Clone)]
struct Asked {
    config: Arc<SttConfig>,
    wire: Arc<dyn Wire>,
    listen: Listen,
}

impl Asked {
    /// As the engines know it, by ISO 639-1; empty: they guess.
    fn language(&self) -> &str {
        let language = if self.listen.language.is_empty() { &self.config.language } else { &self.listen.language };
        language.split('-').next().unwrap_or_default()
    }
}

fn too_long() -> Fault {
    let most = HEARD_SAMPLES_MAX / TELEPHONE_RATE as usize;
    Fault::new(Code::TooLong, format!("an utterance of more than {most} s"))
}

fn too_many() -> Fault {
    Fault::new(Code::TimedOut, format!("{UTTERANCES_WAITING_MAX} utterances wait for the engine already"))
}
