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

/// What a bot is told of an engine that failed. Where the engine is, and what it says, is for the operator: in the host's log.
pub(super) fn failed(fault: Fault, answers: &Answers) -> HostError {
    answers.tell_operator(&format!("an engine failed: {fault}"));
    host_error(fault)
}

fn host_error(Fault { code, message, .. }: Fault) -> HostError {
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
            Err(fault) => ChatEvent::Failed(failed(fault, answers)),
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

#[cfg(test)]
mod tests {
    use speech::Code;
    use tokio::sync::mpsc::UnboundedReceiver;
    use tokio::time::timeout;

    use super::*;
    use crate::bots::TestCall;
    use crate::services::engines::Engines;
    use crate::services::scripted::{Answering, GENEROUS, Model, next, nothing_comes, outcome};

    fn scene() -> (Chat, TestCall, UnboundedReceiver<Answering>) {
        let (model, asked) = Model::new();
        let engines = Engines { converses: Some(model), ..Engines::default() };
        (Chat::new(Directory::of_all(engines), Handle::current()), TestCall::new("acme", "{}"), asked)
    }

    fn question(parameters: &str) -> Request {
        let tool = ChatTool { name: "weather".into(), description: "Of a city".into(), parameters: parameters.into() };
        let call = || ChatToolCall { id: "1".into(), name: "weather".into(), arguments: "{}".into() };
        let message = |role, content: &str, tool_call_id: &str| ChatMessage {
            role,
            content: content.into(),
            tool_calls: (role == ChatRole::Assistant).then(call).into_iter().collect(),
            tool_call_id: tool_call_id.into(),
        };
        let messages = vec![
            message(ChatRole::System, "Be brief.", ""),
            message(ChatRole::User, "How is the weather?", ""),
            message(ChatRole::Assistant, "", ""),
            message(ChatRole::Tool, "Sunny.", "1"),
        ];
        let (model, tokens_max, temperature) = ("small".into(), 100, Some(20));
        Request::Chat(ChatRequest { model, messages, tools: vec![tool], tokens_max, temperature })
    }

    #[tokio::test]
    async fn a_question_reaches_the_model_and_its_answer_the_bot_in_pieces() {
        let (chat, mut call, mut asked) = scene();
        let id = call.begin(&chat, question("{}")).unwrap();
        let (ask, answer) = next(&mut asked).await;
        let roles: Vec<Role> = ask.messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool]);
        assert_eq!((ask.messages[2].tool_calls.len(), &*ask.messages[3].tool_call_id), (1, "1"));
        assert_eq!(
            (&*ask.model, ask.tokens_max, ask.temperature, &*ask.tools[0].name),
            ("small", 100, Some(20), "weather")
        );
        let tool = ToolCall { id: "2".into(), name: "weather".into(), arguments: "{}".into() };
        let pieces = [Chatted::Text("Well".into()), Chatted::ToolCall(tool), Chatted::Done("tool_calls".into())];
        pieces.into_iter().for_each(|piece| answer.send(Ok(piece)).unwrap());
        let tool = ChatToolCall { id: "2".into(), name: "weather".into(), arguments: "{}".into() };
        for event in [ChatEvent::Text("Well".into()), ChatEvent::ToolCall(tool), ChatEvent::Done("tool_calls".into())] {
            assert_eq!(outcome(&mut call).await, (id, Outcome::Chat(event)));
        }
    }

    /// What is logged on this thread while it lives.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_endpoint_that_fails_is_told_of_by_its_code_and_where_it_is_to_the_operator_alone() {
        let log = Log::default();
        let (writer, line) = (log.clone(), "engine failed: protocol: no event (http://10.0.0.7:8000/v1: rubbish)");
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _logged = tracing::subscriber::set_default(subscriber);
        let (chat, mut call, mut asked) = scene();
        let id = call.begin(&chat, question("")).unwrap();
        let (_, answer) = next(&mut asked).await;
        let private = "http://10.0.0.7:8000/v1: rubbish".to_owned();
        answer.send(Err(Fault { private, ..Fault::new(Code::Protocol, "no event") })).unwrap();
        let error = HostError { code: "protocol", message: "no event".into() };
        assert_eq!(outcome(&mut call).await, (id, Outcome::Chat(ChatEvent::Failed(error))));
        let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(logged.contains(line), "{logged}");
    }

    #[tokio::test]
    async fn a_question_that_is_cancelled_is_given_up_and_so_is_all_at_the_end_of_the_call() {
        let (chat, mut call, mut asked) = scene();
        let id = call.begin(&chat, question("")).unwrap();
        call.begin(&chat, question("")).unwrap();
        let ((_, first), (_, second)) = (next(&mut asked).await, next(&mut asked).await);
        assert!(call.cancel(&chat, plugin::Pair::Chat, id));
        timeout(GENEROUS, first.closed()).await.expect("given up");
        nothing_comes(&mut call).await;
        assert!(!second.is_closed(), "the other goes on");
        call.close(&chat);
        timeout(GENEROUS, second.closed()).await.expect("given up");
        assert!(chat.asked().is_empty());
    }

    #[tokio::test]
    async fn questions_that_are_answered_leave_nothing_behind() {
        let (chat, mut call, mut asked) = scene();
        for _ in 0..50 {
            call.begin(&chat, question("")).unwrap();
            let (_, answer) = next(&mut asked).await;
            answer.send(Ok(Chatted::Done("stop".into()))).unwrap();
            drop(answer);
            outcome(&mut call).await;
        }
        let kept: usize = chat.asked().values().map(HashMap::len).sum();
        assert!(kept < 10, "{kept}");
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_refused_at_once() {
        let (chat, call, _asked) = scene();
        let error = call.begin(&chat, question("[1]")).unwrap_err();
        assert!(error.code == "bad-request" && error.message.contains("weather"), "{error:?}");
        let chat = Chat::new(Directory::of_all(Engines::default()), Handle::current());
        let error = call.begin(&chat, question("{}")).unwrap_err();
        assert!(error.code == "no-engine" && error.message.contains("[chat]"), "{error:?}");
    }
}
