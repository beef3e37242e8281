//! `http`: a request of a bot, and the events that come of it.

use std::time::Duration;

use outside::http::{Event, Pieces, Request, Response};
use plugin::{Header, HttpEvent, HttpRequest, Outcome};

use super::outbound::{failed, header_in};
use crate::bots::Answers;

pub fn request(asked: HttpRequest) -> Request {
    Request {
        method: asked.method,
        url: asked.url,
        headers: asked.headers.into_iter().map(header_in).collect(),
        body: asked.body.into(),
        timeout: (asked.timeout_ms > 0).then(|| Duration::from_millis(asked.timeout_ms.into())),
        pieces: match asked.pieces {
            plugin::Pieces::Whole => Pieces::Whole,
            plugin::Pieces::Chunks => Pieces::Chunks,
            plugin::Pieces::Events => Pieces::Events,
        },
    }
}

/// Reads no faster than the bot takes.
pub async fn tell(mut response: Response, answers: Answers, id: u64) {
    while let Some(event) = response.next().await {
        answers.give(id, Outcome::Http(event_out(event))).await;
    }
}

fn event_out(event: Event) -> HttpEvent {
    match event {
        Event::Head(head) => HttpEvent::Head {
            status: head.status,
            headers: head.headers.into_iter().map(|(name, value)| Header { name, value }).collect(),
        },
        Event::Body(body) => HttpEvent::Body(body.into()),
        Event::Message(message) => HttpEvent::Message { event: message.event, data: message.data, id: message.id },
        Event::Done => HttpEvent::Done,
        Event::Failed(error) => HttpEvent::Failed(failed(error)),
    }
}
