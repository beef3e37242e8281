//! Which engines a tenant uses, as its configuration says: `[speech.stt]`, `[speech.tts]` and `[chat]`.

use serde::{Deserialize, Serialize};

use crate::RATES;
use crate::wire::Header;

/// `[speech]`. Either may be missing: then a bot that asks for it is told `no-engine`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpeechConfig {
    pub stt: Option<SttConfig>,
    pub tts: Option<TtsConfig>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SttConfig {
    /// What comes before `/audio/transcriptions` or `/realtime`: `https://api.openai.com/v1`.
    pub url: String,
    pub model: String,
    /// BCP 47; empty: the engine guesses.
    #[serde(default)]
    pub language: String,
    /// The name of a secret, sent as a bearer token.
    #[serde(default)]
    pub api_key: Option<String>,
    /// By the realtime transcription session, while the caller speaks; else by utterance.
    #[serde(default)]
    pub realtime: bool,
    /// What the engine is sent, in Hz; missing: 8000 by utterance, 24000 in real time.
    #[serde(default)]
    pub sample_rate: Option<u32>,
    /// Silence for so long ends an utterance, if the bot says nothing else.
    #[serde(default = "end_of_turn_ms")]
    pub end_of_turn_ms: u32,
    /// From an utterance's end to its transcript.
    #[serde(default = "transcript_ms_max")]
    pub total_ms_max: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SoundFormat {
    /// Bare samples, 16-bit, little-endian.
    #[default]
    Pcm,
    Wav,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TtsConfig {
    /// What comes before `/audio/speech`.
    pub url: String,
    pub model: String,
    pub voice: String,
    /// BCP 47. Sent as `language`, which not every engine takes, only if it is not empty.
    #[serde(default)]
    pub language: String,
    #[serde(default)]
    pub api_key: Option<String>,
    #[serde(default)]
    pub format: SoundFormat,
    /// Of `pcm`, in Hz; a WAV file says its own.
    #[serde(default = "speech_rate")]
    pub sample_rate: u32,
    #[serde(default = "speech_quiet_ms_max")]
    pub quiet_ms_max: u32,
    #[serde(default = "total_ms_max")]
    pub total_ms_max: u32,
}

/// How an endpoint calls the limit on tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokensMaxKey {
    #[default]
    MaxTokens,
    /// Of the models that reason.
    MaxCompletionTokens,
}

/// `[chat]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatConfig {
    /// What comes before `/chat/completions`.
    pub url: String,
    pub model: String,
    #[serde(default)]
    pub api_key: Option<String>,
    /// 0: the endpoint's own limit.
    #[serde(default)]
    pub tokens_max: u32,
    #[serde(default)]
    pub tokens_max_key: TokensMaxKey,
    /// Missing: the endpoint's own.
    #[serde(default)]
    pub temperature: Option<f32>,
    /// Without a word: before the first, and from one to the next.
    #[serde(default = "chat_quiet_ms_max")]
    pub quiet_ms_max: u32,
    #[serde(default = "total_ms_max")]
    pub total_ms_max: u32,
}

fn end_of_turn_ms() -> u32 {
    700
}

fn transcript_ms_max() -> u32 {
    15_000
}

fn speech_rate() -> u32 {
    24_000
}

fn speech_quiet_ms_max() -> u32 {
    10_000
}

fn chat_quiet_ms_max() -> u32 {
    15_000
}

fn total_ms_max() -> u32 {
    60_000
}

/// A key and what is wrong with its value, with the mend.
type Problems = Vec<(&'static str, String)>;

const DEADLINE_MS: std::ops::RangeInclusive<u32> = 100..=600_000;

impl SttConfig {
    /// Everything that is wrong with it, by key; empty: nothing.
    pub fn problems(&self) -> Problems {
        let mut problems = endpoint_problems(&self.url, &self.model, self.api_key.as_deref());
        rate_problem(self.sample_rate.unwrap_or(8000), &mut problems);
        within("end_of_turn_ms", self.end_of_turn_ms, 100..=5000, &mut problems);
        within("total_ms_max", self.total_ms_max, DEADLINE_MS, &mut problems);
        problems
    }
}

impl TtsConfig {
    pub fn problems(&self) -> Problems {
        let mut problems = endpoint_problems(&self.url, &self.model, self.api_key.as_deref());
        rate_problem(self.sample_rate, &mut problems);
        within("quiet_ms_max", self.quiet_ms_max, DEADLINE_MS, &mut problems);
        within("total_ms_max", self.total_ms_max, DEADLINE_MS, &mut problems);
        problems
    }
}

impl ChatConfig {
    pub fn problems(&self) -> Problems {
        let mut problems = endpoint_problems(&self.url, &self.model, self.api_key.as_deref());
        if self.temperature.is_some_and(|degree| !(0.0..=2.0).contains(&degree)) {
            problems.push(("temperature", "must be 0 to 2".to_owned()));
        }
        within("quiet_ms_max", self.quiet_ms_max, DEADLINE_MS, &mut problems);
        within("total_ms_max", self.total_ms_max, DEADLINE_MS, &mut problems);
        problems
    }
}

fn endpoint_problems(url: &str, model: &str, api_key: Option<&str>) -> Problems {
    const BYTES_MAX: usize = 1024;
    let mut problems = Vec::new();
    let is_http = ["https://", "http://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    if !is_http || url.len() > BYTES_MAX || url.contains(['?', '#']) || url.contains(char::is_whitespace) {
        problems.push(("url", "must be the base of the API, such as `https://api.openai.com/v1`".to_owned()));
    }
    if model.is_empty() || model.len() > BYTES_MAX {
        problems.push(("model", "must name the engine's model".to_owned()));
    }
    let is_name = |key: &str| {
        (1..=64).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if api_key.is_some_and(|key| !is_name(key)) {
        // Most likely the key itself, so it is not repeated.
        problems.push(("api_key", "must be the name of a secret of the tenant, not the key itself".to_owned()));
    }
    problems
}

fn rate_problem(rate: u32, problems: &mut Problems) {
    if !RATES.contains(&rate) {
        problems.push(("sample_rate", format!("{rate} Hz is not among {RATES:?}")));
    }
}

fn within(key: &'static str, value: u32, range: std::ops::RangeInclusive<u32>, problems: &mut Problems) {
    if !range.contains(&value) {
        problems.push((key, format!("must be {} to {}", range.start(), range.end())));
    }
}

/// `path` begins with a slash.
pub(crate) fn joined(url: &str, path: &str) -> String {
    format!("{}{path}", url.trim_end_matches('/'))
}

/// The secret's name stands in it: the wire puts the key there.
pub(crate) fn bearer(api_key: Option<&str>) -> Option<Header> {
    api_key.map(|name| ("authorization", format!("Bearer {{{{secret:{name}}}}}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        speech: SpeechConfig,
        chat: ChatConfig,
    }

    const FILE: &str = r#"
        [speech.stt]
        url = "https://api.openai.com/v1"
        model = "gpt-4o-mini-transcribe"
        language = "en"
        api_key = "openai"
        realtime = true
        [speech.tts]
        url = "http://127.0.0.1:8000/v1/"
        model = "piper"
        voice = "joe"
        format = "wav"
        [chat]
        url = "https://api.openai.com/v1"
        model = "gpt-5-mini"
        tokens_max_key = "max_completion_tokens"
        temperature = 0.4
    "#;

    #[test]
    fn a_file_names_engines_and_the_rest_has_a_value() {
        let file: File = toml::from_str(FILE).expect("a configuration");
        let (stt, tts) = (file.speech.stt.expect("an stt"), file.speech.tts.expect("a tts"));
        assert_eq!([stt.problems(), tts.problems(), file.chat.problems()].concat(), []);
        assert_eq!((stt.realtime, stt.end_of_turn_ms, tts.sample_rate), (true, 700, 24_000));
        assert_eq!(joined(&tts.url, "/audio/speech"), "http://127.0.0.1:8000/v1/audio/speech");
        assert_eq!(bearer(stt.api_key.as_deref()), Some(("authorization", "Bearer {{secret:openai}}".to_owned())));
    }

    #[test]
    fn a_key_that_nobody_knows_is_an_error() {
        let error = toml::from_str::<File>(&FILE.replace("voice", "speaker")).err().expect("refused");
        assert!(error.to_string().contains("unknown field `speaker`"), "{error}");
    }

    #[test]
    fn every_problem_is_told_at_once_and_a_key_in_the_wrong_place_is_not_repeated() {
        let file: File = toml::from_str(FILE).expect("a configuration");
        let stt = SttConfig {
            url: "ftp://x".into(),
            model: String::new(),
            api_key: Some("sk-proj.secret".into()),
            sample_rate: Some(44_000),
            end_of_turn_ms: 50,
            total_ms_max: 0,
            ..file.speech.stt.expect("an stt")
        };
        let problems = stt.problems();
        let keys: Vec<&str> = problems.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["url", "model", "api_key", "sample_rate", "end_of_turn_ms", "total_ms_max"]);
        assert!(!problems.iter().any(|(_, why)| why.contains("sk-proj")));
        let chat = ChatConfig { temperature: Some(f32::NAN), ..file.chat };
        assert_eq!(chat.problems().len(), 1);
    }
}
