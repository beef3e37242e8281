//! `websocket`: what a bot sends, and what comes.

use outside::websocket::{Event, Message, NotTaken, Open, Sender, Socket};
use plugin::{Header, HostError, Outcome, WebSocketEvent, WebSocketRequest};

use super::outbound::{failed, header_in};
use crate::bots::Answers;

pub fn open(url: String, headers: Vec<Header>, subprotocols: Vec<String>) -> Open {
    Open { url, headers: headers.into_iter().map(header_in).collect(), subprotocols }
}

/// Reads no faster than the bot takes.
pub async fn tell(mut socket: Socket, answers: Answers, id: u64) {
    while let Some(event) = socket.next().await {
        answers.give(id, Outcome::WebSocket(event_out(event))).await;
    }
}

fn event_out(event: Event) -> WebSocketEvent {
    match event {
        Event::Opened(subprotocol) => WebSocketEvent::Opened(subprotocol),
        Event::Message(Message::Text(text)) => WebSocketEvent::Text(text),
        Event::Message(Message::Binary(bytes)) => WebSocketEvent::Binary(bytes.into()),
        Event::Closed(goodbye) => WebSocketEvent::Closed { code: goodbye.code, reason: goodbye.reason },
        Event::Failed(error) => WebSocketEvent::Failed(failed(error)),
    }
}

/// False: it was not taken, the bot has been told, and the socket is to be given up.
pub fn pass_on(sender: &Sender, request: WebSocketRequest, answers: &Answers, id: u64) -> bool {
    let message = match request {
        WebSocketRequest::Text(text) => Message::Text(text),
        WebSocketRequest::Binary(bytes) => Message::Binary(bytes.into()),
        WebSocketRequest::Close { code, reason } => {
            sender.close(code, &reason);
            return true;
        }
        // The first, which has been opened.
        WebSocketRequest::Open { .. } => return true,
    };
    let (bytes, told) = (message.len(), answers.clone());
    match sender.send_then(message, move || told.sent(id, bytes)) {
        // Over: its end is on the way.
        Ok(()) | Err(NotTaken::Over) => true,
        Err(full @ NotTaken::Full) => {
            let error = HostError { code: "too-many", message: full.to_string() };
            // Full too: the bot finds out by what it sends next.
            let _ = answers.offer(id, Outcome::WebSocket(WebSocketEvent::Failed(error)));
            false
        }
    }
}
