//! A voice agent: it greets, listens, lets a language model answer, and says the answer sentence by sentence while it is still being
//! written. The caller may interrupt, press keys, be silent, or ask for a human. What it says and does is the route's configuration, see
//! [`settings`]; the engines are the tenant's.
//!
//! Whatever fails, the caller hears an apology: spoken, or, if it is speaking that fails, a recording.

mod answer;
mod history;
mod settings;
mod template;
mod tools;

use answer::Reply;
use history::History;
use patchbay_sdk::conversation::{Answer, Call, Gather, Heard, Line, ListenOptions, SayOptions};
use patchbay_sdk::{Error, Prompt, Refusal, prompt, warn};
use settings::Settings;

/// Heard when no engine speaks.
const APOLOGY: Prompt = prompt!("../prompts/apology.wav");
/// In a row, until the agent gives up.
const FAILURES_MAX: u32 = 3;
/// How long one line of the configuration may take until it has been heard.
const LINE_MS_MAX: u64 = 20_000;
/// How long a transferred call may take to end.
const TRANSFERRED_MS_MAX: u64 = 30_000;

/// Why a conversation is over, other than by a hangup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The model said so.
    Finished,
    /// The caller said nothing any more.
    Silent,
    Expired,
    Transferred,
    /// Too much failed.
    Failed,
}

async fn run(call: Call) -> Result<(), Refusal> {
    let settings = Settings::read(call.configuration()).map_err(|wrong| Refusal::new(500, wrong))?;
    call.answered().await;
    let mut agent = Agent::new(&call, &settings);
    let end = call.within(settings.call_ms_max, agent.converse()).await.unwrap_or(End::Expired);
    call.note("end", &format!("{end:?}").to_lowercase());
    match end {
        End::Transferred => call.sleep(TRANSFERRED_MS_MAX).await,
        // The last thing heard was the apology.
        End::Failed => {}
        End::Finished | End::Silent | End::Expired => {
            agent.says(&settings.goodbye).await;
        }
    }
    Ok(())
}

patchbay_sdk::converse!(run);

struct Agent<'a> {
    call: &'a Call,
    settings: &'a Settings,
    voice: SayOptions,
    history: History,
    failures: u32,
    silences: usize,
}

impl<'a> Agent<'a> {
    fn new(call: &'a Call, settings: &'a Settings) -> Agent<'a> {
        let voice = SayOptions { voice: settings.voice.clone(), language: settings.language.clone() };
        let history = History::new(settings.instructions(call));
        Agent { call, settings, voice, history, failures: 0, silences: 0 }
    }

    /// Question and answer in turn, until there is nothing more to say.
    async fn converse(&mut self) -> End {
        if let Err(error) = self.listen() {
            self.apologise(&error).await;
            return End::Failed;
        }
        let mut question = self.settings.greeting(self.call);
        loop {
            let said = match self.call.gather(self.gather(question.take())).await {
                Answer::Speech(text) => text,
                Answer::Digits(digits) => format!("(The caller pressed these keys: {digits})"),
                Answer::Nothing => match self.settings.still_there.get(self.silences) {
                    Some(line) => {
                        self.silences += 1;
                        question = Some(line.into());
                        continue;
                    }
                    None => return End::Silent,
                },
                Answer::Failed(error) => match self.failed(&error).await {
                    Some(end) => return end,
                    None => continue,
                },
            };
            self.silences = 0;
            self.history.user(said);
            match self.reply().await {
                Ok(Reply::Said | Reply::Interrupted) => self.failures = 0,
                Ok(Reply::Over(end)) => return end,
                Err(error) => {
                    if let Some(end) = self.failed(&error).await {
                        return end;
                    }
                }
            }
            if !self.settings.can_be_interrupted() {
                self.call.forget_heard(|heard| !matches!(heard, Heard::Digit(_)));
            }
        }
    }

    /// The caller is heard from now on.
    fn listen(&self) -> Result<(), Error> {
        self.call.watch(self.settings.voice_rules())?;
        self.call.listen(&ListenOptions {
            language: self.settings.language.clone(),
            hint: self.settings.hint.clone(),
            end_of_turn_ms: self.settings.turn.end_ms,
            utterance_ms_max: 0,
        })
    }

    fn gather(&self, question: Option<Line>) -> Gather {
        let Settings { digits, turn, wait_ms, .. } = self.settings;
        Gather {
            question,
            voice: self.voice.clone(),
            digits_max: digits.max,
            terminator: digits.terminator,
            between_ms: digits.between_ms,
            speech: Some(turn.rules()),
            wait_ms: *wait_ms,
        }
    }

    /// Apologises; with an end if that has happened too often.
    async fn failed(&mut self, error: &Error) -> Option<End> {
        self.failures += 1;
        self.apologise(error).await;
        (self.failures == FAILURES_MAX).then_some(End::Failed)
    }

    async fn apologise(&self, error: &Error) {
        warn!("{}: {}", error.code, error.message);
        self.call.note("error", &error.code);
        if !self.says(&self.settings.apology).await {
            self.call.within(LINE_MS_MAX, self.call.say(APOLOGY)).await;
        }
    }

    /// Whether it was said, if only until the caller interrupted it.
    async fn says(&self, line: &str) -> bool {
        let saying = self.call.say_as(line, &self.voice);
        line.is_empty() || matches!(self.call.within(LINE_MS_MAX, saying).await, Some(Ok(_)))
    }
}

#[cfg(test)]
mod tests;
