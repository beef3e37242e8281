use serde_json::{Value, json};

use super::*;
use crate::scripted::{Scripted, Step, all, ok};

fn config() -> ChatConfig {
    serde_json::from_value(json!({ "url": "http://engine/v1", "model": "small", "api_key": "openai" }))
        .expect("a config")
}

fn ask() -> Ask {
    let content = "Hello".to_owned();
    Ask {
        messages: vec![Message { role: Role::User, content, tool_calls: vec![], tool_call_id: String::new() }],
        ..Ask::default()
    }
}

fn event(delta: Value, reason: Option<&str>) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] }))
}

async fn answer(config: ChatConfig, steps: Vec<Step>) -> Vec<Result<Chatted, Fault>> {
    let (wire, _) = Scripted::new([steps]);
    all(OpenAiChat::new(config, wire).ask(ask())).await
}

/// The code that an answer ends with.
async fn fault(steps: Vec<Step>) -> Code {
    let config = ChatConfig { quiet_ms_max: 100, ..config() };
    answer(config, steps).await.pop().expect("an end").expect_err("a fault").code
}

#[tokio::test]
async fn text_comes_as_it_is_made_and_a_tool_call_whole() {
    let call = |part: Value| event(json!({ "tool_calls": [part] }), None);
    let events = [
        event(json!({ "role": "assistant", "content": "" }), None),
        event(json!({ "content": "One " }), None),
        event(json!({ "content": "moment." }), None),
        call(json!({ "index": 0, "id": "a", "function": { "name": "weather", "arguments": "" } })),
        call(json!({ "index": 1, "id": "b", "function": { "name": "hang_up", "arguments": "" } })),
        call(json!({ "index": 0, "function": { "arguments": "{\"city\":" } })),
        call(json!({ "index": 0, "function": { "arguments": "\"Pune\"}" } })),
        event(json!({}), Some("tool_calls")),
        "data: [DONE]\n\n".to_owned(),
    ];
    let tool = |id: &str, name: &str, arguments: &str| {
        Ok(Chatted::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }))
    };
    let expected = [
        Ok(Chatted::Text("One ".into())),
        Ok(Chatted::Text("moment.".into())),
        tool("a", "weather", r#"{"city":"Pune"}"#),
        tool("b", "hang_up", "{}"),
        Ok(Chatted::Done("tool_calls".into())),
    ];
    let whole = events.concat();
    assert_eq!(answer(config(), ok(whole.clone())).await, expected);
    let pieces = whole.bytes().map(|byte| Step::Body(vec![byte]));
    assert_eq!(answer(config(), [Step::Status(200)].into_iter().chain(pieces).collect()).await, expected);
}

#[tokio::test]
async fn tool_calls_of_an_endpoint_that_does_not_count_them_are_told_apart() {
    let events = [
        event(json!({ "tool_calls": [{ "id": "a", "function": { "name": "x", "arguments": "{" } }] }), None),
        event(json!({ "tool_calls": [{ "function": { "arguments": "}" } }] }), None),
        event(json!({ "tool_calls": [{ "id": "b", "function": { "name": "y", "arguments": "{}" } }] }), Some("stop")),
    ];
    let chatted = answer(config(), ok(events.concat())).await;
    let names: Vec<_> = chatted
        .iter()
        .filter_map(|c| if let Ok(Chatted::ToolCall(c)) = c { Some(&c.name[..]) } else { None })
        .collect();
    assert_eq!((names, chatted.len()), (vec!["x", "y"], 3));
}

#[tokio::test]
async fn the_request_says_what_was_asked_and_the_key_by_its_name_alone() {
    let (wire, _) = Scripted::new([ok(event(json!({ "content": "Yes" }), Some("stop")))]);
    let call = ToolCall { id: "a".into(), name: "weather".into(), arguments: "{}".into() };
    let message = |role, tool_calls: Vec<ToolCall>, id: &str| Message {
        role,
        content: "x".into(),
        tool_calls,
        tool_call_id: id.into(),
    };
    let asked = Ask {
        messages: vec![message(Role::Assistant, vec![call], ""), message(Role::Tool, vec![], "a")],
        tools: vec![Tool {
            name: "weather".into(),
            description: "of a city".into(),
            parameters: r#"{"type":"object"}"#.into(),
        }],
        tokens_max: 50,
        temperature: Some(30),
        ..Ask::default()
    };
    let config = ChatConfig { tokens_max_key: crate::TokensMaxKey::MaxCompletionTokens, ..config() };
    all(OpenAiChat::new(config, wire.clone()).ask(asked)).await;
    let request = wire.requests().remove(0);
    assert_eq!(request.url, "http://engine/v1/chat/completions");
    assert!(request.headers.contains(&("authorization", "Bearer {{secret:openai}}".to_owned())));
    let expected = json!({
        "model": "small", "stream": true, "temperature": 0.3, "max_completion_tokens": 50,
        "messages": [
            { "role": "assistant", "content": "x", "tool_calls": [{ "id": "a", "type": "function", "function": { "name": "weather", "arguments": "{}" } }] },
            { "role": "tool", "content": "x", "tool_call_id": "a" },
        ],
        "tools": [{ "type": "function", "function": { "name": "weather", "description": "of a city", "parameters": { "type": "object" } } }],
    });
    assert_eq!(serde_json::from_slice::<Value>(&request.body).expect("JSON"), expected);
}

#[tokio::test]
async fn what_is_no_request_is_refused_before_anything_is_sent() {
    let (wire, _) = Scripted::new([]);
    let chat = OpenAiChat::new(config(), wire.clone());
    let tool = |parameters: &str| Tool { name: "x".into(), description: String::new(), parameters: parameters.into() };
    let deep = "{\"a\":".repeat(1000);
    for parameters in ["[]", "{", "1", &deep] {
        let asked = Ask { tools: vec![tool(parameters)], ..ask() };
        assert_eq!(
            all(chat.ask(asked)).await[0].as_ref().expect_err("refused").code,
            Code::BadRequest,
            "{parameters:.9}"
        );
    }
    assert_eq!(all(chat.ask(Ask::default())).await[0].as_ref().expect_err("refused").code, Code::BadRequest);
    let mut long = ask();
    long.messages[0].content = "x".repeat(2_000_000);
    assert_eq!(all(chat.ask(long)).await[0].as_ref().expect_err("refused").code, Code::TooLong);
    assert_eq!(wire.requests(), []);
}

#[tokio::test]
async fn an_endpoint_that_is_down_or_hangs_or_breaks_off_is_a_fault() {
    let unreachable = Fault::new(Code::Unreachable, "refused");
    assert_eq!(fault(vec![Step::Fault(unreachable)]).await, Code::Unreachable);
    assert_eq!(fault(vec![]).await, Code::Protocol);
    assert_eq!(fault(vec![Step::Hang]).await, Code::TimedOut);
    assert_eq!(fault(vec![Step::Status(200), Step::Hang]).await, Code::TimedOut);
    let begun = event(json!({ "content": "One" }), None);
    assert_eq!(fault(ok(begun.clone())).await, Code::Protocol);
    assert_eq!(fault([ok(begun), vec![Step::Hang]].concat()).await, Code::TimedOut);
}

#[tokio::test]
async fn pings_without_a_word_do_not_put_the_deadline_off() {
    assert_eq!(fault(vec![Step::Status(200), Step::Trickle(b": ping\n\n".to_vec())]).await, Code::TimedOut);
}

#[tokio::test]
async fn an_answer_that_drips_for_ever_ends_at_its_total_time() {
    let drip = event(json!({ "content": "x" }), None).into_bytes();
    let config = ChatConfig { total_ms_max: 500, ..config() };
    let end = answer(config, vec![Step::Status(200), Step::Trickle(drip)]).await.pop().expect("an end");
    let end = end.expect_err("a fault");
    assert_eq!(end.code, Code::TimedOut);
    assert_eq!(end.message, "not done within 500 ms");
}

#[tokio::test]
async fn rubbish_is_a_fault() {
    let said = |data: &str| ok(format!("data: {data}\n\n"));
    let deep = format!("{{\"choices\":{}", "[".repeat(100_000));
    for rubbish in ["<html>", "[]", "7", "{\"choices\":7}", "[DONE]", &deep, "\u{0}"] {
        assert_eq!(fault(said(rubbish)).await, Code::Protocol, "{rubbish:.20}");
    }
    let call = |name: &str, arguments: &str| {
        ok(event(
            json!({ "tool_calls": [{ "index": 0, "function": { "name": name, "arguments": arguments } }] }),
            Some("tool_calls"),
        ))
    };
    for (name, arguments) in [("x", "[]"), ("x", "{"), ("", "{}"), ("x", "\"\"")] {
        assert_eq!(fault(call(name, arguments)).await, Code::Protocol);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_wherever_it_grows() {
    let endless = |data: String| vec![Step::Status(200), Step::Endless(data.into_bytes())];
    let text = event(json!({ "content": "x".repeat(1000) }), None);
    let chatted = answer(config(), endless(text)).await;
    assert_eq!(chatted.last().expect("an end").as_ref().expect_err("cut").code, Code::TooLong);
    assert_eq!(chatted.len(), 256 * 1024 / 1000 + 1);
    let call = |index: u64| {
        event(
            json!({ "tool_calls": [{ "index": index, "id": "a", "function": { "name": "n", "arguments": "x" } }] }),
            None,
        )
    };
    let many: String = (0..17).map(call).collect();
    assert_eq!(fault(ok(many)).await, Code::TooLong);
    for endless_step in [call(0), "data: x".into(), "x".repeat(999), event(json!({ "reasoning": "x" }), None)] {
        let config = config();
        let end = answer(config, endless(endless_step)).await.pop().expect("an end");
        assert_eq!(end.expect_err("cut").code, Code::TooLong);
    }
}

#[tokio::test]
async fn what_the_endpoint_says_of_its_failure_is_for_the_operator_and_nothing_of_the_key_for_anybody() {
    let refused = |status: u16, body: &str| vec![Step::Status(status), Step::Body(body.into())];
    let place = "http://engine/v1/chat/completions";
    let overloaded = ok("data: {\"error\":\"overloaded\"}\n\n");
    let rubbish = ok("data: {\"choices\":\"http://engine\"}\n\n");
    let endless = vec![Step::Status(500), Step::Endless(vec![b'x'; 1000])];
    let long = json!({ "error": { "message": "x".repeat(1000) } }).to_string();
    let denied = Fault::new(Code::Unreachable, "no egress rule allows the engine").privately("engine:80 is not listed");
    for (steps, message, private) in [
        (refused(429, r#"{"error":{"message":"Quota\nexceeded"}}"#), "status 429", ": Quotaexceeded"),
        (refused(401, r#"{"error":{"message":"Incorrect key sk-abc"}}"#), "status 401: it does not take the key", ""),
        (refused(500, "<html>"), "status 500", ""),
        (endless, "status 500", ""),
        (refused(400, &long), "status 400", ": x"),
        (overloaded, "it says that it cannot", ": overloaded"),
        (rubbish, "no piece of an answer", ": invalid type: string \"http://engine\""),
        (vec![Step::Fault(denied)], "no egress rule allows the engine", ": engine:80 is not listed"),
    ] {
        let fault = answer(config(), steps).await.remove(0).expect_err("refused");
        assert_eq!(fault.message, message);
        let expected = format!("{place}{private}");
        assert!(fault.private.starts_with(&expected) && fault.private.len() <= place.len() + 2 + 200, "{fault}");
        assert_eq!(fault.to_string(), format!("{}: {message} ({})", fault.code.as_str(), fault.private));
    }
}

#[tokio::test]
async fn an_endpoint_that_keeps_the_connection_open_after_its_reason_does_not_delay_the_end() {
    let config = ChatConfig { quiet_ms_max: 600_000, total_ms_max: 600_000, ..config() };
    let steps = [ok(event(json!({ "content": "Bye" }), Some("stop"))), vec![Step::Hang]].concat();
    assert_eq!(answer(config, steps).await.last(), Some(&Ok(Chatted::Done("stop".into()))));
}
