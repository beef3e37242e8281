//! The client of language models against a server that behaves and one that does not.

use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt;
use serde_json::json;
use speech::{Ask, Chatted, Code, Fault, LanguageModel, Message, OpenAiChat, Role, Tool, ToolCall};
use tokio::time::timeout;

use crate::engines::Engines;

/// However busy the machine is.
const GENEROUS: Duration = Duration::from_secs(60);

async fn asked(engines: &Engines, model: &str, quiet_ms_max: u32, ask: Ask) -> Result<Vec<Result<Chatted, Fault>>> {
    let config = json!({ "url": engines.url(), "model": model, "quiet_ms_max": quiet_ms_max, "total_ms_max": 50_000 });
    let chat = OpenAiChat::new(serde_json::from_value(config)?, engines.wire()?);
    Ok(timeout(GENEROUS, chat.ask(ask).collect()).await?)
}

fn message(role: Role, content: &str) -> Message {
    Message { role, content: content.to_owned(), tool_calls: Vec::new(), tool_call_id: String::new() }
}

fn says(content: &str) -> Ask {
    Ask { messages: vec![message(Role::User, content)], ..Ask::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_with_a_tool_call_comes_in_pieces_to_its_end() -> Result<()> {
    let Some(engines) = Engines::start("conversation")? else { return Ok(()) };
    let tool = Tool {
        name: "weather".to_owned(),
        description: "The weather in a city".to_owned(),
        parameters: r#"{"type":"object","properties":{"city":{"type":"string"}}}"#.to_owned(),
    };
    let mut ask = Ask { tools: vec![tool], ..says("What is the weather?") };
    let call =
        ToolCall { id: "call_1".to_owned(), name: "weather".to_owned(), arguments: r#"{"city": "Pune"}"#.to_owned() };
    let chatted = asked(&engines, "ok", 50_000, ask.clone()).await?;
    assert_eq!(chatted, [Ok(Chatted::ToolCall(call.clone())), Ok(Chatted::Done("tool_calls".to_owned()))]);

    ask.messages.push(Message { tool_calls: vec![call], ..message(Role::Assistant, "") });
    ask.messages.push(Message { tool_call_id: "call_1".to_owned(), ..message(Role::Tool, "Sunny and warm.") });
    let chatted = asked(&engines, "slow", 50_000, ask).await?;
    let words = ["Sunny ", "and ", "warm. "].map(|word| Ok(Chatted::Text(word.to_owned())));
    assert_eq!(chatted[..3], words);
    assert_eq!(chatted[3..], [Ok(Chatted::Done("stop".to_owned()))]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_misbehaves_ends_in_a_fault_of_its_kind() -> Result<()> {
    let Some(engines) = Engines::start("misbehaving")? else { return Ok(()) };
    let cases = [
        ("rubbish", 50_000, Code::Protocol),
        ("broken", 50_000, Code::Protocol),
        ("endless", 50_000, Code::TooLong),
        ("hang", 2000, Code::TimedOut),
    ];
    for (model, quiet_ms_max, code) in cases {
        let mut chatted = asked(&engines, model, quiet_ms_max, says("Hello")).await?;
        let end = chatted.pop().expect("an end").expect_err(model);
        assert_eq!(end.code, code, "{model}: {end}");
    }
    let stranger = json!({ "url": format!("{}/nowhere", engines.url()), "model": "ok" });
    let chat = OpenAiChat::new(serde_json::from_value(stranger)?, engines.wire()?);
    let refused = timeout(GENEROUS, chat.ask(says("Hello")).next()).await?.expect("an end").expect_err("refused");
    assert_eq!(refused.code, Code::Engine);
    assert!(refused.message == "status 404" && refused.private.ends_with(": there is no such path"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_that_is_not_allowed_names_the_rule() -> Result<()> {
    let Some(engines) = Engines::start("denied")? else { return Ok(()) };
    let elsewhere = json!({ "url": "http://127.0.0.1:9/v1", "model": "ok" });
    let chat = OpenAiChat::new(serde_json::from_value(elsewhere)?, engines.wire()?);
    let denied = timeout(GENEROUS, chat.ask(says("Hello")).next()).await?.expect("an end").expect_err("denied");
    assert_eq!(denied.code, Code::Unreachable);
    assert!(denied.private.contains("egress-denied: the tenant's egress list does not allow"), "{denied}");
    Ok(())
}
