//! A WebSocket.

use super::operation::{Operation, unexpected};
use super::{Call, Header};
use crate::outcome::WebsocketEvent;
use crate::{Error, Outcome, imports};

const GOING_AWAY: u16 = 1001;

/// What the other side said.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Text(String),
    Binary(Vec<u8>),
}

/// An open WebSocket. Dropped, it is closed.
pub struct Socket {
    operation: Operation,
    subprotocol: String,
}

impl Socket {
    /// The one that was chosen, empty if none.
    pub fn subprotocol(&self) -> &str {
        &self.subprotocol
    }

    pub fn send_text(&self, text: &str) -> Result<(), Error> {
        imports::websocket_send_text(self.operation.id(), text)
    }

    pub fn send_binary(&self, bytes: &[u8]) -> Result<(), Error> {
        imports::websocket_send_binary(self.operation.id(), bytes)
    }

    /// None: it is closed. After an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Said, Error>> {
        if self.operation.is_over() {
            return None;
        }
        let error = match self.operation.next_outcome().await {
            Outcome::WebSocket(_, WebsocketEvent::Text(text)) => return Some(Ok(Said::Text(text))),
            Outcome::WebSocket(_, WebsocketEvent::Binary(bytes)) => return Some(Ok(Said::Binary(bytes))),
            Outcome::WebSocket(_, WebsocketEvent::Closed(_)) => None,
            Outcome::WebSocket(_, WebsocketEvent::Failed(error)) => Some(error),
            _ => Some(unexpected()),
        };
        self.operation.finish();
        error.map(Err)
    }
}

impl Call {
    pub async fn open(&self, url: &str, headers: &[Header], subprotocols: &[String]) -> Result<Socket, Error> {
        let id = imports::websocket_open(url, headers, subprotocols)?;
        let mut operation = Operation::new(self, id, close);
        let error = match operation.next_outcome().await {
            Outcome::WebSocket(_, WebsocketEvent::Opened(subprotocol)) => return Ok(Socket { operation, subprotocol }),
            Outcome::WebSocket(_, WebsocketEvent::Failed(error)) => error,
            _ => unexpected(),
        };
        operation.finish();
        Err(error)
    }
}

fn close(id: u64) -> bool {
    imports::websocket_close(id, GOING_AWAY, "");
    true
}
