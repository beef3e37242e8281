//! What comes of what a bot began beyond telephony: one enum over the handlers of the world `conversation`.

use crate::Event;
pub use crate::beyond_telephony::exports::patchbay::bot::{
    chat_handler::ChatEvent,
    control_handler::{ControlEvent, Progress},
    http_handler::{Head, HttpEvent, Message},
    speech_handler::{Played, SpeechEvent, Transcript},
    store_handler::StoreEvent,
    voice_handler::{BargedIn, VoiceEvent},
    websocket_handler::{Goodbye, WebsocketEvent},
};
pub use crate::beyond_telephony::patchbay::bot::{chat, control, http, speech, voice};

/// An event of one of the handlers, with the id of the operation that it came of.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Http(u64, HttpEvent),
    WebSocket(u64, WebsocketEvent),
    Store(u64, StoreEvent),
    Voice(VoiceEvent),
    Speech(u64, SpeechEvent),
    Chat(u64, ChatEvent),
    Control(u64, ControlEvent),
}

impl Outcome {
    /// Of which operation; none: what the caller does, of which the host tells while it is watched.
    pub fn id(&self) -> Option<u64> {
        match self {
            Outcome::Voice(_) => None,
            Outcome::Http(id, _)
            | Outcome::WebSocket(id, _)
            | Outcome::Store(id, _)
            | Outcome::Speech(id, _)
            | Outcome::Chat(id, _)
            | Outcome::Control(id, _) => Some(*id),
        }
    }
}

/// All that a bot is entered for besides frames.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    Event(Event),
    Outcome(Outcome),
}

impl From<Event> for Happened {
    fn from(event: Event) -> Happened {
        Happened::Event(event)
    }
}

impl From<Outcome> for Happened {
    fn from(outcome: Outcome) -> Happened {
        Happened::Outcome(outcome)
    }
}
