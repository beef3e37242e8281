//! One question over the wire and its answer: OPTIONS over UDP, TCP or TLS, GET over HTTP. Everything has a deadline and a bound.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sip::Transport;
use tokio_rustls::rustls;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::config::Certificate;
use crate::tls;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(3);
/// Over UDP, each after [`ANSWER`].
const TRIES: usize = 3;
const ANSWER_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(super) enum Failure {
    NoConnection(String),
    NoAnswer(String),
}

pub(super) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Status code and reason phrase.
pub(super) fn options(
    transport: Transport,
    to: SocketAddr,
    certificates: &[Certificate],
) -> Result<(u16, String), Failure> {
    let text = match transport {
        Transport::Udp => ask_udp(to)?,
        Transport::Tcp => ask(Box::new(connect(to)?), &question("TCP", to), head_ends)?,
        Transport::Tls => ask(pinned(to, certificates)?, &question("TLS", to), head_ends)?,
    };
    status_line(&text, "SIP/2.0 ")
}

/// Status code and body. Over TLS if there are certificates: the server must have one of them, or it is not shown the token.
pub(super) fn get(
    to: SocketAddr,
    path: &str,
    token: Option<&str>,
    certificates: &[Certificate],
) -> Result<(u16, String), Failure> {
    let stream = if certificates.is_empty() { Box::new(connect(to)?) } else { pinned(to, certificates)? };
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {to}\r\n{authorization}Connection: close\r\n\r\n");
    let text = ask(stream, &request, |_| false)?;
    let (status, _) = status_line(&text, "HTTP/1.1 ")?;
    Ok((status, text.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned()))
}

pub(super) fn connect(to: SocketAddr) -> Result<TcpStream, Failure> {
    let failed = |error: std::io::Error| Failure::NoConnection(error.to_string());
    let stream = TcpStream::connect_timeout(&to, CONNECT).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER)).map_err(failed)?;
    stream.set_write_timeout(Some(ANSWER)).map_err(failed)?;
    Ok(stream)
}

/// Ends when the handshake has.
pub(super) fn handshake(
    stream: TcpStream,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Result<Box<dyn Stream>, Failure> {
    let failed = |error: String| Failure::NoAnswer(format!("TLS: {error}"));
    let connection = ClientConnection::new(config, name).map_err(|error| failed(error.to_string()))?;
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(|error| failed(error.to_string()))?;
    }
    Ok(Box::new(stream))
}

fn pinned(to: SocketAddr, certificates: &[Certificate]) -> Result<Box<dyn Stream>, Failure> {
    let config = pinned_config(certificates).map_err(Failure::NoAnswer)?;
    handshake(connect(to)?, ServerName::IpAddress(to.ip().into()), config)
}

/// TLS to a server of ours: it must present what the configuration names, whoever has signed that.
pub(super) fn pinned_config(certificates: &[Certificate]) -> Result<Arc<ClientConfig>, String> {
    let leaves = certificates.iter().filter_map(|certificate| tls::read_certificates(&certificate.cert).ok());
    let leaves = leaves.filter_map(|chain| chain.into_iter().next()).collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let verifier = Arc::new(Pinned { leaves, provider });
    let config = config.map_err(|error| error.to_string())?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(Arc::new(config.with_no_client_auth()))
}

/// Takes these certificates and no other.
#[derive(Debug)]
struct Pinned {
    leaves: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.leaves.iter().any(|own| own == leaf) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General("it presents another certificate than the one that is configured".into()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Writes, then reads to the end or until `whole`.
fn ask(mut stream: Box<dyn Stream>, question: &str, whole: fn(&[u8]) -> bool) -> Result<String, Failure> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Failure::NoAnswer("nothing is answered".into()),
        _ => Failure::NoAnswer(error.to_string()),
    };
    stream.write_all(question.as_bytes()).and_then(|()| stream.flush()).map_err(failed)?;
    let (mut answer, mut part) = (Vec::new(), [0; 2048]);
    let until = Instant::now() + ANSWER;
    while !whole(&answer) && answer.len() < ANSWER_BYTES_MAX {
        match stream.read(&mut part) {
            Ok(0) if answer.is_empty() => return Err(Failure::NoAnswer("it closes the connection".into())),
            Ok(0) => break,
            Ok(_) if Instant::now() > until => return Err(Failure::NoAnswer("the answer does not end".into())),
            Ok(read) => answer.extend_from_slice(&part[..read]),
            // A peer over TLS may close without saying so.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && !answer.is_empty() => break,
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn ask_udp(to: SocketAddr) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::NoAnswer(error.to_string());
    let any: std::net::IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(to).map(|()| socket)).map_err(failed)?;
    socket.set_read_timeout(Some(ANSWER)).map_err(failed)?;
    let from = socket.local_addr().map_err(failed)?;
    let question = question_from("UDP", from, to);
    let mut answer = [0; 4096];
    for _ in 0..TRIES {
        socket.send(question.as_bytes()).map_err(failed)?;
        match socket.recv(&mut answer) {
            Ok(read) => return Ok(String::from_utf8_lossy(&answer[..read]).into_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(Failure::NoAnswer("nothing is answered".into()))
}

/// Over a stream the answer comes by the same connection, whatever the Via says.
fn question(transport: &str, to: SocketAddr) -> String {
    question_from(transport, SocketAddr::new(to.ip(), 5060), to)
}

fn question_from(transport: &str, from: SocketAddr, to: SocketAddr) -> String {
    let number: u64 = rand::random();
    format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/{transport} {from};rport;branch=z9hG4bK{number:x}\r\nMax-Forwards: 70\r\n\
         From: <sip:doctor@{from}>;tag={number:x}\r\nTo: <sip:{to}>\r\nCall-ID: {number:x}@doctor\r\nCSeq: 1 OPTIONS\r\n\
         Contact: <sip:doctor@{from}>\r\nContent-Length: 0\r\n\r\n"
    )
}

fn head_ends(answer: &[u8]) -> bool {
    answer.windows(4).any(|four| four == b"\r\n\r\n")
}

fn status_line(text: &str, version: &str) -> Result<(u16, String), Failure> {
    let line = text.strip_prefix(version).and_then(|rest| rest.lines().next()).and_then(|line| {
        let (status, phrase) = line.split_once(' ').unwrap_or((line, ""));
        Some((status.parse().ok()?, phrase.to_owned()))
    });
    line.ok_or_else(|| Failure::NoAnswer("the answer is in another protocol".into()))
}
