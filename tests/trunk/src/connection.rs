//! Streams to and from the host, TCP or TLS; one SIP connection to it, and the messages on that.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::message::Message;

const LOOK_EVERY: Duration = Duration::from_millis(10);
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

pub struct Connection {
    stream: Box<dyn Stream>,
    pub local: SocketAddr,
    unread: Vec<u8>,
}

/// Trusts one authority.
pub fn trusting(authority: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).context("the authority")?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Shows this certificate, PEM.
pub fn showing(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let chain =
        CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>().context("the certificate")?;
    let key = PrivateKeyDer::from_pem_file(key).context("its key")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_no_client_auth().with_single_cert(chain, key)?))
}

/// Over TLS with a configuration. Nothing is waited for longer than the stream's time-out.
pub fn connected(mut stream: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Result<Box<dyn Stream>> {
    let Some(config) = tls else { return Ok(Box::new(stream)) };
    let mut tls = ClientConnection::new(Arc::clone(config), ServerName::from(stream.peer_addr()?.ip()))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).context("the TLS handshake")?;
    }
    Ok(Box::new(StreamOwned::new(tls, stream)))
}

/// As `connected`, the other side.
pub fn accepted(mut stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Result<Box<dyn Stream>> {
    let Some(config) = tls else { return Ok(Box::new(stream)) };
    let mut tls = ServerConnection::new(Arc::clone(config))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).context("the TLS handshake")?;
    }
    Ok(Box::new(StreamOwned::new(tls, stream)))
}

impl Connection {
    pub fn open(to: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Connection> {
        let socket = TcpStream::connect(to).with_context(|| format!("SIP to {to}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(HANDSHAKE_TIME_MAX))?;
        let local = socket.local_addr()?;
        let stream = connected(socket.try_clone()?, tls)?;
        // Of the socket, whoever reads from it.
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        Ok(Connection { stream, local, unread: Vec::new() })
    }

    pub fn send(&mut self, text: &str) -> Result<()> {
        self.stream.write_all(text.as_bytes())?;
        Ok(self.stream.flush()?)
    }

    /// The next message. Errors: none until then, or the host closed.
    pub fn receive(&mut self, until: Instant) -> Result<Message> {
        loop {
            if let Some((message, length)) = Message::parse(&self.unread)? {
                self.unread.drain(..length);
                return Ok(message);
            }
            let mut bytes = [0; 8192];
            match self.stream.read(&mut bytes) {
                Ok(0) => bail!("the host closed the connection"),
                Ok(length) => self.unread.extend_from_slice(&bytes[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if Instant::now() >= until {
                        bail!("the host says nothing");
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
