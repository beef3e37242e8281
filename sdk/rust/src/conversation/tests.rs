//! Conversations as short as the point they make.

use std::future::pending;

use super::*;
use crate::outcome::{ChatEvent, ControlEvent, HttpEvent, Progress, SpeechEvent, StoreEvent, WebsocketEvent};
use crate::testing::{Engine, FakeCall, Request, Sent, Spoken};
use crate::{Error, Outcome, Refusal, StartReason, tone};

fn listen_options() -> ListenOptions {
    ListenOptions { language: String::new(), hint: String::new(), end_of_turn_ms: 0, utterance_ms_max: 0 }
}

fn rules() -> Rules {
    Rules { strictness: 1, start_ms: 60, hang_over_ms: 500, barge_in: BargeIn::ClearAfter(0) }
}

fn spoken(text: &str, to_the_end: bool) -> Spoken {
    Spoken { text: text.to_owned(), to_the_end }
}

fn error(code: &str) -> Error {
    Error { code: code.to_owned(), message: "down".to_owned() }
}

fn only_request(call: &mut FakeCall<Talk>) -> (u64, Request) {
    let mut requests = call.take_requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.remove(0)
}

async fn greets(call: Call) {
    let said = call.say("Hello there").await;
    call.note("said", &format!("{said:?}"));
    let said = call.say(crate::Sound::from(tone(400.0, 200))).await;
    call.note("played", &format!("{said:?}"));
}

#[test]
fn what_is_said_is_waited_for_and_the_call_ends_when_the_function_returns() {
    let mut call = FakeCall::conversation(greets, "1").connect();
    call.advance_ms(600);
    assert_eq!(call.note("said"), None, "still speaking");
    call.advance_ms(1_000);
    assert_eq!(call.take_spoken(), [spoken("Hello there", true)]);
    assert_eq!(call.note("said").as_deref(), Some("Ok(Whole)"));
    assert_eq!(call.note("played").as_deref(), Some("Ok(Whole)"));
    assert_eq!(call.ended().map(|hung_up| hung_up.by).as_deref(), Some("bot"));
    assert!(call.is_done());
}

#[test]
fn what_the_caller_cuts_off_is_over() {
    async fn run(call: Call) {
        assert_eq!(call.watch(rules()), Ok(()));
        let said = [call.say("This takes a good while").await, call.say(crate::Sound::from(tone(400.0, 2_000))).await];
        call.note("said", &format!("{said:?}"));
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    for _ in 0..2 {
        call.advance_ms(700);
        call.begins_to_speak();
    }
    call.advance_ms(40);
    assert_eq!(call.note("said").as_deref(), Some("[Ok(CutOff), Ok(CutOff)]"));
    assert_eq!(call.take_spoken(), [spoken("This takes a good while", false)]);
}

#[test]
fn an_engine_that_fails_or_is_not_there_is_an_error() {
    for (engine, code) in [(Engine::Fails("unreachable"), "unreachable"), (Engine::Missing, "no-engine")] {
        async fn run(call: Call) {
            call.answered().await;
            let code = call.say("Hello").await.map_err(|error| error.code);
            call.note("said", &format!("{code:?}"));
            pending::<()>().await;
        }
        let mut call = FakeCall::conversation(run, "1").engine(engine).connect();
        call.advance_ms(40);
        assert_eq!(call.note("said"), Some(format!("Err({code:?})")));
    }
}

#[test]
fn a_future_that_is_dropped_cancels_its_operation() {
    async fn run(call: Call) {
        let late = call.within(1_000, call.fetch(Fetch::get("https://example.com"))).await;
        call.note("late", &format!("{}", late.is_none()));
        assert!(call.within(500, call.say("This is never said to its end")).await.is_none());
        assert_eq!(call.within(500, call.sleep(100)).await, Some(()));
        pending::<()>().await;
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    let (id, _) = only_request(&mut call);
    call.advance_ms(1_040);
    assert_eq!(call.cancelled(), [id]);
    call.server_answers(id, 200, "too late");
    call.advance_ms(1_000);
    assert_eq!(call.take_spoken(), [spoken("This is never said to its end", false)]);
    assert_eq!(call.queued_ms(), 0);
    assert_eq!(call.note("late").as_deref(), Some("true"));
}

#[test]
fn a_line_that_is_dropped_takes_what_plays_with_it_and_leaves_what_has_not_begun() {
    async fn run(call: Call) {
        let line = call.say("This takes a good while");
        call.sleep(400).await;
        let sound = call.say(crate::Sound::from(tone(400.0, 200)));
        let next = call.say("Next");
        drop(line);
        call.note("said", &format!("{:?} {:?}", sound.await, next.await));
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    call.advance_ms(2_000);
    assert_eq!(call.note("said").as_deref(), Some("Ok(CutOff) Ok(Whole)"));
    assert_eq!(call.take_spoken(), [spoken("This takes a good while", false), spoken("Next", true)]);
}

#[test]
fn a_refusal_before_the_first_wait_refuses_the_call() {
    async fn run(call: Call) -> Result<(), Refusal> {
        if call.configuration() == "{}" {
            return Err(Refusal::new(503, "no configuration"));
        }
        call.ring();
        call.sleep(500).await;
        call.answer();
        call.answered().await;
        call.say("Late").await.map_err(|error| Refusal::new(500, error.code))?;
        Ok(())
    }
    let refusal = FakeCall::conversation(run, "1").start().err().expect("a refusal");
    assert_eq!((refusal.status, refusal.reason.as_str()), (503, "no configuration"));
    let mut call = FakeCall::conversation(run, "1").config_json("[]").connect();
    call.advance_ms(480);
    assert!(call.is_ringing());
    call.advance_ms(1_000);
    assert_eq!(call.take_spoken(), [spoken("Late", true)]);
    assert!(call.ended().is_some());
}

#[test]
fn a_conversation_does_not_go_on_in_another_instance() {
    for reason in [StartReason::Moved(Vec::new()), StartReason::Restarted(Vec::new())] {
        assert!(FakeCall::conversation(greets, "1").reason(reason).start().is_err());
    }
    assert_eq!(FakeCall::conversation(greets, "1").connect().save(), None);
}

#[test]
fn a_hangup_drops_the_function_where_it_waits() {
    let mut call = FakeCall::conversation(greets, "1").connect();
    call.advance_ms(300);
    call.hang_up();
    assert!(call.is_done());
    assert_eq!(call.note("said"), None);
}

#[test]
fn what_is_to_be_finished_after_the_hangup_is() {
    async fn run(call: Call) {
        assert_eq!(call.until_hangup(call.next()).await, None);
        let report = Fetch::post("https://example.com/report", "over").timeout_ms(2_000);
        assert!(call.fetch(report).await.is_ok_and(|response| response.status == 204));
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    call.advance_ms(100);
    call.hang_up();
    assert!(!call.is_done());
    let (id, request) = only_request(&mut call);
    assert!(matches!(request, Request::Http(request) if request.method == "POST" && request.body == b"over"));
    call.server_answers(id, 204, "");
    assert!(call.is_done());
}

#[test]
fn a_response_is_fetched_whole_and_a_failure_is_an_error() {
    async fn run(call: Call) {
        for _ in 0..2 {
            let fetched = call.fetch(Fetch::get("https://example.com/").header("accept", "text/plain")).await;
            let fetched = fetched.map(|response| (response.status, response.text()));
            crate::info!("{:?}", fetched.map_err(|error| error.code));
        }
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    let (id, _) = only_request(&mut call);
    call.server_answers(id, 200, "well");
    let (id, _) = only_request(&mut call);
    call.comes_of(Outcome::Http(id, HttpEvent::Failed(error("egress-denied"))));
    let lines: Vec<String> = call.logs().into_iter().map(|line| line.message).collect();
    assert_eq!(lines, ["Ok((200, \"well\"))", "Err(\"egress-denied\")"]);
}

#[test]
fn a_model_s_answer_comes_in_pieces() {
    async fn run(call: Call) {
        let messages = vec![Message::new(Role::User, "Hi")];
        let request =
            ChatRequest { model: String::new(), messages, tools: Vec::new(), tokens_max: 0, temperature: None };
        let mut asking = call.ask(&request);
        while let Some(piece) = asking.next().await {
            crate::info!("{piece:?}");
        }
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    let (id, _) = only_request(&mut call);
    let tool = ToolCall { id: "1".to_owned(), name: "lookup".to_owned(), arguments: "{}".to_owned() };
    call.comes_of(Outcome::Chat(id, ChatEvent::Text("Good".to_owned())));
    call.comes_of(Outcome::Chat(id, ChatEvent::ToolCall(tool.clone())));
    assert_eq!(call.ended(), None);
    call.comes_of(Outcome::Chat(id, ChatEvent::Done("stop".to_owned())));
    let lines: Vec<String> = call.logs().into_iter().map(|line| line.message).collect();
    assert_eq!(
        lines,
        [
            format!("{:?}", Ok::<_, Error>(Piece::Text("Good".to_owned()))),
            format!("{:?}", Ok::<_, Error>(Piece::ToolCall(tool)))
        ]
    );
    assert!(call.ended().is_some());
}

#[test]
fn a_transfer_that_fails_leaves_the_call_with_the_bot() {
    async fn run(call: Call) {
        let result = call.transfer("tel:+15550123", &[]).await;
        call.note("transfer", &format!("{:?}", result.map_err(|error| error.code)));
        call.note("bad", &format!("{:?}", call.transfer("mailto:a", &[]).await.map_err(|error| error.code)));
        pending::<()>().await;
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    let (id, _) = only_request(&mut call);
    let progress = |status, reason: &str| Progress { status, reason: reason.to_owned() };
    call.comes_of(Outcome::Control(id, ControlEvent::Progress(progress(180, "Ringing"))));
    call.comes_of(Outcome::Control(id, ControlEvent::Failed(progress(486, "Busy Here"))));
    assert_eq!(call.note("transfer").as_deref(), Some("Err(\"486\")"));
    assert_eq!(call.note("bad").as_deref(), Some("Err(\"bad-uri\")"));
    assert!(call.is_up());
}

#[test]
fn keys_and_values_and_a_websocket() {
    async fn run(call: Call) {
        assert_eq!(call.stored("name").await, Ok(Some(b"Ada".to_vec())));
        assert_eq!(call.put("", b"x", 0).await.map_err(|error| error.code), Err("bad-key".to_owned()));
        let Ok(mut socket) = call.open("wss://example.com", &[], &[]).await else { panic!("refused") };
        assert_eq!(socket.send_text("hi"), Ok(()));
        assert_eq!(socket.next().await, Some(Ok(SocketSaid::Text("ho".to_owned()))));
        drop(socket);
        pending::<()>().await;
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    let (id, _) = only_request(&mut call);
    call.comes_of(Outcome::Store(id, StoreEvent::Value(Some(b"Ada".to_vec()))));
    let (id, _) = only_request(&mut call);
    call.comes_of(Outcome::WebSocket(id, WebsocketEvent::Opened(String::new())));
    call.comes_of(Outcome::WebSocket(id, WebsocketEvent::Text("ho".to_owned())));
    assert_eq!(call.take_sent(), [(id, Sent::Text("hi".to_owned())), (id, Sent::Close(1001, String::new()))]);
}

/// Asks once, by these rules, and notes the answer.
async fn asks(call: Call, gather: Gather) {
    assert_eq!((call.listen(&listen_options()), call.watch(rules())), (Ok(()), Ok(())));
    let answer = call.gather(gather).await;
    call.note("answer", &format!("{answer:?}"));
    call.note("at", &call.now_ms().to_string());
    pending::<()>().await;
}

fn pin() -> Gather {
    let question = Some("Your PIN, please".into());
    Gather { question, digits_max: 4, terminator: Some('#'), between_ms: 2_000, ..Gather::default() }
}

fn two_words() -> Gather {
    Gather { speech: Some(Turn { silence_ms: 500, ms_max: 8_000, words_min: 2 }), ..Gather::default() }
}

fn asked(run: fn() -> Gather) -> FakeCall<Talk> {
    FakeCall::conversation(move |call| asks(call, run()), "1").connect()
}

#[test]
fn digits_and_speech_are_gathered_in_one() {
    // Keys or words, then ms to wait, then what came of it.
    let cases: [(&str, &str, u64, Option<&str>); 7] = [
        ("1234", "", 0, Some("Digits(\"1234\")")),
        ("12#", "", 0, Some("Digits(\"12\")")),
        ("12", "", 1_800, None),
        ("12", "", 2_000, Some("Digits(\"12\")")),
        ("", "I forgot it", 0, Some("Speech(\"I forgot it\")")),
        ("", "", 1_160 + 5_900, None),
        ("", "", 1_160 + 6_100, Some("Nothing")),
    ];
    for (keys, words, wait_ms, expected) in cases {
        let mut call = asked(pin);
        call.press(keys);
        if !words.is_empty() {
            call.says(words);
        }
        call.advance_ms(wait_ms);
        assert_eq!(call.note("answer").as_deref(), expected, "{keys:?} {words:?} {wait_ms}");
        let whole = keys.is_empty() && words.is_empty();
        assert_eq!(call.take_spoken(), [spoken("Your PIN, please", whole)], "{keys:?} {words:?}");
    }
}

#[test]
fn keys_pressed_before_the_question_count() {
    async fn run(call: Call) {
        call.sleep(1_000).await;
        asks(call, pin()).await;
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    call.press("1234");
    call.advance_ms(1_000);
    assert_eq!(call.note("answer").as_deref(), Some("Digits(\"1234\")"));
}

#[test]
fn a_turn_goes_on_until_enough_was_said_and_it_is_quiet() {
    let mut call = asked(two_words);
    call.says("My");
    call.advance_ms(1_000);
    assert_eq!(call.note("answer"), None, "one word is not enough");
    call.says("name is");
    call.advance_ms(300);
    assert_eq!(call.note("answer"), None, "there may be more");
    call.says("Ada");
    call.advance_ms(520);
    assert_eq!(call.note("answer").as_deref(), Some("Speech(\"My name is Ada\")"));
}

#[test]
fn a_turn_has_an_end_however_long_the_caller_speaks() {
    let mut call = asked(two_words);
    for _ in 0..20 {
        call.says("and so on");
    }
    let at_ms: u64 = call.note("at").expect("an answer").parse().expect("a time");
    assert!((8_000..8_200).contains(&at_ms), "{at_ms}");
}

#[test]
fn noise_that_is_no_speech_does_not_prolong_the_wait() {
    let mut call = asked(two_words);
    for _ in 0..5 {
        call.says("");
    }
    call.advance_ms(1_500);
    assert_eq!(call.note("answer").as_deref(), Some("Nothing"));
}

#[test]
fn who_is_not_understood_is_known() {
    let mut call = asked(two_words);
    call.understanding_fails("timed-out");
    assert!(call.note("answer").is_some_and(|answer| answer.contains("timed-out")));
}

#[test]
fn what_was_heard_of_an_answer_is_known_when_it_is_cut_off() {
    async fn run(call: Call) {
        assert_eq!(call.watch(rules()), Ok(()));
        let mut speaker = Speaker::new(&call, SayOptions { voice: String::new(), language: String::new() });
        for sentence in ["First of all.", "Then there is a second sentence.", "Never heard."] {
            assert_eq!(speaker.say(sentence.to_owned()).await, Ok(()));
        }
        let _ = select(speaker.finish(), call.until_heard(|heard| *heard == Heard::BargedIn)).await;
        let heard = speaker.stop();
        call.note("heard", &format!("{heard} {}", speaker.was_cut_off()));
        pending::<()>().await;
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    // 200 ms until it speaks, 13 characters of 60 ms each, then a second into the next.
    call.advance_ms(200 + 780 + 1_000);
    call.begins_to_speak();
    call.advance_ms(40);
    assert_eq!(call.note("heard").as_deref(), Some("First of all. Then there is true"));
    assert_eq!(call.take_spoken().len(), 3);
}

#[test]
fn a_speaker_says_whatever_there_is_to_say_in_order() {
    async fn run(call: Call) {
        let mut speaker = Speaker::new(&call, SayOptions { voice: String::new(), language: String::new() });
        for number in 0..50 {
            assert_eq!(speaker.say(format!("Line {number}.")).await, Ok(()));
        }
        assert_eq!(speaker.finish().await, Ok(()));
        assert!(!speaker.was_cut_off() && speaker.stop().ends_with("Line 48. Line 49."));
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    call.advance_ms(50_000);
    let spoken = call.take_spoken();
    assert!(spoken.len() == 50 && spoken.iter().all(|spoken| spoken.to_the_end), "{spoken:?}");
    assert!(call.ended().is_some());
}

#[test]
fn what_nobody_takes_is_forgotten_from_its_beginning() {
    async fn run(call: Call) {
        call.until_heard(|heard| *heard == Heard::Digit('#')).await;
        assert!(matches!(call.next().await, Heard::Digit('2')), "256 are kept");
        call.forget_heard(|heard| *heard == Heard::Digit('2'));
        assert_eq!(call.next().await, Heard::Digit('#'));
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    call.press(&format!("1{}#", "2".repeat(256)));
    assert!(call.ended().is_some());
}

#[test]
fn an_event_of_a_transcript_that_may_change_is_told_as_such() {
    async fn run(call: Call) {
        assert_eq!(call.listen(&listen_options()), Ok(()));
        assert_eq!(call.next().await, Heard::Partial("hel".to_owned()));
    }
    let mut call = FakeCall::conversation(run, "1").connect();
    let (id, _) = only_request(&mut call);
    let transcript = crate::outcome::Transcript {
        text: "hel".to_owned(),
        final_: false,
        from_sample: 0,
        to_sample: 80,
        engine_ms: 1,
    };
    call.comes_of(Outcome::Speech(id, SpeechEvent::Transcript(transcript)));
    assert!(call.ended().is_some());
}
