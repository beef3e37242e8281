//! The signalling edge: every TCP, TLS and UDP socket that carries SIP. It moves whole messages and reads none of them.
//!
//!     socket -> trunk by source -> bounds -> framing -> one bounded queue -> the core
//!     the core -> Edge::send -> UDP at once | one writer per connection, bounded in bytes
//!
//! Whatever a peer does costs that peer alone: a source in no trunk's networks is not answered, a slow one is closed, and when
//! the core does not keep up, UDP is dropped and counted while TCP readers wait.

mod bounds;
mod connect;
mod connection;
mod counters;
mod listener;
mod resolver;
mod table;
mod udp;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sip::{ConnectId, ConnectionId, Flow, ListenerId, Target, Transport, TrunkId};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::rustls::ClientConfig;

use crate::config::{Config, Problem, Problems, Trunk, trunk_of};
use crate::observe::{Direction, LogLimit, Metrics, PersonalAddress, SipTrace};
use crate::tls::client_config;
pub use bounds::Bounds;
use counters::{Counters, Refused};
pub use listener::{Listening, address_towards};
use resolver::Resolver;
pub(crate) use resolver::name_servers;
use table::{Sent, Table};

/// What the core hears from the edge.
#[derive(Debug)]
pub enum EdgeEvent {
    /// One whole message: a datagram, or what framing cut from a stream; also the head of one that cannot be read on, which
    /// may be answered before its connection closes.
    Message {
        flow: Flow,
        bytes: Vec<u8>,
    },
    /// After the last message of the connection.
    Closed {
        connection: ConnectionId,
    },
    Connected {
        id: ConnectId,
        flow: Flow,
    },
    ConnectFailed {
        id: ConnectId,
    },
}

/// All listeners, bound and serving on the current tokio runtime. Dropping `edge` and `events` ends them.
pub struct Signalling {
    /// In the order of the configuration, that of [`ListenerId`]; ports are the real ones.
    pub listeners: Vec<Listening>,
    pub edge: Edge,
    pub events: mpsc::Receiver<EdgeEvent>,
}

/// Where a connection of ours to this host would be tried, in order. Errors: no address.
pub async fn addresses(
    name_servers: &[SocketAddr],
    host: &str,
    port: Option<u16>,
    transport: Transport,
) -> Result<Vec<SocketAddr>, String> {
    Resolver::new(name_servers)?.addresses(host, port, transport).await
}

impl Signalling {
    /// Binds everything, or nothing. Errors: every listener that cannot be bound, every certificate that cannot be read.
    pub fn bind(config: &Config, bounds: Bounds, metrics: &Metrics, trace: SipTrace) -> Result<Self, Problems> {
        Self::bind_with(config, bounds, metrics, trace, client_config)
    }

    /// `client`: how we connect to a trunk over TLS.
    pub fn bind_with(
        config: &Config,
        bounds: Bounds,
        metrics: &Metrics,
        trace: SipTrace,
        client: impl Fn(&Trunk) -> Result<Arc<ClientConfig>, String>,
    ) -> Result<Self, Problems> {
        let counters = Counters::new(metrics);
        let mut problems = Vec::new();
        let mut sockets = Vec::new();
        for (index, listener) in config.listeners.iter().enumerate() {
            match listener::bind(listener, counters.certificate_reloads.clone()) {
                Ok(bound) => sockets.push(bound),
                Err(error) => problems.push(Problem::new(format!("listeners[{index}]"), error)),
            }
        }
        let mut tls_clients = Vec::new();
        for (index, trunk) in config.trunks.iter().enumerate() {
            match client(trunk) {
                Ok(client) => tls_clients.push(client),
                Err(error) => problems.push(Problem::new(format!("trunks[{index}].tls_ca"), error)),
            }
        }
        let resolver = Resolver::new(&config.dns).map_err(|error| problems.push(Problem::new("dns", error)));
        let (Ok(resolver), true) = (resolver, problems.is_empty()) else { return Err(Problems(problems)) };

        let (events, received) = mpsc::channel(bounds.queued_messages);
        let listeners: Vec<Listening> = sockets.iter().map(|bound| bound.listening.clone()).collect();
        let shared = Arc::new(Shared {
            table: Table::new(&bounds, counters.active.clone()),
            handshakes: Semaphore::new(bounds.unfinished_handshakes),
            connects: Semaphore::new(bounds.connects),
            bounds,
            trunks: config.trunks.clone(),
            tls_clients,
            listeners: listeners.clone(),
            udp: sockets.iter().map(|bound| bound.udp_sender()).collect(),
            resolver,
            events,
            counters,
            trace,
            outside_log: LogLimit::new(std::time::Duration::from_secs(1)),
            closed_log: LogLimit::new(std::time::Duration::from_secs(1)),
        });
        let stop = Arc::new(Semaphore::new(0));
        for (index, bound) in sockets.into_iter().enumerate() {
            listener::serve(bound, ListenerId(index as u16), shared.clone(), stop.clone());
        }
        Ok(Self { listeners, edge: Edge { shared, _stop: Arc::new(StopOnDrop(stop)) }, events: received })
    }
}

/// The core's hand on the sockets; clones share it. Nothing here waits.
#[derive(Clone)]
pub struct Edge {
    shared: Arc<Shared>,
    _stop: Arc<StopOnDrop>,
}

/// Closes the semaphore that listeners wait on: with the last `Edge` they end.
struct StopOnDrop(Arc<Semaphore>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Edge {
    /// Sends one message. On UDP it leaves now or is dropped and counted; on a stream it is queued for the connection's
    /// writer, and a connection with too many bytes queued is closed.
    pub fn send(&self, flow: Flow, bytes: Vec<u8>) {
        let shared = &self.shared;
        shared.trace.message(Direction::Sent, flow.transport, flow.remote, &bytes);
        let sent = match flow.connection {
            Some(connection) => shared.table.send(connection, bytes),
            None => shared.send_udp(flow, &bytes),
        };
        shared.counters.sent(flow.transport, sent);
    }

    /// Finds the way to the target and opens it; [`EdgeEvent::Connected`] or [`EdgeEvent::ConnectFailed`] follows, within
    /// the deadline. Source: RFC 3263 4.
    pub fn connect(&self, id: ConnectId, target: Target) {
        tokio::spawn(connect::connect(self.shared.clone(), id, target));
    }

    /// Whether the connection carries dialogs: then it gets keep-alives and has no idle deadline.
    pub fn set_carries_dialogs(&self, connection: ConnectionId, carries: bool) {
        self.shared.table.set_carries_dialogs(connection, carries);
    }

    /// Closes the connection once what was queued for it is written.
    pub fn close(&self, connection: ConnectionId) {
        self.shared.table.close(connection);
    }

    /// Closes all connections in that way and waits for them, a second at most. For the end of the process; the events
    /// still have to be taken meanwhile, or their receiver be dropped.
    pub async fn close_all(&self) {
        self.shared.table.close_all();
        for _ in 0..100 {
            if self.shared.table.is_empty() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// What all tasks of the edge share.
struct Shared {
    bounds: Bounds,
    trunks: Vec<Trunk>,
    /// By trunk.
    tls_clients: Vec<Arc<ClientConfig>>,
    listeners: Vec<Listening>,
    /// By listener; None for one that is not UDP.
    udp: Vec<Option<std::net::UdpSocket>>,
    resolver: Resolver,
    table: Table,
    handshakes: Semaphore,
    connects: Semaphore,
    events: mpsc::Sender<EdgeEvent>,
    counters: Counters,
    trace: SipTrace,
    outside_log: LogLimit,
    closed_log: LogLimit,
}

impl Shared {
    /// The trunk of a source; None is counted and, now and then, logged.
    fn admit(&self, listener: ListenerId, remote: SocketAddr) -> Option<TrunkId> {
        let trunk = trunk_of(&self.trunks, remote.ip());
        if trunk.is_none() {
            self.refuse(Refused::Outside, listener, remote);
        }
        trunk
    }

    fn refuse(&self, why: Refused, listener: ListenerId, remote: SocketAddr) {
        self.counters.refused(why);
        if let Some(unlogged) = self.outside_log.allow(std::time::Instant::now()) {
            let from = PersonalAddress(remote);
            tracing::warn!(%from, listener = listener.0, why = why.as_str(), unlogged, "source refused");
        }
    }

    fn trunk_contains(&self, trunk: TrunkId, address: IpAddr) -> bool {
        let trunk = self.trunks.get(usize::from(trunk.0));
        trunk.is_some_and(|trunk| trunk.networks.iter().any(|network| network.contains(address)))
    }

    fn send_udp(&self, flow: Flow, bytes: &[u8]) -> Sent {
        let socket = self.udp.get(usize::from(flow.listener.0)).and_then(Option::as_ref);
        match socket.map(|socket| socket.send_to(bytes, flow.remote)) {
            Some(Ok(_)) => Sent::Yes,
            Some(Err(_)) => Sent::Failed,
            None => Sent::NoConnection,
        }
    }

    /// The listener whose address is told on a way that we opened.
    fn listener_for(&self, wanted: ListenerId, transport: Transport, remote: IpAddr) -> Option<ListenerId> {
        let fits = |listener: &Listening| {
            listener.transport == transport && listener.local.is_ipv4() == remote.to_canonical().is_ipv4()
        };
        if self.listeners.get(usize::from(wanted.0)).is_some_and(fits) {
            return Some(wanted);
        }
        self.listeners.iter().position(fits).map(|index| ListenerId(index as u16))
    }
}
