//! Binds one listener and accepts on it.

use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use sip::{Flow, ListenerId, Transport};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::counters::Refused;
use super::table::Slot;
use super::{Shared, connection, udp};
use crate::config::{Listener, Network, scheme};
use crate::observe::Counter;
use crate::tls::TlsServer;

/// A burst of connections that the kernel keeps for us.
const BACKLOG: i32 = 1024;
/// Room for the bursts of a trunk while the core is busy, in bytes.
const UDP_BUFFER_BYTES: usize = 4 << 20;
/// The kernel probes a silent peer after so long, and again three times.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);

/// A listener as it is: what peers are told, and the real port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    pub transport: Transport,
    pub local: SocketAddr,
    /// For peers outside `localnet`; IPv6 without brackets.
    pub advertised_host: String,
    pub advertised_port: u16,
    /// For peers inside `localnet`, with the port of `local`.
    pub local_host: String,
    pub localnet: Vec<Network>,
}

/// `tcp://127.0.0.1:5070`
impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", scheme(self.transport), self.local)
    }
}

pub(super) struct Bound {
    pub listening: Listening,
    socket: BoundSocket,
}

enum BoundSocket {
    /// The same socket twice: the second sends without waiting for readiness.
    Udp(tokio::net::UdpSocket, UdpSocket),
    Tcp(TcpListener),
    Tls(TcpListener, TlsServer),
}

impl Bound {
    pub fn udp_sender(&self) -> Option<UdpSocket> {
        match &self.socket {
            BoundSocket::Udp(_, sender) => sender.try_clone().ok(),
            _ => None,
        }
    }
}

/// Errors: in one line, with the address.
pub(super) fn bind(listener: &Listener, reloads: Counter) -> Result<Bound, String> {
    let named = |error: std::io::Error| format!("{}: {error}", listener.listen);
    let address = listener.listen.address;
    let (socket, local) = match listener.listen.transport {
        Transport::Udp => {
            let socket = open(address, Type::DGRAM, Protocol::UDP).map_err(named)?;
            // The system may grant less.
            let _ = socket.set_recv_buffer_size(UDP_BUFFER_BYTES);
            let sender = UdpSocket::from(socket);
            let receiver = sender.try_clone().and_then(tokio::net::UdpSocket::from_std).map_err(named)?;
            let local = sender.local_addr().map_err(named)?;
            (BoundSocket::Udp(receiver, sender), local)
        }
        transport => {
            let tls = match transport {
                Transport::Tls => Some(TlsServer::new(&listener.certificates, reloads)?),
                _ => None,
            };
            let socket = open(address, Type::STREAM, Protocol::TCP).map_err(named)?;
            socket.listen(BACKLOG).map_err(named)?;
            let acceptor = TcpListener::from_std(socket.into()).map_err(named)?;
            let local = acceptor.local_addr().map_err(named)?;
            let socket = match tls {
                Some(tls) => BoundSocket::Tls(acceptor, tls),
                None => BoundSocket::Tcp(acceptor),
            };
            (socket, local)
        }
    };
    Ok(Bound { listening: listening(listener, local), socket })
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // IPv4 has listeners of its own, so that an address has one spelling.
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // Only old connections in TIME_WAIT are overruled by it, never a listener.
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listening(listener: &Listener, local: SocketAddr) -> Listening {
    let host = if local.ip().is_unspecified() { default_address(local.ip()) } else { local.ip() }.to_string();
    let advertised = listener.advertised.as_ref();
    Listening {
        transport: listener.listen.transport,
        local,
        advertised_host: advertised.map_or_else(|| host.clone(), |told| told.host.clone()),
        advertised_port: advertised.and_then(|told| told.port).unwrap_or(local.port()),
        local_host: host,
        localnet: listener.localnet.clone(),
    }
}

/// The address by which this machine reaches the world; loopback if there is no way out. Source: RFC 5737, RFC 3849 for where it looks.
fn default_address(unspecified: IpAddr) -> IpAddr {
    let (out, loopback): (IpAddr, IpAddr) = match unspecified {
        IpAddr::V4(_) => ([192, 0, 2, 1].into(), [127, 0, 0, 1].into()),
        IpAddr::V6(_) => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()),
    };
    address_towards(out).unwrap_or(loopback)
}

/// The address that the system would send from. Nothing is sent: connecting a UDP socket only looks the route up.
pub fn address_towards(peer: IpAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((peer, 9))?;
    Ok(socket.local_addr()?.ip())
}

/// Serves in tasks of their own until `stop` is closed.
pub(super) fn serve(bound: Bound, id: ListenerId, shared: Arc<Shared>, stop: Arc<Semaphore>) {
    tokio::spawn(async move {
        let work = async {
            match bound.socket {
                BoundSocket::Udp(socket, _) => udp::receive(socket, id, shared).await,
                BoundSocket::Tcp(acceptor) => accept(acceptor, id, shared, None).await,
                // The server is kept, because it watches the certificates.
                BoundSocket::Tls(acceptor, server) => accept(acceptor, id, shared, Some(&server)).await,
            }
        };
        tokio::select! {
            () = work => {}
            _ = stop.acquire() => {}
        }
    });
}

async fn accept(acceptor: TcpListener, id: ListenerId, shared: Arc<Shared>, tls: Option<&TlsServer>) {
    let transport = if tls.is_some() { Transport::Tls } else { Transport::Tcp };
    loop {
        let (stream, remote) = match acceptor.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely; connections that end give some back.
                if let Some(unlogged) = shared.outside_log.allow(std::time::Instant::now()) {
                    tracing::warn!(%error, unlogged, "cannot accept");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let Some(trunk) = shared.admit(id, remote) else { continue };
        let slot = match shared.table.reserve(remote.ip()) {
            Ok(slot) => slot,
            Err(why) => {
                shared.refuse(why, id, remote);
                continue;
            }
        };
        prepare(&stream);
        let flow = Flow { transport, listener: id, connection: None, remote, trunk };
        match tls {
            None => drop(tokio::spawn(connection::run(shared.clone(), stream, flow, slot))),
            Some(server) => {
                let acceptor = TlsAcceptor::from(server.config.clone());
                tokio::spawn(handshake(shared.clone(), stream, acceptor, flow, slot));
            }
        }
    }
}

/// Small messages must not wait for each other, and a peer that vanished must be noticed.
pub(super) fn prepare(stream: &TcpStream) {
    // Neither failing is a reason to refuse a call.
    let _ = stream.set_nodelay(true);
    let probes = TcpKeepalive::new().with_time(TCP_KEEP_ALIVE).with_interval(Duration::from_secs(15)).with_retries(3);
    let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&probes);
}

async fn handshake(shared: Arc<Shared>, stream: TcpStream, acceptor: TlsAcceptor, flow: Flow, slot: Slot) {
    let Ok(permit) = shared.handshakes.try_acquire() else {
        shared.refuse(Refused::UnfinishedHandshakes, flow.listener, flow.remote);
        return;
    };
    match tokio::time::timeout(shared.bounds.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            drop(permit);
            connection::run(shared.clone(), stream, flow, slot).await;
        }
        Ok(Err(_)) | Err(_) => shared.counters.handshakes_failed.add(1),
    }
}
