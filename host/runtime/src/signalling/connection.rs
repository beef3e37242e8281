//! One TCP or TLS connection, from its first byte to its end: reading, writing and deadlines in one task.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sip::Flow;
use sip::framing::{Frame, FramingError, StreamReader};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::table::{Ends, Slot};
use super::{EdgeEvent, Shared};
use crate::observe::{Direction, PersonalAddress};

/// Source: RFC 5626 4.4.1.
const PING: &[u8] = b"\r\n\r\n";
const PONG: &[u8] = b"\r\n";
/// What one read takes at most, in bytes.
const READ_BYTES: usize = 4096;
/// A stream that cannot be read on stays open for so long, so that the answer to its last head can leave.
const LINGER: Duration = Duration::from_millis(500);

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Peer,
    /// The core asked, or is gone.
    Asked,
    Garbage,
    UnfinishedMessage,
    Idle,
    /// What we wrote was not taken.
    Stalled,
}

impl Why {
    pub const ALL: [Why; 6] = [Why::Peer, Why::Asked, Why::Garbage, Why::UnfinishedMessage, Why::Idle, Why::Stalled];

    pub fn as_str(self) -> &'static str {
        match self {
            Why::Peer => "peer",
            Why::Asked => "asked",
            Why::Garbage => "garbage",
            Why::UnfinishedMessage => "unfinished_message",
            Why::Idle => "idle",
            Why::Stalled => "stalled",
        }
    }
}

/// Runs an accepted connection to its end. `flow.connection` is set here.
pub(super) async fn run<S>(shared: Arc<Shared>, stream: S, flow: Flow, slot: Slot)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let ends = shared.table.open();
    let flow = Flow { connection: Some(ends.id), ..flow };
    run_open(shared, stream, flow, ends, slot).await;
}

/// Runs a connection that is in the table already, as one is that we opened.
pub(super) async fn run_open<S>(shared: Arc<Shared>, stream: S, flow: Flow, ends: Ends, slot: Slot)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut read, write) = tokio::io::split(stream);
    let Ends { id, abort, carries_dialogs, .. } = &ends;
    let (id, abort, carries) = (*id, abort.clone(), carries_dialogs.clone());
    let pongs = Arc::new(Notify::new());
    let why = tokio::select! {
        why = read_messages(&shared, &mut read, flow, &carries, &pongs) => why,
        why = write_messages(&shared, write, ends, &pongs) => why,
        () = abort.notified() => Why::Stalled,
    };
    shared.table.close(id);
    drop(read);
    drop(slot);
    shared.counters.closed(why);
    if !matches!(why, Why::Peer | Why::Asked)
        && let Some(unlogged) = shared.closed_log.allow(std::time::Instant::now())
    {
        let from = PersonalAddress(flow.remote);
        tracing::info!(%from, why = why.as_str(), unlogged, "connection closed");
    }
    // Only a core that is gone does not take it.
    let _ = shared.events.send(EdgeEvent::Closed { connection: id }).await;
}

async fn read_messages<R: AsyncRead + Unpin>(
    shared: &Shared,
    read: &mut R,
    flow: Flow,
    carries_dialogs: &watch::Receiver<bool>,
    pongs: &Notify,
) -> Why {
    let mut framing = StreamReader::new();
    let mut buffer = [0; READ_BYTES];
    let mut last_byte = Instant::now();
    // When the message began that has not ended.
    let mut begun: Option<Instant> = None;
    loop {
        let deadline = match begun {
            Some(begun) => begun + shared.bounds.unfinished_message,
            None => last_byte + shared.bounds.idle,
        };
        let length = match tokio::time::timeout_at(deadline, read.read(&mut buffer)).await {
            Ok(Ok(0)) | Ok(Err(_)) => return Why::Peer,
            Ok(Ok(length)) => length,
            Err(_) if begun.is_some() => return Why::UnfinishedMessage,
            Err(_) if *carries_dialogs.borrow() => {
                last_byte = Instant::now();
                continue;
            }
            Err(_) => return Why::Idle,
        };
        framing.push(&buffer[..length]);
        for frame in framing.by_ref() {
            // What follows a whole message has begun anew.
            begun = None;
            match frame {
                Ok(Frame::Ping) => pongs.notify_one(),
                Ok(Frame::Message(bytes)) => {
                    if deliver(shared, flow, bytes).await.is_err() {
                        return Why::Asked;
                    }
                }
                Err(error) => return refuse(shared, flow, error).await,
            }
        }
        last_byte = Instant::now();
        begun = if framing.is_unfinished() { begun.or(Some(last_byte)) } else { None };
    }
}

/// Waits while the core has no room: the peer is then slowed down by TCP.
async fn deliver(shared: &Shared, flow: Flow, bytes: Vec<u8>) -> Result<(), ()> {
    shared.counters.received(flow.transport);
    shared.trace.message(Direction::Received, flow.transport, flow.remote, &bytes);
    shared.events.send(EdgeEvent::Message { flow, bytes }).await.map_err(drop)
}

async fn refuse(shared: &Shared, flow: Flow, error: FramingError) -> Why {
    if !error.head.is_empty() && deliver(shared, flow, error.head).await.is_ok() {
        tokio::time::sleep(LINGER).await;
    }
    Why::Garbage
}

async fn write_messages<S: AsyncRead + AsyncWrite>(
    shared: &Shared,
    mut write: WriteHalf<S>,
    ends: Ends,
    pongs: &Notify,
) -> Why {
    let Ends { mut queue, queued_bytes, mut carries_dialogs, .. } = ends;
    let mut keep_alive = tokio::time::interval(shared.bounds.keep_alive);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    keep_alive.reset();
    loop {
        let carries = *carries_dialogs.borrow_and_update();
        let message = tokio::select! {
            biased;
            message = queue.recv() => match message {
                Some(message) => message,
                None => {
                    let _ = tokio::time::timeout(shared.bounds.write, write.shutdown()).await;
                    return Why::Asked;
                }
            },
            () = pongs.notified() => PONG.to_vec(),
            _ = keep_alive.tick(), if carries => PING.to_vec(),
            Ok(()) = carries_dialogs.changed() => {
                keep_alive.reset();
                continue;
            }
        };
        let written = tokio::time::timeout(shared.bounds.write, async {
            write.write_all(&message).await?;
            // TLS keeps what the socket did not take.
            write.flush().await
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Why::Peer,
            Err(_) => return Why::Stalled,
        }
        if message.as_slice() != PING && message.as_slice() != PONG {
            queued_bytes.fetch_sub(message.len(), Ordering::Relaxed);
        }
    }
}
