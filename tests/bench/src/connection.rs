//! One TCP or TLS connection to the host that many calls share.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use sip::framing::{Frame, StreamReader};
use sip::message::Message;

pub struct Connection {
    stream: TcpStream,
    tls: Option<ClientConnection>,
    reader: StreamReader,
    /// Not yet written.
    waiting: Vec<u8>,
}

/// Trusts one certificate.
pub fn tls(certificate: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).context("the host's certificate")?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

impl Connection {
    pub fn open(to: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Connection> {
        let stream = TcpStream::connect(to).with_context(|| format!("SIP to {to}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let name = ServerName::from(to.ip());
        let tls = tls.map(|config| ClientConnection::new(Arc::clone(config), name)).transpose()?;
        Ok(Connection { stream, tls, reader: StreamReader::new(), waiting: Vec::new() })
    }

    pub fn local(&self) -> Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    pub fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub fn wants_write(&self) -> bool {
        !self.waiting.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(message)?,
            None => self.waiting.extend_from_slice(message),
        }
        self.flush()
    }

    /// Writes what the socket takes.
    pub fn flush(&mut self) -> Result<()> {
        while self.wants_write() {
            let written = match &mut self.tls {
                Some(tls) => tls.write_tls(&mut self.stream),
                None => self.stream.write(&self.waiting).inspect(|written| drop(self.waiting.drain(..*written))),
            };
            match written {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// All messages that have come. Errors: the connection ended, or brought what is no SIP.
    pub fn receive(&mut self, messages: &mut Vec<Message>) -> Result<()> {
        let mut bytes = [0; 16 * 1024];
        loop {
            let read = match &mut self.tls {
                None => self.stream.read(&mut bytes),
                Some(tls) => read_tls(tls, &mut self.stream, &mut bytes)?,
            };
            match read {
                Ok(0) => bail!("the host closed a SIP connection"),
                Ok(length) => self.reader.push(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            self.take_messages(messages)?;
        }
        self.flush()
    }

    fn take_messages(&mut self, messages: &mut Vec<Message>) -> Result<()> {
        let mut pings = 0;
        for frame in &mut self.reader {
            match frame {
                Ok(Frame::Message(bytes)) => match Message::parse(&bytes) {
                    Ok(message) => messages.push(message),
                    Err(error) => bail!("the host sent what cannot be read: {error:?}"),
                },
                Ok(Frame::Ping) => pings += 1,
                Err(error) => bail!("the host sent no SIP: {:?}", error.problem),
            }
        }
        for _ in 0..pings {
            self.send(b"\r\n")?;
        }
        Ok(())
    }
}

fn read_tls(tls: &mut ClientConnection, stream: &mut TcpStream, bytes: &mut [u8]) -> Result<std::io::Result<usize>> {
    loop {
        match tls.reader().read(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return Ok(read),
        }
        match tls.read_tls(stream) {
            Ok(0) => return Ok(Ok(0)),
            Ok(_) => tls.process_new_packets().map(drop)?,
            Err(error) => return Ok(Err(error)),
        }
    }
}
