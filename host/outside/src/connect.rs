//! From a target to a stream: the name is looked up, each address checked, and one of those that were checked is dialled. No
//! name is looked up twice, so what DNS says a moment later changes nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::{Code, Error, Refusal, Spent, of_network};
use crate::limits::{Account, Limits, Open};
use crate::resolver::ADDRESSES_MAX;
use crate::target::{Host, Target};
use crate::tenant::Tenant;

/// An address is tried beside the one before it after so long. Source: RFC 8305 5.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Where this target may be connected to, in order. Errors: `egress-denied`, `not-found`.
pub(crate) async fn addresses(tenant: &Tenant, target: &Target) -> Result<Vec<SocketAddr>, Error> {
    let outside = tenant.outside();
    let rules = outside.rules();
    rules.admit(&tenant.rules().egress, target)?;
    let found = match &target.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => {
            let not_found = |error| Error::new(Code::NotFound, format!("{name}: {error}"));
            outside.resolver().resolve(name.clone()).await.map_err(not_found)?
        }
    };
    let mut admitted = Vec::new();
    let mut refused = Error::new(Code::NotFound, format!("{}: no address", target.host));
    for address in found.into_iter().take(ADDRESSES_MAX) {
        match rules.admit_address(target, address) {
            Ok(()) => admitted.push(SocketAddr::new(address, target.port)),
            Err(error) => refused = error,
        }
    }
    if admitted.is_empty() { Err(refused) } else { Ok(admitted) }
}

/// A new connection to one of these addresses. Errors: `unreachable`, `tls`, `quota`. The caller sets the deadline.
pub(crate) async fn connect(
    tenant: &Tenant,
    target: &Target,
    to: &[SocketAddr],
) -> Result<(Stream, SocketAddr), Error> {
    let outside = tenant.outside();
    let permit = outside.connections().clone().try_acquire_owned();
    let permit = permit.map_err(|_| Error::refused(Refusal::Connections, "the host has no connection left"))?;
    let (stream, address) =
        dial(to).await.map_err(|error| of_network(Code::Unreachable, &target.to_string(), &error))?;
    // Small requests wait for nothing; where this fails they wait a little.
    let _ = stream.set_nodelay(true);
    let (account, limits) = (tenant.account().clone(), tenant.rules().limits);
    let stream = Metered { stream, _open: account.connected(), account, limits, _permit: permit };
    if !target.is_tls {
        return Ok((Stream::Plain(stream), address));
    }
    let name = match &target.host {
        Host::Name(name) => ServerName::try_from(name.clone())
            .map_err(|_| Error::new(Code::Tls, format!("{name} is no name that a certificate can have")))?,
        Host::Address(address) => ServerName::from(*address),
    };
    let stream = TlsConnector::from(outside.tls().clone()).connect(name, stream).await;
    let stream = stream.map_err(|error| of_network(Code::Tls, &target.to_string(), &error))?;
    Ok((Stream::Tls(Box::new(stream)), address))
}

/// The first that answers. Errors: that of the last to fail.
async fn dial(to: &[SocketAddr]) -> io::Result<(TcpStream, SocketAddr)> {
    let attempts = to.iter().zip(0..).map(async |(address, nth)| {
        tokio::time::sleep(NEXT_ADDRESS_AFTER * nth).await;
        TcpStream::connect(*address).await.map(|stream| (stream, *address))
    });
    let mut attempts: FuturesUnordered<_> = attempts.collect();
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(connected) => return Ok(connected),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Counts what a tenant's connection carries, and fails with [`Spent`] when that is too much.
pub(crate) struct Metered {
    stream: TcpStream,
    account: Arc<Account>,
    limits: Limits,
    _open: Open,
    /// One of the host's connections, while it is open.
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        Poll::Ready(spent(self.account.received(read, &self.limits, Instant::now())))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        Poll::Ready(spent(self.account.sent(written, &self.limits, Instant::now())).map(|()| written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn spent(is_left: bool) -> io::Result<()> {
    if is_left { Ok(()) } else { Err(io::Error::other(Spent)) }
}

/// A connection, with TLS or without.
pub(crate) enum Stream {
    Plain(Metered),
    Tls(Box<TlsStream<Metered>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
