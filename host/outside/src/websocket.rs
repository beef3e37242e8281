//! WebSockets under the rules of HTTP requests. Each is a task that reads and writes at the same time; what is to be sent waits in a
//! bounded queue, what has come is not read before its listener takes it. Source: RFC 6455.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::header::{self, HeaderMap, HeaderValue};
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as Wire, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config, tungstenite};

use crate::connect::{Stream, addresses, connect};
use crate::error::{Code, Error, of_network};
use crate::http::{read_headers, user_agent};
use crate::limits::Limits;
use crate::secrets;
use crate::target::{Kind, Target};
use crate::task::Task;
use crate::tenant::Tenant;

/// The longest message, either way.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// What waits to be sent, [`MESSAGE_COST`] for each message included.
pub const WAITING_BYTES_MAX: usize = MESSAGE_BYTES_MAX + MESSAGE_COST;
const MESSAGE_COST: usize = 64;
pub const SUBPROTOCOLS_MAX: usize = 16;
/// A reason to close. Source: RFC 6455 5.5.
const REASON_BYTES_MAX: usize = 123;
/// For the other side's goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(5);
/// For our own to leave after the other side's.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
pub(crate) const EVENTS_WAITING: usize = 4;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    pub url: String,
    /// As in [`crate::http::Request`].
    pub headers: Vec<(String, String)>,
    /// By preference.
    pub subprotocols: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Binary(Bytes),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// 1005 if the other side named none.
    pub code: u16,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// First, once, with the subprotocol that was chosen, empty if none.
    Opened(String),
    Message(Message),
    /// The end.
    Closed(Goodbye),
    /// The end.
    Failed(Error),
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("{WAITING_BYTES_MAX} bytes wait to be sent")]
    Full,
    #[error("the WebSocket is closed")]
    Over,
}

impl Message {
    /// In bytes.
    pub fn len(&self) -> usize {
        match self {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Called once its message has left.
type Sent = Box<dyn FnOnce() + Send>;

enum Outgoing {
    Message(Message, Option<Sent>),
    Close(Goodbye),
}

/// Cheap to clone. Messages leave in the order in which they were taken, once the socket is open.
#[derive(Clone)]
pub struct Sender {
    queue: mpsc::UnboundedSender<Outgoing>,
    waiting: Arc<AtomicUsize>,
}

impl Sender {
    pub fn send(&self, message: Message) -> Result<(), NotTaken> {
        self.put(message, None)
    }

    /// Calls `sent` once the message is with the network and no longer counts as waiting; never, if it does not come to that.
    pub fn send_then(&self, message: Message, sent: impl FnOnce() + Send + 'static) -> Result<(), NotTaken> {
        self.put(message, Some(Box::new(sent)))
    }

    fn put(&self, message: Message, sent: Option<Sent>) -> Result<(), NotTaken> {
        let cost = cost(&message);
        let more = |waiting: usize| waiting.checked_add(cost).filter(|sum| *sum <= WAITING_BYTES_MAX);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map_err(|_| NotTaken::Full)?;
        self.queue.send(Outgoing::Message(message, sent)).map_err(|_| NotTaken::Over)
    }

    /// Says goodbye after what waits. A code that may not be sent becomes 1000, a reason is cut to 123 bytes.
    pub fn close(&self, code: u16, reason: &str) {
        let code = if CloseCode::from(code).is_allowed() { code } else { 1000 };
        let reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
        // Over: it is closed.
        let _ = self.queue.send(Outgoing::Close(Goodbye { code, reason }));
    }
}

fn cost(message: &Message) -> usize {
    MESSAGE_COST + message.len()
}

/// The events of a WebSocket. Dropped, its connection is closed.
#[derive(Debug)]
pub struct Socket {
    events: mpsc::Receiver<Event>,
    _task: Option<Task>,
}

impl Socket {
    pub(crate) fn new(events: mpsc::Receiver<Event>, task: Option<Task>) -> Socket {
        Socket { events, _task: task }
    }

    /// None after the end.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl futures_util::Stream for Socket {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.poll_recv(cx)
    }
}

/// What the task of a socket has of the queue.
pub(crate) struct Queue {
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
    waiting: Arc<AtomicUsize>,
}

pub(crate) fn queue() -> (Sender, Queue) {
    let (queue, outgoing) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (Sender { queue, waiting: waiting.clone() }, Queue { outgoing, waiting })
}

type Wires = WebSocketStream<Stream>;

/// From the handshake to the goodbye; all events but the last.
pub(crate) async fn converse(
    tenant: &Tenant,
    open: Open,
    queue: Queue,
    events: &mpsc::Sender<Event>,
) -> Result<Goodbye, Error> {
    let limits = tenant.rules().limits;
    let opened = timeout(limits.connect, handshake(tenant, open)).await;
    let late = |_| Error::new(Code::TimedOut, format!("not open within {} ms", limits.connect.as_millis()));
    let (socket, subprotocol) = opened.map_err(late)??;
    tell(events, Event::Opened(subprotocol)).await;
    let (sink, stream) = socket.split();
    let mut reading = pin!(read(stream, events, &limits));
    let writing = pin!(write(sink, queue, &limits));
    match select(&mut reading, writing).await {
        Either::Left((end, _)) => end,
        Either::Right((Err(error), _)) => Err(error),
        Either::Right((Ok(ours), _)) => timeout(GOODBYE_WITHIN, reading).await.unwrap_or(Ok(ours)),
    }
}

async fn handshake(tenant: &Tenant, open: Open) -> Result<(Wires, String), Error> {
    if secrets::mentions(open.url.as_bytes()) {
        return Err(secrets::denied("a secret goes into the value of a header, not into the URL".into()));
    }
    let target = Target::read(&open.url, Kind::WebSocket)?;
    let headers = read_headers(&open.headers)?;
    let to = addresses(tenant, &target).await?;
    let rules = tenant.rules();
    let mut request = upgrade(&target, &open.subprotocols)?;
    for header in headers {
        let (name, value) = header.fill(&rules.secrets, &target)?;
        request.headers_mut().append(name, value);
    }
    user_agent(request.headers_mut());
    let (stream, _) = connect(tenant, &target, &to).await?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .max_write_buffer_size(2 * MESSAGE_BYTES_MAX);
    let (socket, response) = client_async_with_config(request, stream, Some(config)).await.map_err(failed)?;
    let chosen = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|name| name.to_str().ok());
    Ok((socket, chosen.unwrap_or_default().to_owned()))
}

/// The request that asks for a WebSocket. Source: RFC 6455 4.1.
fn upgrade(target: &Target, subprotocols: &[String]) -> Result<hyper::Request<()>, Error> {
    let bad = |what: String| Error::new(Code::BadRequest, what);
    if subprotocols.len() > SUBPROTOCOLS_MAX {
        return Err(bad(format!("more than {SUBPROTOCOLS_MAX} subprotocols")));
    }
    let value = |text: &str| HeaderValue::from_str(text).map_err(|error| bad(error.to_string()));
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, value(&target.authority())?);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, value(&generate_key())?);
    if !subprotocols.is_empty() {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value(&subprotocols.join(", "))?);
    }
    let scheme = if target.is_tls { "wss" } else { "ws" };
    let uri = format!("{scheme}://{}{}", target.authority(), target.path_and_query());
    let mut request = hyper::Request::builder().uri(uri).body(()).map_err(|error| bad(format!("the URL: {error}")))?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn failed(error: tungstenite::Error) -> Error {
    use tungstenite::Error as Theirs;
    match &error {
        Theirs::Http(response) => {
            Error::new(Code::Protocol, format!("answered {}, not 101", response.status().as_u16()))
        }
        Theirs::Capacity(_) => Error::new(Code::TooLong, error.to_string()),
        Theirs::Io(_)
        | Theirs::ConnectionClosed
        | Theirs::AlreadyClosed
        | Theirs::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            of_network(Code::Unreachable, "the connection", &error)
        }
        _ => of_network(Code::Protocol, "the WebSocket", &error),
    }
}

/// Waits while others wait to be taken. Whoever does not want them any more ends the task.
async fn tell(events: &mpsc::Sender<Event>, event: Event) {
    let _ = events.send(event).await;
}

/// Until the other side's goodbye.
async fn read(mut stream: SplitStream<Wires>, events: &mpsc::Sender<Event>, limits: &Limits) -> Result<Goodbye, Error> {
    loop {
        let late = |_| Error::new(Code::TimedOut, format!("silent for {} ms", limits.idle.as_millis()));
        let message = match timeout(limits.idle, stream.next()).await.map_err(late)? {
            None => return Err(Error::new(Code::Unreachable, "the connection ended without a goodbye")),
            Some(message) => message.map_err(failed)?,
        };
        match message {
            Wire::Text(text) => tell(events, Event::Message(Message::Text(text.as_str().to_owned()))).await,
            Wire::Binary(bytes) => tell(events, Event::Message(Message::Binary(bytes))).await,
            Wire::Close(frame) => {
                // Our answer leaves as we read on.
                let _ = timeout(ANSWER_WITHIN, stream.next()).await;
                let unnamed = Goodbye { code: CloseCode::Status.into(), reason: String::new() };
                return Ok(frame.map_or(unnamed, |frame| Goodbye {
                    code: frame.code.into(),
                    reason: frame.reason.as_str().to_owned(),
                }));
            }
            Wire::Ping(_) | Wire::Pong(_) | Wire::Frame(_) => {}
        }
    }
}

/// Until our own goodbye has left. A ping leaves often enough that a silent connection is a dead one.
async fn write(mut sink: SplitSink<Wires, Wire>, mut queue: Queue, limits: &Limits) -> Result<Goodbye, Error> {
    let mut ping = interval(limits.idle / 3);
    ping.tick().await;
    let mut is_fed = true;
    loop {
        let outgoing = tokio::select! {
            outgoing = queue.outgoing.recv(), if is_fed => outgoing,
            _ = ping.tick() => {
                put(&mut sink, Wire::Ping(Bytes::new()), limits).await?;
                continue;
            }
        };
        match outgoing {
            None => is_fed = false,
            Some(Outgoing::Message(message, sent)) => {
                let cost = cost(&message);
                let wire = match message {
                    Message::Text(text) if secrets::mentions(text.as_bytes()) => {
                        return Err(secrets::denied(
                            "a secret goes into the value of a header, not into a message".into(),
                        ));
                    }
                    Message::Text(text) => Wire::Text(text.into()),
                    Message::Binary(bytes) => Wire::Binary(bytes),
                };
                put(&mut sink, wire, limits).await?;
                queue.waiting.fetch_sub(cost, Ordering::Relaxed);
                if let Some(sent) = sent {
                    sent();
                }
            }
            Some(Outgoing::Close(goodbye)) => {
                let reason = goodbye.reason.clone().into();
                let frame = CloseFrame { code: CloseCode::from(goodbye.code), reason };
                put(&mut sink, Wire::Close(Some(frame)), limits).await?;
                return Ok(goodbye);
            }
        }
    }
}

async fn put(sink: &mut SplitSink<Wires, Wire>, message: Wire, limits: &Limits) -> Result<(), Error> {
    let late = |_| Error::new(Code::TimedOut, format!("not read for {} ms", limits.idle.as_millis()));
    timeout(limits.idle, sink.send(message)).await.map_err(late)?.map_err(failed)
}
