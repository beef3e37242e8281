//! A tenant's connections that wait for their next request. One is taken again only for the scheme, host and address that it was
//! made for, so rules and DNS are asked anew for every request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::connect::connect;
use crate::error::{Code, Error};
use crate::target::{Host, Target};
use crate::task::Task;
use crate::tenant::Tenant;

/// Idle connections of one tenant.
pub const IDLE_MAX: usize = 16;
/// For a connection to be ready again; it is, unless its last request was answered before it was read.
const READY_WITHIN: Duration = Duration::from_millis(100);

pub(super) type Body = Full<Bytes>;

/// Closed when dropped, whatever is under way on it.
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    host: Host,
    is_tls: bool,
    address: SocketAddr,
    _task: Task,
}

impl Connection {
    pub async fn open(tenant: &Tenant, target: &Target, to: &[SocketAddr]) -> Result<Connection, Error> {
        let (stream, address) = connect(tenant, target, to).await?;
        let mut http = http1::Builder::new();
        http.max_headers(RESPONSE_HEADERS_MAX).max_buf_size(RESPONSE_HEAD_BYTES_MAX);
        let handshake = http.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| Error::new(Code::Protocol, error.to_string()))?;
        let task = Task::start(tenant.outside().runtime(), async move {
            // What goes wrong is told to whoever waits for the response.
            let _ = connection.await;
        });
        Ok(Connection { sender, host: target.host.clone(), is_tls: target.is_tls, address, _task: task })
    }

    pub async fn send(
        &mut self,
        request: hyper::Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<hyper::Request<Body>>> {
        self.sender.try_send_request(request).await
    }
}

/// Headers of a response, and the bytes they take.
pub const RESPONSE_HEADERS_MAX: usize = 100;
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 << 10;

struct Idle {
    connection: Connection,
    until: Instant,
}

#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Idle>>);

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that is ready, the last that was used first.
    pub async fn take(&self, target: &Target, to: &[SocketAddr]) -> Option<Connection> {
        loop {
            let mut connection = self.find(target, to)?;
            if let Ok(Ok(())) = timeout(READY_WITHIN, connection.sender.ready()).await {
                return Some(connection);
            }
        }
    }

    fn find(&self, target: &Target, to: &[SocketAddr]) -> Option<Connection> {
        let fits = |idle: &Idle| {
            let Connection { host, is_tls, address, .. } = &idle.connection;
            (host, *is_tls) == (&target.host, target.is_tls) && to.contains(address)
        };
        let mut idle = self.idle();
        let at = idle.iter().rposition(fits)?;
        Some(idle.remove(at).connection)
    }

    /// Keeps it for so long; beyond the bound the oldest goes.
    pub fn give(self: &Arc<Pool>, connection: Connection, keep_alive: Duration, runtime: &Handle) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle();
        idle.push(Idle { connection, until: Instant::now() + keep_alive });
        let too_many = idle.len().saturating_sub(IDLE_MAX);
        let dropped: Vec<_> = idle.drain(..too_many).collect();
        drop(idle);
        drop(dropped);
        let pool = Arc::downgrade(self);
        runtime.spawn(async move {
            tokio::time::sleep(keep_alive).await;
            if let Some(pool) = pool.upgrade() {
                pool.idle().retain(|idle| Instant::now() < idle.until);
            }
        });
    }
}
