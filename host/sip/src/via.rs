//! One Via value. Source: RFC 3261 20.42 and 18.2, RFC 3581.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::limits::MAX_HEADER_BYTES;
use crate::params::{Params, is_token, parse_digits, trim};
use crate::uri::{locate_host_port, parse_ip};

/// What begins every branch made by RFC 3261 rules.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// One hop that a message came by, text kept byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    raw: Box<str>,
    transport: Range<usize>,
    host: Range<usize>,
    port: Option<u16>,
    /// Where the white space before sent-by ends, and where the parameters begin.
    sent_by: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed Via")]
pub struct ViaError;

impl Via {
    /// Reads `SIP/2.0/TCP host:port;params`, white space around the slashes tolerated.
    /// Errors: another protocol or version, no sent-by, a bad port, empty or doubled parameters, an empty branch or
    /// nothing after its cookie (RFC 4475 3.2.1), bytes that are not UTF-8. Cost: one allocation.
    pub fn parse(value: &[u8]) -> Result<Via, ViaError> {
        if value.len() > MAX_HEADER_BYTES {
            return Err(ViaError);
        }
        let text = std::str::from_utf8(trim(value)).map_err(|_| ViaError)?;
        let bytes = text.as_bytes();
        let first = text.find('/').ok_or(ViaError)?;
        let second = first + 1 + text[first + 1..].find('/').ok_or(ViaError)?;
        let protocol = trim(&bytes[..first]).eq_ignore_ascii_case(b"SIP") && trim(&bytes[first + 1..second]) == b"2.0";
        let at = second + 1 + leading_spaces(&bytes[second + 1..]);
        let end = at + bytes[at..].iter().position(|b| b" \t".contains(b)).ok_or(ViaError)?;
        let sent_by = end + leading_spaces(&bytes[end..]);
        let (host, port, after) = locate_sent_by(bytes, sent_by).ok_or(ViaError)?;
        let via = Via { raw: text.into(), transport: at..end, host, port, sent_by: sent_by..after };
        let branch = via.param("branch");
        let bad_branch = branch.is_some_and(|branch| branch.is_empty() || branch == MAGIC_COOKIE);
        if !protocol || !is_token(&bytes[at..end]) || bad_branch || !via.params().are_well_formed() {
            return Err(ViaError);
        }
        Ok(via)
    }

    fn params(&self) -> Params<'_> {
        Params::new(&self.raw.as_bytes()[self.sent_by.end..])
    }

    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// `UDP`, `TCP`, `TLS`, or another as it was sent.
    pub fn transport(&self) -> &str {
        &self.raw[self.transport.clone()]
    }

    /// Sent-by's host, IPv6 without its brackets.
    pub fn host(&self) -> &str {
        &self.raw[self.host.clone()]
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Host and port as they were sent: what a transaction is matched by (RFC 3261 17.2.3).
    pub fn sent_by(&self) -> &str {
        self.raw[self.sent_by.clone()].trim_end()
    }

    pub fn branch(&self) -> Option<&str> {
        self.param("branch")
    }

    /// Whether the branch was made by RFC 3261 rules; otherwise RFC 2543's matching holds.
    pub fn has_magic_cookie(&self) -> bool {
        self.branch()
            .is_some_and(|branch| branch.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE)))
    }

    /// `Some(None)` for the bare flag of a request, `Some(Some(port))` once filled in. Source: RFC 3581 3.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.param("rport").map(|value| parse_digits(value.as_bytes()))
    }

    /// IPv6 with or without brackets (RFC 5118 4.5).
    pub fn received(&self) -> Option<IpAddr> {
        self.param("received").and_then(|value| parse_ip(value.trim_start_matches('[').trim_end_matches(']')))
    }

    pub fn maddr(&self) -> Option<&str> {
        self.param("maddr")
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        self.params().get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// This value with `received` and, if `rport` was asked for, the port filled in; what the sender wrote into
    /// either is replaced. Source: RFC 3261 18.2.1, RFC 3581 4.
    pub fn with_source(&self, source: SocketAddr) -> String {
        let ip = source.ip().to_canonical();
        let mut out = self.raw[..self.sent_by.end].trim_end().to_owned();
        for (name, value) in self.params().flatten() {
            let name = String::from_utf8_lossy(name);
            if name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport") {
                continue;
            }
            out.push(';');
            out.push_str(&name);
            if let Some(value) = value {
                out.push('=');
                out.push_str(&String::from_utf8_lossy(value));
            }
        }
        if self.rport().is_some() {
            out.push_str(&format!(";rport={}", source.port()));
        }
        if self.rport().is_some() || parse_ip(self.host()) != Some(ip) {
            out.push_str(&format!(";received={ip}"));
        }
        out
    }
}

fn leading_spaces(text: &[u8]) -> usize {
    text.iter().take_while(|b| b" \t".contains(b)).count()
}

/// RFC 3261's grammar allows white space around sent-by's colon. Ends where the parameters begin.
fn locate_sent_by(text: &[u8], start: usize) -> Option<(Range<usize>, Option<u16>, usize)> {
    let (host, mut port, mut end) = match locate_host_port(text, start) {
        Some(found) => found,
        None => locate_host_port(text.get(..start + text[start..].iter().position(|&b| b == b':')?)?, start)?,
    };
    let mut after = end + leading_spaces(&text[end..]);
    if port.is_none() && text.get(after) == Some(&b':') {
        after += 1;
        after += leading_spaces(&text[after..]);
        let digits = text[after..].iter().take_while(|b| b.is_ascii_digit()).count();
        port = Some(parse_digits(&text[after..after + digits])?);
        end = after + digits;
        after = end + leading_spaces(&text[end..]);
    }
    matches!(text.get(after), None | Some(b';')).then(|| (usize::from(host.start)..usize::from(host.end), port, after))
}
