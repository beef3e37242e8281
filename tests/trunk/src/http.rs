//! As much of HTTP/1.1 as an API with one operation needs. One request a connection.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::ClientConfig;

use crate::connection::{Stream, connected};

const BODY_BYTES_MAX: usize = 1 << 16;
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Request {
    /// `POST /path`.
    pub operation: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// Errors: it breaks off, takes too long, or is none.
    pub fn read(stream: &mut dyn Stream) -> Result<Request> {
        let mut reader = BufReader::new(stream).take(2 * BODY_BYTES_MAX as u64);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let operation = line.rsplit_once(" HTTP/1.").context("no HTTP")?.0.to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Request { operation, headers, body: Vec::new() };
        let length: usize = request.header("content-length").unwrap_or("0").parse()?;
        ensure!(length <= BODY_BYTES_MAX, "a body of {length} bytes");
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
        Ok(request)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The fields of a form.
    pub fn fields(&self) -> Vec<(String, String)> {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        text.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (decoded(k), decoded(v))).collect()
    }
}

/// Sends it, and closes the connection.
pub fn answer(stream: &mut dyn Stream, status: &str, headers: &str, body: &[u8]) -> Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    Ok(stream.flush()?)
}

/// The status of the answer. With `trust` over TLS.
pub fn post(
    to: SocketAddr,
    trust: Option<&Arc<ClientConfig>>,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> Result<u16> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = connected(stream, trust)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A body that is refused is not taken to its end.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.split(' ').nth(1).with_context(|| format!("no answer: {line:?}"))?;
    Ok(status.parse()?)
}

pub fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let two = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                std::str::from_utf8(&two).ok().and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn what_is_encoded_is_decoded() {
    let text = "+91 9999 & = % \u{e4}";
    assert_eq!(decoded(&encoded(text)), text);
    assert_eq!(decoded("a+b%2B"), "a b+");
}
