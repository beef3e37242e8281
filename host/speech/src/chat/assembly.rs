//! The answer put together from its deltas: text as it comes, tool calls whole.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::ToolCall;
use crate::answer::Said;
use crate::fault::one_line;
use crate::{Code, Fault};

const TEXT_BYTES_MAX: usize = 256 * 1024;
const CALLS_MAX: usize = 16;
const ARGUMENTS_BYTES_MAX: usize = 32 * 1024;
/// Of an id, a name or a reason.
const WORD_BYTES_MAX: usize = 256;

#[derive(Default)]
pub(super) struct Assembly {
    text_bytes: usize,
    calls: Vec<Part>,
}

struct Part {
    /// As the endpoint counts; not every one does.
    index: Option<u64>,
    call: ToolCall,
}

/// What an event brought.
pub(super) enum Came {
    Nothing,
    Text(String),
    /// Of a tool call.
    Part,
    End {
        text: Option<String>,
        tool_calls: Vec<ToolCall>,
        reason: String,
    },
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    error: Option<Said>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionDelta>,
}

#[derive(Default, Deserialize)]
struct FunctionDelta {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

impl Assembly {
    pub fn read(&mut self, event: &[u8]) -> Result<Came, Fault> {
        if event == b"[DONE]" {
            return Err(Fault::protocol("an answer that ends without a reason"));
        }
        let chunk: Chunk = serde_json::from_slice(event)
            .map_err(|error| Fault::protocol("no piece of an answer").privately(&error.to_string()))?;
        if let Some(said) = chunk.error {
            return Err(Fault::new(Code::Engine, "it says that it cannot").privately(&said.line()));
        }
        // One answer was asked for.
        let choices = chunk.choices.unwrap_or_default();
        let first = choices.into_iter().find(|choice| choice.index.unwrap_or(0) == 0);
        let Some(choice) = first else { return Ok(Came::Nothing) };
        let delta = choice.delta.unwrap_or_default();
        let text = delta.content.filter(|text| !text.is_empty());
        self.text_bytes += text.as_ref().map_or(0, String::len);
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err(Fault::new(Code::TooLong, format!("an answer of more than {TEXT_BYTES_MAX} bytes of text")));
        }
        let parts = delta.tool_calls.unwrap_or_default();
        let has_parts = !parts.is_empty();
        parts.into_iter().try_for_each(|part| self.part(part))?;
        match (choice.finish_reason.filter(|reason| !reason.is_empty()), text) {
            (Some(reason), text) => {
                let reason = word("reason", reason)?;
                Ok(Came::End { text, tool_calls: self.whole_calls()?, reason })
            }
            (None, Some(text)) => Ok(Came::Text(text)),
            (None, None) => Ok(if has_parts { Came::Part } else { Came::Nothing }),
        }
    }

    fn part(&mut self, delta: CallDelta) -> Result<(), Fault> {
        let id = delta.id.filter(|id| !id.is_empty());
        let known = match (delta.index, &id) {
            (Some(index), _) => self.calls.iter().position(|part| part.index == Some(index)),
            (None, Some(id)) => self.calls.iter().position(|part| part.call.id == *id),
            // The rest of the last.
            (None, None) => self.calls.len().checked_sub(1),
        };
        let at = match known {
            Some(at) => at,
            None if self.calls.len() >= CALLS_MAX => {
                return Err(Fault::new(Code::TooLong, format!("more than {CALLS_MAX} tool calls")));
            }
            None => {
                let call = ToolCall { id: String::new(), name: String::new(), arguments: String::new() };
                self.calls.push(Part { index: delta.index, call });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at].call;
        if let Some(id) = id {
            call.id = word("id of a tool call", id)?;
        }
        let function = delta.function.unwrap_or_default();
        call.name.push_str(&function.name.unwrap_or_default());
        call.arguments.push_str(&function.arguments.unwrap_or_default());
        if call.name.len() > WORD_BYTES_MAX || call.arguments.len() > ARGUMENTS_BYTES_MAX {
            return Err(Fault::new(Code::TooLong, "a tool call that does not end"));
        }
        Ok(())
    }

    /// Errors: one has no name, or its arguments are no JSON object.
    fn whole_calls(&mut self) -> Result<Vec<ToolCall>, Fault> {
        let mut calls: Vec<ToolCall> = std::mem::take(&mut self.calls).into_iter().map(|part| part.call).collect();
        for (at, call) in calls.iter_mut().enumerate() {
            if call.name.is_empty() {
                return Err(Fault::protocol("a tool call without a name"));
            }
            if call.arguments.trim().is_empty() {
                call.arguments = "{}".to_owned();
            }
            if call.id.is_empty() {
                // The answer of the tool must name one.
                call.id = format!("call-{at}");
            }
            let object = serde_json::from_str::<Map<String, Value>>(&call.arguments);
            object.map_err(|error| {
                let name = one_line(&call.name);
                Fault::protocol(format!("the arguments of a call of `{name}` are no JSON object: {error}"))
            })?;
        }
        Ok(calls)
    }
}

fn word(what: &str, word: String) -> Result<String, Fault> {
    match word.len() > WORD_BYTES_MAX {
        true => Err(Fault::new(Code::TooLong, format!("a {what} of more than {WORD_BYTES_MAX} bytes"))),
        false => Ok(word),
    }
}
