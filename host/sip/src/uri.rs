//! URIs as they were sent: `sip:`, `sips:`, `tel:`, and any other scheme as opaque text.
//! Source: RFC 3261 19.1 and 25.1, RFC 3966, RFC 5118 4.10.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;
use std::str::FromStr;

use crate::limits::MAX_URI_BYTES;
use crate::params::{Params, parse_digits};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    /// Kept as sent, not looked into.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    #[error("URI too long")]
    TooLong,
    #[error("malformed URI")]
    Malformed,
}

/// One URI. The text is kept byte for byte, escapes included; two are equal if their texts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    text: Box<str>,
    scheme: Scheme,
    user: Option<Range<u16>>,
    password: Option<Range<u16>>,
    /// For `tel:` the number; for other schemes everything after the colon.
    host: Range<u16>,
    port: Option<u16>,
    params: Range<u16>,
    headers: Option<Range<u16>>,
}

impl Uri {
    /// Errors: white space, control characters, quotes or angle brackets; no scheme; an `@` too many; a bad host or
    /// port; doubled parameters; longer than [`MAX_URI_BYTES`]; not UTF-8. Cost: one allocation.
    pub fn parse(text: &[u8]) -> Result<Uri, UriError> {
        if text.len() > MAX_URI_BYTES {
            return Err(UriError::TooLong);
        }
        let text = std::str::from_utf8(text).map_err(|_| UriError::Malformed)?;
        let forbidden = |b: u8| b <= b' ' || b == 0x7f || b"<>\"".contains(&b);
        let colon = text.find(':').ok_or(UriError::Malformed)?;
        if text.bytes().any(forbidden) || !is_scheme(&text[..colon]) {
            return Err(UriError::Malformed);
        }
        let scheme = match &text[..colon] {
            s if s.eq_ignore_ascii_case("sip") => Scheme::Sip,
            s if s.eq_ignore_ascii_case("sips") => Scheme::Sips,
            s if s.eq_ignore_ascii_case("tel") => Scheme::Tel,
            _ => Scheme::Other,
        };
        let mut uri = Uri {
            text: text.into(),
            scheme,
            user: None,
            password: None,
            host: range(colon + 1, text.len()),
            port: None,
            params: range(text.len(), text.len()),
            headers: None,
        };
        let well_formed = match scheme {
            Scheme::Sip | Scheme::Sips => uri.locate_sip(colon + 1),
            Scheme::Tel => uri.locate_tel(colon + 1),
            Scheme::Other => colon + 1 < text.len(),
        };
        if well_formed { Ok(uri) } else { Err(UriError::Malformed) }
    }

    fn locate_sip(&mut self, start: usize) -> bool {
        let text = self.text.as_bytes();
        let mut at = start;
        // Neither parameters nor headers may hold a bare `@`, so what stands before one is always the user part.
        let mut ats = text.iter().enumerate().skip(start).filter(|(_, b)| **b == b'@').map(|(i, _)| i);
        if let Some(sign) = ats.next() {
            if ats.next().is_some() {
                return false;
            }
            let user_end = text[start..sign].iter().position(|&b| b == b':').map_or(sign, |i| start + i);
            if user_end == start {
                return false;
            }
            self.user = Some(range(start, user_end));
            self.password = (user_end < sign).then(|| range(user_end + 1, sign));
            at = sign + 1;
        }
        let Some((host, port, end)) = locate_host_port(text, at) else {
            return false;
        };
        (self.host, self.port) = (host, port);
        let question = text[end..].iter().position(|&b| b == b'?').map_or(text.len(), |i| end + i);
        self.params = range(end, question);
        self.headers = (question < text.len()).then(|| range(question + 1, text.len()));
        Params::new(&text[end..question]).are_well_formed()
    }

    fn locate_tel(&mut self, start: usize) -> bool {
        let text = self.text.as_bytes();
        let end = text[start..].iter().position(|&b| b == b';').map_or(text.len(), |i| start + i);
        let number = &text[start..end];
        let digits = number.strip_prefix(b"+").unwrap_or(number);
        self.host = range(start, end);
        self.params = range(end, text.len());
        // Local numbers may be extension names (RFC 3966 5.1.5 allows hex digits, * and #), with visual separators.
        digits.iter().any(|b| b.is_ascii_hexdigit() || b"*#".contains(b))
            && digits.iter().all(|b| b.is_ascii_hexdigit() || b"*#-.()".contains(b))
            && Params::new(&text[end..]).are_well_formed()
    }

    fn slice(&self, range: &Range<u16>) -> &str {
        &self.text[usize::from(range.start)..usize::from(range.end)]
    }

    /// The whole URI as it was sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The scheme's name as it was sent.
    pub fn scheme_name(&self) -> &str {
        self.text.split(':').next().unwrap_or_default()
    }

    /// The user part, escapes and user parameters (`;phone-context=`) kept. None for `tel:`.
    pub fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|user| self.slice(user))
    }

    /// The user part with its escapes undone; what is not UTF-8 then is replaced.
    pub fn user_unescaped(&self) -> Option<Cow<'_, str>> {
        self.user().map(unescape)
    }

    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|password| self.slice(password))
    }

    /// The user part of `sip:`, the number of `tel:`: where a phone number stands, `+` kept, escapes undone.
    pub fn number(&self) -> Option<Cow<'_, str>> {
        match self.scheme {
            Scheme::Sip | Scheme::Sips => self.user_unescaped(),
            Scheme::Tel => Some(unescape(self.slice(&self.host))),
            Scheme::Other => None,
        }
    }

    /// A name or an address literal, IPv6 without its brackets. None for `tel:` and other schemes.
    pub fn host(&self) -> Option<&str> {
        match self.scheme {
            Scheme::Sip | Scheme::Sips => Some(self.slice(&self.host)),
            Scheme::Tel | Scheme::Other => None,
        }
    }

    /// The host, if it is an address literal.
    pub fn host_ip(&self) -> Option<IpAddr> {
        self.host().and_then(parse_ip)
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// A URI parameter as sent; empty for a flag like `;lr`.
    pub fn param(&self, name: &str) -> Option<&str> {
        Params::new(self.slice(&self.params).as_bytes()).get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Everything after the host, with the leading semicolon: `;transport=tls;lr`.
    pub fn params(&self) -> &str {
        self.slice(&self.params)
    }

    /// What follows `?`.
    pub fn headers(&self) -> Option<&str> {
        self.headers.as_ref().map(|headers| self.slice(headers))
    }

    pub fn transport(&self) -> Option<&str> {
        self.param("transport")
    }

    /// Source: RFC 3261 19.1.1, `;lr`.
    pub fn is_loose_route(&self) -> bool {
        self.param("lr").is_some()
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Uri, UriError> {
        Uri::parse(text.as_bytes())
    }
}

/// Bounded by [`MAX_URI_BYTES`], so the offsets fit.
fn range(start: usize, end: usize) -> Range<u16> {
    start as u16..end as u16
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// A host and perhaps a port from `start` on. Returns the host without brackets, the port, and where they end.
/// Errors: None for an empty or misspelt host, IPv6 without brackets, a port beyond 65535.
pub(crate) fn locate_host_port(text: &[u8], start: usize) -> Option<(Range<u16>, Option<u16>, usize)> {
    let rest = text.get(start..)?;
    let (host, mut end) = if rest.first() == Some(&b'[') {
        let close = rest.iter().position(|&b| b == b']')?;
        parse_ip(std::str::from_utf8(&rest[1..close]).ok()?).filter(IpAddr::is_ipv6)?;
        (range(start + 1, start + close), start + close + 1)
    } else {
        let len = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || b"-._".contains(b))).unwrap_or(rest.len());
        (range(start, start + len), start + len)
    };
    if host.is_empty() {
        return None;
    }
    let mut port = None;
    if text.get(end) == Some(&b':') {
        let digits = text[end + 1..].iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len() - end - 1);
        port = Some(parse_digits(&text[end + 1..end + 1 + digits])?);
        end += 1 + digits;
    }
    // What may follow a host: nothing, parameters, headers, or white space in a Via.
    matches!(text.get(end), None | Some(b';' | b'?' | b' ' | b'\t')).then_some((host, port, end))
}

/// An address literal without brackets. Three colons in a row, which RFC 3261's grammar once asked for, read as two
/// (RFC 5118 4.10).
pub(crate) fn parse_ip(host: &str) -> Option<IpAddr> {
    host.parse().ok().or_else(|| {
        host.contains(":::").then(|| host.replacen(":::", "::", 1).parse::<Ipv6Addr>().ok().map(IpAddr::V6))?
    })
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| hex(bytes.get(at + 1..at + 3)?)).flatten();
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

fn hex(two: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    Some((digit(two[0])? * 16 + digit(two[1])?) as u8)
}
