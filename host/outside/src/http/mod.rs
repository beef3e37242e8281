//! Requests over HTTP/1.1, their responses in pieces. HTTP/2 is not offered: every service that bots talk to speaks 1.1, and one
//! connection a request keeps what one slow response holds up to itself.

mod event_stream;
mod exchange;
mod hop;
mod pool;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::task::Task;

pub use event_stream::EVENT_BYTES_MAX;
pub(crate) use exchange::exchange;
pub use hop::{HEADER_BYTES_MAX, HEADERS_MAX, REDIRECTS_MAX};
pub(crate) use hop::{read_headers, user_agent};
pub(crate) use pool::Pool;

/// Events that wait to be taken; beyond it the connection is not read.
pub(crate) const EVENTS_WAITING: usize = 4;
/// The most of a body that comes at once.
pub const PIECE_BYTES_MAX: usize = 64 << 10;

/// In which pieces the body of the response comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// As one, if there is any.
    Whole,
    /// As it arrives, at most [`PIECE_BYTES_MAX`] in each.
    Chunks,
    /// Server-sent events; a response that is none (an error's JSON, say) comes whole.
    Events,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    pub url: String,
    /// `{{secret:name}}` in a value is replaced where that secret may go.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// For all of it; none and what is above it is the tenant's own limit.
    pub timeout: Option<Duration>,
    pub pieces: Pieces,
}

/// Status and headers, text that is none made readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

/// One server-sent event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `message` if it names none.
    pub event: String,
    pub data: String,
    /// Empty if it has none.
    pub id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// First, once.
    Head(Head),
    Body(Bytes),
    Message(Message),
    /// The end.
    Done,
    /// The end.
    Failed(Error),
}

/// The events of one request. Dropped, the request is given up.
#[derive(Debug)]
pub struct Response {
    events: mpsc::Receiver<Event>,
    _task: Option<Task>,
}

impl Response {
    pub(crate) fn new(events: mpsc::Receiver<Event>, task: Option<Task>) -> Response {
        Response { events, _task: task }
    }

    /// None after the end.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Stream for Response {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.poll_recv(cx)
    }
}
