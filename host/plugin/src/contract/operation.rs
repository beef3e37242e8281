//! Requests that take time and what comes of them, whatever pair of interfaces they belong to.

use super::{
    ChatEvent, ChatRequest, ControlEvent, ControlRequest, HttpEvent, HttpRequest, SpeechEvent, SpeechRequest,
    StoreEvent, StoreRequest, WebSocketEvent, WebSocketRequest,
};

/// An interface beyond telephony, and the handler that it is of no use without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pair {
    Http,
    WebSocket,
    Store,
    Voice,
    Speech,
    Chat,
    Control,
}

impl Pair {
    pub const ALL: [Self; 7] =
        [Self::Http, Self::WebSocket, Self::Store, Self::Voice, Self::Speech, Self::Chat, Self::Control];

    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::WebSocket => "websocket",
            Self::Store => "store",
            Self::Voice => "voice",
            Self::Speech => "speech",
            Self::Chat => "chat",
            Self::Control => "control",
        }
    }
}

/// What a bot asks for and is answered later, within the bounds of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Http(HttpRequest),
    WebSocket(WebSocketRequest),
    Store(StoreRequest),
    Speech(SpeechRequest),
    Chat(ChatRequest),
    Control(ControlRequest),
}

impl Request {
    pub fn pair(&self) -> Pair {
        match self {
            Self::Http(_) => Pair::Http,
            Self::WebSocket(_) => Pair::WebSocket,
            Self::Store(_) => Pair::Store,
            Self::Speech(_) => Pair::Speech,
            Self::Chat(_) => Pair::Chat,
            Self::Control(_) => Pair::Control,
        }
    }

    /// What it holds in memory beside itself, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Http(request) => request.bytes(),
            Self::WebSocket(request) => request.bytes(),
            Self::Store(request) => request.bytes(),
            Self::Speech(request) => request.bytes(),
            Self::Chat(request) => request.bytes(),
            Self::Control(request) => request.bytes(),
        }
    }
}

/// One event of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Http(HttpEvent),
    WebSocket(WebSocketEvent),
    Store(StoreEvent),
    Speech(SpeechEvent),
    Chat(ChatEvent),
    Control(ControlEvent),
}

impl Outcome {
    pub fn pair(&self) -> Pair {
        match self {
            Self::Http(_) => Pair::Http,
            Self::WebSocket(_) => Pair::WebSocket,
            Self::Store(_) => Pair::Store,
            Self::Speech(_) => Pair::Speech,
            Self::Chat(_) => Pair::Chat,
            Self::Control(_) => Pair::Control,
        }
    }

    /// Whether nothing follows it. `listens`: it is one of `speech.listen`, which a failure does not end.
    pub fn ends(&self, listens: bool) -> bool {
        match self {
            Self::Http(event) => event.is_end(),
            Self::WebSocket(event) => event.is_end(),
            Self::Store(_) => true,
            Self::Speech(SpeechEvent::UtterancePlayed { .. }) => true,
            Self::Speech(SpeechEvent::Failed(_)) => !listens,
            Self::Speech(_) => false,
            Self::Chat(event) => event.is_end(),
            Self::Control(event) => event.is_end(),
        }
    }

    /// What it holds in memory beside itself, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Http(event) => event.bytes(),
            Self::WebSocket(event) => event.bytes(),
            Self::Store(event) => event.bytes(),
            Self::Speech(event) => event.bytes(),
            Self::Chat(event) => event.bytes(),
            Self::Control(event) => event.bytes(),
        }
    }
}

impl super::Event {
    /// What it holds in memory beside itself, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Outcome { outcome, .. } => size_of::<Outcome>() + outcome.bytes(),
            Self::Voice(event) => event.bytes(),
            Self::Cleared { dropped_marks, .. } => dropped_marks.iter().map(String::len).sum(),
            Self::Mark { name, .. } => name.len(),
            _ => 0,
        }
    }
}
