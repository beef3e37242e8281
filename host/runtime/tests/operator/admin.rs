//! /health, /ready and /metrics.

use runtime::admin::{Phase, Readiness, serve};
use runtime::observe::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn health_is_always_there_and_ready_only_while_calls_are_taken() {
    let (metrics, readiness) = (Metrics::default(), Readiness::default());
    metrics.counter("patchbay_calls_total", "Calls.", &[("result", "answered")]).add(3);
    let address = serve("127.0.0.1:0".parse().unwrap(), metrics, readiness.clone()).await.unwrap();
    assert!(get(address, "/health").await.starts_with("HTTP/1.1 200 "));
    for (phase, status) in [(Phase::Starting, "503"), (Phase::Ready, "200"), (Phase::Draining, "503")] {
        readiness.set(phase);
        let answer = get(address, "/ready").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{phase:?}: {answer}");
    }
    let answer = get(address, "/metrics").await;
    assert!(
        answer.contains("text/plain; version=0.0.4")
            && answer.contains("patchbay_calls_total{result=\"answered\"} 3\n")
    );
    assert!(get(address, "/other").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn it_is_not_served_beyond_loopback() {
    assert!(serve("0.0.0.0:0".parse().unwrap(), Metrics::default(), Readiness::default()).await.is_err());
}

#[tokio::test]
async fn more_connections_than_the_bound_wait_and_are_served_when_others_end() {
    let address = serve("127.0.0.1:0".parse().unwrap(), Metrics::default(), Readiness::default()).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    let waiting = tokio::spawn(async move { get(address, "/health").await });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    idle.clear();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "));
}
