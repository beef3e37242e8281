//! Messages in and out, whole and in order, on each transport.

use std::time::Duration;

use runtime::signalling::EdgeEvent;
use sip::Transport;
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;

use crate::support::*;

#[tokio::test]
async fn a_datagram_comes_in_and_the_answer_goes_back_to_its_source() {
    for url in ["udp://127.0.0.1:0", "udp://[::1]:0"] {
        let mut edge = Edge::new(&config(&[url]), bounds());
        let host = edge.address(0).ip();
        let peer = UdpSocket::bind((host, 0)).await.unwrap();
        peer.send_to(OPTIONS, edge.address(0)).await.unwrap();
        let (flow, bytes) = edge.message().await;
        assert_eq!(bytes, OPTIONS);
        assert_eq!((flow.transport, flow.connection, flow.trunk), (Transport::Udp, None, sip::TrunkId(0)));
        assert_eq!(flow.remote, peer.local_addr().unwrap());
        edge.signalling.edge.send(flow, b"answer".to_vec());
        let mut buffer = [0; 64];
        let (length, from) = tokio::time::timeout(PATIENCE, peer.recv_from(&mut buffer)).await.unwrap().unwrap();
        assert_eq!((&buffer[..length], from), (&b"answer"[..], edge.address(0)));
    }
}

#[tokio::test]
async fn a_stream_is_cut_into_messages_and_answered_on_the_same_connection() {
    for url in ["tcp://127.0.0.1:0", "tcp://[::1]:0"] {
        let mut edge = Edge::new(&config(&[url]), bounds());
        let mut peer = dial(edge.address(0)).await;
        // Two messages and a half, then the rest.
        let all = [OPTIONS, OPTIONS, OPTIONS].concat();
        let (first, second) = all.split_at(OPTIONS.len() * 2 + 10);
        peer.write_all(first).await.unwrap();
        let (flow, bytes) = edge.message().await;
        assert_eq!(bytes, OPTIONS);
        assert_eq!(edge.message().await.1, OPTIONS);
        edge.nothing().await;
        peer.write_all(second).await.unwrap();
        assert_eq!(edge.message().await.1, OPTIONS);
        assert_eq!(flow.transport, Transport::Tcp);
        let connection = flow.connection.expect("a stream has a connection");
        edge.signalling.edge.send(flow, b"one".to_vec());
        edge.signalling.edge.send(flow, b"two".to_vec());
        assert_eq!(read(&mut peer, 6).await, b"onetwo");
        drop(peer);
        assert!(matches!(edge.event().await, EdgeEvent::Closed { connection: closed } if closed == connection));
    }
}

#[tokio::test]
async fn a_source_in_no_trunks_networks_is_closed_at_accept_and_dropped_on_udp() {
    let mut config = config(&["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]);
    config.trunks = vec![trunk(&["192.0.2.0/24"])];
    let mut edge = Edge::new(&config, bounds());
    let mut peer = dial(edge.address(0)).await;
    closed(&mut peer).await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    peer.send_to(OPTIONS, edge.address(1)).await.unwrap();
    edge.metric("patchbay_sources_refused_total{reason=\"outside\"}", 2).await;
    edge.nothing().await;
}

#[tokio::test]
async fn the_first_trunk_that_holds_the_source_is_the_flows_trunk() {
    let mut config = config(&["udp://127.0.0.1:0"]);
    config.trunks = vec![trunk(&["192.0.2.0/24"]), trunk(&["127.0.0.1"]), trunk(&["127.0.0.0/8"])];
    let mut edge = Edge::new(&config, bounds());
    for (source, expect) in [("127.0.0.1:0", 1), ("127.0.0.2:0", 2)] {
        let peer = UdpSocket::bind(source).await.unwrap();
        peer.send_to(OPTIONS, edge.address(0)).await.unwrap();
        assert_eq!(edge.message().await.0.trunk, sip::TrunkId(expect));
    }
}

#[tokio::test]
async fn a_ping_is_answered_and_none_of_it_reaches_the_core() {
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]), bounds());
    let mut peer = dial(edge.address(0)).await;
    peer.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut peer, 2).await, b"\r\n");
    // The answer to a ping of ours is not answered in turn.
    peer.write_all(b"\r\n").await.unwrap();
    peer.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut peer, 2).await, b"\r\n");
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.send_to(b"\r\n\r\n", edge.address(1)).await.unwrap();
    edge.metric("patchbay_udp_dropped_total{reason=\"keep_alive\"}", 1).await;
    edge.nothing().await;
}

#[tokio::test]
async fn a_connection_that_carries_dialogs_gets_keep_alives_and_another_does_not() {
    let bounds = runtime::signalling::Bounds { keep_alive: Duration::from_millis(40), ..bounds() };
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0"]), bounds);
    let mut peer = dial(edge.address(0)).await;
    peer.write_all(OPTIONS).await.unwrap();
    let connection = edge.message().await.0.connection.unwrap();
    let mut buffer = [0; 4];
    let early = tokio::time::timeout(QUIET, tokio::io::AsyncReadExt::read(&mut peer, &mut buffer)).await;
    assert!(early.is_err(), "no keep-alive without a dialog");
    edge.signalling.edge.set_carries_dialogs(connection, true);
    assert_eq!(read(&mut peer, 8).await, b"\r\n\r\n\r\n\r\n");
    edge.signalling.edge.set_carries_dialogs(connection, false);
    tokio::time::sleep(QUIET).await;
    while tokio::time::timeout(Duration::from_millis(1), tokio::io::AsyncReadExt::read(&mut peer, &mut buffer))
        .await
        .is_ok()
    {}
    let late = tokio::time::timeout(QUIET, tokio::io::AsyncReadExt::read(&mut peer, &mut buffer)).await;
    assert!(late.is_err(), "none after the last dialog");
}

#[tokio::test]
async fn a_stream_that_is_not_sip_is_closed_and_one_with_two_lengths_is_shown_first() {
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0"]), bounds());
    let mut peer = dial(edge.address(0)).await;
    peer.write_all(b"\x16\x03\x01 hello, this is TLS\r\n\r\n").await.unwrap();
    closed(&mut peer).await;
    assert!(matches!(edge.event().await, EdgeEvent::Closed { .. }));

    let mut peer = dial(edge.address(0)).await;
    let head = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
    peer.write_all(head).await.unwrap();
    let (flow, bytes) = edge.message().await;
    assert_eq!(bytes, head);
    edge.signalling.edge.send(flow, b"SIP/2.0 400 Bad Request\r\n\r\n".to_vec());
    assert_eq!(read(&mut peer, 27).await, b"SIP/2.0 400 Bad Request\r\n\r\n");
    closed(&mut peer).await;
    assert!(matches!(edge.event().await, EdgeEvent::Closed { .. }));
}

#[tokio::test]
async fn close_lets_what_was_queued_leave_first() {
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0"]), bounds());
    let mut peer = dial(edge.address(0)).await;
    peer.write_all(OPTIONS).await.unwrap();
    let (flow, _) = edge.message().await;
    edge.signalling.edge.send(flow, vec![b'x'; 100_000]);
    edge.signalling.edge.close(flow.connection.unwrap());
    assert_eq!(read(&mut peer, 100_000).await.len(), 100_000);
    closed(&mut peer).await;
    assert!(matches!(edge.event().await, EdgeEvent::Closed { .. }));
    edge.signalling.edge.send(flow, b"too late".to_vec());
    edge.metric("patchbay_sip_unsent_total{reason=\"no_connection\"}", 1).await;
}

#[tokio::test]
async fn every_listener_tells_its_real_port_and_what_it_advertises() {
    let mut config = config(&["tcp://127.0.0.1:0", "udp://127.0.0.1:0", "udp://0.0.0.0:0"]);
    config.listeners[1].advertised = Some("sip.example.com:5080".parse().unwrap());
    let edge = Edge::new(&config, bounds());
    let listeners = &edge.signalling.listeners;
    assert_ne!(listeners[0].local.port(), 0);
    assert_eq!(listeners[0].to_string(), format!("tcp://127.0.0.1:{}", listeners[0].local.port()));
    assert_eq!(
        (listeners[0].advertised_host.as_str(), listeners[0].advertised_port),
        ("127.0.0.1", listeners[0].local.port())
    );
    assert_eq!((listeners[1].advertised_host.as_str(), listeners[1].advertised_port), ("sip.example.com", 5080));
    assert_eq!(listeners[1].local_host, "127.0.0.1");
    assert_ne!(listeners[2].advertised_host, "0.0.0.0", "nobody can call that");
}

#[tokio::test]
async fn a_taken_port_is_named_and_so_is_every_other_mistake() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", taken.local_addr().unwrap());
    let mut config = config(&[&url, "tls://127.0.0.1:0"]);
    config.trunks[0].tls_ca = Some("/nowhere/ca.pem".into());
    let bound = runtime::signalling::Signalling::bind(
        &config,
        bounds(),
        &runtime::observe::Metrics::default(),
        runtime::observe::SipTrace::new(false),
    );
    let problems = bound.err().expect("three mistakes").to_string();
    assert!(problems.contains(&format!("listeners[0]: {url}: ")), "{problems}");
    assert!(problems.contains("trunks[0].tls_ca: /nowhere/ca.pem: "), "{problems}");
}
