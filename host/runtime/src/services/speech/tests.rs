//! A bot that speaks and listens, with engines that do as the test says.

use std::time::Duration;

use ::speech::{Code, Fault, Heard, Listen, Say, Telling, Told};
use media::{Codec, g711};
use plugin::{Outcome, Pair, Request, SpeechEvent, SpeechRequest};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

use super::Speech;
use crate::bots::TestCall;
use crate::services::engines::{Directory, Engines, Hears};
use crate::services::scripted::{GENEROUS, Hearer, Listened, Sound, Speaker, next, nothing_comes, outcome};

struct Scene {
    call: TestCall,
    speech: Speech,
    said: UnboundedReceiver<(Say, Sound)>,
    listened: UnboundedReceiver<Listened>,
}

impl Scene {
    fn new() -> Self {
        let (speaks, said) = Speaker::new();
        let (hears, listened) = Hearer::new();
        let hears = Some(Hears { engine: hears, end_of_turn_ms: 400 });
        let engines = Engines { hears, speaks: Some(speaks), converses: None };
        let speech = Speech::new(Directory::of_all(engines), Handle::current());
        Self { call: TestCall::new("acme", "{}"), speech, said, listened }
    }

    fn say(&self, text: &str) -> u64 {
        let (text, voice, language) = (text.to_owned(), "eva".to_owned(), String::new());
        let request = SpeechRequest::Say { text, voice, language };
        self.call.begin(&self.speech, Request::Speech(request)).expect("an id")
    }

    fn listen(&self) -> u64 {
        let (language, hint) = ("en-IN".to_owned(), "billing".to_owned());
        let request = SpeechRequest::Listen { language, hint, end_of_turn_ms: 0, utterance_ms_max: 30_000 };
        self.call.begin(&self.speech, Request::Speech(request)).expect("an id")
    }

    fn stop(&self, id: u64) -> bool {
        self.call.cancel(&self.speech, Pair::Speech, id)
    }

    async fn event(&mut self) -> (u64, SpeechEvent) {
        match outcome(&mut self.call).await {
            (id, Outcome::Speech(event)) => (id, event),
            other => panic!("{other:?}"),
        }
    }

    /// Whether the caller hears samples of this value for so long.
    fn hears(&mut self, value: i16, samples: usize) {
        let mut heard = vec![0; samples];
        assert_eq!(self.call.playout.pull(&mut heard), samples);
        assert!(heard.iter().all(|sample| *sample == value), "{:?}", &heard[..20]);
    }

    async fn queued(&self, ms: u32) {
        let queued = async {
            while self.call.caller.answers().queued_ms() != ms {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(GENEROUS, queued).await.expect("queued in time");
    }

    /// A `speaking` of this utterance.
    async fn speaking(&mut self, id: u64) {
        let event = self.event().await;
        assert!(event.0 == id && matches!(event.1, SpeechEvent::Speaking { .. }), "{event:?}");
    }
}

fn played(to_the_end: bool) -> SpeechEvent {
    SpeechEvent::UtterancePlayed { to_the_end }
}

async fn is_given_up(sound: &Sound) {
    timeout(GENEROUS, sound.closed()).await.expect("the engine's answer is not wanted any more");
}

#[tokio::test]
async fn utterances_are_spoken_in_their_order_whichever_the_engine_makes_first() {
    let mut scene = Scene::new();
    let (first, second) = (scene.say("One."), scene.say("Two."));
    let ((one, one_sound), (two, two_sound)) = (next(&mut scene.said).await, next(&mut scene.said).await);
    assert_eq!((one.text.as_str(), one.voice.as_str(), two.text.as_str()), ("One.", "eva", "Two."));
    two_sound.send(Ok(vec![2; 160])).unwrap();
    drop(two_sound);
    nothing_comes(&mut scene.call).await;
    one_sound.send(Ok(vec![1; 160])).unwrap();
    scene.speaking(first).await;
    one_sound.send(Ok(vec![1; 160])).unwrap();
    drop(one_sound);
    scene.speaking(second).await;
    scene.queued(60).await;
    nothing_comes(&mut scene.call).await;
    scene.hears(1, 320);
    assert_eq!(scene.event().await, (first, played(true)));
    scene.hears(2, 160);
    assert_eq!(scene.event().await, (second, played(true)));
}

#[tokio::test]
async fn the_engine_is_asked_for_three_at_a_time() {
    let mut scene = Scene::new();
    for text in ["1", "2", "3", "4", "5"] {
        scene.say(text);
    }
    let mut sounds = Vec::new();
    for _ in 0..3 {
        sounds.push(next(&mut scene.said).await.1);
    }
    sleep(Duration::from_millis(50)).await;
    assert!(scene.said.try_recv().is_err(), "no more before one is spoken");
    sounds[0].send(Ok(vec![1; 160])).unwrap();
    sounds.remove(0);
    assert_eq!(next(&mut scene.said).await.0.text, "4");
    sleep(Duration::from_millis(50)).await;
    assert!(scene.said.try_recv().is_err());
}

#[tokio::test]
async fn an_engine_that_fails_is_told_of_and_the_next_utterance_is_spoken() {
    let mut scene = Scene::new();
    let (first, second) = (scene.say("One."), scene.say("Two."));
    let ((_, one), (_, two)) = (next(&mut scene.said).await, next(&mut scene.said).await);
    one.send(Err(Fault::new(Code::TimedOut, "nothing came"))).unwrap();
    let (id, event) = scene.event().await;
    let SpeechEvent::Failed(error) = event else { panic!("{event:?}") };
    assert_eq!((id, error.code, error.message.as_str()), (first, "timed-out", "nothing came"));
    two.send(Ok(vec![2; 160])).unwrap();
    drop(two);
    scene.speaking(second).await;
    scene.hears(2, 160);
    assert_eq!(scene.event().await, (second, played(true)));
}

#[tokio::test]
async fn one_that_is_stopped_is_given_up_before_its_turn_and_in_it() {
    let mut scene = Scene::new();
    let ids: Vec<u64> = ["1", "2", "3"].iter().map(|text| scene.say(text)).collect();
    let ((_, one), (_, two), (_, three)) =
        (next(&mut scene.said).await, next(&mut scene.said).await, next(&mut scene.said).await);
    for (id, sound) in [(ids[1], two), (ids[0], one)] {
        assert!(scene.stop(id));
        is_given_up(&sound).await;
        assert_eq!(scene.event().await, (id, played(false)));
    }
    three.send(Ok(vec![3; 160])).unwrap();
    scene.speaking(ids[2]).await;
    scene.hears(3, 160);
}

#[tokio::test]
async fn a_cleared_queue_takes_what_waits_with_it_and_what_is_said_then_is_spoken() {
    let mut scene = Scene::new();
    let ids: Vec<u64> = ["1", "2", "3", "4", "5"].iter().map(|text| scene.say(text)).collect();
    let (_, one) = next(&mut scene.said).await;
    one.send(Ok(vec![1; 1600])).unwrap();
    scene.speaking(ids[0]).await;
    scene.call.clear_playout(&scene.speech);
    is_given_up(&one).await;
    for id in &ids {
        assert_eq!(scene.event().await, (*id, played(false)));
    }
    let next_id = scene.say("6");
    let sound = loop {
        let (say, sound) = next(&mut scene.said).await;
        if say.text == "6" {
            break sound;
        }
        is_given_up(&sound).await;
    };
    sound.send(Ok(vec![6; 160])).unwrap();
    scene.speaking(next_id).await;
}

#[tokio::test]
async fn more_sound_than_the_queue_holds_is_given_as_it_plays() {
    let mut scene = Scene::new();
    let id = scene.say("A long story.");
    let (_, sound) = next(&mut scene.said).await;
    // The queue of this call holds 10 s.
    sound.send(Ok(vec![1; 12 * 8000])).unwrap();
    drop(sound);
    scene.speaking(id).await;
    scene.queued(10_000).await;
    scene.hears(1, 4 * 8000);
    scene.queued(8000).await;
    nothing_comes(&mut scene.call).await;
    scene.hears(1, 8 * 8000);
    assert_eq!(scene.event().await, (id, played(true)));
}

#[tokio::test]
async fn a_call_that_ends_leaves_nothing_with_the_engines() {
    let mut scene = Scene::new();
    scene.say("One.");
    scene.listen();
    let (_, sound) = next(&mut scene.said).await;
    let (_, _heard, told) = next(&mut scene.listened).await;
    scene.call.close(&scene.speech);
    is_given_up(&sound).await;
    timeout(GENEROUS, told.closed()).await.expect("nobody listens");
    assert!(scene.speech.calls().is_empty());
}

#[tokio::test]
async fn a_tenant_without_engines_is_told_where_one_would_stand() {
    let speech = Speech::new(Directory::of_all(Engines::default()), Handle::current());
    let call = TestCall::new("acme", "{}");
    let (voice, language, hint) = (String::new(), String::new(), String::new());
    let say = SpeechRequest::Say { text: "One.".to_owned(), voice, language: language.clone() };
    let listen = SpeechRequest::Listen { language, hint, end_of_turn_ms: 0, utterance_ms_max: 1000 };
    for (request, section) in [(say, "[speech.tts]"), (listen, "[speech.stt]")] {
        let error = call.begin(&speech, Request::Speech(request)).expect_err("no engine");
        assert!(error.code == "no-engine" && error.message.contains(section), "{error:?}");
    }
}

/// A prompt of the bots that we ship: 2.4 s of a voice, between silences.
fn spoken() -> Vec<i16> {
    let path = format!("{}/../../plugins/prompts/you-entered.wav", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let data = file.windows(4).position(|four| four == b"data").unwrap() + 8;
    let mut samples = vec![0; 8000 + file.len() - data];
    g711::decode(Codec::Pcma, &file[data..], &mut samples[8000..]);
    samples.extend([0; 16_000]);
    samples
}

fn told(utterance: u64, what: Telling) -> Told {
    Told { utterance, what }
}

/// What the engine hears of one utterance.
async fn whole(heard: &mut tokio::sync::mpsc::Receiver<Heard>) -> usize {
    let mut samples = 0;
    loop {
        match timeout(GENEROUS, heard.recv()).await.expect("in time").expect("more") {
            Heard::Samples(piece) => samples += piece.len(),
            Heard::Stopped => return samples,
        }
    }
}

/// The two events of an utterance, and where it lies.
async fn utterance(scene: &mut Scene, id: u64) -> (u64, u64) {
    match [scene.event().await, scene.event().await] {
        [
            (one, SpeechEvent::UtteranceStarted { sample: from }),
            (two, SpeechEvent::UtteranceStopped { sample: to }),
        ] => {
            assert_eq!((one, two), (id, id));
            (from, to)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_the_caller_says_goes_to_the_engine_and_transcripts_say_where_it_was() {
    let mut scene = Scene::new();
    let id = scene.listen();
    let (listen, mut heard, engine) = next(&mut scene.listened).await;
    assert_eq!(listen, Listen { language: "en-IN".to_owned(), hint: "billing".to_owned() });
    scene.call.caller_says(&spoken());
    let samples = whole(&mut heard).await;
    let (from, to) = utterance(&mut scene, id).await;
    assert!(from < to && samples as u64 >= to - from, "{from} {to} {samples}");
    engine.send(told(0, Telling::Partial("You".to_owned()))).unwrap();
    let text = "You entered".to_owned();
    engine.send(told(0, Telling::Final { text, engine: Duration::from_millis(430) })).unwrap();
    for (text, is_final, engine_ms) in [("You", false, 0), ("You entered", true, 430)] {
        let text = text.to_owned();
        let event = SpeechEvent::Transcript { text, is_final, from_sample: from, to_sample: to, engine_ms };
        assert_eq!(scene.event().await, (id, event));
    }
}

#[tokio::test]
async fn an_utterance_at_which_the_engine_fails_does_not_end_the_listening() {
    let mut scene = Scene::new();
    let id = scene.listen();
    let (_, mut heard, engine) = next(&mut scene.listened).await;
    scene.call.caller_says(&spoken());
    whole(&mut heard).await;
    utterance(&mut scene, id).await;
    engine.send(told(0, Telling::Failed(Fault::new(Code::Engine, "status 500")))).unwrap();
    let (of, event) = scene.event().await;
    let SpeechEvent::Failed(error) = event else { panic!("{event:?}") };
    assert_eq!((of, error.code), (id, "engine"));
    scene.call.caller_says(&spoken());
    whole(&mut heard).await;
    let (from, to) = utterance(&mut scene, id).await;
    assert!(from > spoken().len() as u64, "the second");
    // The first is over: of it nothing is told any more.
    engine.send(told(0, Telling::Partial("late".to_owned()))).unwrap();
    engine.send(told(1, Telling::Final { text: String::new(), engine: Duration::ZERO })).unwrap();
    let event =
        SpeechEvent::Transcript { text: String::new(), is_final: true, from_sample: from, to_sample: to, engine_ms: 0 };
    assert_eq!(scene.event().await, (id, event));
}

#[tokio::test]
async fn an_engine_that_fails_in_the_middle_of_an_utterance_is_told_of_at_once() {
    let mut scene = Scene::new();
    let id = scene.listen();
    let (_, mut heard, engine) = next(&mut scene.listened).await;
    let spoken = spoken();
    let (begin, rest) = spoken.split_at(16_000);
    scene.call.caller_says(begin);
    timeout(GENEROUS, heard.recv()).await.expect("in time").expect("the beginning");
    let (_, event) = scene.event().await;
    assert!(matches!(event, SpeechEvent::UtteranceStarted { .. }), "{event:?}");
    engine.send(told(0, Telling::Failed(Fault::new(Code::Unreachable, "closed")))).unwrap();
    let (_, event) = scene.event().await;
    assert!(matches!(event, SpeechEvent::Failed(_)), "{event:?}");
    scene.call.caller_says(rest);
    whole(&mut heard).await;
    let (of, event) = scene.event().await;
    assert!(of == id && matches!(event, SpeechEvent::UtteranceStopped { .. }), "{event:?}");
}

#[tokio::test]
async fn another_listen_takes_the_place_of_the_first_and_stop_ends_it() {
    let mut scene = Scene::new();
    let first = scene.listen();
    let (_, _heard, engine) = next(&mut scene.listened).await;
    let second = scene.listen();
    let (_, mut heard, second_engine) = next(&mut scene.listened).await;
    timeout(GENEROUS, engine.closed()).await.expect("the first is over");
    assert!(!scene.stop(first));
    scene.call.caller_says(&spoken());
    whole(&mut heard).await;
    utterance(&mut scene, second).await;
    assert!(scene.stop(second));
    timeout(GENEROUS, second_engine.closed()).await.expect("nobody listens");
    scene.call.caller_says(&spoken());
    nothing_comes(&mut scene.call).await;
}
