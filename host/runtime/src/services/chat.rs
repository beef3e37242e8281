//! `chat`: a question to a language model, its answer handed on as it comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use call::CallId;
use futures_util::StreamExt;
use plugin::{ChatEvent, ChatMessage, ChatRequest, ChatRole, ChatTool, ChatToolCall, HostError, Outcome, Request};
use speech::{Ask, Chatted, Fault, LanguageModel, Message, Role, Tool, ToolCall};
use tokio::runtime::Handle;

use super::engines::Directory;
use super::task::Task;
use crate::bots::{Answers, Caller, Services};

pub struct Chat {
    engines: Arc<Directory>,
    runtime: Handle,
    /// The questions under way of each call; a call has few.
    asked: Mutex<HashMap<CallId, HashMap<u64, Task>>>,
}

impl Chat {
    pub fn new(engines: Arc<Directory>, runtime: Handle) -> Self {
        Self { engines, runtime, asked: Mutex::default() }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<CallId, HashMap<u64, Task>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine(&self, tenant: &str) -> Result<Arc<dyn LanguageModel>, HostError> {
        self.engines.of(tenant).converses.ok_or_else(|| no_engine(tenant, "chat"))
    }
}

/// `section`: where it would stand.
pub(super) fn no_engine(tenant: &str, section: &str) -> HostError {
    let message = format!("neither tenant `{tenant}` nor the host has an engine for it: add [{section}] with its url");
    HostError { code: "no-engine", message }
}

pub(super) fn host_error(Fault { code, message }: Fault) -> HostError {
    HostError { code: code.as_str(), message }
}

impl Services for Chat {
    fn check(&self, caller: &Caller, request: &Request) -> Result<(), HostError> {
        let Request::Chat(request) = request else { return Ok(()) };
        self.engine(caller.tenant())?;
        for tool in &request.tools {
            speech::check_parameters(&tool.name, &tool.parameters).map_err(host_error)?;
        }
        Ok(())
    }

    fn begin(&self, caller: &Caller, id: u64, request: Request) {
        let Request::Chat(request) = request else { return };
        let (engine, answers) = (self.engine(caller.tenant()), caller.answers().clone());
        let task = Task::start(&self.runtime, async move {
            match engine {
                Ok(engine) => hand_on(&*engine, ask(request), id, &answers).await,
                Err(error) => answers.give(id, Outcome::Chat(ChatEvent::Failed(error))).await,
            }
        });
        let mut asked = self.asked();
        let of_call = asked.entry(caller.call()).or_default();
        of_call.retain(|_, task| !task.is_over());
        of_call.insert(id, task);
    }

    fn cancel(&self, caller: &Caller, id: u64) {
        if let Some(of_call) = self.asked().get_mut(&caller.call()) {
            of_call.remove(&id);
        }
    }

    fn ended(&self, caller: &Caller) {
        self.asked().remove(&caller.call());
    }
}

async fn hand_on(engine: &dyn LanguageModel, ask: Ask, id: u64, answers: &Answers) {
    let mut answer = engine.ask(ask);
    while let Some(chatted) = answer.next().await {
        let event = match chatted {
            Ok(Chatted::Text(text)) => ChatEvent::Text(text),
            Ok(Chatted::ToolCall(ToolCall { id, name, arguments })) => {
                ChatEvent::ToolCall(ChatToolCall { id, name, arguments })
            }
            Ok(Chatted::Done(reason)) => ChatEvent::Done(reason),
            Err(fault) => ChatEvent::Failed(host_error(fault)),
        };
        answers.give(id, Outcome::Chat(event)).await;
    }
}

fn ask(request: ChatRequest) -> Ask {
    let ChatRequest { model, messages, tools, tokens_max, temperature } = request;
    let tool = |ChatTool { name, description, parameters }| Tool { name, description, parameters };
    Ask {
        model,
        messages: messages.into_iter().map(message).collect(),
        tools: tools.into_iter().map(tool).collect(),
        tokens_max,
        temperature,
    }
}

fn message(ChatMessage { role, content, tool_calls, tool_call_id }: ChatMessage) -> Message {
    let role = match role {
        ChatRole::System => Role::System,
        ChatRole::User => Role::User,
        ChatRole::Assistant => Role::Assistant,
        ChatRole::Tool => Role::Tool,
    };
    let call = |ChatToolCall { id, name, arguments }| ToolCall { id, name, arguments };
    Message { role, content, tool_calls: tool_calls.into_iter().map(call).collect(), tool_call_id }
}
