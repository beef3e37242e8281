//! A language model. What the JSON in a request says is not read here.

use super::{refused, too_long};
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::{chat, types};
use crate::{ChatMessage, ChatRequest, ChatRole, ChatTool, ChatToolCall, Pair, Request};
use wasmtime::component::{HasSelf, Linker};

const MESSAGES_MAX: usize = 512;
const TOOLS_MAX: usize = 64;
/// All texts of a request.
const REQUEST_BYTES_MAX: usize = 256 << 10;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    chat::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl chat::Host for HostState {
    fn ask(&mut self, request: chat::Request) -> Result<u64, types::Error> {
        let chat::Request { model, messages, tools, tokens_max, temperature } = request;
        if messages.len() > MESSAGES_MAX || tools.len() > TOOLS_MAX {
            return Err(too_long("request", MESSAGES_MAX, &format!("messages and {TOOLS_MAX} tools")));
        }
        let messages: Vec<ChatMessage> = messages.into_iter().map(message).collect();
        let tools: Vec<ChatTool> = tools.into_iter().map(tool).collect();
        if messages.is_empty() {
            return Err(refused("bad-request", "there is nothing to answer: no message"));
        }
        if let Some(odd) = messages.iter().position(|message| !fits(message)) {
            let message =
                format!("message {odd}: only an assistant calls tools, and a tool says which call it answers");
            return Err(refused("bad-request", message));
        }
        if tools.iter().any(|tool| tool.name.is_empty()) {
            return Err(refused("bad-request", "a tool has no name"));
        }
        let request = ChatRequest { model, messages, tools, tokens_max, temperature };
        if request.bytes() > REQUEST_BYTES_MAX {
            return Err(too_long("request", REQUEST_BYTES_MAX, "bytes"));
        }
        self.begin(Request::Chat(request))
    }

    fn cancel(&mut self, id: u64) -> bool {
        self.port.cancel(Pair::Chat, id)
    }
}

fn fits(message: &ChatMessage) -> bool {
    let calls_none = message.tool_calls.is_empty();
    match message.role {
        ChatRole::Assistant => message.tool_call_id.is_empty(),
        ChatRole::Tool => calls_none && !message.tool_call_id.is_empty(),
        ChatRole::System | ChatRole::User => calls_none && message.tool_call_id.is_empty(),
    }
}

fn message(message: chat::Message) -> ChatMessage {
    let chat::Message { role, content, tool_calls, tool_call_id } = message;
    let role = match role {
        chat::Role::System => ChatRole::System,
        chat::Role::User => ChatRole::User,
        chat::Role::Assistant => ChatRole::Assistant,
        chat::Role::Tool => ChatRole::Tool,
    };
    let call = |chat::ToolCall { id, name, arguments }| ChatToolCall { id, name, arguments };
    ChatMessage { role, content, tool_calls: tool_calls.into_iter().map(call).collect(), tool_call_id }
}

fn tool(chat::Tool { name, description, parameters }: chat::Tool) -> ChatTool {
    ChatTool { name, description, parameters }
}
