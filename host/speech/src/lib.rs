//! Engines that hear, speak and converse, by the protocols of OpenAI's API, which self-hosted engines speak too:
//! `/audio/transcriptions` and the realtime transcription session, `/audio/speech`, `/chat/completions`.
//!
//! Each is a small trait that gives a stream: [`SpeechToText`], [`TextToSpeech`], [`LanguageModel`]. A stream is driven by whoever
//! reads it, and dropping it ends the request; no task is left behind. Sound is 8 kHz, mono, i16 on this side, whatever the engine
//! takes. The network is behind [`Wire`]: a tenant of `outside`, which owns the egress rules, secrets and connections, or a test.
//!
//! Engines are not trusted: one that is down, slow, endless or answers rubbish comes to a [`Fault`] within the deadlines of its
//! configuration, and no answer takes more memory than the constants beside it say.
//!
//! Start reading at `wire` and `answer`, then `tts`, the smallest engine.

mod answer;
mod chat;
mod config;
mod fault;
mod outside_wire;
mod resample;
mod sse;
mod stt;
mod tts;
mod wav;
mod wire;

#[cfg(test)]
mod scripted;

pub use chat::{Ask, Chatted, LanguageModel, Message, OpenAiChat, Role, Tool, ToolCall, check_parameters};
pub use config::{ChatConfig, SoundFormat, SpeechConfig, SttConfig, TokensMaxKey, TtsConfig};
pub use fault::{Code, Fault};
pub use resample::{RATES, Resampler, TELEPHONE_RATE};
pub use stt::{
    HEARD_SAMPLES_MAX, Heard, Listen, OpenAiTranscription, SpeechToText, Telling, Told, UTTERANCES_WAITING_MAX,
};
pub use tts::{OpenAiSpeech, Say, TEXT_BYTES_MAX, TextToSpeech, sound_ms_max};
pub use wire::{Header, Messages, Piece, Pieces, Request, Wire};
