//! Finds the session description in a message's body. Source: RFC 3261 20.11, RFC 5621, RFC 2046 5.1.

use crate::message::{HeaderName, Headers, Request, Response};

/// The SDP of a request, alone or as a part of multipart. Shape: bytes as sent. None: there is none.
/// Cost: no allocation without multipart. A body without Content-Type that starts like SDP is taken for it.
pub fn session_of(request: &Request) -> Option<&[u8]> {
    find(request.headers(), request.content_type().as_deref(), request.body())
}

/// The same of a response.
pub fn session_of_response(response: &Response) -> Option<&[u8]> {
    find(response.headers(), response.content_type().as_deref(), response.body())
}

/// False if the sender says that the body may be ignored. Source: RFC 3261 20.11.
pub(crate) fn is_required(request: &Request) -> bool {
    let disposition =
        request.headers().get_text(HeaderName::ContentDisposition).unwrap_or_default().to_ascii_lowercase();
    let compact: String = disposition.split_whitespace().collect();
    !compact.contains(";handling=optional")
}

fn find<'a>(headers: &Headers, content_type: Option<&str>, body: &'a [u8]) -> Option<&'a [u8]> {
    if body.is_empty() {
        return None;
    }
    match content_type {
        Some("application/sdp") => Some(body),
        Some(kind) if kind.starts_with("multipart/") => {
            let boundary = boundary(&headers.get_text(HeaderName::ContentType)?)?;
            part_of_type(body, boundary.as_bytes(), b"application/sdp")
        }
        None if !headers.contains(HeaderName::ContentType) && body.starts_with(b"v=") => Some(body),
        _ => None,
    }
}

fn boundary(content_type: &str) -> Option<String> {
    let params = content_type.split(';').skip(1);
    let value = params
        .filter_map(|param| param.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?
        .1;
    let value = value.trim().trim_matches('"');
    // RFC 2046 5.1.1: 1 to 70 characters.
    (1..=70).contains(&value.len()).then(|| value.to_owned())
}

/// The first part of that type. Parts end where the next delimiter line begins.
fn part_of_type<'a>(body: &'a [u8], boundary: &[u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let delimiter = [b"--", boundary].concat();
    let mut rest = &body[position(body, &delimiter)? + delimiter.len()..];
    loop {
        let end = position(rest, &delimiter)?;
        let (part, after) = (&rest[..end], &rest[end + delimiter.len()..]);
        let part = &part[position(part, b"\r\n")? + 2..];
        let (head, content) = match part.strip_prefix(b"\r\n") {
            Some(content) => (&b""[..], content),
            None => position(part, b"\r\n\r\n").map(|at| (&part[..at], &part[at + 4..]))?,
        };
        if is_of_type(head, wanted) {
            return Some(content.strip_suffix(b"\r\n").unwrap_or(content));
        }
        rest = after;
    }
}

fn is_of_type(head: &[u8], wanted: &[u8]) -> bool {
    head.split(|&b| b == b'\n').any(|line| {
        let Some(colon) = line.iter().position(|&b| b == b':') else {
            return false;
        };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        let kind = value.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
        (name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"c"))
            && kind.eq_ignore_ascii_case(wanted)
    })
}

fn position(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
