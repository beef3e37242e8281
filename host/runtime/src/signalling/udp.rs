//! Reads datagrams. One is one message; what the core has no room for is dropped, since its sender repeats it.

use std::net::SocketAddr;
use std::sync::Arc;

use sip::{Flow, ListenerId, Transport};
use tokio::net::UdpSocket;

use super::{EdgeEvent, Shared};
use crate::observe::Direction;

/// Reads until the core is gone.
pub(super) async fn receive(socket: UdpSocket, listener: ListenerId, shared: Arc<Shared>) {
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, remote) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An ICMP error of something sent before, or a shortage that passes.
            Err(_) => {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                continue;
            }
        };
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let Some(trunk) = shared.admit(listener, remote) else { continue };
        let bytes = &buffer[..length];
        // A keep-alive of white space or zeros wants no answer.
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b' ' | 0)) {
            shared.counters.udp_keep_alive.add(1);
            continue;
        }
        shared.counters.received(Transport::Udp);
        shared.trace.message(Direction::Received, Transport::Udp, remote, bytes);
        let flow = Flow { transport: Transport::Udp, listener, connection: None, remote, trunk };
        if shared.events.try_send(EdgeEvent::Message { flow, bytes: bytes.to_vec() }).is_err() {
            shared.counters.udp_queue_full.add(1);
        }
    }
}
