//! SIP messages as text. What is written is written where it is sent; what is read is taken apart here.

use anyhow::{Context, Result, ensure};

#[derive(Clone, Debug)]
pub struct Message {
    /// `SIP/2.0 200 OK`, or `BYE sip:... SIP/2.0`.
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A keep-alive between messages. Source: RFC 5626 3.5.1.
const CRLF: &[u8] = b"\r\n";

impl Message {
    /// The first message of what was read, and its bytes; None: it is not complete. Errors: it is none.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Message, usize)>> {
        let mut start = 0;
        while bytes[start..].starts_with(CRLF) {
            start += CRLF.len();
        }
        let Some(head) = bytes[start..].windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&bytes[start..start + head]).context("a head that is no text")?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let headers: Option<Vec<_>> =
            lines.map(|line| line.split_once(':').map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))).collect();
        let headers = headers.context("a header without a colon")?;
        let mut message = Message { start: first, headers, body: Vec::new() };
        let length: usize = message.header("Content-Length").context("no Content-Length")?.parse()?;
        ensure!(length <= 1 << 16, "a body of {length} bytes");
        let end = start + head + 4 + length;
        if bytes.len() < end {
            return Ok(None);
        }
        message.body = bytes[end - length..end].to_vec();
        Ok(Some((message, end)))
    }

    /// None: it is a request.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// Of a request, or of what it answers.
    pub fn method(&self) -> &str {
        self.header("CSeq").and_then(|cseq| cseq.split(' ').nth(1)).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A final answer to this request.
    pub fn answer(&self, status: &str) -> String {
        let mut answer = format!("SIP/2.0 {status}\r\n");
        for (name, value) in &self.headers {
            if ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|known| known.eq_ignore_ascii_case(name)) {
                answer += &format!("{name}: {value}\r\n");
            }
        }
        answer + "Content-Length: 0\r\n\r\n"
    }
}

#[test]
fn a_message_is_taken_apart_once_it_is_complete() -> Result<()> {
    let text = b"\r\n\r\nBYE sip:a@b SIP/2.0\r\nCSeq: 3 BYE\r\nRecord-Route: x\r\nrecord-route: y\r\nContent-Length: 2\r\n\r\nhiNEXT";
    let (message, length) = Message::parse(text)?.context("it is complete")?;
    assert_eq!((message.method(), message.status(), &message.body[..]), ("BYE", None, &b"hi"[..]));
    assert_eq!(message.values("Record-Route").collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(&text[length..], b"NEXT");
    assert!((0..length).all(|cut| matches!(Message::parse(&text[..cut]), Ok(None))));
    Ok(())
}
