//! `chat` and `chat-handler`.

use super::HostError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatRole {
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatToolCall {
    pub id: String,
    pub name: String,
    /// One JSON object, if whoever made it kept to the rules.
    pub arguments: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    pub role: ChatRole,
    pub content: String,
    pub tool_calls: Vec<ChatToolCall>,
    /// Of a tool; else empty.
    pub tool_call_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatTool {
    pub name: String,
    pub description: String,
    /// A JSON Schema, unread so far.
    pub parameters: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatRequest {
    /// Empty: the configuration's.
    pub model: String,
    /// One at least.
    pub messages: Vec<ChatMessage>,
    pub tools: Vec<ChatTool>,
    /// 0: the endpoint's own.
    pub tokens_max: u32,
    /// In hundredths.
    pub temperature: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatEvent {
    Text(String),
    ToolCall(ChatToolCall),
    /// With the endpoint's reason.
    Done(String),
    Failed(HostError),
}

impl ChatToolCall {
    fn bytes(&self) -> usize {
        self.id.len() + self.name.len() + self.arguments.len()
    }
}

impl ChatRequest {
    /// Texts, and what stands around them.
    pub fn bytes(&self) -> usize {
        let message = |message: &ChatMessage| {
            let calls: usize = message.tool_calls.iter().map(|call| call.bytes() + size_of::<ChatToolCall>()).sum();
            message.content.len() + message.tool_call_id.len() + calls + size_of::<ChatMessage>()
        };
        let tool =
            |tool: &ChatTool| tool.name.len() + tool.description.len() + tool.parameters.len() + size_of::<ChatTool>();
        let messages: usize = self.messages.iter().map(message).sum();
        self.model.len() + messages + self.tools.iter().map(tool).sum::<usize>()
    }
}

impl ChatEvent {
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_))
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Done(text) => text.len(),
            Self::ToolCall(call) => call.bytes(),
            Self::Failed(error) => error.message.len(),
        }
    }
}
