use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::scripted::{GENEROUS, Peer, Scripted, Step, ok};

fn config() -> SttConfig {
    let config = json!({ "url": "https://engine/v1", "model": "small", "language": "en-IN", "api_key": "openai" });
    serde_json::from_value(config).expect("a config")
}

type Engine = Box<dyn SpeechToText>;

struct Listening {
    heard: mpsc::Sender<Heard>,
    told: BoxStream<'static, Told>,
}

impl Listening {
    fn to(engine: Engine) -> Listening {
        let (heard, sound) = mpsc::channel(1000);
        Listening { heard, told: engine.listen(Listen { hint: "Pune".into(), ..Listen::default() }, sound) }
    }

    async fn say(&self, samples: usize) {
        self.heard.send(Heard::Samples(vec![1000; samples])).await.expect("somebody listens");
    }

    async fn stop(&self) {
        self.heard.send(Heard::Stopped).await.expect("somebody listens");
    }

    async fn told(&mut self) -> Told {
        tokio::time::timeout(GENEROUS, self.told.next()).await.expect("in time").expect("it goes on")
    }

    /// The utterance and the code of what failed.
    async fn failed(&mut self) -> (u64, Code) {
        match self.told().await {
            Told { utterance, what: Telling::Failed(fault) } => (utterance, fault.code),
            told => panic!("{told:?}"),
        }
    }

    async fn text(&mut self) -> (u64, String) {
        match self.told().await {
            Told { utterance, what: Telling::Final { text, .. } } => (utterance, text),
            told => panic!("{told:?}"),
        }
    }

    async fn end(self) {
        drop(self.heard);
        let rest: Vec<Told> = tokio::time::timeout(GENEROUS, self.told.collect()).await.expect("it ends");
        assert_eq!(rest, []);
    }
}

fn by_utterance(config: SttConfig, answers: impl IntoIterator<Item = Vec<Step>>) -> (Listening, Arc<Scripted>) {
    let (wire, _) = Scripted::new(answers);
    (Listening::to(Box::new(OpenAiTranscription::new(config, wire.clone()))), wire)
}

fn in_real_time(config: SttConfig) -> (Listening, mpsc::UnboundedReceiver<Peer>) {
    let (wire, peers) = Scripted::new([]);
    let config = SttConfig { realtime: true, ..config };
    (Listening::to(Box::new(OpenAiTranscription::new(config, wire))), peers)
}

fn transcript(text: &str) -> Vec<Step> {
    ok(json!({ "text": text, "usage": {} }).to_string())
}

#[tokio::test]
async fn each_utterance_is_sent_as_a_file_and_its_transcript_comes_back() {
    let (mut listening, wire) = by_utterance(config(), [transcript(" Hello. "), transcript("Goodbye.")]);
    for _ in 0..2 {
        listening.say(300).await;
        listening.say(500).await;
        listening.stop().await;
        // Without sound it is none.
        listening.stop().await;
    }
    assert_eq!(listening.text().await, (0, "Hello.".into()));
    assert_eq!(listening.text().await, (1, "Goodbye.".into()));
    listening.end().await;
    let request = wire.requests().remove(0);
    assert_eq!(request.url, "https://engine/v1/audio/transcriptions");
    assert_eq!(request.headers[1], ("authorization", "Bearer {{secret:openai}}".to_owned()));
    let boundary = request.headers[0].1.split_once("boundary=").expect("a boundary").1;
    let body = String::from_utf8_lossy(&request.body);
    let parts: Vec<&str> = body.split(boundary).collect();
    for (part, value) in [(1, "small"), (2, "en"), (3, "Pune"), (4, "json")] {
        assert!(parts[part].ends_with(&format!("\r\n\r\n{value}\r\n--")), "{}", parts[part]);
    }
    let wav = crate::wav::write(&[1000; 800], 8000);
    assert!(request.body.windows(wav.len()).any(|window| window == wav));
    assert_ne!(wire.requests()[1].headers[0].1, request.headers[0].1);
}

#[tokio::test]
async fn an_engine_is_sent_the_rate_it_wants() {
    let (mut listening, wire) = by_utterance(SttConfig { sample_rate: Some(16_000), ..config() }, [transcript("x")]);
    listening.say(8000).await;
    listening.stop().await;
    listening.text().await;
    let body = &wire.requests()[0].body;
    let header = crate::wav::write(&[0; 16_000], 16_000)[..44].to_vec();
    assert!(body.windows(44).any(|window| window == header));
}

#[tokio::test]
async fn a_failed_utterance_is_told_and_the_next_is_transcribed() {
    let config = SttConfig { total_ms_max: 100, ..config() };
    let long = json!({ "text": "x".repeat(20_000) }).to_string();
    let cases = [
        (vec![Step::Status(503)], Code::Engine),
        (vec![Step::Hang], Code::TimedOut),
        (ok("<html>"), Code::Protocol),
        (ok("{\"text\":{}}"), Code::Protocol),
        (ok(long), Code::TooLong),
        (vec![Step::Status(200), Step::Endless(vec![b'x'; 10_000])], Code::TooLong),
        (vec![Step::Fault(Fault::new(Code::Unreachable, "denied"))], Code::Unreachable),
    ];
    for (steps, code) in cases {
        let (mut listening, _) = by_utterance(config.clone(), [steps, transcript("Still here.")]);
        listening.say(800).await;
        listening.stop().await;
        assert_eq!(listening.failed().await, (0, code));
        listening.say(800).await;
        listening.stop().await;
        assert_eq!(listening.text().await, (1, "Still here.".into()));
    }
}

#[tokio::test]
async fn what_waits_for_an_engine_is_bounded() {
    let hangs = std::iter::repeat_n(vec![Step::Hang], UTTERANCES_WAITING_MAX);
    let (mut listening, wire) = by_utterance(SttConfig { total_ms_max: 200, ..config() }, hangs);
    for _ in 0..UTTERANCES_WAITING_MAX + 1 {
        listening.say(80).await;
        listening.stop().await;
    }
    for utterance in 0..=UTTERANCES_WAITING_MAX as u64 {
        assert_eq!(listening.failed().await, (utterance, Code::TimedOut));
    }
    assert_eq!(wire.requests().len(), UTTERANCES_WAITING_MAX);
}

#[tokio::test]
async fn an_utterance_without_end_is_cut() {
    let (mut listening, wire) = by_utterance(config(), [transcript("Short.")]);
    for _ in 0..HEARD_SAMPLES_MAX / 8000 + 1 {
        listening.say(8000).await;
    }
    listening.stop().await;
    assert_eq!(listening.failed().await, (0, Code::TooLong));
    listening.say(HEARD_SAMPLES_MAX).await;
    listening.stop().await;
    assert_eq!(listening.text().await, (1, "Short.".into()));
    assert_eq!(wire.requests().len(), 1);
}

/// Reads to the commit. Returns how many bytes of sound came before it.
async fn committed(peer: &mut Peer) -> usize {
    use base64::Engine as _;
    let mut bytes = 0;
    loop {
        let message = peer.next().await;
        match message["type"].as_str().expect("a type") {
            "input_audio_buffer.append" => {
                let audio = message["audio"].as_str().expect("audio");
                bytes += base64::engine::general_purpose::STANDARD.decode(audio).expect("base64").len();
            }
            "input_audio_buffer.commit" => return bytes,
            other => panic!("{other}"),
        }
    }
}

fn about(item: &str, what: &str, key: &str, value: &str) -> Value {
    json!({ "type": format!("conversation.item.input_audio_transcription.{what}"), "item_id": item, key: value })
}

async fn drive(listening: &mut Listening, peer: &mut Peer) -> usize {
    tokio::select! {
        bytes = committed(peer) => bytes,
        told = listening.told.next() => panic!("{told:?}"),
    }
}

#[tokio::test]
async fn in_real_time_the_session_is_set_up_and_sound_leads_to_partial_and_final_transcripts() {
    let (mut listening, mut peers) = in_real_time(config());
    let mut peer = peers.recv().await.expect("a connection");
    assert_eq!(peer.url, "wss://engine/v1/realtime?intent=transcription");
    assert_eq!(peer.headers, [("authorization", "Bearer {{secret:openai}}".to_owned())]);
    let session = peer.next().await;
    let input = &session["session"]["audio"]["input"];
    assert_eq!((&session["type"], &session["session"]["type"]), (&json!("session.update"), &json!("transcription")));
    assert_eq!(input["format"], json!({ "type": "audio/pcm", "rate": 24000 }));
    assert_eq!(input["transcription"], json!({ "model": "small", "language": "en", "prompt": "Pune" }));
    assert!(input["turn_detection"].is_null());
    for _ in 0..10 {
        listening.say(160).await;
    }
    listening.stop().await;
    assert_eq!(drive(&mut listening, &mut peer).await, 1600 * 3 * 2);
    peer.say(json!({ "type": "session.updated", "session": {} }));
    peer.say(json!({ "type": "input_audio_buffer.committed", "item_id": "i1" }));
    peer.say(about("i1", "delta", "delta", "Hello"));
    peer.say(about("i1", "delta", "delta", " there"));
    peer.say(about("i1", "completed", "transcript", "Hello there."));
    for text in ["Hello", "Hello there"] {
        assert_eq!(listening.told().await, Told { utterance: 0, what: Telling::Partial(text.into()) });
    }
    assert_eq!(listening.text().await, (0, "Hello there.".into()));
    listening.end().await;
}

#[tokio::test]
async fn in_real_time_transcripts_are_told_in_the_order_of_the_utterances() {
    let (mut listening, mut peers) = in_real_time(config());
    let mut peer = peers.recv().await.expect("a connection");
    peer.next().await;
    for item in ["i1", "i2", "i3"] {
        listening.say(800).await;
        listening.stop().await;
        drive(&mut listening, &mut peer).await;
        peer.say(json!({ "type": "input_audio_buffer.committed", "item_id": item }));
    }
    peer.say(about("i3", "completed", "transcript", "three"));
    peer.say(json!({ "type": "conversation.item.input_audio_transcription.failed", "item_id": "i2", "error": { "message": "noise" } }));
    peer.say(about("i1", "completed", "transcript", "one"));
    peer.say(about("i1", "completed", "transcript", "one again"));
    assert_eq!(listening.text().await, (0, "one".into()));
    assert_eq!(listening.failed().await, (1, Code::Engine));
    assert_eq!(listening.text().await, (2, "three".into()));
    listening.end().await;
}

#[tokio::test]
async fn in_real_time_a_lost_connection_fails_what_was_pending_and_the_next_utterance_makes_another() {
    let cases = [
        (None, Code::Unreachable),
        (Some(Err(Fault::new(Code::Unreachable, "reset"))), Code::Unreachable),
        (Some(Ok("rubbish".to_owned())), Code::Protocol),
        (Some(Ok("[".repeat(200_000))), Code::Protocol),
        (Some(Ok("x".repeat(300_000))), Code::TooLong),
        (Some(Ok(r#"{"type":"error","error":{"message":"bad model"}}"#.to_owned())), Code::Engine),
        (Some(Ok(r#"{"type":"error","error":"bad model","code":"x"}"#.to_owned())), Code::Engine),
        // The engine has a mind of its own about turns.
        (Some(Ok(about("i1", "completed", "transcript", "early").to_string())), Code::Protocol),
    ];
    for (message, code) in cases {
        let (mut listening, mut peers) = in_real_time(config());
        let mut peer = peers.recv().await.expect("a connection");
        peer.next().await;
        // Enough for a message.
        listening.say(1600).await;
        let append = tokio::select! {
            message = peer.next() => message,
            told = listening.told.next() => panic!("{told:?}"),
        };
        assert_eq!(append["type"], "input_audio_buffer.append");
        match message {
            Some(message) => peer.messages.send(message).expect("somebody listens"),
            None => drop(peer.messages),
        }
        listening.say(800).await;
        listening.stop().await;
        let (utterance, was) = listening.failed().await;
        assert_eq!((utterance, was), (0, code));
        listening.say(800).await;
        listening.stop().await;
        let second = tokio::select! {
            peer = peers.recv() => peer,
            told = listening.told.next() => panic!("{told:?}"),
        };
        let mut second = second.expect("a connection");
        assert_eq!(second.next().await["type"], "session.update");
        drive(&mut listening, &mut second).await;
        second.say(about("j1", "completed", "transcript", "again"));
        assert_eq!(listening.text().await, (1, "again".into()));
    }
}

#[tokio::test]
async fn in_real_time_an_engine_that_says_or_takes_nothing_is_timed_out() {
    let (mut listening, mut peers) = in_real_time(SttConfig { total_ms_max: 100, ..config() });
    let _silent = peers.recv().await.expect("a connection");
    listening.say(800).await;
    listening.stop().await;
    assert_eq!(listening.failed().await, (0, Code::TimedOut));
    // Now for longer than it may wait: 128 messages of 100 ms.
    for _ in 0..15 {
        listening.say(8000).await;
    }
    for _ in 0..200 {
        listening.say(800).await;
    }
    assert_eq!(listening.failed().await, (1, Code::TimedOut));
}

#[tokio::test]
async fn in_real_time_a_transcript_or_an_utterance_without_end_is_cut() {
    let (mut listening, mut peers) = in_real_time(config());
    let mut peer = peers.recv().await.expect("a connection");
    peer.next().await;
    listening.say(800).await;
    listening.stop().await;
    drive(&mut listening, &mut peer).await;
    let chatty = tokio::spawn(async move {
        for _ in 0..20 {
            peer.say(about("i1", "delta", "delta", &"x".repeat(1000)));
        }
        peer
    });
    let mut partials = 0;
    let end = loop {
        match listening.told().await.what {
            Telling::Partial(_) => partials += 1,
            end => break end,
        }
    };
    let Telling::Failed(fault) = end else { panic!("{end:?}") };
    assert_eq!((partials, fault.code), (16, Code::TooLong));
    let mut peer = chatty.await.expect("no panic");
    let reading = tokio::spawn(async move { while peer.sent.recv().await.is_some() {} });
    for _ in 0..HEARD_SAMPLES_MAX / 8000 + 1 {
        listening.say(8000).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(listening.failed().await, (1, Code::TooLong));
    tokio::time::timeout(GENEROUS, reading).await.expect("the connection is given up").expect("no panic");
}

#[tokio::test]
async fn in_real_time_four_utterances_wait_and_one_more_is_too_many() {
    let (mut listening, mut peers) = in_real_time(config());
    let mut peer = peers.recv().await.expect("a connection");
    peer.next().await;
    for _ in 0..UTTERANCES_WAITING_MAX {
        listening.say(800).await;
        listening.stop().await;
        drive(&mut listening, &mut peer).await;
    }
    listening.say(800).await;
    listening.stop().await;
    for utterance in 0..=UTTERANCES_WAITING_MAX as u64 {
        assert_eq!(listening.failed().await, (utterance, Code::TimedOut));
    }
    listening.end().await;
}
