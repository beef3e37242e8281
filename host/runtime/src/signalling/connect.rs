//! Opens a way to a target: names to addresses, then one address after the other until one answers.

use std::net::SocketAddr;
use std::sync::Arc;

use sip::{ConnectId, Flow, Target, Transport};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::table::{Ends, Slot};
use super::{EdgeEvent, Shared, connection, listener};
use crate::observe::{Personal, PersonalAddress};
use crate::tls::server_name;

enum Stream {
    Tcp(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// What was opened: a datagram socket needs nothing, a connection its task.
type Opened = (Flow, Option<(Stream, Ends, Slot)>);

pub(super) async fn connect(shared: Arc<Shared>, id: ConnectId, target: Target) {
    let deadline = shared.bounds.connect;
    let opened = tokio::time::timeout(deadline, open(&shared, &target)).await;
    let (flow, stream) = match opened.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
        Ok(opened) => opened,
        Err(error) => {
            shared.counters.connect_failed.add(1);
            let host = Personal(&target.host);
            if let Some(unlogged) = shared.closed_log.allow(std::time::Instant::now()) {
                tracing::warn!(%host, %error, unlogged, "cannot connect");
            }
            let _ = shared.events.send(EdgeEvent::ConnectFailed { id }).await;
            return;
        }
    };
    shared.counters.connected.add(1);
    // Before the first message that may come by it.
    let _ = shared.events.send(EdgeEvent::Connected { id, flow }).await;
    match stream {
        None => {}
        Some((Stream::Tcp(stream), ends, slot)) => connection::run_open(shared, stream, flow, ends, slot).await,
        Some((Stream::Tls(stream), ends, slot)) => connection::run_open(shared, *stream, flow, ends, slot).await,
    }
}

async fn open(shared: &Shared, target: &Target) -> Result<Opened, String> {
    let _permit = shared.connects.acquire().await.map_err(|error| error.to_string())?;
    let addresses = shared.resolver.addresses(&target.host, target.port, target.transport).await?;
    let mut last = "no address".to_owned();
    for address in addresses {
        // A peer's headers must not send us to places that could not have sent them.
        if !shared.trunk_contains(target.trunk, address.ip()) {
            last = format!("{} is outside the trunk's networks", PersonalAddress(address));
            continue;
        }
        let half = shared.bounds.connect / 2;
        match tokio::time::timeout(half, open_address(shared, target, address)).await {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(error)) => last = error,
            Err(_) => last = format!("{} does not answer", PersonalAddress(address)),
        }
    }
    Err(last)
}

async fn open_address(shared: &Shared, target: &Target, remote: SocketAddr) -> Result<Opened, String> {
    let transport = target.transport;
    let own = shared.listener_for(target.listener, transport, remote.ip());
    let flow = |listener, connection| Flow { transport, listener, connection, remote, trunk: target.trunk };
    if transport == Transport::Udp {
        let listener = own.ok_or("no UDP listener of that address family")?;
        return Ok((flow(listener, None), None));
    }
    let slot = shared.table.reserve(remote.ip()).map_err(|why| format!("too many: {}", why.as_str()))?;
    let stream = TcpStream::connect(remote).await.map_err(|error| error.to_string())?;
    listener::prepare(&stream);
    let stream = match transport {
        Transport::Tls => Stream::Tls(Box::new(handshake(shared, target, stream).await?)),
        _ => Stream::Tcp(stream),
    };
    let ends = shared.table.open();
    let flow = flow(own.unwrap_or(target.listener), Some(ends.id));
    Ok((flow, Some((stream, ends, slot))))
}

async fn handshake(
    shared: &Shared,
    target: &Target,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let trunk = usize::from(target.trunk.0);
    let client = shared.tls_clients.get(trunk).ok_or("no such trunk")?;
    let own_name = shared.trunks.get(trunk).and_then(|trunk| trunk.tls_server_name.as_deref());
    let name = server_name(own_name.unwrap_or(&target.host))?;
    TlsConnector::from(client.clone()).connect(name, stream).await.map_err(|error| error.to_string())
}
