//! TLS as a server: which certificate a client sees, and when it changes.

use std::sync::Arc;

use runtime::config::Certificate;
use runtime::signalling::EdgeEvent;
use sip::Transport;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsConnector, rustls};

use crate::support::*;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

fn connector(authority: &Authority, sni: bool) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.enable_sni = sni;
    TlsConnector::from(Arc::new(config))
}

/// A handshake that verifies the server as `name`.
async fn handshake(edge: &Edge, connector: &TlsConnector, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    connector.connect(name, dial(edge.address(0)).await).await
}

fn edge_with(certificates: Vec<Certificate>) -> Edge {
    let mut config = config(&["tls://127.0.0.1:0"]);
    config.listeners[0].certificates = certificates;
    Edge::new(&config, bounds())
}

#[tokio::test]
async fn messages_travel_over_tls_both_ways() {
    let authority = Authority::new();
    let mut edge = edge_with(vec![authority.write(&folder("both-ways"), "a", &["sip.example.com"])]);
    let mut peer = handshake(&edge, &connector(&authority, true), "sip.example.com").await.unwrap();
    peer.write_all(OPTIONS).await.unwrap();
    let (flow, bytes) = edge.message().await;
    assert_eq!((flow.transport, bytes.as_slice()), (Transport::Tls, OPTIONS));
    // More than one TLS record, and more than the socket takes at once.
    edge.signalling.edge.send(flow, vec![b'x'; 200_000]);
    assert_eq!(read(&mut peer, 200_000).await.len(), 200_000);
}

#[tokio::test]
async fn the_certificate_follows_the_name_asked_for_and_none_or_an_unknown_one_gets_the_first() {
    let (authority, folder) = (Authority::new(), folder("sni"));
    let edge = edge_with(vec![
        authority.write(&folder, "first", &["first.example.com", "127.0.0.1"]),
        authority.write(&folder, "second", &["second.example.com", "*.wild.example.com"]),
    ]);
    let named = connector(&authority, true);
    for name in ["first.example.com", "second.example.com", "x.wild.example.com", "127.0.0.1"] {
        assert!(handshake(&edge, &named, name).await.is_ok(), "{name}");
    }
    let unnamed = connector(&authority, false);
    assert!(handshake(&edge, &unnamed, "first.example.com").await.is_ok());
    assert!(handshake(&edge, &unnamed, "second.example.com").await.is_err());
    let unknown = handshake(&edge, &named, "third.example.com").await.unwrap_err();
    assert!(unknown.to_string().contains("first.example.com"), "it saw the first: {unknown}");
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart_and_a_broken_one_is_not() {
    let (authority, folder) = (Authority::new(), folder("reload"));
    let mut edge = edge_with(vec![authority.write(&folder, "a", &["old.example.com"])]);
    let connector = connector(&authority, true);
    let mut before = handshake(&edge, &connector, "old.example.com").await.unwrap();

    std::fs::write(folder.join("a.pem"), "half a fi").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert!(handshake(&edge, &connector, "old.example.com").await.is_ok(), "the old one stays in use");

    authority.write(&folder, "a", &["new.example.com"]);
    edge.metric("patchbay_certificate_reloads_total", 1).await;
    assert!(handshake(&edge, &connector, "new.example.com").await.is_ok());
    assert!(handshake(&edge, &connector, "old.example.com").await.is_err());
    before.write_all(OPTIONS).await.unwrap();
    // The connections of the handshakes above have ended meanwhile.
    let live = loop {
        match edge.event().await {
            EdgeEvent::Closed { .. } => {}
            other => break other,
        }
    };
    assert!(matches!(live, EdgeEvent::Message { bytes, .. } if bytes == OPTIONS), "a live connection goes on");
}
