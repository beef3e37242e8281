//! `speech` and `speech-handler`.

use super::HostError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpeechRequest {
    /// Empty `voice` and `language`: the configuration's.
    Say { text: String, voice: String, language: String },
    /// Empty `language`: the configuration's; `end_of_turn_ms` 0: the configuration's; `utterance_ms_max`: never 0.
    Listen { language: String, hint: String, end_of_turn_ms: u32, utterance_ms_max: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpeechEvent {
    UtteranceStarted {
        sample: u64,
    },
    UtteranceStopped {
        sample: u64,
    },
    Transcript {
        text: String,
        is_final: bool,
        from_sample: u64,
        to_sample: u64,
        engine_ms: u32,
    },
    /// So many ms after `say`.
    Speaking {
        after_ms: u32,
    },
    UtterancePlayed {
        to_the_end: bool,
    },
    Failed(HostError),
}

impl SpeechRequest {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Say { text, voice, language } => text.len() + voice.len() + language.len(),
            Self::Listen { language, hint, .. } => language.len() + hint.len(),
        }
    }
}

impl SpeechEvent {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Transcript { text, .. } => text.len(),
            Self::Failed(error) => error.message.len(),
            _ => 0,
        }
    }
}
