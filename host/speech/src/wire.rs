//! The network, as narrow as the engines need it.

use std::time::Duration;

use futures_util::stream::BoxStream;
use tokio::sync::mpsc;

use crate::Fault;

/// A value may hold `{{secret:name}}`, which the wire replaces where that secret may go.
pub type Header = (&'static str, String);

/// Always a POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub url: String,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
    /// The wire may end it then by itself; the deadlines of an engine are kept here.
    pub timeout: Duration,
    /// Of the body of the answer.
    pub bytes_max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// First, once: the status.
    Head(u16),
    Body(Vec<u8>),
}

/// Ends after the body; nothing is read after a fault. Dropping it ends the request.
pub type Pieces = BoxStream<'static, Result<Piece, Fault>>;
/// Text messages in their order. Ends when the engine has closed; nothing is read after a fault. Dropping it closes the connection.
pub type Messages = BoxStream<'static, Result<String, Fault>>;

/// One tenant's way out: under its egress rules, with its secrets. Both return at once.
pub trait Wire: Send + Sync {
    fn post(&self, request: Request) -> Pieces;

    /// What comes through `outgoing` is sent in its order, from when the connection is there.
    fn websocket(&self, url: String, headers: Vec<Header>, outgoing: mpsc::Receiver<String>) -> Messages;
}
