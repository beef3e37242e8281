//! `http` and `http-handler`.

use super::{Header, HostError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// One of those that the contract names.
    pub method: String,
    /// `http://` or `https://`; nothing more is known of it.
    pub url: String,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
    /// For all of it; 0: the host's own limit.
    pub timeout_ms: u32,
    pub pieces: Pieces,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    Whole,
    Chunks,
    /// Server-sent events.
    Events,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpEvent {
    Head { status: u16, headers: Vec<Header> },
    Body(Vec<u8>),
    Message { event: String, data: String, id: String },
    Done,
    Failed(HostError),
}

impl HttpRequest {
    pub(super) fn bytes(&self) -> usize {
        self.url.len() + super::bytes_of_headers(&self.headers) + self.body.len()
    }
}

impl HttpEvent {
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Done | Self::Failed(_))
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Head { headers, .. } => super::bytes_of_headers(headers),
            Self::Body(body) => body.len(),
            Self::Message { event, data, id } => event.len() + data.len() + id.len(),
            Self::Failed(error) => error.message.len(),
            Self::Done => 0,
        }
    }
}
