//! The agent in virtual time: what the caller hears, and what the model is told.

use patchbay_sdk::conversation::{ChatRequest, Role, Talk};
use patchbay_sdk::outcome::{ChatEvent, ControlEvent, Progress};
use patchbay_sdk::testing::{Engine, FakeCall, Incoming, Request};
use patchbay_sdk::{Outcome, testing};

use super::*;

/// Long enough for the greeting and any short line.
const LINE_MS: u64 = 4_000;

fn incoming(configuration: &str) -> Incoming<Talk> {
    FakeCall::conversation(run, "agent").config_json(configuration)
}

/// A call whose greeting has been heard.
fn greeted(configuration: &str) -> FakeCall<Talk> {
    let mut call = incoming(configuration).connect();
    call.advance_ms(LINE_MS);
    assert_eq!(texts(&mut call), ["Hello. How can I help you?"]);
    call
}

/// What was spoken to its end since the last time.
fn texts(call: &mut FakeCall<Talk>) -> Vec<String> {
    call.take_spoken().into_iter().filter(|spoken| spoken.to_the_end).map(|spoken| spoken.text).collect()
}

/// The one question that the model was asked since the last time.
fn asked(call: &mut FakeCall<Talk>) -> (u64, ChatRequest) {
    let asked: Vec<_> = call
        .take_requests()
        .into_iter()
        .filter_map(|(id, request)| match request {
            Request::Ask(request) => Some((id, request)),
            _ => None,
        })
        .collect();
    let [one] = &asked[..] else { panic!("{asked:?}") };
    one.clone()
}

fn history(request: &ChatRequest) -> Vec<(Role, String)> {
    request.messages.iter().skip(1).map(|message| (message.role, message.content.clone())).collect()
}

fn of(role: Role, content: &str) -> (Role, String) {
    (role, content.to_owned())
}

fn uses(call: &mut FakeCall<Talk>, id: u64, name: &str, arguments: &str) {
    let (name, arguments) = (name.to_owned(), arguments.to_owned());
    let tool = patchbay_sdk::conversation::ToolCall { id: "1".to_owned(), name, arguments };
    call.comes_of(Outcome::Chat(id, ChatEvent::ToolCall(tool)));
    call.comes_of(Outcome::Chat(id, ChatEvent::Done("tool_calls".to_owned())));
}

#[test]
fn a_conversation_goes_to_and_fro_and_the_model_knows_all_of_it() {
    let mut call = greeted(r#"{"prompt":"You sell tea.","model":"m","temperature":0.5,"tokens_max":100}"#);
    call.says("Do you have green tea");
    let (id, request) = asked(&mut call);
    assert_eq!((&*request.model, request.temperature, request.tokens_max), ("m", Some(50), 100));
    assert!(request.messages[0].role == Role::System && request.messages[0].content.starts_with("You sell tea."));
    assert!(request.messages[0].content.contains("+15550100"), "who calls");
    assert_eq!(history(&request), [of(Role::User, "Do you have green tea")]);
    call.model_answers(id, &["Yes. We", " have", " two."]);
    call.advance_ms(LINE_MS);
    assert_eq!(texts(&mut call), ["Yes.", "We have two."]);
    call.says("Both");
    let (_, request) = asked(&mut call);
    let expected =
        [of(Role::User, "Do you have green tea"), of(Role::Assistant, "Yes. We have two."), of(Role::User, "Both")];
    assert_eq!(history(&request), expected);
}

#[test]
fn the_first_sentence_is_spoken_while_the_second_is_written() {
    let mut call = greeted("{}");
    call.says("Hi");
    let (id, _) = asked(&mut call);
    for piece in ["One moment.", " I"] {
        call.comes_of(Outcome::Chat(id, ChatEvent::Text(piece.to_owned())));
    }
    call.advance_ms(2_000);
    assert_eq!(texts(&mut call), ["One moment."]);
    call.model_answers(id, &[" look."]);
    call.advance_ms(2_000);
    assert_eq!(texts(&mut call), ["I look."]);
}

#[test]
fn a_caller_who_interrupts_is_listened_to_and_only_what_was_heard_is_history() {
    let mut call = greeted("{}");
    call.says("Tell me a story");
    let (id, _) = asked(&mut call);
    call.model_answers(id, &["Once. There was a king who had a daughter. They lived happily ever after."]);
    // 200 ms until it speaks, 300 ms for the first sentence, then 1.4 s into the second.
    call.advance_ms(200 + 300 + 1_400);
    call.says("Stop it");
    assert!(texts(&mut call).len() == 1);
    let (_, request) = asked(&mut call);
    let history = history(&request);
    assert_eq!(history.len(), 3, "{history:?}");
    let (role, heard) = &history[1];
    assert!(*role == Role::Assistant && heard.starts_with("Once. There was") && heard.ends_with('…'), "{heard}");
    assert!(!heard.contains("happily"));
    assert_eq!(history[2], of(Role::User, "Stop it"));
}

#[test]
fn a_caller_who_says_more_while_the_model_thinks_is_answered_to_both() {
    let mut call = greeted("{}");
    call.says("I want tea");
    let (id, _) = asked(&mut call);
    call.says("no, coffee");
    assert_eq!(call.cancelled(), [id]);
    let (_, request) = asked(&mut call);
    assert_eq!(history(&request), [of(Role::User, "I want tea"), of(Role::User, "no, coffee")]);
}

#[test]
fn without_barge_in_an_answer_is_said_to_its_end() {
    let mut call = greeted(r#"{"barge_in":"off"}"#);
    call.says("Hi");
    let (id, _) = asked(&mut call);
    call.model_answers(id, &["This is all there is to say about it."]);
    call.says("But");
    call.advance_ms(LINE_MS);
    assert_eq!(texts(&mut call), ["This is all there is to say about it."]);
    let asks = |(_, request): &(u64, Request)| matches!(request, Request::Ask(_));
    assert!(!call.take_requests().iter().any(asks), "what was said meanwhile counts as unheard");
}

#[test]
fn keys_are_an_answer_and_cut_off_what_is_said() {
    let mut call = incoming("{}").connect();
    call.advance_ms(500);
    call.press("42#");
    assert!(texts(&mut call).is_empty());
    let (id, request) = asked(&mut call);
    assert_eq!(history(&request), [of(Role::User, "(The caller pressed these keys: 42)")]);
    call.model_answers(id, &["Forty-two is the answer to everything that there is."]);
    call.advance_ms(500);
    call.press("7#");
    assert!(texts(&mut call).is_empty());
    assert_eq!(history(&asked(&mut call).1).last(), Some(&of(Role::User, "(The caller pressed these keys: 7)")));
}

#[test]
fn a_silent_caller_is_asked_then_told_goodbye() {
    let mut call = greeted(r#"{"still_there":["Hello?"],"wait_ms":2000}"#);
    call.advance_ms(10_000);
    assert_eq!(texts(&mut call), ["Hello?", "Goodbye."]);
    assert_eq!(call.ended().map(|hung_up| hung_up.by).as_deref(), Some("bot"));
    assert_eq!(call.note("end").as_deref(), Some("silent"));
}

#[test]
fn the_goodbye_is_heard_before_the_hangup() {
    let mut call = greeted(r#"{"goodbye":"Thank you and goodbye."}"#);
    call.says("That is all");
    let (id, _) = asked(&mut call);
    uses(&mut call, id, "end_call", "{}");
    call.advance_ms(1_000);
    assert!(call.is_up());
    call.advance_ms(1_000);
    assert_eq!(texts(&mut call), ["Thank you and goodbye."]);
    assert!(call.ended().is_some() && call.is_done());
}

const ORDERS: &str = r#"{"tools":[{
    "name":"order","description":"Looks up an order","method":"GET","url":"https://shop.example.com/orders/{number}",
    "headers":{"authorization":"Bearer {{secret:shop}}"},"say":"One moment.",
    "parameters":{"type":"object","properties":{"number":{"type":"string"}},"required":["number"]}
}]}"#;

#[test]
fn a_tool_is_called_and_the_model_told_what_came_of_it() {
    let mut call = greeted(ORDERS);
    call.says("Where is order A 1");
    let (id, request) = asked(&mut call);
    let names: Vec<_> = request.tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["order", "end_call"]);
    uses(&mut call, id, "order", r#"{"number":"A 1/../2"}"#);
    let requests = call.take_requests();
    let fetched = requests.iter().find_map(|(id, request)| match request {
        Request::Http(request) => Some((*id, request.clone())),
        _ => None,
    });
    let (id, request) = fetched.expect("a request");
    assert_eq!(request.url, "https://shop.example.com/orders/A%201%2F..%2F2");
    assert_eq!((&*request.headers[0].name, &*request.headers[0].value), ("authorization", "Bearer {{secret:shop}}"));
    call.server_answers(id, 200, "on its way");
    call.advance_ms(LINE_MS);
    assert_eq!(texts(&mut call), ["One moment."]);
    let (id, request) = asked(&mut call);
    assert_eq!(request.messages[2].tool_calls.len(), 1);
    assert_eq!(history(&request)[2], of(Role::Tool, "status 200\non its way"));
    call.model_answers(id, &["It is on its way."]);
    call.advance_ms(LINE_MS);
    assert_eq!(texts(&mut call), ["It is on its way."]);
}

#[test]
fn a_tool_that_fails_is_the_model_s_to_explain() {
    for (name, arguments, expected) in [
        ("order", "{}", "error: the argument number is missing"),
        ("order", "[1]", "error: the arguments must be one JSON object"),
        ("order", r#"{"number":".."}"#, "error: the argument number must not be"),
        ("sesame", "{}", "error: there is no such tool"),
        ("transfer_to_human", "{}", "error: the transfer failed: not-there"),
    ] {
        let mut call = greeted(ORDERS);
        call.says("Hi");
        let (id, _) = asked(&mut call);
        uses(&mut call, id, name, arguments);
        call.advance_ms(LINE_MS);
        let (_, request) = asked(&mut call);
        let told = history(&request).pop().expect("a result").1;
        assert!(told.starts_with(expected), "{name} {arguments}: {told}");
    }
}

#[test]
fn a_model_that_only_uses_tools_is_stopped() {
    let mut call = greeted(ORDERS);
    call.says("Hi");
    for _ in 0..8 {
        let (id, _) = asked(&mut call);
        uses(&mut call, id, "sesame", "{}");
    }
    call.advance_ms(LINE_MS);
    assert_eq!(texts(&mut call), ["I am sorry, something went wrong. Please say that again."]);
}

#[test]
fn the_caller_is_handed_to_a_human_and_stays_with_the_agent_if_that_fails() {
    let configuration = r#"{"transfer":{"target":"tel:+15550199","say":"I connect you."}}"#;
    for succeeds in [true, false] {
        let mut call = greeted(configuration);
        call.says("A human please");
        let (id, _) = asked(&mut call);
        uses(&mut call, id, "transfer_to_human", "{}");
        call.advance_ms(LINE_MS);
        assert_eq!(texts(&mut call), ["I connect you."]);
        let requests = call.take_requests();
        let transfer = requests.iter().find(|(_, request)| matches!(request, Request::Transfer { .. }));
        let (id, Request::Transfer { target, .. }) = transfer.expect("a transfer") else { panic!() };
        assert_eq!(target, "tel:+15550199");
        if succeeds {
            call.comes_of(Outcome::Control(*id, ControlEvent::Done));
            call.hang_up();
            assert_eq!(call.note("end").as_deref(), Some("transferred"));
            assert_eq!(texts(&mut call), [""; 0], "no goodbye");
        } else {
            let failed = Progress { status: 486, reason: "Busy Here".to_owned() };
            call.comes_of(Outcome::Control(*id, ControlEvent::Failed(failed)));
            let (_, request) = asked(&mut call);
            assert_eq!(history(&request)[2], of(Role::Tool, "error: the transfer failed: 486 Busy Here"));
        }
    }
}

#[test]
fn a_model_that_is_down_slow_or_empty_is_apologised_for() {
    type Failure = fn(&mut FakeCall<Talk>, u64);
    let failures: [Failure; 3] = [
        |call, id| call.model_fails(id, "unreachable"),
        |call, _| call.advance_ms(20_100),
        |call, id| call.model_answers(id, &["   "]),
    ];
    for fail in failures {
        let mut call = greeted("{}");
        for _ in 0..3 {
            assert!(call.is_up());
            call.says("Hi");
            let (id, _) = asked(&mut call);
            fail(&mut call, id);
            call.advance_ms(LINE_MS);
            assert_eq!(texts(&mut call), ["I am sorry, something went wrong. Please say that again."]);
        }
        call.advance_ms(100);
        assert!(call.ended().is_some(), "after three in a row it gives up");
        assert_eq!(call.note("end").as_deref(), Some("failed"));
    }
}

#[test]
fn without_an_engine_that_speaks_the_caller_hears_a_recording() {
    for engine in [Engine::Missing, Engine::Fails("unreachable"), Engine::Hangs] {
        let mut call = incoming("{}").engine(engine).connect();
        call.advance_ms(100_000);
        let heard = call.take_heard().prompts(&[("apology", APOLOGY)]);
        assert!(heard.contains(&"apology"), "{engine:?}: {heard:?}");
        call.advance_ms(300_000);
        assert!(call.ended().is_some(), "{engine:?}");
    }
}

#[test]
fn a_caller_who_is_not_understood_is_told_so() {
    let mut call = greeted("{}");
    call.begins_to_speak();
    call.understanding_fails("timed-out");
    call.advance_ms(LINE_MS);
    assert_eq!(texts(&mut call), ["I am sorry, something went wrong. Please say that again."]);
    assert!(call.is_up());
}

#[test]
fn a_call_has_an_end_however_long_the_caller_talks() {
    let mut call = incoming(r#"{"call_ms_max":5000,"greeting":""}"#).connect();
    for _ in 0..4 {
        call.says("and another thing");
    }
    call.advance_ms(LINE_MS);
    assert_eq!(texts(&mut call), ["Goodbye."]);
    assert_eq!(call.note("end").as_deref(), Some("expired"));
}

#[test]
fn a_wrong_configuration_refuses_the_call_and_names_the_setting() {
    for (configuration, name) in [
        (r#"{"promt":"x"}"#, "promt"),
        (r#"{"wait_ms":0}"#, "wait_ms"),
        (r#"{"temperature":3}"#, "temperature"),
        (r#"{"barge_in":{"after":10001}}"#, "barge_in"),
        (r#"{"tools":[{"name":"a b","url":"https://a/"}]}"#, "its name"),
        (r#"{"tools":[{"name":"end_call","url":"https://a/"}]}"#, "agent's own"),
        (r#"{"tools":[{"name":"a","url":"https://{x}/"}]}"#, "host"),
        (r#"{"tools":[{"name":"a","url":"https://a/{x}"}]}"#, "{x}"),
        (r#"{"tools":[{"name":"a","url":"https://a/","body":{"k":"{y}"}}]}"#, "{y}"),
        (r#"{"tools":[{"name":"a","url":"https://a/","method":"get"}]}"#, "method"),
        ("[", "configuration"),
    ] {
        let refusal = incoming(configuration).start().err().unwrap_or_else(|| panic!("{configuration} is taken"));
        assert!(refusal.status == 500 && refusal.reason.contains(name), "{configuration}: {}", refusal.reason);
    }
}

#[test]
fn a_long_call_forgets_its_beginning_but_not_who_it_is() {
    let mut history = history::History::new("system".to_owned());
    for number in 0..500 {
        history.user(format!("question {number}"));
        history.assistant("x".repeat(1_000));
    }
    let messages = history.messages();
    let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
    assert!(messages.len() <= 201 && bytes <= (128 << 10) + 6, "{} {bytes}", messages.len());
    assert_eq!(messages[0].content, "system");
    assert_eq!(messages[1].role, Role::User);
    assert_eq!(messages.last().map(|message| message.content.len()), Some(1_000));
}

#[test]
fn a_call_that_the_agent_asked_for_begins_with_what_it_is_about() {
    let configuration = r#"{"greeting":"Hello {name}, about your order {order}."}"#;
    let call = incoming(configuration).attribute("outbound", "matched");
    let call = call.attribute("context", r#"{"name":"Ada"}"#).attribute("context.name", "Ada");
    let mut call = call.connect();
    call.advance_ms(LINE_MS);
    assert_eq!(texts(&mut call), ["Hello Ada, about your order ."]);
    call.says("Yes");
    assert!(asked(&mut call).1.messages[0].content.contains(r#"{"name":"Ada"}"#));
    let mut call = incoming("{}").attribute("outbound", "unmatched").connect();
    call.says("Yes");
    assert!(asked(&mut call).1.messages[0].content.contains("was lost"));
}

#[test]
fn with_nobody_on_the_line_it_does_no_harm() {
    let mut call: FakeCall<Talk> = incoming("{}").engine(testing::Engine::Hangs).connect();
    call.press("1#");
    assert_eq!(call.save(), None);
    call.hang_up();
    assert!(call.is_done());
}
