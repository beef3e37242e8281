//! Clients that are slow, silent or rude, and TLS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use runtime::admin::{Admin, Bounds, Pace, serve};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Host, NO_RATES, ask, exchange, open_only, read};

const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

fn bounds() -> Bounds {
    Bounds { requests: NO_RATES, failures: NO_RATES, ..Bounds::default() }
}

/// Sends a byte now and then until the host has had enough. Returns all that it said.
async fn trickle(mut stream: TcpStream, begin: &str) -> String {
    stream.write_all(begin.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let trickling = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, reading.read_to_end(&mut answer)).await.expect("a client that trickles is cut");
    trickling.abort();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_and_told_so() {
    let host = Host::with(Bounds { pace: Pace { grace: SHORT, bytes_per_second: 1000 }, ..bounds() }).await;
    for (path, kind) in [("routes/desk", "application/json"), ("plugins/menu/versions", "application/wasm")] {
        let method = if kind == "application/json" { "PUT" } else { "POST" };
        let begin = format!(
            "{method} /v1/tenants/acme/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: {kind}\r\n\
             Content-Length: 100000\r\n\r\n",
            host.deploy
        );
        let answer = trickle(TcpStream::connect(host.address).await.unwrap(), &begin).await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("/problems/too-slow"), "{answer}");
    }
}

#[tokio::test]
async fn a_head_that_trickles_and_a_connection_that_says_nothing_are_closed() {
    let address = serve(Admin { bounds: Bounds { head: SHORT, ..bounds() }, ..open_only() }).await.unwrap();
    for begin in ["GET /health HTTP/1.1\r\nX-Long: ", ""] {
        let stream = TcpStream::connect(address).await.unwrap();
        if begin.is_empty() {
            let mut stream = stream;
            assert_eq!(timeout(PATIENCE, stream.read(&mut [0; 16])).await.expect("it is closed").unwrap_or(0), 0);
        } else {
            assert!(!trickle(stream, begin).await.contains("200"));
        }
    }
}

#[tokio::test]
async fn a_head_beyond_its_bound_is_refused() {
    let address = serve(Admin { bounds: bounds(), ..open_only() }).await.unwrap();
    let long = |bytes: usize| format!("X-Long: {}\r\n", "x".repeat(bytes));
    assert_eq!(ask(address, "GET", "/health", &long(16 << 10), b"").await.status, 200);
    assert_eq!(ask(address, "GET", "/health", &long(64 << 10), b"").await.status, 431);
}

#[tokio::test]
async fn a_connection_takes_no_new_request_after_its_life_and_a_tail_goes_on() {
    // Not for its silence.
    let host = Host::with(Bounds { life: SHORT, head: 100 * PATIENCE, ..bounds() }).await;
    let mut tail = TcpStream::connect(host.address).await.unwrap();
    let head = format!(
        "GET /v1/tenants/acme/plugins/menu/log HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        host.read
    );
    tail.write_all(head.as_bytes()).await.unwrap();
    let mut kept = TcpStream::connect(host.address).await.unwrap();
    kept.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // Kept alive until its life is over.
    let answer = timeout(PATIENCE, read(&mut kept)).await.expect("it is closed");
    assert_eq!(answer.status, 200);
    let mut heard = vec![0; 4096];
    let begun = tail.read(&mut heard).await.unwrap();
    assert!(heard[..begun].starts_with(b"HTTP/1.1 200 "));
    host.shared.tails.tap("acme/menu").say(|| line("still here"));
    let more = timeout(PATIENCE, tail.read(&mut heard)).await.expect("the tail lives on").unwrap();
    assert!(String::from_utf8_lossy(&heard[..more]).contains("still here"));
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_closed() {
    let host = Host::with(Bounds { write: SHORT, connections: 1, ..bounds() }).await;
    let tap = host.shared.tails.tap("acme/menu");
    let mut deaf = TcpStream::connect(host.address).await.unwrap();
    let head = format!(
        "GET /v1/tenants/acme/plugins/menu/log HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        host.read
    );
    deaf.write_all(head.as_bytes()).await.unwrap();
    deaf.readable().await.unwrap();
    let address = host.address;
    // The only connection there may be: this one is served when the other is gone.
    let waiting = tokio::spawn(async move { ask(address, "GET", "/health", "", b"").await.status });
    let deadline = Instant::now() + 3 * PATIENCE;
    while !waiting.is_finished() {
        assert!(Instant::now() < deadline, "the deaf one is still served");
        for _ in 0..100 {
            tap.say(|| line("x".repeat(4000)));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(waiting.await.unwrap(), 200);
}

fn certificate() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    (Arc::new(server), client(cert.der().clone()))
}

/// Trusts that certificate and no other.
pub fn client(certificate: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(client.with_root_certificates(roots).with_no_client_auth())
}

#[tokio::test]
async fn with_a_certificate_it_is_served_over_tls_and_plain_http_is_not_answered() {
    let (server, client) = certificate();
    let address = serve(Admin { tls: Some(server), bounds: bounds(), ..open_only() }).await.unwrap();
    let get = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let connector = tokio_rustls::TlsConnector::from(client);
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    assert_eq!(exchange(stream, get).await.status, 200);
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(get).await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test]
async fn beyond_loopback_it_is_served_with_a_certificate() {
    let (server, _) = certificate();
    let listen = "0.0.0.0:0".parse().unwrap();
    assert!(serve(Admin { listen, tls: Some(server), bounds: bounds(), ..open_only() }).await.is_ok());
}

#[tokio::test]
async fn handshakes_that_do_not_end_have_a_deadline_and_nobody_waits_for_them() {
    let (server, client) = certificate();
    let tls = Admin { tls: Some(server), bounds: Bounds { handshake: SHORT, ..bounds() }, ..open_only() };
    let address = serve(tls).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let connector = tokio_rustls::TlsConnector::from(client);
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let answer = exchange(stream, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(answer.status, 200);
    for mut stream in silent {
        assert_eq!(timeout(PATIENCE, stream.read(&mut [0; 16])).await.expect("it is closed").unwrap_or(0), 0);
    }
}

/// What a bot of call `c1` says.
fn line(message: impl Into<String>) -> runtime::hosting::LogLine {
    let (call, file, message) = ("c1".into(), String::new(), message.into());
    runtime::hosting::LogLine { at_ms: 1, call, generation: 1, level: "info", file, line: 0, message }
}
