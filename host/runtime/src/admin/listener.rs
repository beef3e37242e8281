//! Who is let in, and for how long: connections, TLS handshakes, request heads and writes, each with its bound.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::bounds::{Bounds, HEAD_BYTES_MAX, Place, Places};

/// How long a connection that is being closed waits for the client to have read the last answer.
const LINGER: Duration = Duration::from_secs(1);
/// A client that vanished is found out in about two minutes.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Whose rate a failure counts against: an IPv4 address, or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl Peer {
    pub fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                let [a, b, c, d, ..] = v6.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            ip => Self(ip),
        }
    }
}

/// Accepts until the runtime ends.
pub async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, bounds: Bounds) {
    let permits = Arc::new(Semaphore::new(bounds.connections));
    let of_one = Places::new(bounds.connections_of_one, usize::MAX);
    loop {
        let permit = permits.clone().acquire_owned().await;
        let (Ok(permit), Ok((stream, remote))) = (permit, listener.accept().await) else {
            // Out of descriptors, most likely: they come back.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let peer = Peer::of(remote);
        let Ok(place) = admit(peer, &of_one) else {
            tracing::debug!(%remote, "closed: this address has as many admin connections as one may have");
            continue;
        };
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            serve(stream, peer, tls, router, bounds).await;
            drop((permit, place));
        });
    }
}

struct Crowded;

/// A place among the connections of its address. A proxy on this machine brings everybody's.
fn admit(peer: Peer, of_one: &Arc<Places<Peer>>) -> Result<Option<Place<Peer>>, Crowded> {
    if peer.0.is_loopback() { Ok(None) } else { of_one.take(peer).ok_or(Crowded).map(Some) }
}

async fn serve(stream: TcpStream, peer: Peer, tls: Option<TlsAcceptor>, router: Router, bounds: Bounds) {
    let _ = stream.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4).with_retries(4);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    let stream = Patient { stream, write: bounds.write, stalled: None, lingering: None };
    match tls {
        None => serve_http(stream, peer, router, bounds).await,
        // A handshake that fails is the peer's affair; it was not asked anything yet.
        Some(tls) => match timeout(bounds.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve_http(stream, peer, router, bounds).await,
            Ok(Err(error)) => tracing::debug!(%error, "the TLS handshake failed"),
            Err(_) => tracing::debug!("the TLS handshake took too long"),
        },
    }
}

async fn serve_http<S>(stream: S, peer: Peer, router: Router, bounds: Bounds)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    if timeout(bounds.life, connection.as_mut()).await.is_err() {
        // What is under way has bounds of its own: an upload, the tail of a log.
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// A stream whose writes are given up when they stall, and whose end waits a moment for the peer: a close with unread bytes would
/// reset the connection, and the peer might never see why its body was refused.
struct Patient {
    stream: TcpStream,
    write: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let write = self.write;
        ready!(self.stalled.get_or_insert_with(|| Box::pin(sleep(write))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.lingering = Some(Box::pin(sleep(LINGER)));
        }
        let mut unread = [0; 16 << 10];
        // A peer that sends faster than this is not waited for either.
        for _ in 0..64 {
            if self.lingering.as_mut().is_none_or(|end| end.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut unread);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::of(SocketAddr::new(address.parse().unwrap(), 1))
    }

    #[test]
    fn an_address_has_so_many_connections_and_whoever_shares_its_network_of_64_bits_has_the_same() {
        let of_one = Places::new(2, usize::MAX);
        let held = [admit(peer("192.0.2.1"), &of_one), admit(peer("::ffff:192.0.2.1"), &of_one)];
        assert!(held.iter().all(Result::is_ok) && admit(peer("192.0.2.1"), &of_one).is_err());
        let others = [admit(peer("2001:db8::1"), &of_one), admit(peer("2001:db8::ffff:2"), &of_one)];
        assert!(others.iter().all(Result::is_ok) && admit(peer("2001:db8::3"), &of_one).is_err());
        assert!(admit(peer("2001:db8:0:1::1"), &of_one).is_ok());
        let is_let_in = |local: &str| (0..10).all(|_| admit(peer(local), &of_one).is_ok());
        assert!(["127.0.0.1", "::1"].iter().all(|local| is_let_in(local)), "a proxy");
        drop(held);
        assert!(admit(peer("192.0.2.1"), &of_one).is_ok());
    }
}
