//! Engines whose other end is the test, and a call whose bot it plays.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use plugin::{Event, Outcome};
use speech::{Ask, Chatted, Fault, Heard, LanguageModel, Listen, Say, SpeechToText, TextToSpeech, Told};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::bots::TestCall;

/// However busy the machine is.
pub const GENEROUS: Duration = Duration::from_secs(20);

pub type Sound = mpsc::UnboundedSender<Result<Vec<i16>, Fault>>;

/// Each utterance goes to the test, which makes its sound.
pub struct Speaker(mpsc::UnboundedSender<(Say, Sound)>);

impl Speaker {
    pub fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<(Say, Sound)>) {
        let (asked, to_test) = mpsc::unbounded_channel();
        (Arc::new(Self(asked)), to_test)
    }
}

impl TextToSpeech for Speaker {
    fn speak(&self, say: Say) -> BoxStream<'static, Result<Vec<i16>, Fault>> {
        let (sound, pieces) = mpsc::unbounded_channel();
        let _ = self.0.send((say, sound));
        received(pieces)
    }
}

pub type Listened = (Listen, mpsc::Receiver<Heard>, mpsc::UnboundedSender<Told>);

pub struct Hearer(mpsc::UnboundedSender<Listened>);

impl Hearer {
    pub fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Listened>) {
        let (asked, to_test) = mpsc::unbounded_channel();
        (Arc::new(Self(asked)), to_test)
    }
}

impl SpeechToText for Hearer {
    fn listen(&self, listen: Listen, heard: mpsc::Receiver<Heard>) -> BoxStream<'static, Told> {
        let (told, telling) = mpsc::unbounded_channel();
        let _ = self.0.send((listen, heard, told));
        received(telling)
    }
}

pub type Answering = (Ask, mpsc::UnboundedSender<Result<Chatted, Fault>>);

pub struct Model(pub Mutex<Option<mpsc::UnboundedSender<Answering>>>);

impl Model {
    pub fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Answering>) {
        let (asked, to_test) = mpsc::unbounded_channel();
        (Arc::new(Self(Mutex::new(Some(asked)))), to_test)
    }
}

impl LanguageModel for Model {
    fn ask(&self, ask: Ask) -> BoxStream<'static, Result<Chatted, Fault>> {
        let (chatted, answer) = mpsc::unbounded_channel();
        if let Some(asked) = &*self.0.lock().expect("no panic") {
            let _ = asked.send((ask, chatted));
        }
        received(answer)
    }
}

fn received<T: Send + 'static>(mut items: mpsc::UnboundedReceiver<T>) -> BoxStream<'static, T> {
    futures_util::stream::poll_fn(move |context| items.poll_recv(context)).boxed()
}

pub async fn next<T>(items: &mut mpsc::UnboundedReceiver<T>) -> T {
    timeout(GENEROUS, items.recv()).await.expect("in time").expect("an item")
}

/// The next event of an operation.
pub async fn outcome(call: &mut TestCall) -> (u64, Outcome) {
    let found = async {
        loop {
            match call.next_event() {
                Some(Event::Outcome { id, outcome }) => return (id, *outcome),
                Some(Event::Cleared { .. }) => {}
                Some(other) => panic!("{other:?}"),
                None => sleep(Duration::from_millis(2)).await,
            }
        }
    };
    timeout(GENEROUS, found).await.expect("an event in time")
}

/// So that what is wrong has time to show itself.
pub async fn nothing_comes(call: &mut TestCall) {
    sleep(Duration::from_millis(50)).await;
    let event = call.next_event();
    assert!(event.is_none(), "{event:?}");
}
