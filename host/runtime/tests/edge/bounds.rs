//! Each bound of the edge: up to it served, beyond it refused, and only the one who went beyond.

use std::time::Duration;

use runtime::signalling::{Bounds, EdgeEvent};
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;

use crate::support::*;

const SOON: Duration = Duration::from_millis(100);

#[tokio::test]
async fn connections_up_to_the_bound_are_served_and_one_more_is_closed_until_one_ends() {
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0"]), Bounds { connections: 2, ..bounds() });
    let (mut first, mut second) = (dial(edge.address(0)).await, dial(edge.address(0)).await);
    assert!(is_served(&mut edge, &mut first).await);
    assert!(is_served(&mut edge, &mut second).await);
    let mut third = dial(edge.address(0)).await;
    closed(&mut third).await;
    edge.metric("patchbay_sources_refused_total{reason=\"connections\"}", 1).await;
    drop(first);
    assert!(matches!(edge.event().await, EdgeEvent::Closed { .. }));
    let mut fourth = dial(edge.address(0)).await;
    assert!(is_served(&mut edge, &mut fourth).await);
}

#[tokio::test]
async fn one_address_cannot_take_the_connections_of_another() {
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0"]), Bounds { connections_per_address: 1, ..bounds() });
    let mut greedy = dial(edge.address(0)).await;
    assert!(is_served(&mut edge, &mut greedy).await);
    let mut more = dial(edge.address(0)).await;
    closed(&mut more).await;
    edge.metric("patchbay_sources_refused_total{reason=\"connections_per_address\"}", 1).await;
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut other = other.connect(edge.address(0)).await.unwrap();
    assert!(is_served(&mut edge, &mut other).await);
}

#[tokio::test]
async fn a_handshake_has_a_deadline_and_so_many_may_be_unfinished() {
    let folder = folder("handshakes");
    let authority = Authority::new();
    let mut config = config(&["tls://127.0.0.1:0"]);
    config.listeners[0].certificates = vec![authority.write(&folder, "a", &["localhost"])];
    let bounds = Bounds { unfinished_handshakes: 1, handshake: Duration::from_secs(2), ..bounds() };
    let edge = Edge::new(&config, bounds);
    let mut silent = dial(edge.address(0)).await;
    tokio::time::sleep(SOON).await;
    let mut beyond = dial(edge.address(0)).await;
    closed(&mut beyond).await;
    edge.metric("patchbay_sources_refused_total{reason=\"unfinished_handshakes\"}", 1).await;
    closed(&mut silent).await;
    edge.metric("patchbay_tls_handshakes_failed_total", 1).await;
    edge.metric("patchbay_connections_active", 0).await;
}

#[tokio::test]
async fn a_message_that_does_not_end_in_time_closes_its_connection_even_if_it_grows() {
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0"]), Bounds { unfinished_message: SOON * 2, ..bounds() });
    let mut slow = dial(edge.address(0)).await;
    let mut patient = dial(edge.address(0)).await;
    assert!(is_served(&mut edge, &mut patient).await);
    let start = std::time::Instant::now();
    for byte in OPTIONS {
        if slow.write_all(&[*byte]).await.is_err() || start.elapsed() > PATIENCE {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    closed(&mut slow).await;
    edge.metric("patchbay_connections_closed_total{reason=\"unfinished_message\"}", 1).await;
    assert!(matches!(edge.event().await, EdgeEvent::Closed { .. }));
    assert!(is_served(&mut edge, &mut patient).await, "one between messages is not touched");
}

#[tokio::test]
async fn an_idle_connection_is_closed_unless_it_carries_dialogs() {
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0"]), Bounds { idle: SOON * 10, ..bounds() });
    let (mut idle, mut carrier) = (dial(edge.address(0)).await, dial(edge.address(0)).await);
    carrier.write_all(OPTIONS).await.unwrap();
    let connection = edge.message().await.0.connection.unwrap();
    edge.signalling.edge.set_carries_dialogs(connection, true);
    closed(&mut idle).await;
    edge.metric("patchbay_connections_closed_total{reason=\"idle\"}", 1).await;
    assert!(matches!(edge.event().await, EdgeEvent::Closed { .. }));
    tokio::time::sleep(SOON * 15).await;
    assert!(is_served(&mut edge, &mut carrier).await);
    edge.signalling.edge.set_carries_dialogs(connection, false);
    closed(&mut carrier).await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_closed_at_its_byte_bound_and_harms_nobody_else() {
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0"]), Bounds { send_buffer_bytes: 100_000, ..bounds() });
    let (mut stalled, mut healthy) = (dial(edge.address(0)).await, dial(edge.address(0)).await);
    stalled.write_all(OPTIONS).await.unwrap();
    let (to_stalled, _) = edge.message().await;
    healthy.write_all(OPTIONS).await.unwrap();
    let (to_healthy, _) = edge.message().await;
    // More than the kernel keeps for a peer that reads nothing.
    for _ in 0..2000 {
        edge.signalling.edge.send(to_stalled, vec![b'x'; 20_000]);
        tokio::task::yield_now().await;
    }
    let EdgeEvent::Closed { connection } = edge.event().await else { panic!("the stalled one is closed") };
    assert_eq!(Some(connection), to_stalled.connection);
    edge.metric("patchbay_connections_closed_total{reason=\"stalled\"}", 1).await;
    edge.signalling.edge.send(to_healthy, b"fine".to_vec());
    assert_eq!(read(&mut healthy, 4).await, b"fine");
}

#[tokio::test]
async fn a_write_that_is_not_taken_in_time_closes_the_connection() {
    let bounds = Bounds { write: SOON, send_buffer_bytes: 64 << 20, ..bounds() };
    let mut edge = Edge::new(&config(&["tcp://127.0.0.1:0"]), bounds);
    let mut stalled = dial(edge.address(0)).await;
    stalled.write_all(OPTIONS).await.unwrap();
    let (flow, _) = edge.message().await;
    edge.signalling.edge.send(flow, vec![b'x'; 32 << 20]);
    assert!(matches!(edge.event().await, EdgeEvent::Closed { .. }));
    edge.metric("patchbay_connections_closed_total{reason=\"stalled\"}", 1).await;
}

#[tokio::test]
async fn when_the_core_does_not_keep_up_udp_is_dropped_and_tcp_waits() {
    let bounds = Bounds { queued_messages: 2, ..bounds() };
    let mut edge = Edge::new(&config(&["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]), bounds);
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..5 {
        udp.send_to(OPTIONS, edge.address(0)).await.unwrap();
    }
    edge.metric("patchbay_udp_dropped_total{reason=\"queue_full\"}", 3).await;
    let mut tcp = dial(edge.address(1)).await;
    tcp.write_all(&OPTIONS.repeat(10)).await.unwrap();
    tokio::time::sleep(SOON).await;
    for _ in 0..12 {
        assert_eq!(edge.message().await.1, OPTIONS);
    }
    edge.nothing().await;
}
