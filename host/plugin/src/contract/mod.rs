//! The WIT contract in the host's own words, the same for every WIT version that the host serves.
//! What goes beyond telephony has a file for each pair of interfaces.

mod chat;
mod control;
mod http;
mod operation;
mod speech;
mod store;
mod voice;
mod websocket;

pub use chat::{ChatEvent, ChatMessage, ChatRequest, ChatRole, ChatTool, ChatToolCall};
pub use control::{ControlEvent, ControlRequest};
pub use http::{HttpEvent, HttpRequest, Pieces};
pub use operation::{Outcome, Pair, Request};
pub use speech::{SpeechEvent, SpeechRequest};
pub use store::{StoreEvent, StoreRequest};
pub use voice::{BargeIn, VoiceEvent, VoiceRules};
pub use websocket::{WebSocketEvent, WebSocketRequest};

use crate::HostError;

/// WIT `call-info`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallInfo {
    pub id: String,
    pub caller: String,
    pub called: String,
    pub trunk: String,
    pub tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartReason {
    Fresh,
    Moved(Vec<u8>),
    Restarted(Vec<u8>),
}

/// What `start` returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    Accepted {
        frames: bool,
        ring: bool,
    },
    /// `status` is within 400 to 699.
    Refused {
        status: u16,
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    Audio,
    Concealed,
    Absent,
    Held,
}

/// What `on-frame` answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameAnswer {
    /// 160 samples were written into the caller's buffer.
    Frame,
    /// Let the queue or silence play.
    Nothing,
    /// Another length than 160: silence.
    WrongLength,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Answered,
    Digit {
        key: char,
        tick: u64,
    },
    Mark {
        id: u64,
        name: String,
    },
    Cleared {
        id: u64,
        played_ms: u32,
        dropped_marks: Vec<String>,
    },
    Timer {
        id: u64,
    },
    DigitsSent {
        id: u64,
    },
    Hold,
    Resume,
    Hangup {
        by: String,
        cause: String,
    },
    /// What came of an operation. In a box: few calls ever see one, and all keep room for events.
    Outcome {
        id: u64,
        outcome: Box<Outcome>,
    },
    Voice(VoiceEvent),
}

/// A name and a value, without line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: String,
}

fn bytes_of_headers(headers: &[Header]) -> usize {
    headers.iter().map(|header| header.name.len() + header.value.len()).sum()
}

/// Why an instance is dead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// `unreachable`, out of bounds, a panic, stack overflow ...; `place` is the guest's own backtrace top if it has one.
    #[error("trapped: {0}")]
    Trapped(String),
    /// More guest CPU in one go than the limit allows.
    #[error("used more than {limit_ms} ms of CPU in one call")]
    TooLong { limit_ms: u32 },
    #[error("tried to wait in {0}: a bot may not wait, use a timer")]
    Waited(String),
    #[error("wanted more than {limit_mib} MiB of memory")]
    TooMuchMemory { limit_mib: u32 },
    #[error("answered 50 frames in a row with a wrong length")]
    WrongLengths,
    #[error("could not be instantiated: {0}")]
    NotInstantiated(String),
}
