//! A language model: POST `/chat/completions`, its answer read as it is made.

mod assembly;
mod request;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde::Serialize;
use tokio::time::timeout;

use crate::answer::{Answer, Limits};
use crate::config::{bearer, joined};
use crate::sse::EventReader;
use crate::{ChatConfig, Code, Fault, Request, Wire};
use assembly::{Assembly, Came};
pub use request::check_parameters;

/// Of one answer, as it is on the wire: some hundred bytes for each token.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// For what comes after an answer's end, so that the connection can be used again.
const AFTER_END: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// One JSON object.
    pub arguments: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub content: String,
    /// Of an assistant.
    pub tool_calls: Vec<ToolCall>,
    /// Of a tool: which call it answers; else empty.
    pub tool_call_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub name: String,
    pub description: String,
    /// A JSON Schema of its arguments.
    pub parameters: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// Empty: the configuration's.
    pub model: String,
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    /// 0: the configuration's.
    pub tokens_max: u32,
    /// In hundredths; none: the configuration's.
    pub temperature: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chatted {
    /// A piece of the answer, not empty.
    Text(String),
    /// Whole.
    ToolCall(ToolCall),
    /// The end, with the endpoint's reason: `stop`, `length`, `tool_calls` ...
    Done(String),
}

pub trait LanguageModel: Send + Sync {
    /// Ends after `Done` or after a fault.
    fn ask(&self, ask: Ask) -> BoxStream<'static, Result<Chatted, Fault>>;
}

pub struct OpenAiChat {
    config: ChatConfig,
    wire: Arc<dyn Wire>,
}

impl OpenAiChat {
    pub fn new(config: ChatConfig, wire: Arc<dyn Wire>) -> OpenAiChat {
        OpenAiChat { config, wire }
    }

    fn limits(&self) -> Limits {
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        Limits { quiet: ms(self.config.quiet_ms_max), total: ms(self.config.total_ms_max) }
    }

    fn request(&self, ask: &Ask) -> Result<Request, Fault> {
        let mut headers =
            vec![("content-type", "application/json".to_owned()), ("accept", "text/event-stream".to_owned())];
        headers.extend(bearer(self.config.api_key.as_deref()));
        Ok(Request {
            url: joined(&self.config.url, "/chat/completions"),
            headers,
            body: request::body(&self.config, ask)?,
            timeout: self.limits().total,
            bytes_max: ANSWER_BYTES_MAX,
        })
    }
}

impl LanguageModel for OpenAiChat {
    fn ask(&self, ask: Ask) -> BoxStream<'static, Result<Chatted, Fault>> {
        let (wire, limits, request) = (self.wire.clone(), self.limits(), self.request(&ask));
        drop(ask);
        let begin = async move { Ok(Reading::new(Answer::to(&*wire, request?, limits).await?)) };
        let chatted = stream::once(begin).map(|begun| match begun {
            Ok(reading) => stream::try_unfold(reading, Reading::next).boxed(),
            Err(fault) => stream::once(async { Err(fault) }).boxed(),
        });
        chatted.flatten().boxed()
    }
}

struct Reading {
    answer: Answer,
    events: EventReader,
    assembly: Assembly,
    chatted: VecDeque<Chatted>,
    stage: Stage,
}

enum Stage {
    Reading,
    /// For this reason, which is not told yet.
    Ended(String),
    Over,
}

impl Reading {
    fn new(answer: Answer) -> Reading {
        let (events, assembly) = (EventReader::default(), Assembly::default());
        Reading { answer, events, assembly, chatted: VecDeque::new(), stage: Stage::Reading }
    }

    async fn next(mut self) -> Result<Option<(Chatted, Reading)>, Fault> {
        loop {
            if let Some(chatted) = self.chatted.pop_front() {
                return Ok(Some((chatted, self)));
            }
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Over => return Ok(None),
                Stage::Ended(reason) => {
                    let rest = async { while let Ok(Some(_)) = self.answer.next().await {} };
                    let _ = timeout(AFTER_END, rest).await;
                    return Ok(Some((Chatted::Done(reason), self)));
                }
                Stage::Reading => match self.answer.next().await? {
                    Some(bytes) => self.stage = self.read(&bytes)?,
                    None => return Err(self.answer.fault(Code::Protocol, "the answer broke off")),
                },
            }
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Stage, Fault> {
        let mut events = Vec::new();
        let pushed = self.events.push(bytes, &mut events);
        for event in &events {
            let came = self.assembly.read(event).map_err(|fault| self.answer.at(fault))?;
            if !matches!(came, Came::Nothing) {
                self.answer.has_progressed();
            }
            match came {
                Came::Text(text) => self.chatted.push_back(Chatted::Text(text)),
                Came::Nothing | Came::Part => {}
                Came::End { tool_calls, text, reason } => {
                    self.chatted.extend(text.map(Chatted::Text));
                    self.chatted.extend(tool_calls.into_iter().map(Chatted::ToolCall));
                    return Ok(Stage::Ended(reason));
                }
            }
        }
        pushed.map_err(|_| self.answer.fault(Code::TooLong, "an event that does not end"))?;
        Ok(Stage::Reading)
    }
}
