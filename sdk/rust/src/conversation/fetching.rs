//! Requests over HTTP: whole, or as their body arrives.

use super::operation::{Operation, unexpected};
use super::{Call, Header};
use crate::outcome::http::{Pieces, Request};
use crate::outcome::{Head, HttpEvent, Message};
use crate::{Error, Outcome, imports};

/// A request; `Fetch::get("https://...").header("accept", "application/json")`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch(Request);

impl Fetch {
    pub fn new(method: &str, url: impl Into<String>) -> Fetch {
        let (method, url) = (method.to_owned(), url.into());
        Fetch(Request { method, url, headers: Vec::new(), body: Vec::new(), timeout_ms: 0, pieces: Pieces::Whole })
    }

    pub fn get(url: impl Into<String>) -> Fetch {
        Fetch::new("GET", url)
    }

    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Fetch {
        Fetch::new("POST", url).body(body)
    }

    /// `{{secret:name}}` in the value is replaced by the host.
    pub fn header(mut self, name: &str, value: &str) -> Fetch {
        self.0.headers.push(Header { name: name.to_owned(), value: value.to_owned() });
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Fetch {
        self.0.body = body.into();
        self
    }

    /// For all of it; the host's own limit if that is sooner.
    pub fn timeout_ms(mut self, ms: u32) -> Fetch {
        self.0.timeout_ms = ms;
        self
    }
}

/// A whole response, whatever its status.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
}

impl Response {
    /// What is not UTF-8 in it is U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A piece of a response.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrived {
    Head(Head),
    Body(Vec<u8>),
    /// A server-sent event.
    Message(Message),
}

/// A response under way. Dropped, it is cancelled.
pub struct Fetching(Result<Operation, Option<Error>>);

impl Fetching {
    /// None: it is complete. After an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Arrived, Error>> {
        let operation = match &mut self.0 {
            Ok(operation) => operation,
            Err(refused) => return refused.take().map(Err),
        };
        if operation.is_over() {
            return None;
        }
        let error = match operation.next_outcome().await {
            Outcome::Http(_, HttpEvent::Head(head)) => return Some(Ok(Arrived::Head(head))),
            Outcome::Http(_, HttpEvent::Body(body)) => return Some(Ok(Arrived::Body(body))),
            Outcome::Http(_, HttpEvent::Message(message)) => return Some(Ok(Arrived::Message(message))),
            Outcome::Http(_, HttpEvent::Done) => None,
            Outcome::Http(_, HttpEvent::Failed(error)) => Some(error),
            _ => Some(unexpected()),
        };
        operation.finish();
        error.map(Err)
    }
}

impl Call {
    /// The whole response, a body of 1 MiB at most.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Response, Error> {
        let mut arriving = self.begin_fetch(fetch, Pieces::Whole);
        let mut response = Response { status: 0, headers: Vec::new(), body: Vec::new() };
        while let Some(arrived) = arriving.next().await {
            match arrived? {
                Arrived::Head(head) => (response.status, response.headers) = (head.status, head.headers),
                Arrived::Body(body) => response.body.extend(body),
                Arrived::Message(_) => {}
            }
        }
        Ok(response)
    }

    /// The response as it arrives, in pieces of the body.
    pub fn fetch_chunks(&self, fetch: Fetch) -> Fetching {
        self.begin_fetch(fetch, Pieces::Chunks)
    }

    /// The response as it arrives, in server-sent events.
    pub fn fetch_events(&self, fetch: Fetch) -> Fetching {
        self.begin_fetch(fetch, Pieces::Events)
    }

    fn begin_fetch(&self, fetch: Fetch, pieces: Pieces) -> Fetching {
        let begun = imports::http_send(&Request { pieces, ..fetch.0 });
        Fetching(begun.map(|id| Operation::new(self, id, imports::http_cancel)).map_err(Some))
    }
}
