//! A tenant's way out as the engines' wire.

use futures_util::StreamExt;
use futures_util::stream;
use outside::http::{self, Pieces as InPieces};
use outside::websocket::{self, NotTaken, Open};
use tokio::sync::mpsc;

use crate::{Code, Fault, Header, Messages, Piece, Pieces, Request, Wire};

impl Wire for outside::Tenant {
    fn post(&self, request: Request) -> Pieces {
        let response = self.http(http::Request {
            method: "POST".to_owned(),
            url: request.url,
            headers: owned(request.headers),
            body: request.body.into(),
            timeout: Some(request.timeout),
            pieces: InPieces::Chunks,
        });
        let pieces = stream::unfold(response, |mut response| async {
            let piece = match response.next().await? {
                http::Event::Head(head) => Ok(Piece::Head(head.status)),
                http::Event::Body(bytes) => Ok(Piece::Body(bytes.into())),
                http::Event::Message(_) => Err(Fault::protocol("an event that nobody asked for")),
                http::Event::Done => return None,
                http::Event::Failed(error) => Err(error.into()),
            };
            Some((piece, response))
        });
        pieces.boxed()
    }

    fn websocket(&self, url: String, headers: Vec<Header>, outgoing: mpsc::Receiver<String>) -> Messages {
        let (sender, socket) = self.websocket(Open { url, headers: owned(headers), subprotocols: Vec::new() });
        let talk = Talk { sender, socket, outgoing: Some(outgoing) };
        stream::unfold(talk, |mut talk| async { Some((talk.next().await?, talk)) }).boxed()
    }
}

struct Talk {
    sender: websocket::Sender,
    socket: websocket::Socket,
    /// None: it is closed, and goodbye was said.
    outgoing: Option<mpsc::Receiver<String>>,
}

impl Talk {
    async fn next(&mut self) -> Option<Result<String, Fault>> {
        loop {
            let outgoing = async {
                match &mut self.outgoing {
                    Some(outgoing) => outgoing.recv().await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                message = outgoing => {
                    match self.send(message) {
                        Ok(()) => continue,
                        Err(fault) => return Some(Err(fault)),
                    }
                }
                event = self.socket.next() => event?,
            };
            return match event {
                websocket::Event::Opened(_) => continue,
                websocket::Event::Message(websocket::Message::Text(text)) => Some(Ok(text)),
                websocket::Event::Message(websocket::Message::Binary(_)) => {
                    Some(Err(Fault::protocol("a message that is no text")))
                }
                websocket::Event::Closed(_) => None,
                websocket::Event::Failed(error) => Some(Err(error.into())),
            };
        }
    }

    fn send(&mut self, message: Option<String>) -> Result<(), Fault> {
        let Some(message) = message else {
            self.sender.close(1000, "");
            self.outgoing = None;
            return Ok(());
        };
        match self.sender.send(websocket::Message::Text(message)) {
            // Why it is over comes as an event.
            Ok(()) | Err(NotTaken::Over) => Ok(()),
            Err(NotTaken::Full) => Err(Fault::new(Code::TimedOut, "the engine does not keep up with the caller")),
        }
    }
}

fn owned(headers: Vec<Header>) -> Vec<(String, String)> {
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl From<outside::Error> for Fault {
    /// Bots know fewer codes of engines than of requests of their own. What the network says names the engine.
    fn from(error: outside::Error) -> Fault {
        let (code, message) = match error.code {
            outside::Code::TimedOut => (Code::TimedOut, "the engine does not answer in time"),
            outside::Code::TooLong => (Code::TooLong, "the answer of the engine does not end"),
            outside::Code::Protocol => (Code::Protocol, "the engine does not keep to the protocol"),
            outside::Code::BadRequest => (Code::BadRequest, "the engine cannot be asked so"),
            outside::Code::EgressDenied => (Code::Unreachable, "no egress rule allows the engine"),
            outside::Code::SecretDenied => (Code::Unreachable, "the key may not go to the engine"),
            outside::Code::Tls => (Code::Unreachable, "no TLS with the engine"),
            outside::Code::Quota => (Code::Unreachable, "the tenant has too much under way with engines"),
            outside::Code::NotFound | outside::Code::Unreachable => (Code::Unreachable, "the engine is not there"),
        };
        Fault::new(code, message).privately(&error.to_string())
    }
}
