//! Ways that the core asks for: literals, names by SRV and A, TLS verified, deadlines.

use std::net::SocketAddr;
use std::time::Duration;

use runtime::signalling::{Bounds, EdgeEvent};
use sip::{ConnectId, Flow, ListenerId, Target, Transport, TrunkId};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UdpSocket};

use crate::support::*;

fn target(transport: Transport, host: &str, port: Option<u16>) -> Target {
    Target { trunk: TrunkId(0), listener: ListenerId(0), transport, host: host.into(), port }
}

/// Connects and returns the flow; None if it failed.
async fn connect(edge: &mut Edge, target: Target) -> Option<Flow> {
    edge.signalling.edge.connect(ConnectId(7), target);
    match edge.event().await {
        EdgeEvent::Connected { id: ConnectId(7), flow } => Some(flow),
        EdgeEvent::ConnectFailed { id: ConnectId(7) } => None,
        other => panic!("neither connected nor failed: {other:?}"),
    }
}

#[tokio::test]
async fn a_literal_is_connected_to_and_carries_messages_both_ways() {
    let mut edge = Edge::new(&config(&["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]), bounds());
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = peer.local_addr().unwrap().port();
    let flow = connect(&mut edge, target(Transport::Tcp, "127.0.0.1", Some(port))).await.unwrap();
    assert_eq!(flow.listener, ListenerId(1), "the address told on it is the TCP listener's");
    assert_eq!(flow.remote, peer.local_addr().unwrap());
    let (mut stream, _) = peer.accept().await.unwrap();
    edge.signalling.edge.send(flow, b"request".to_vec());
    assert_eq!(read(&mut stream, 7).await, b"request");
    stream.write_all(OPTIONS).await.unwrap();
    let (from, bytes) = edge.message().await;
    assert_eq!((from, bytes.as_slice()), (flow, OPTIONS));
    drop(stream);
    assert!(matches!(edge.event().await, EdgeEvent::Closed { connection } if Some(connection) == flow.connection));
}

#[tokio::test]
async fn a_udp_target_needs_no_connection_and_goes_by_the_listener_of_its_family() {
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0", "udp://[::1]:0", "udp://127.0.0.1:0"]), bounds());
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = peer.local_addr().unwrap().port();
    let flow = connect(&mut edge, target(Transport::Udp, "127.0.0.1", Some(port))).await.unwrap();
    assert_eq!((flow.listener, flow.connection), (ListenerId(2), None));
    edge.signalling.edge.send(flow, b"request".to_vec());
    let mut buffer = [0; 16];
    let (length, from) = tokio::time::timeout(PATIENCE, peer.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!((&buffer[..length], from), (&b"request"[..], edge.address(2)));
}

#[tokio::test]
async fn nobody_there_and_a_place_outside_the_trunk_fail() {
    let mut config = config(&["tcp://127.0.0.1:0"]);
    config.trunks = vec![trunk(&["127.0.0.1"])];
    let mut edge = Edge::new(&config, bounds());
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert_eq!(connect(&mut edge, target(Transport::Tcp, "127.0.0.1", Some(gone))).await, None);
    let outside = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = outside.local_addr().unwrap().port();
    assert_eq!(connect(&mut edge, target(Transport::Tcp, "127.0.0.2", Some(port))).await, None);
    let accepted = tokio::time::timeout(QUIET, outside.accept()).await;
    assert!(accepted.is_err(), "a peer's headers cannot make us connect to where it likes");
    edge.metric("patchbay_connects_total{result=\"failed\"}", 2).await;
}

#[tokio::test]
async fn a_connect_has_a_deadline() {
    let mut config = config(&["tls://127.0.0.1:0"]);
    config.listeners[0].certificates = vec![Authority::new().write(&folder("deadline"), "a", &["localhost"])];
    let mut edge = Edge::new(&config, Bounds { connect: Duration::from_millis(300), ..bounds() });
    // It accepts and then says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let start = std::time::Instant::now();
    assert_eq!(connect(&mut edge, target(Transport::Tls, "127.0.0.1", Some(port))).await, None);
    assert!(start.elapsed() < Duration::from_secs(5));
    edge.metric("patchbay_connections_active", 0).await;
}

#[tokio::test]
async fn tls_is_verified_against_the_trunks_authority_and_name() {
    let (authority, stranger, folder) = (Authority::new(), Authority::new(), folder("verified"));
    let ca = |name: &str, authority: &Authority| {
        let path = folder.join(name);
        std::fs::write(&path, &authority.pem).unwrap();
        path
    };
    let (known, unknown) = (ca("ca.pem", &authority), ca("stranger.pem", &stranger));
    let mut server = config(&["tls://127.0.0.1:0"]);
    server.listeners[0].certificates = vec![authority.write(&folder, "a", &["trunk.example.com"])];
    let mut server = Edge::new(&server, bounds());
    let cases = [
        (&known, Some("trunk.example.com"), true),
        (&known, None, false),
        (&known, Some("other.example.com"), false),
        (&unknown, Some("trunk.example.com"), false),
    ];
    for (ca, name, expect) in cases {
        let mut client = config(&["tcp://127.0.0.1:0"]);
        client.trunks[0].tls_ca = Some(ca.clone());
        client.trunks[0].tls_server_name = name.map(str::to_owned);
        let mut client = Edge::new(&client, bounds());
        let port = server.address(0).port();
        let flow = connect(&mut client, target(Transport::Tls, "127.0.0.1", Some(port))).await;
        assert_eq!(flow.is_some(), expect, "{ca:?} {name:?}");
        if let Some(flow) = flow {
            client.signalling.edge.send(flow, OPTIONS.to_vec());
            assert_eq!(server.message().await.1, OPTIONS);
        }
    }
}

/// A name server that knows one SRV record and one host. Source: RFC 1035 4.
async fn name_server(service: &'static str, host: &'static str, port: u16) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let encode = |name: &str| {
        let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        labels.chain([0]).collect::<Vec<u8>>()
    };
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let query = &buffer[..length];
            let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
            let (name, kind) = (query[12..end].to_ascii_lowercase(), u16::from_be_bytes([query[end], query[end + 1]]));
            let data = match kind {
                33 if name == encode(service) => {
                    Some([&[0, 10, 0, 0][..], &port.to_be_bytes(), &encode(host)].concat())
                }
                1 if name == encode(host) => Some(vec![127, 0, 0, 1]),
                _ => None,
            };
            let flags: [u8; 2] = if data.is_some() || name == encode(host) { [0x81, 0x80] } else { [0x81, 0x83] };
            let mut answer = [&query[..2], &flags[..], &[0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0]].concat();
            answer.extend(&query[12..end + 4]);
            if let Some(data) = data {
                answer.extend([0xc0, 12]);
                answer.extend(kind.to_be_bytes());
                answer.extend([0, 1, 0, 0, 0, 60]);
                answer.extend((data.len() as u16).to_be_bytes());
                answer.extend(data);
            }
            let _ = socket.send_to(&answer, from).await;
        }
    });
    address
}

#[tokio::test]
async fn a_name_is_found_by_srv_and_then_by_its_address() {
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = peer.local_addr().unwrap().port();
    let mut config = config(&["tcp://127.0.0.1:0"]);
    config.dns = vec![name_server("_sip._tcp.trunk.example.test", "edge.example.test", port).await];
    let mut edge = Edge::new(&config, bounds());
    let flow = connect(&mut edge, target(Transport::Tcp, "trunk.example.test", None)).await.expect("by SRV");
    assert_eq!(flow.remote, peer.local_addr().unwrap());
    // A port in the URI leaves SRV out. Source: RFC 3263 4.2.
    let flow = connect(&mut edge, target(Transport::Tcp, "edge.example.test", Some(port))).await.expect("by A");
    assert_eq!(flow.remote.port(), port);
    assert_eq!(connect(&mut edge, target(Transport::Tcp, "nobody.example.test", None)).await, None);
}

#[tokio::test]
async fn so_many_connects_run_at_a_time_and_the_next_waits_within_its_deadline() {
    let bounds = Bounds { connects: 1, connect: Duration::from_secs(3), ..bounds() };
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0"]), bounds);
    // It accepts and then says nothing: each attempt takes its half of the deadline.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    for id in [1, 2] {
        edge.signalling.edge.connect(ConnectId(id), target(Transport::Tls, "127.0.0.1", Some(port)));
    }
    let _first = tokio::time::timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
    assert!(tokio::time::timeout(QUIET, silent.accept()).await.is_err(), "the second waits");
    let mut failed = Vec::new();
    for _ in 0..2 {
        match edge.event().await {
            EdgeEvent::ConnectFailed { id } => failed.push(id.0),
            other => panic!("nobody answers there: {other:?}"),
        }
    }
    failed.sort_unstable();
    assert_eq!(failed, [1, 2], "each is told once");
}
