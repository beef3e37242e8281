//! What is under way outside of a call: its bounds, its end, and what becomes of it when the bot changes.

use plugin::{
    BargeIn, ControlEvent, ControlRequest, Header, HttpEvent, HttpRequest, Outcome, Pair, Pieces, Request, SpeechEvent,
    SpeechRequest, StoreEvent, StoreRequest, VoiceRules, WebSocketEvent, WebSocketRequest,
};

use super::outside::{OPERATIONS_MAX, OUTCOME_BYTES_MAX, OUTCOMES_MAX, UNSENT_BYTES_MAX, UTTERANCES_MAX};
use super::since::DELIVERED_BYTES_MAX;
use super::tests::Scene;
use super::*;

fn get() -> Request {
    Request::Store(StoreRequest::Get { key: "k".into() })
}

fn http(bytes: usize) -> Request {
    let (method, url, body) = ("POST".into(), "https://x".into(), vec![0; bytes]);
    Request::Http(HttpRequest { method, url, headers: Vec::new(), body, timeout_ms: 0, pieces: Pieces::Chunks })
}

fn say() -> Request {
    Request::Speech(SpeechRequest::Say { text: "a".into(), voice: String::new(), language: String::new() })
}

fn listen() -> Request {
    let (language, hint) = (String::new(), String::new());
    Request::Speech(SpeechRequest::Listen { language, hint, end_of_turn_ms: 0, utterance_ms_max: 30_000 })
}

fn open() -> Request {
    let (url, headers, subprotocols) = ("wss://x".into(), Vec::new(), Vec::new());
    Request::WebSocket(WebSocketRequest::Open { url, headers, subprotocols })
}

fn stored() -> Outcome {
    Outcome::Store(StoreEvent::Stored)
}

fn body(bytes: usize) -> Outcome {
    Outcome::Http(HttpEvent::Body(vec![1; bytes]))
}

fn of(id: u64, outcome: Outcome) -> Event {
    Event::Outcome { id, outcome: Box::new(outcome) }
}

fn played(id: u64, to_the_end: bool) -> Event {
    of(id, Outcome::Speech(SpeechEvent::UtterancePlayed { to_the_end }))
}

fn code<T: std::fmt::Debug>(result: Result<T, HostError>) -> &'static str {
    result.unwrap_err().code
}

impl Scene {
    fn begin(&mut self, request: Request) -> u64 {
        self.operations.begin(request).unwrap()
    }

    /// What leaves at the end of the turn: `+` is begun, `-` is cancelled.
    fn leaves(&mut self) -> Vec<(char, u64)> {
        let tasks = std::iter::from_fn(|| self.operations.next_task());
        tasks
            .map(|task| match task {
                Task::Begin { id, .. } => ('+', id),
                Task::Cancel { id } => ('-', id),
            })
            .collect()
    }

    fn answer(&mut self, id: u64, outcome: Outcome) -> Result<(), Full> {
        self.operations.deliver(id, outcome)
    }
}

#[test]
fn an_operation_leaves_at_the_end_of_the_turn_and_its_last_outcome_ends_it() {
    let mut scene = Scene::new();
    let id = scene.begin(http(3));
    assert_eq!(scene.leaves(), [('+', id)]);
    let outcomes = [Outcome::Http(HttpEvent::Head { status: 200, headers: Vec::new() }), body(2)];
    let end = Outcome::Http(HttpEvent::Done);
    outcomes.iter().for_each(|outcome| scene.answer(id, outcome.clone()).unwrap());
    scene.answer(id, end.clone()).unwrap();
    scene.answer(id, body(1)).unwrap();
    let [head, piece] = outcomes;
    assert_eq!(scene.events(), [of(id, head), of(id, piece), of(id, end)], "nothing follows the end");
    assert!(!scene.operations.cancel(Pair::Http, id), "it is over");
}

#[test]
fn an_outcome_of_nobody_s_or_of_another_pair_is_dropped() {
    let mut scene = Scene::new();
    assert_eq!(scene.answer(1, stored()), Ok(()));
    let id = scene.begin(http(0));
    assert_eq!(scene.answer(id, stored()), Ok(()));
    assert_eq!(scene.answer(id + 1, body(1)), Ok(()));
    assert_eq!(scene.events(), []);
}

#[test]
fn a_cancelled_operation_is_not_heard_of_any_more() {
    let mut scene = Scene::new();
    let id = scene.begin(http(0));
    scene.leaves();
    scene.answer(id, body(1)).unwrap();
    assert!(!scene.operations.cancel(Pair::Chat, id), "it is no question");
    assert!(scene.operations.cancel(Pair::Http, id));
    assert!(!scene.operations.cancel(Pair::Http, id));
    assert_eq!(scene.leaves(), [('-', id)]);
    scene.answer(id, body(1)).unwrap();
    assert_eq!(scene.events(), []);
    let early = scene.begin(http(0));
    assert!(scene.operations.cancel(Pair::Http, early));
    assert_eq!(scene.leaves(), [], "of what had not left nobody hears");
}

#[test]
fn sixteen_operations_thirty_two_utterances_and_one_of_each_control_are_under_way() {
    let mut scene = Scene::new();
    let ids: Vec<u64> = (0..OPERATIONS_MAX).map(|_| scene.begin(get())).collect();
    assert_eq!(code(scene.operations.begin(http(0))), "too-many");
    let utterances: Vec<u64> = (0..UTTERANCES_MAX).map(|_| scene.begin(say())).collect();
    assert_eq!(utterances.len(), UTTERANCES_MAX);
    assert_eq!(code(scene.operations.begin(say())), "too-many");
    let transfer = || ControlRequest::Transfer { target: "tel:1".into(), headers: Vec::new() };
    scene.begin(Request::Control(transfer()));
    scene.begin(Request::Control(ControlRequest::Hold));
    for request in [transfer(), ControlRequest::Hold, ControlRequest::Resume] {
        assert_eq!(code(scene.operations.begin(Request::Control(request))), "too-many");
    }
    scene.begin(listen());
    scene.answer(ids[3], stored()).unwrap();
    scene.begin(http(0));
    assert_eq!(code(scene.operations.begin(get())), "too-many");
}

#[test]
fn what_requests_under_way_hold_is_bounded() {
    let mut scene = Scene::new();
    let held: Vec<u64> = (0..3).map(|_| scene.begin(http(1 << 20))).collect();
    assert_eq!(held.len(), 3);
    assert_eq!(code(scene.operations.begin(http(1 << 20))), "too-many");
    scene.begin(http(1000));
}

#[test]
fn a_websocket_keeps_one_mib_unsent_and_takes_more_once_some_has_left() {
    let mut scene = Scene::new();
    let id = scene.begin(open());
    let message = |bytes: usize| WebSocketRequest::Binary(vec![0; bytes]);
    scene.operations.proceed(id, message(UNSENT_BYTES_MAX)).unwrap();
    assert_eq!(code(scene.operations.proceed(id, message(1))), "too-many");
    scene.operations.sent(id, UNSENT_BYTES_MAX);
    let empty = (0..).take_while(|_| scene.operations.proceed(id, message(0)).is_ok()).count();
    assert!((1000..100_000).contains(&empty), "empty messages count too: {empty}");
    assert_eq!(code(scene.operations.proceed(id + 1, message(1))), "unknown");
    scene.answer(id, Outcome::WebSocket(WebSocketEvent::Closed { code: 1000, reason: String::new() })).unwrap();
    assert_eq!(code(scene.operations.proceed(id, message(1))), "unknown");
}

#[test]
fn sixty_four_outcomes_or_two_mib_wait_and_more_comes_when_the_bot_has_taken_some() {
    let mut scene = Scene::new();
    let id = scene.begin(http(0));
    (0..OUTCOMES_MAX).for_each(|_| scene.answer(id, body(1)).unwrap());
    assert_eq!(scene.answer(id, body(2)), Err(Full(body(2))));
    assert!(scene.operations.next_event().is_some());
    assert_eq!(scene.answer(id, body(2)), Ok(()));
    assert_eq!(scene.events().len(), OUTCOMES_MAX);
    scene.answer(id, body(OUTCOME_BYTES_MAX)).unwrap();
    assert_eq!(scene.answer(id, body(1)), Err(Full(body(1))));
    scene.events();
    assert_eq!(scene.answer(id, body(1)), Ok(()));
}

#[test]
fn signalling_is_told_its_end_however_much_waits() {
    let mut scene = Scene::new();
    let (id, hold) = (scene.begin(http(0)), scene.begin(Request::Control(ControlRequest::Hold)));
    assert_eq!(scene.acts(), [BotAct::Hold { id: hold }]);
    (0..OUTCOMES_MAX).for_each(|_| scene.answer(id, body(1)).unwrap());
    let progress = ControlEvent::Progress { status: 180, reason: String::new() };
    assert_eq!(scene.answer(hold, Outcome::Control(progress)), Ok(()));
    assert_eq!(scene.answer(hold, Outcome::Control(ControlEvent::Done)), Ok(()));
    let events = scene.events();
    assert_eq!(
        (events.len(), events.last()),
        (OUTCOMES_MAX + 1, Some(&of(hold, Outcome::Control(ControlEvent::Done))))
    );
}

#[test]
fn an_utterance_is_over_when_its_sound_has_left() {
    let mut scene = Scene::new();
    let id = scene.begin(say());
    assert_eq!(scene.operations.play(id, &[1; 320]).unwrap().accepted, 320);
    scene.operations.spoken(id).unwrap();
    assert_eq!(scene.operations.play(id, &[1; 1]), Err(Over), "it has said that this was all");
    assert_eq!(scene.tick(), []);
    assert_eq!(scene.tick(), [played(id, true)]);
    assert_eq!(scene.operations.spoken(id), Err(Over));
}

#[test]
fn a_clear_ends_every_utterance_asked_for_before_it_and_none_after() {
    let mut scene = Scene::new();
    let (sounding, waiting) = (scene.begin(say()), scene.begin(say()));
    scene.operations.play(sounding, &[1; 320]).unwrap();
    scene.leaves();
    let clear = scene.operations.playout_clear();
    let after = scene.begin(say());
    assert_eq!(scene.leaves(), [('-', sounding), ('-', waiting), ('+', after)]);
    assert_eq!(scene.operations.play(sounding, &[1; 160]), Err(Over));
    let told = scene.tick();
    assert_eq!(told[..2], [played(sounding, false), played(waiting, false)]);
    assert!(matches!(&told[2..], [Event::Cleared { id, .. }] if *id == clear), "{told:?}");
    assert!(scene.operations.play(after, &[1; 160]).is_ok());
}

#[test]
fn a_stopped_utterance_takes_the_waiting_sound_with_it_and_leaves_those_that_have_not_begun() {
    let mut scene = Scene::new();
    let (sounding, waiting) = (scene.begin(say()), scene.begin(say()));
    scene.operations.play(sounding, &[1; 320]).unwrap();
    assert!(scene.operations.cancel(Pair::Speech, sounding));
    assert!(!scene.operations.cancel(Pair::Speech, sounding));
    assert_eq!(scene.operations.next_event(), Some(played(sounding, false)));
    assert_eq!(scene.depart(), 0);
    assert!(scene.operations.play(waiting, &[1; 160]).is_ok());
    assert!(scene.operations.cancel(Pair::Speech, waiting));
}

#[test]
fn a_stop_is_told_by_its_utterance_and_a_cleared_follows_only_for_marks_that_went_with_it() {
    for marks in [0, 1] {
        let mut scene = Scene::new();
        let id = scene.begin(say());
        scene.operations.play(id, &[1; 320]).unwrap();
        for _ in 0..marks {
            scene.operations.playout_mark("unheard").unwrap();
        }
        scene.depart();
        assert!(scene.operations.cancel(Pair::Speech, id));
        let kept = scene.operations.playout_mark("kept").unwrap();
        let mut told = scene.tick();
        assert_eq!(told.remove(0), played(id, false));
        assert_eq!(told.pop(), Some(Event::Mark { id: kept, name: "kept".into() }));
        let dropped: Vec<(u32, Vec<String>)> = told
            .into_iter()
            .map(|event| match event {
                Event::Cleared { id: unknown, played_ms, dropped_marks } if unknown != id => (played_ms, dropped_marks),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(dropped, vec![(20, vec!["unheard".to_owned()]); marks]);
    }
}

#[test]
fn a_stop_and_a_clear_before_one_packet_are_the_clear_with_all_that_was_heard() {
    for stop_comes_first in [true, false] {
        let mut scene = Scene::new();
        let id = scene.begin(say());
        scene.operations.play(id, &[1; 320]).unwrap();
        scene.operations.playout_mark("unheard").unwrap();
        scene.depart();
        if stop_comes_first {
            assert!(scene.operations.cancel(Pair::Speech, id));
        }
        let clear = scene.operations.playout_clear();
        if !stop_comes_first {
            let late = scene.begin(say());
            scene.operations.play(late, &[1; 160]).unwrap();
            assert!(scene.operations.cancel(Pair::Speech, late));
        }
        let told = scene.tick();
        let cleared: Vec<&Event> = told.iter().filter(|event| matches!(event, Event::Cleared { .. })).collect();
        let dropped_marks = vec!["unheard".to_owned()];
        assert_eq!(cleared, [&Event::Cleared { id: clear, played_ms: 20, dropped_marks }]);
    }
}

#[test]
fn another_listen_takes_the_place_of_the_one_before() {
    let mut scene = Scene::new();
    let first = scene.begin(listen());
    scene.leaves();
    let second = scene.begin(listen());
    assert_eq!(scene.leaves(), [('-', first), ('+', second)]);
    let failed = HostError { code: "timed-out", message: String::new() };
    scene.answer(second, Outcome::Speech(SpeechEvent::Failed(failed))).unwrap();
    assert!(scene.operations.cancel(Pair::Speech, second), "a failure does not end it");
}

#[test]
fn an_aborted_trial_begins_and_stops_nothing() {
    let mut scene = Scene::new();
    let (old, socket, heard) = (scene.begin(get()), scene.begin(open()), scene.begin(listen()));
    scene.leaves();
    scene.operations.begin_trial();
    scene.begin(http(0));
    scene.begin(listen());
    assert!(scene.operations.cancel(Pair::Store, old));
    scene.operations.proceed(socket, WebSocketRequest::Binary(vec![0; UNSENT_BYTES_MAX])).unwrap();
    scene.operations.watch_voice(Some(RULES)).unwrap();
    assert_eq!(scene.leaves(), [], "held");
    scene.operations.abort_trial();
    assert_eq!(scene.leaves(), []);
    scene.answer(old, stored()).unwrap();
    assert_eq!(scene.events(), [of(old, stored())]);
    scene.operations.proceed(socket, WebSocketRequest::Binary(vec![0; UNSENT_BYTES_MAX])).unwrap();
    assert!(scene.operations.cancel(Pair::Speech, heard));
    assert_eq!(scene.operations.voice.rules, None);
}

const RULES: VoiceRules = VoiceRules { strictness: 1, start_ms: 60, hang_over_ms: 500, barge_in: BargeIn::Off };

#[test]
fn a_committed_trial_begins_and_stops_what_it_asked_for() {
    let mut scene = Scene::new();
    let (old, heard) = (scene.begin(get()), scene.begin(listen()));
    scene.leaves();
    scene.operations.begin_trial();
    assert!(scene.operations.cancel(Pair::Store, old));
    assert!(!scene.operations.cancel(Pair::Store, old));
    let (new, dropped) = (scene.begin(http(0)), scene.begin(get()));
    assert!(scene.operations.cancel(Pair::Store, dropped));
    let hears = scene.begin(listen());
    scene.operations.watch_voice(Some(RULES)).unwrap();
    scene.operations.commit_trial(2);
    assert_eq!(scene.leaves(), [('+', new), ('+', hears), ('-', old), ('-', heard)]);
    assert_eq!(scene.operations.take_change().map(|change| change.rules), Some(Some(RULES)));
    assert_eq!(scene.operations.take_change().map(|change| change.rules), None);
    scene.answer(old, stored()).unwrap();
    assert_eq!(scene.events(), []);
}

#[test]
fn going_back_cancels_what_was_begun_since_and_delivers_the_rest_again() {
    let mut scene = Scene::new();
    let (old, spoken, cancelled) = (scene.begin(http(0)), scene.begin(say()), scene.begin(http(0)));
    scene.operations.watch_voice(Some(RULES)).unwrap();
    scene.operations.note_save();
    let (new, late) = (scene.begin(http(0)), scene.begin(get()));
    scene.operations.watch_voice(None).unwrap();
    assert!(scene.operations.cancel(Pair::Http, cancelled));
    scene.leaves();
    [old, new].into_iter().for_each(|id| scene.answer(id, body(1)).unwrap());
    assert_eq!(scene.events().len(), 2);
    scene.answer(late, stored()).unwrap();
    assert!(scene.operations.go_back(Queue::Cleared));
    assert_eq!(scene.leaves(), [('-', new), ('-', spoken)], "{late} was over");
    assert_eq!(scene.events(), [of(old, body(1)), played(spoken, false)]);
    assert_eq!(scene.operations.voice.rules, Some(RULES));
    [new, cancelled].into_iter().for_each(|id| scene.answer(id, body(1)).unwrap());
    scene.answer(old, body(2)).unwrap();
    assert_eq!(scene.events(), [of(old, body(2))]);
}

#[test]
fn outcomes_that_are_delivered_again_count_among_those_that_wait() {
    let mut scene = Scene::new();
    let id = scene.begin(http(0));
    scene.operations.note_save();
    (0..OUTCOMES_MAX).for_each(|_| scene.answer(id, body(1)).unwrap());
    assert_eq!(scene.events().len(), OUTCOMES_MAX);
    assert!(scene.operations.go_back(Queue::Kept));
    assert!(scene.answer(id, body(1)).is_err());
    assert_eq!(scene.events().len(), OUTCOMES_MAX);
    assert!(scene.answer(id, body(1)).is_ok());
}

#[test]
fn a_save_is_of_no_use_once_more_than_two_mib_of_events_have_followed_it() {
    let mut scene = Scene::new();
    let id = scene.begin(http(0));
    for (bytes, use_of_it) in [(DELIVERED_BYTES_MAX / 2, true), (DELIVERED_BYTES_MAX + 1, false)] {
        scene.operations.note_save();
        scene.answer(id, body(bytes)).unwrap();
        scene.events();
        assert_eq!(scene.operations.go_back(Queue::Kept), use_of_it, "{bytes}");
        scene.events();
    }
}

#[test]
fn after_the_hangup_a_request_may_begin_and_nothing_is_said_and_after_done_none() {
    let mut scene = Scene::new();
    let (id, spoken) = (scene.begin(http(0)), scene.begin(say()));
    scene.operations.play(spoken, &[1; 1600]).unwrap();
    scene.operations.push(Event::Hangup { by: "caller".into(), cause: "bye".into() }).unwrap();
    assert_eq!(scene.operations.play(spoken, &[1; 160]), Err(Over));
    let events = scene.events();
    assert!(matches!(&events[..], [told, Event::Hangup { .. }] if *told == played(spoken, false)), "{events:?}");
    scene.answer(id, Outcome::Http(HttpEvent::Done)).unwrap();
    assert_eq!(scene.events().len(), 1);
    let report = scene.begin(http(0));
    assert_eq!(code(scene.operations.begin(say())), "call-ended");
    assert_eq!(code(scene.operations.begin(Request::Control(ControlRequest::Hold))), "call-ended");
    assert_eq!(code(scene.operations.watch_voice(Some(RULES))), "call-ended");
    scene.operations.done();
    assert_eq!(code(scene.operations.begin(get())), "call-ended");
    scene.answer(report, body(1)).unwrap();
    assert_eq!(scene.events(), []);
}

#[test]
fn an_abandoned_bot_cancels_all_and_a_closed_call_knows_of_nothing() {
    let mut scene = Scene::new();
    let (id, spoken) = (scene.begin(http(0)), scene.begin(say()));
    scene.leaves();
    scene.answer(id, body(1)).unwrap();
    scene.operations.abandon();
    assert_eq!(scene.leaves(), [('-', id), ('-', spoken)]);
    let id = scene.begin(http(0));
    scene.operations.close();
    assert_eq!((scene.answer(id, body(1)), scene.leaves(), scene.events()), (Ok(()), vec![], vec![]));
}

#[test]
fn a_turn_is_quiet_while_an_operation_is_under_way_and_not_while_an_utterance_ends() {
    let mut scene = Scene::new();
    let (operations, now) = (std::mem::replace(&mut scene.operations, Scene::new().operations), scene.now);
    let affairs = Affairs::new(operations);
    let begin = |request| affairs.lock().begin(request).unwrap();
    let id = begin(say());
    assert!(affairs.rest().quiet.is_none(), "it has not left");
    while affairs.look().next_task().is_some() {}
    assert!(affairs.rest().quiet.is_some());
    affairs.lock().play(id, &[1; 160]).unwrap();
    affairs.lock().spoken(id).unwrap();
    assert!(affairs.rest().quiet.is_none(), "its end comes of itself");
    scene.depart();
    assert_eq!(affairs.advance(now).next_event(), Some(played(id, true)));
    assert!(affairs.rest().quiet.is_some());
}

#[test]
fn headers_replace_those_before_them_and_are_too_late_once_answered() {
    let mut scene = Scene::new();
    let headers = |value: &str| vec![Header { name: "X-A".into(), value: value.into() }];
    let said = |value: &str| vec![("X-A".to_owned(), value.to_owned())];
    for value in ["1", "2"] {
        scene.operations.answer_headers(headers(value)).unwrap();
        scene.operations.bye_headers(headers(value)).unwrap();
    }
    assert_eq!(scene.acts(), [BotAct::AnswerHeaders(said("2")), BotAct::ByeHeaders(said("2"))]);
    scene.operations.answer();
    assert_eq!(code(scene.operations.answer_headers(headers("3"))), "too-late");
    scene.operations.push(Event::Hangup { by: "caller".into(), cause: "bye".into() }).unwrap();
    assert_eq!(code(scene.operations.bye_headers(headers("3"))), "too-late");
}

#[test]
fn a_hangup_with_a_cause_waits_for_the_playout_if_it_is_to() {
    let mut scene = Scene::new();
    scene.write(1);
    scene.operations.hangup_with(486, "busy", true);
    assert_eq!(scene.acts(), []);
    scene.tick();
    assert_eq!(scene.acts(), [BotAct::HangupWith { status: 486, reason: "busy".into() }]);
    (0..1000).for_each(|n| scene.operations.hangup_with(400, &n.to_string(), false));
    assert_eq!(scene.acts(), [BotAct::HangupWith { status: 400, reason: "999".into() }]);
}
