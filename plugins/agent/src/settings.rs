//! The route's configuration: everything has a default, and what is not known is refused, so that a misspelt word is found at the
//! first call.

use patchbay_sdk::conversation::{BargeIn, Call, Line, Rules, Turn};
use serde::Deserialize;

use crate::template;
use crate::tools::ToolSettings;

/// Said to the model besides the tenant's own prompt.
const MANNERS: &str = "You are on the telephone: what you write is spoken as you write it, and what the caller says is written down by \
     a machine that mishears. Answer in short spoken sentences, without markup, lists or links.";

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Who the agent is and what it is to do.
    pub prompt: String,
    /// Said first; `{name}` is from the context of an outbound call. Empty: the caller speaks first.
    pub greeting: String,
    /// Said before the agent hangs up.
    pub goodbye: String,
    /// Said when an engine or the model failed.
    pub apology: String,
    /// Said one after the other while the caller is silent; then comes the goodbye.
    pub still_there: Vec<String>,
    /// BCP 47; empty: the tenant's.
    pub language: String,
    /// Of the tenant's engine; empty: the tenant's.
    pub voice: String,
    /// Words that the caller is likely to say.
    pub hint: String,
    /// Empty: the tenant's.
    pub model: String,
    /// Of one answer; 0: the model's own.
    pub tokens_max: u32,
    /// 0.0 to 2.0; none: the model's own.
    pub temperature: Option<f32>,
    /// How long the caller may be silent.
    pub wait_ms: u64,
    /// How long a call may last.
    pub call_ms_max: u64,
    pub barge_in: Interruption,
    pub digits: Digits,
    pub turn: TurnSettings,
    pub transfer: Option<Transfer>,
    pub tools: Vec<ToolSettings>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            prompt: "You are a friendly assistant.".to_owned(),
            greeting: "Hello. How can I help you?".to_owned(),
            goodbye: "Goodbye.".to_owned(),
            apology: "I am sorry, something went wrong. Please say that again.".to_owned(),
            still_there: vec!["Are you still there?".to_owned(), "I cannot hear you.".to_owned()],
            language: String::new(),
            voice: String::new(),
            hint: String::new(),
            model: String::new(),
            tokens_max: 0,
            temperature: None,
            wait_ms: 8_000,
            call_ms_max: 30 * 60 * 1000,
            barge_in: Interruption::default(),
            digits: Digits::default(),
            turn: TurnSettings::default(),
            transfer: None,
            tools: Vec::new(),
        }
    }
}

/// How the caller interrupts what is being said. A key always does.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Interruption {
    Off,
    /// As soon as there is so much speech, in ms.
    After(u32),
    /// The agent pauses at once, and goes on if there was less speech than that, in ms.
    Confirm(u32),
    /// Right away.
    #[default]
    Now,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Digits {
    /// Keys that make one answer; 0: keys do not count.
    pub max: usize,
    pub terminator: Option<char>,
    pub between_ms: u64,
}

impl Default for Digits {
    fn default() -> Digits {
        Digits { max: 32, terminator: Some('#'), between_ms: 3_000 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnSettings {
    /// Silence for so long ends an utterance; 0: the tenant's.
    pub end_ms: u32,
    /// So long after an utterance the turn is over, unless another begins.
    pub silence_ms: u64,
    pub ms_max: u64,
    pub words_min: usize,
}

impl Default for TurnSettings {
    fn default() -> TurnSettings {
        let Turn { silence_ms, ms_max, words_min } = Turn::default();
        TurnSettings { end_ms: 0, silence_ms, ms_max, words_min }
    }
}

impl TurnSettings {
    pub fn rules(&self) -> Turn {
        Turn { silence_ms: self.silence_ms, ms_max: self.ms_max, words_min: self.words_min }
    }
}

/// To a human, as a tool of the model's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// A `sip:`, `sips:` or `tel:` URI.
    pub target: String,
    /// When to do it, for the model.
    #[serde(default = "Transfer::when")]
    pub when: String,
    /// Said before.
    #[serde(default)]
    pub say: String,
}

impl Transfer {
    fn when() -> String {
        "Hands the caller over to a human. Use it when the caller asks for one, or when you cannot help.".to_owned()
    }
}

impl Settings {
    /// Errors name the setting and what is wrong with it, in one line.
    pub fn read(configuration: &str) -> Result<Settings, String> {
        let read: Result<Settings, _> = serde_json::from_str(configuration);
        let settings = read.map_err(|wrong| format!("the agent's configuration: {wrong}"))?;
        let wrong = |what: String| Err(format!("the agent's configuration: {what}"));
        for (name, ms, most) in [
            ("wait_ms", settings.wait_ms, 600_000),
            ("call_ms_max", settings.call_ms_max, 24 * 60 * 60 * 1000),
            ("digits.between_ms", settings.digits.between_ms, 60_000),
            ("turn.ms_max", settings.turn.ms_max, 300_000),
            ("turn.silence_ms", settings.turn.silence_ms, 10_000),
        ] {
            if ms > most || (ms == 0 && name != "turn.silence_ms") {
                return wrong(format!("{name} is {ms}: it must be 1 to {most}"));
            }
        }
        if let Some(temperature) = settings.temperature.filter(|degrees| !(0.0..=2.0).contains(degrees)) {
            return wrong(format!("temperature is {temperature}: it must be 0.0 to 2.0"));
        }
        if let Interruption::After(ms @ 10_001..) | Interruption::Confirm(ms @ 10_001..) = settings.barge_in {
            return wrong(format!("barge_in is {ms}: it must be 10000 at most"));
        }
        for tool in &settings.tools {
            tool.check().map_err(|what| format!("the agent's configuration: tool {}: {what}", tool.name))?;
        }
        Ok(settings)
    }

    /// With what is known of an outbound call filled in: `{name}` is the value of `name` in its context, or nothing.
    pub fn greeting(&self, call: &Call) -> Option<Line> {
        let known = |name: &str| call.attribute(&format!("context.{name}")).unwrap_or_default();
        Some(template::text(&self.greeting, known)).filter(|greeting| !greeting.is_empty()).map(Line::from)
    }

    pub fn can_be_interrupted(&self) -> bool {
        !matches!(self.barge_in, Interruption::Off)
    }

    pub fn voice_rules(&self) -> Rules {
        let barge_in = match self.barge_in {
            Interruption::Off => BargeIn::Off,
            Interruption::Now => BargeIn::ClearAfter(0),
            Interruption::After(ms) => BargeIn::ClearAfter(ms),
            Interruption::Confirm(ms) => BargeIn::PauseThenConfirm(ms),
        };
        Rules { strictness: 1, start_ms: 60, hang_over_ms: 500, barge_in }
    }

    /// In hundredths.
    pub fn temperature(&self) -> Option<u16> {
        // In range, so nothing is cut.
        self.temperature.map(|degrees| (degrees * 100.0).round() as u16)
    }

    /// The system's message: who the agent is, how to speak on a telephone, and who is on the line.
    pub fn instructions(&self, call: &Call) -> String {
        let info = call.info();
        let caller = if info.caller.is_empty() { "withheld" } else { &info.caller };
        let mut text =
            format!("{}\n\n{MANNERS}\n\nThe caller's number: {caller}. Dialled: {}.", self.prompt, info.called);
        match call.attribute("outbound").as_deref() {
            None => {}
            Some("matched") => {
                text.push_str("\nYou have called this person. What is known of the call: ");
                text.push_str(&call.attribute("context").unwrap_or_default());
            }
            Some(_) => {
                text.push_str("\nYou have called this person, but what about was lost: apologise for the disturbance.")
            }
        }
        text
    }
}
