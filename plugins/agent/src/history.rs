//! What was said, as the model is told it. Of the agent's own words only what the caller has heard.

use patchbay_sdk::conversation::{Message, Role, ToolCall};

/// Far below what `chat.ask` takes. The oldest is forgotten first, whole turns at a time.
const MESSAGES_MAX: usize = 200;
const BYTES_MAX: usize = 128 << 10;
const MESSAGE_BYTES_MAX: usize = 16 << 10;

pub struct History {
    system: Message,
    messages: Vec<Message>,
}

impl History {
    pub fn new(system: String) -> History {
        History { system: Message::new(Role::System, cut(system)), messages: Vec::new() }
    }

    pub fn user(&mut self, text: String) {
        self.push(Message::new(Role::User, cut(text)));
    }

    /// What was heard of an answer.
    pub fn assistant(&mut self, heard: String) {
        if !heard.is_empty() {
            self.push(Message::new(Role::Assistant, cut(heard)));
        }
    }

    /// The answer that asked for these tools, and what came of each.
    pub fn tools(&mut self, heard: String, results: Vec<(ToolCall, String)>) {
        let tool_calls = results.iter().map(|(call, _)| call.clone()).collect();
        self.push(Message { tool_calls, ..Message::new(Role::Assistant, cut(heard)) });
        for (call, result) in results {
            self.push(Message::of_tool(&call, cut(result)));
        }
    }

    pub fn messages(&self) -> Vec<Message> {
        [std::slice::from_ref(&self.system), &self.messages].concat()
    }

    fn push(&mut self, message: Message) {
        self.messages.push(message);
        while self.messages.len() > MESSAGES_MAX || self.bytes() > BYTES_MAX {
            let second = self.messages.iter().skip(1).position(|message| message.role == Role::User);
            // Of one turn alone nothing can be left out: a tool's result needs its call.
            let Some(turn) = second else { break };
            self.messages.drain(..=turn);
        }
    }

    fn bytes(&self) -> usize {
        let of = |message: &Message| {
            message.content.len() + message.tool_calls.iter().map(|call| call.arguments.len()).sum::<usize>()
        };
        self.messages.iter().map(of).sum()
    }
}

/// So much of it that the model gets the gist.
fn cut(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES_MAX {
        let end = (0..=MESSAGE_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
