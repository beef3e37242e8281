//! An edge with one trunk, and what a peer needs to talk to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use runtime::config::{Certificate, Codec, Config, ListenUrl, Listener, Secret, Srtp, Trunk};
use runtime::observe::{Metrics, SipTrace};
use runtime::signalling::{Bounds, EdgeEvent, Signalling};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const PATIENCE: Duration = Duration::from_secs(10);

/// Long enough that something that must not happen would have.
pub const QUIET: Duration = Duration::from_millis(150);

pub const OPTIONS: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n";

pub struct Edge {
    pub signalling: Signalling,
    pub metrics: Metrics,
}

pub fn trunk(networks: &[&str]) -> Trunk {
    Trunk {
        name: "test".into(),
        networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        media_networks: Vec::new(),
        codecs: vec![Codec::Pcma],
        srtp: Srtp::Prefer,
        require_pai: false,
        trusted: false,
        tls_ca: None,
        tls_server_name: None,
        outbound: None,
    }
}

pub fn config(urls: &[&str]) -> Config {
    let listener = |url: &&str| Listener {
        listen: url.parse::<ListenUrl>().unwrap(),
        advertised: None,
        localnet: Vec::new(),
        certificates: Vec::new(),
    };
    Config {
        listeners: urls.iter().map(listener).collect(),
        trunks: vec![trunk(&["127.0.0.0/8", "::1"])],
        ..Config::default()
    }
}

pub fn bounds() -> Bounds {
    Bounds::from(&Config::default().limits)
}

impl Edge {
    pub fn new(config: &Config, bounds: Bounds) -> Self {
        let metrics = Metrics::default();
        let signalling = Signalling::bind(config, bounds, &metrics, SipTrace::new(false)).unwrap();
        Self { signalling, metrics }
    }

    pub fn address(&self, listener: usize) -> SocketAddr {
        self.signalling.listeners[listener].local
    }

    pub async fn event(&mut self) -> EdgeEvent {
        let event = tokio::time::timeout(PATIENCE, self.signalling.events.recv()).await;
        event.expect("an event in time").expect("the edge lives")
    }

    /// The next event, which must be a message.
    pub async fn message(&mut self) -> (sip::Flow, Vec<u8>) {
        match self.event().await {
            EdgeEvent::Message { flow, bytes } => (flow, bytes),
            other => panic!("not a message: {other:?}"),
        }
    }

    pub async fn nothing(&mut self) {
        let event = tokio::time::timeout(QUIET, self.signalling.events.recv()).await;
        assert!(event.is_err(), "unexpected: {event:?}");
    }

    /// Waits until the series has this value.
    pub async fn metric(&self, series: &str, value: u64) {
        let line = format!("{series} {value}");
        for _ in 0..1000 {
            if self.metrics.render().lines().any(|found| found == line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no `{line}` in\n{}", self.metrics.render());
    }
}

pub async fn dial(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// What the peer reads until `bytes` are there.
pub async fn read(stream: &mut (impl AsyncReadExt + Unpin), bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut buffer)).await.expect("bytes in time").unwrap();
    buffer
}

/// Waits until the other side has closed; returns how long that took.
pub async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) -> Duration {
    let start = std::time::Instant::now();
    let mut buffer = [0; 1024];
    loop {
        match tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.expect("closed in time") {
            Ok(0) | Err(_) => return start.elapsed(),
            Ok(_) => {}
        }
    }
}

/// Whether a message sent on it reaches the edge.
pub async fn is_served(edge: &mut Edge, stream: &mut TcpStream) -> bool {
    if stream.write_all(OPTIONS).await.is_err() {
        return false;
    }
    let event = tokio::time::timeout(QUIET * 4, edge.signalling.events.recv()).await;
    matches!(event, Ok(Some(EdgeEvent::Message { .. })))
}

/// A folder of its own for one test.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("patchbay-edge-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// An authority and the certificates that it signs.
pub struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(params, key), pem }
    }

    /// Certificate and key as PEM.
    pub fn sign(&self, names: &[&str]) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let params = rcgen::CertificateParams::new(names).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Writes them as `name`.pem and `name`.key.
    pub fn write(&self, folder: &std::path::Path, name: &str, names: &[&str]) -> Certificate {
        let (cert, key) = self.sign(names);
        let certificate = Certificate {
            cert: folder.join(format!("{name}.pem")),
            key: Secret::File(folder.join(format!("{name}.key"))),
        };
        std::fs::write(folder.join(format!("{name}.key")), key).unwrap();
        std::fs::write(&certificate.cert, cert).unwrap();
        certificate
    }
}
