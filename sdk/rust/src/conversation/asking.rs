//! To ask a language model; its answer comes in pieces, as it is made.

use super::operation::{Operation, unexpected};
use super::{Call, ChatRequest, Message, Role, ToolCall};
use crate::outcome::ChatEvent;
use crate::{Error, Outcome, imports};

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Text(String),
    ToolCall(ToolCall),
}

/// An answer under way. Dropped, it is cancelled.
pub struct Asking(Result<Operation, Option<Error>>);

impl Asking {
    /// None: it is complete. After an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Piece, Error>> {
        let operation = match &mut self.0 {
            Ok(operation) => operation,
            Err(refused) => return refused.take().map(Err),
        };
        if operation.is_over() {
            return None;
        }
        let error = match operation.next_outcome().await {
            Outcome::Chat(_, ChatEvent::Text(text)) => return Some(Ok(Piece::Text(text))),
            Outcome::Chat(_, ChatEvent::ToolCall(call)) => return Some(Ok(Piece::ToolCall(call))),
            Outcome::Chat(_, ChatEvent::Done(_)) => None,
            Outcome::Chat(_, ChatEvent::Failed(error)) => Some(error),
            _ => Some(unexpected()),
        };
        operation.finish();
        error.map(Err)
    }
}

impl Call {
    /// Asks the model of the tenant's configuration.
    pub fn ask(&self, request: &ChatRequest) -> Asking {
        let begun = imports::chat_ask(request);
        Asking(begun.map(|id| Operation::new(self, id, imports::chat_cancel)).map_err(Some))
    }
}

impl Message {
    /// Of the system, the user or the assistant.
    pub fn new(role: Role, content: impl Into<String>) -> Message {
        Message { role, content: content.into(), tool_calls: Vec::new(), tool_call_id: String::new() }
    }

    /// What came of a tool call.
    pub fn of_tool(call: &ToolCall, content: impl Into<String>) -> Message {
        Message { tool_call_id: call.id.clone(), ..Message::new(Role::Tool, content) }
    }
}
