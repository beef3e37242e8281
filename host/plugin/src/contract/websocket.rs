//! `websocket` and `websocket-handler`.

use super::{Header, HostError};

/// All but the first come under the id of the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketRequest {
    /// `url`: `ws://` or `wss://`; nothing more is known of it.
    Open {
        url: String,
        headers: Vec<Header>,
        subprotocols: Vec<String>,
    },
    Text(String),
    Binary(Vec<u8>),
    /// `code`: one that may be sent; `reason`: 123 bytes at most.
    Close {
        code: u16,
        reason: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketEvent {
    /// With the subprotocol that was chosen, empty if none.
    Opened(String),
    Text(String),
    Binary(Vec<u8>),
    Closed {
        code: u16,
        reason: String,
    },
    Failed(HostError),
}

impl WebSocketRequest {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Open { url, headers, .. } => url.len() + super::bytes_of_headers(headers),
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Close { reason, .. } => reason.len(),
        }
    }
}

impl WebSocketEvent {
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Failed(_))
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Opened(text) | Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Closed { reason, .. } => reason.len(),
            Self::Failed(error) => error.message.len(),
        }
    }
}
