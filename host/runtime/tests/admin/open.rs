//! What is open without a token: /health, /ready, /metrics.

use runtime::admin::{Admin, Bounds, Phase, serve};
use tokio::net::TcpStream;

use crate::support::{Answer, ask, open_only};

async fn get(address: std::net::SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, "", b"").await
}

#[tokio::test]
async fn health_is_always_there_and_ready_only_while_calls_are_taken() {
    let admin = open_only();
    let readiness = admin.readiness.clone();
    admin.metrics.counter("patchbay_calls_total", "Calls.", &[("result", "answered")]).add(3);
    let address = serve(admin).await.unwrap();
    assert_eq!(get(address, "/health").await.status, 200);
    for (phase, status) in [(Phase::Starting, 503), (Phase::Ready, 200), (Phase::Draining, 503)] {
        readiness.set(phase);
        assert_eq!(get(address, "/ready").await.status, status, "{phase:?}");
    }
    let answer = get(address, "/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    assert!(answer.text().contains("patchbay_calls_total{result=\"answered\"} 3\n"));
    for nothing in ["/other", "/v1/tenants", "/v1/openapi.json"] {
        assert_eq!(
            get(address, nothing).await.problem(),
            (404, "/problems/not-found".into()),
            "a host without a store"
        );
    }
}

#[tokio::test]
async fn plain_http_is_not_served_beyond_loopback_and_the_error_names_the_key() {
    let refused = serve(Admin { listen: "0.0.0.0:0".parse().unwrap(), ..open_only() }).await.unwrap_err();
    assert!(refused.to_string().contains("admin.certificates"), "{refused}");
}

#[tokio::test]
async fn more_connections_than_the_bound_wait_and_are_served_when_others_end() {
    let address = serve(Admin { bounds: Bounds { connections: 8, ..Bounds::default() }, ..open_only() }).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let waiting = tokio::spawn(async move { get(address, "/health").await });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    idle.clear();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await.unwrap().unwrap();
    assert_eq!(answer.status, 200);
}
