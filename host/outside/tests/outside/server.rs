//! A server that does as it is told: it reads a request, and then sends bytes, waits or closes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Again and again, until the other side has enough.
    SendForEver(Vec<u8>),
    /// Until the other side closes.
    WaitForClose,
    Close,
}

#[derive(Default)]
pub struct Seen {
    /// Head and body of each, as they came.
    pub requests: Mutex<Vec<String>>,
    pub connections: AtomicUsize,
    pub closed: AtomicUsize,
}

impl Seen {
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
}

type Script = dyn Fn(&str) -> Vec<Step> + Send + Sync;

impl Server {
    pub async fn start(tls: Option<TlsAcceptor>, script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let (for_all, script) = (seen.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                for_all.connections.fetch_add(1, Ordering::SeqCst);
                let (seen, script, tls) = (for_all.clone(), script.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &seen, script.as_ref()).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &seen, script.as_ref()).await;
                            }
                        }
                    }
                    seen.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Server { address, seen }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

/// A response with a length.
pub fn answer(head: &str, body: &str) -> Vec<Step> {
    vec![Step::Send(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())]
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Seen, script: &Script) {
    while let Some(request) = read_request(&mut stream).await {
        seen.requests.lock().unwrap().push(request.clone());
        for step in script(&request) {
            let sent = match step {
                Step::Send(bytes) => send(&mut stream, &bytes).await,
                Step::Wait(duration) => {
                    tokio::time::sleep(duration).await;
                    true
                }
                Step::SendForEver(bytes) => {
                    while send(&mut stream, &bytes).await {}
                    false
                }
                Step::WaitForClose => {
                    let mut rest = [0; 1024];
                    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
                    false
                }
                Step::Close => {
                    let _ = stream.shutdown().await;
                    false
                }
            };
            if !sent {
                return;
            }
        }
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok()
}

/// None at the end of the connection.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        bytes.push(stream.read_u8().await.ok()?);
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(text + &String::from_utf8_lossy(&body))
}
