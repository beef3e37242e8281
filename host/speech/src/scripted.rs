//! A wire whose other end is the test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;

use crate::{Fault, Header, Messages, Piece, Pieces, Request, Wire};

/// However busy the machine is.
pub const GENEROUS: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub enum Step {
    Status(u16),
    Body(Vec<u8>),
    Fault(Fault),
    /// Nothing more ever comes.
    Hang,
    /// The same again and again.
    Endless(Vec<u8>),
    /// The same every 20 ms, for ever.
    Trickle(Vec<u8>),
}

pub fn ok(body: impl Into<Vec<u8>>) -> Vec<Step> {
    vec![Step::Status(200), Step::Body(body.into())]
}

/// The engine's end of a WebSocket.
pub struct Peer {
    pub url: String,
    pub headers: Vec<Header>,
    pub sent: mpsc::Receiver<String>,
    pub messages: mpsc::UnboundedSender<Result<String, Fault>>,
}

impl Peer {
    pub async fn next(&mut self) -> serde_json::Value {
        let message = tokio::time::timeout(GENEROUS, self.sent.recv()).await.expect("in time").expect("a message");
        serde_json::from_str(&message).expect("JSON")
    }

    pub fn say(&self, message: serde_json::Value) {
        self.messages.send(Ok(message.to_string())).expect("somebody listens");
    }
}

pub struct Scripted {
    /// One for each request, in their order.
    answers: Mutex<VecDeque<Vec<Step>>>,
    requests: Mutex<Vec<Request>>,
    peers: mpsc::UnboundedSender<Peer>,
}

impl Scripted {
    pub fn new(answers: impl IntoIterator<Item = Vec<Step>>) -> (Arc<Scripted>, mpsc::UnboundedReceiver<Peer>) {
        let (peers, accepted) = mpsc::unbounded_channel();
        let answers = Mutex::new(answers.into_iter().collect());
        (Arc::new(Scripted { answers, requests: Mutex::default(), peers }), accepted)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }
}

impl Wire for Scripted {
    fn post(&self, request: Request) -> Pieces {
        self.requests.lock().expect("no panic").push(request);
        let steps = self.answers.lock().expect("no panic").pop_front().expect("an answer for each request");
        stream::iter(steps).map(pieces).flatten().boxed()
    }

    fn websocket(&self, url: String, headers: Vec<Header>, sent: mpsc::Receiver<String>) -> Messages {
        let (messages, mut received) = mpsc::unbounded_channel();
        let _ = self.peers.send(Peer { url, headers, sent, messages });
        stream::poll_fn(move |context| received.poll_recv(context)).boxed()
    }
}

fn pieces(step: Step) -> BoxStream<'static, Result<Piece, Fault>> {
    match step {
        Step::Status(status) => stream::once(async move { Ok(Piece::Head(status)) }).boxed(),
        Step::Body(bytes) => stream::once(async { Ok(Piece::Body(bytes)) }).boxed(),
        Step::Fault(fault) => stream::once(async { Err(fault) }).boxed(),
        Step::Hang => stream::pending().boxed(),
        Step::Trickle(bytes) => stream::unfold(bytes, |bytes| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok(Piece::Body(bytes.clone())), bytes))
        })
        .boxed(),
        Step::Endless(bytes) => stream::repeat_with(move || Ok(Piece::Body(bytes.clone()))).boxed(),
    }
}

/// All of a stream, within a time that no test needs.
pub async fn all<T>(stream: BoxStream<'static, T>) -> Vec<T> {
    tokio::time::timeout(GENEROUS, stream.collect()).await.expect("it ends")
}
