//! A host with two tenants, and a client that shows every byte of an answer.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use runtime::admin::{Admin, Bounds, Rate, Readiness, serve};
use runtime::config::Config;
use runtime::hosting::{Builds, Follower, Hosting, Picture, Reach, Shared};
use runtime::observe::Metrics;
use serde_json::{Value, json};
use store::{By, Name, Quotas, Scope, Settings, SqliteStore, Store};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub const COMPONENT_BYTES_MAX: usize = 1 << 20;
/// Tests that are not about rates ask as often as they like.
pub const NO_RATES: Rate = Rate { per_second: 1e6, burst: 1e6 };

pub struct Host {
    pub address: SocketAddr,
    pub store: Arc<SqliteStore>,
    /// Texts of tokens.
    pub operator: String,
    /// Of the tenants acme and rival.
    pub deploy: String,
    pub read: String,
    pub rival: String,
    /// What bots would speak to.
    pub shared: Arc<Shared>,
    folder: PathBuf,
}

impl Host {
    pub async fn start() -> Self {
        Self::with(Bounds { requests: NO_RATES, failures: NO_RATES, ..Bounds::default() }).await
    }

    pub async fn with(bounds: Bounds) -> Self {
        Self::over(bounds, Settings::default()).await
    }

    pub async fn over(bounds: Bounds, settings: Settings) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("patchbay-admin-{}-{next}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let settings = Settings { component_bytes_max: COMPONENT_BYTES_MAX as u64, ..settings };
        let store = Arc::new(SqliteStore::open(&folder.join("data"), settings).unwrap());
        let token = |scope: Scope| store.create_token(&by(), &scope, "test").unwrap().1.show().to_owned();
        for tenant in ["acme", "rival"] {
            store.create_tenant(&by(), &name(tenant), Quotas::default()).unwrap();
            store.upload(&by(), tenant, &name("menu"), tenant.as_bytes(), "0.1.0").unwrap();
        }
        let (hosting, shared) = hosting(store.clone());
        let admin = Admin { bounds, hosting: Some(hosting), ..open_only() };
        Self {
            operator: token(Scope::Operator),
            deploy: token(Scope::Deploy(name("acme"))),
            read: token(Scope::Read(name("acme"))),
            rival: token(Scope::Deploy(name("rival"))),
            address: serve(admin).await.unwrap(),
            store,
            shared,
            folder,
        }
    }

    pub async fn ask(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let bearer = format!("Authorization: Bearer {token}\r\n");
        let (headers, body) = match body {
            Some(body) => (format!("{bearer}Content-Type: application/json\r\n"), body.to_string()),
            None => (bearer, String::new()),
        };
        ask(self.address, method, path, &headers, body.as_bytes()).await
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        self.ask(token, "GET", path, None).await
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A host without calls: changes are taken up as in any other.
fn hosting(store: Arc<dyn Store>) -> (Hosting, Arc<Shared>) {
    let engine = plugin::Engine::new(plugin::Limits::default()).unwrap();
    let builds = Builds::new(&engine, None).unwrap();
    let metrics = Metrics::default();
    let reach = Reach::new(&Config::default(), tokio::runtime::Handle::current(), &metrics).unwrap();
    let shared = Arc::new(Shared::new(builds, reach, Picture::new(Config::default()), COMPONENT_BYTES_MAX, Vec::new()));
    let mut follower = Follower::new(Arc::clone(&store), Arc::clone(&shared));
    follower.read_all().unwrap();
    let taken_up = follower.taken_up();
    follower.start().unwrap();
    (Hosting::new(store, Arc::clone(&shared), taken_up), shared)
}

/// Without a store.
pub fn open_only() -> Admin {
    Admin {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        metrics: Metrics::default(),
        readiness: Readiness::default(),
        hosting: None,
        bounds: Bounds::default(),
    }
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn by() -> By {
    By { who: "test".into(), at_ms: 1 }
}

pub fn desk() -> Value {
    json!({ "called": { "exact": "+912261234567" }, "plugin": "menu" })
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The parts that every problem has, and its kind.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(!problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty());
        (self.status, problem["type"].as_str().unwrap().to_owned())
    }
}

pub async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}{length}\r\n");
    exchange(stream, &[head.as_bytes(), body].concat()).await
}

/// Sends it all, and reads until the host closes.
pub async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Answer {
    // A body that is refused is not read to its end.
    let _ = stream.write_all(request).await;
    read(&mut stream).await
}

pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    parse(&bytes)
}

/// Whatever comes until the host closes, if it is an answer or not.
pub async fn text_of(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

pub fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<_> =
        lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
    let mut answer = Answer { status, headers, body: bytes[end + 4..].to_vec() };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunked(&answer.body);
    }
    answer
}

pub fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        let Some(chunk) = bytes.get(line + 2..line + 2 + length) else { break };
        body.extend_from_slice(chunk);
        bytes = bytes.get(line + length + 4..).unwrap_or(&[]);
    }
    body
}
