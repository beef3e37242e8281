//! A request and its response: redirects followed, the body handed on in the pieces that were asked for.

use std::io;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::{HeaderMap, Response, StatusCode, header};
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::event_stream::EventStream;
use super::hop::{Hop, REDIRECTS_MAX};
use super::pool::Connection;
use super::{Event, Head, PIECE_BYTES_MAX, Pieces, Request};
use crate::connect::addresses;
use crate::error::{Code, Error, Spent, cause, of_network};
use crate::limits::{Limits, one_more};
use crate::tenant::Tenant;

/// All events but the last. The caller sets the deadline.
pub(crate) async fn exchange(tenant: &Tenant, request: Request, events: &Sender<Event>) -> Result<(), Error> {
    let limits = tenant.rules().limits;
    let pieces = request.pieces;
    let mut hop = Hop::first(request, &limits)?;
    for _ in 0..=REDIRECTS_MAX {
        let (connection, response) = send(&hop, tenant, &limits).await?;
        match hop.next(&response)? {
            Some(next) => {
                one_more(&tenant.account().counts.redirects);
                hop = next;
            }
            None => {
                Delivery { limits: &limits, events }.deliver(response, pieces).await?;
                tenant.pool().give(connection, limits.keep_alive, tenant.outside().runtime());
                return Ok(());
            }
        }
    }
    Err(Error::new(Code::Protocol, format!("more than {REDIRECTS_MAX} redirects")))
}

/// Over a connection that is still warm, else over a new one.
async fn send(hop: &Hop, tenant: &Tenant, limits: &Limits) -> Result<(Connection, Response<Incoming>), Error> {
    let late =
        |_| Error::new(Code::TimedOut, format!("{}: no connection in {} ms", hop.target, limits.connect.as_millis()));
    let to = timeout(limits.connect, addresses(tenant, &hop.target)).await.map_err(late)??;
    let rules = tenant.rules();
    let mut request = hop.request(&rules.secrets)?;
    while let Some(mut connection) = tenant.pool().take(&hop.target, &to).await {
        match connection.send(request).await {
            Ok(response) => {
                one_more(&tenant.account().counts.connections_reused);
                return Ok((connection, response));
            }
            // The other side may have closed it at that moment: what was not sent, or does no harm twice, is sent again.
            Err(mut failed) => match failed.take_message() {
                Some(unsent) => request = unsent,
                None if hop.method.is_idempotent() && is_lost(failed.error()) => {
                    request = hop.request(&rules.secrets)?
                }
                None => return Err(of_hyper(failed.error())),
            },
        }
    }
    let opened = timeout(limits.connect, Connection::open(tenant, &hop.target, &to)).await;
    let mut connection = opened.map_err(late)??;
    let response = connection.send(request).await.map_err(|failed| of_hyper(failed.error()))?;
    Ok((connection, response))
}

fn is_lost(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || code(error) == Code::Unreachable && cause::<Spent>(error).is_none()
}

fn of_hyper(error: &hyper::Error) -> Error {
    of_network(code(error), "the response", error)
}

fn code(error: &hyper::Error) -> Code {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    if error.is_parse_too_large() {
        return Code::TooLong;
    }
    match cause::<io::Error>(error).map(io::Error::kind) {
        // What reads chunks says so.
        None | Some(InvalidData | InvalidInput | UnexpectedEof) => Code::Protocol,
        Some(_) => Code::Unreachable,
    }
}

struct Delivery<'a> {
    limits: &'a Limits,
    events: &'a Sender<Event>,
}

impl Delivery<'_> {
    async fn deliver(&self, response: Response<Incoming>, pieces: Pieces) -> Result<(), Error> {
        let (head, body) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::new(Code::Protocol, "another protocol, which nobody asked for"));
        }
        let is_event_stream = is_event_stream(&head.headers);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
        self.tell(Event::Head(Head { status: head.status.as_u16(), headers })).await;
        match pieces {
            Pieces::Chunks => self.chunks(body).await,
            Pieces::Events if is_event_stream => self.events(body).await,
            Pieces::Whole | Pieces::Events => self.whole(body).await,
        }
    }

    /// Waits while others wait to be taken. Whoever does not want them any more ends the task.
    async fn tell(&self, event: Event) {
        let _ = self.events.send(event).await;
    }

    /// None at the end.
    async fn data(&self, body: &mut Incoming) -> Result<Option<Bytes>, Error> {
        loop {
            let idle = self.limits.idle;
            let late = |_| Error::new(Code::TimedOut, format!("the body paused for {} ms", idle.as_millis()));
            match timeout(idle, body.frame()).await.map_err(late)? {
                None => return Ok(None),
                Some(Err(error)) => return Err(of_hyper(&error)),
                // Trailers are nobody's concern.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    async fn whole(&self, mut body: Incoming) -> Result<(), Error> {
        let max = self.limits.whole_bytes;
        let is_too_long = |bytes: usize| bytes > max;
        if body.size_hint().lower() > max as u64 {
            return Err(too_long(max as u64));
        }
        let mut whole = BytesMut::new();
        while let Some(data) = self.data(&mut body).await? {
            if is_too_long(whole.len() + data.len()) {
                return Err(too_long(max as u64));
            }
            whole.extend_from_slice(&data);
        }
        if !whole.is_empty() {
            self.tell(Event::Body(whole.freeze())).await;
        }
        Ok(())
    }

    async fn chunks(&self, mut body: Incoming) -> Result<(), Error> {
        let mut received = 0;
        while let Some(mut data) = self.data(&mut body).await? {
            self.count(&mut received, data.len())?;
            while !data.is_empty() {
                let piece = data.split_to(data.len().min(PIECE_BYTES_MAX));
                self.tell(Event::Body(piece)).await;
            }
        }
        Ok(())
    }

    async fn events(&self, mut body: Incoming) -> Result<(), Error> {
        let mut received = 0;
        let mut stream = EventStream::default();
        let mut messages = Vec::new();
        while let Some(data) = self.data(&mut body).await? {
            self.count(&mut received, data.len())?;
            let read = stream.read(&data, &mut messages);
            for message in messages.drain(..) {
                self.tell(Event::Message(message)).await;
            }
            read?;
        }
        Ok(())
    }

    fn count(&self, received: &mut u64, bytes: usize) -> Result<(), Error> {
        *received += bytes as u64;
        let max = self.limits.response_bytes;
        if *received > max { Err(too_long(max)) } else { Ok(()) }
    }
}

fn too_long(max: u64) -> Error {
    Error::new(Code::TooLong, format!("the response is longer than {max} bytes"))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}
