//! One answer of the model: asked for, spoken while it is written, its tools used, cut off when the caller interrupts.

use patchbay_sdk::conversation::{Call, ChatRequest, Either, Heard, Piece, Speaker, ToolCall, select};
use patchbay_sdk::sentences::Sentences;
use patchbay_sdk::{Error, info};

use crate::settings::Settings;
use crate::{Agent, End, tools};

/// How long the model may take for its next piece.
const PIECE_MS_MAX: u64 = 20_000;
/// How often in one turn the model may use tools before it must talk.
const ROUNDS_MAX: usize = 8;
const TOOL_CALLS_MAX: usize = 16;
/// How long the host may take to say what came of a transfer.
const TRANSFER_MS_MAX: u64 = 120_000;

/// What came of a turn of the agent's.
pub enum Reply {
    Said,
    Interrupted,
    Over(End),
}

impl Agent<'_> {
    /// Answers what the caller said last. What the caller has heard of it is history, even if it ends in an error.
    pub async fn reply(&mut self) -> Result<Reply, Error> {
        for _ in 0..ROUNDS_MAX {
            let mut speaker = Speaker::new(self.call, self.voice.clone());
            let mut wanted = Vec::new();
            let answer = answer(self.call, self.request(), &mut speaker, &mut wanted);
            let answered = select(answer, self.call.until_heard(|heard| interrupts(self.settings, heard))).await;
            let heard = speaker.stop();
            match answered {
                Either::First(Ok(())) if !speaker.was_cut_off() => {}
                Either::First(Err(error)) => {
                    self.history.assistant(heard);
                    return Err(error);
                }
                Either::First(Ok(())) | Either::Second(()) => {
                    self.history.assistant(if heard.is_empty() { heard } else { heard + " …" });
                    return Ok(Reply::Interrupted);
                }
            }
            if wanted.is_empty() {
                if heard.is_empty() {
                    return Err(error("empty", "the model had nothing to say"));
                }
                self.history.assistant(heard);
                return Ok(Reply::Said);
            }
            if let Some(end) = self.use_tools(heard, wanted).await {
                return Ok(Reply::Over(end));
            }
        }
        Err(error("too-many", "the model uses tools and says nothing"))
    }

    fn request(&self) -> ChatRequest {
        ChatRequest {
            model: self.settings.model.clone(),
            messages: self.history.messages(),
            tools: tools::offered(self.settings),
            tokens_max: self.settings.tokens_max,
            temperature: self.settings.temperature(),
        }
    }

    /// One after the other; with an end if one of them ended the conversation.
    async fn use_tools(&mut self, heard: String, wanted: Vec<ToolCall>) -> Option<End> {
        let mut results = Vec::new();
        for tool_call in wanted {
            info!("the model uses {}", tool_call.name);
            let result = match &*tool_call.name {
                tools::END => return Some(End::Finished),
                tools::TRANSFER => match self.transfer().await {
                    Ok(()) => return Some(End::Transferred),
                    Err(error) => format!("error: the transfer failed: {} {}", error.code, error.message),
                },
                _ => match tools::named(self.settings, &tool_call) {
                    Some(tool) => {
                        let saying = (!tool.say.is_empty()).then(|| self.call.say_as(&tool.say, &self.voice));
                        let result = tool.call(self.call, &tool_call.arguments).await;
                        if let Some(saying) = saying {
                            self.call.within(crate::LINE_MS_MAX, saying).await;
                        }
                        result
                    }
                    None => "error: there is no such tool".to_owned(),
                },
            };
            results.push((tool_call, result));
        }
        self.history.tools(heard, results);
        None
    }

    async fn transfer(&self) -> Result<(), Error> {
        let Some(transfer) = &self.settings.transfer else {
            return Err(error("not-there", "no human is configured"));
        };
        self.says(&transfer.say).await;
        let transferred = self.call.within(TRANSFER_MS_MAX, self.call.transfer(&transfer.target, &[])).await;
        transferred.unwrap_or_else(|| Err(error("timed-out", "nothing came of it")))
    }
}

/// Whether this is reason to stop talking. A word or two while the agent speaks is not, if the configuration asks for more.
pub fn interrupts(settings: &Settings, heard: &Heard) -> bool {
    match heard {
        Heard::Digit(_) => settings.digits.max > 0,
        Heard::BargedIn => true,
        Heard::Speech(text) => {
            settings.can_be_interrupted() && text.split_whitespace().count() >= settings.turn.words_min.max(1)
        }
        _ => false,
    }
}

/// Says the answer as it comes, and keeps the tools that the model wants to use. Over when all of it has been heard.
async fn answer(
    call: &Call,
    request: ChatRequest,
    speaker: &mut Speaker,
    wanted: &mut Vec<ToolCall>,
) -> Result<(), Error> {
    let mut sentences = Sentences::new();
    let mut asking = call.ask(&request);
    loop {
        let next = call.within(PIECE_MS_MAX, asking.next()).await;
        match next.ok_or_else(|| error("timed-out", "the model says nothing"))? {
            None => break,
            Some(Err(error)) => {
                // What it has begun to say is said to its end: better than half a sentence.
                speaker.finish().await?;
                return Err(error);
            }
            Some(Ok(Piece::Text(text))) => {
                for sentence in sentences.push(&text) {
                    speaker.say(sentence).await?;
                }
            }
            Some(Ok(Piece::ToolCall(tool_call))) if wanted.len() < TOOL_CALLS_MAX => wanted.push(tool_call),
            Some(Ok(Piece::ToolCall(tool_call))) => info!("{} is one tool too many", tool_call.name),
        }
    }
    if let Some(last) = sentences.finish() {
        speaker.say(last).await?;
    }
    speaker.finish().await
}

pub fn error(code: &str, message: &str) -> Error {
    Error { code: code.to_owned(), message: message.to_owned() }
}
