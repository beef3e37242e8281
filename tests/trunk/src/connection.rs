//! One SIP connection to the host, TCP or TLS, and the messages on it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::message::Message;

const LOOK_EVERY: Duration = Duration::from_millis(10);

trait Stream: Read + Write + Send {}
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

impl Connection {
    pub fn open(to: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Connection> {
        let stream = TcpStream::connect(to).with_context(|| format!("SIP to {to}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK_EVERY))?;
        let local = stream.local_addr()?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some(config) => {
                let mut tls = ClientConnection::new(Arc::clone(config), ServerName::from(to.ip()))?;
                let mut stream = stream;
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                while tls.is_handshaking() {
                    tls.complete_io(&mut stream).context("the TLS handshake")?;
                }
                stream.set_read_timeout(Some(LOOK_EVERY))?;
                Box::new(StreamOwned::new(tls, stream))
            }
        };
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
