//! Header fields, of HTTP and of SIP: names and values that cannot break out of their line.

use super::{bounded, refused, too_long};
use crate::Header;
use crate::wit::v0_1_0::patchbay::bot::types;

/// Of an HTTP request or the opening of a WebSocket.
const HTTP_FIELDS_MAX: usize = 64;
const HTTP_NAME_BYTES_MAX: usize = 128;
const HTTP_VALUE_BYTES_MAX: usize = 8192;

/// What concerns the connection and the framing of a message is the host's own. Source: RFC 9110 7.6.1, RFC 9112 6, RFC 6455 11.3.
const HOSTS_OWN: [&str; 13] = [
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "expect",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "http2-settings",
];

/// Errors: `too-long`, `bad-request`.
pub(super) fn check_http(fields: &[Header]) -> Result<(), types::Error> {
    if fields.len() > HTTP_FIELDS_MAX {
        return Err(too_long("headers", HTTP_FIELDS_MAX, "of them"));
    }
    for Header { name, value } in fields {
        bounded("name of a header", name, HTTP_NAME_BYTES_MAX)?;
        bounded("value of a header", value, HTTP_VALUE_BYTES_MAX)?;
        if HOSTS_OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) || starts_with(name, "sec-websocket-") {
            return Err(refused("bad-request", format!("{name}: is the host's own header")));
        }
        if !is_token(name) || !is_one_line(value) {
            return Err(refused("bad-request", format!("{:?}: is no header", super::cut(name, 40))));
        }
    }
    Ok(())
}

const SIP_FIELDS_MAX: usize = 16;
const SIP_NAME_BYTES_MAX: usize = 64;
const SIP_VALUE_BYTES_MAX: usize = 512;

/// Errors: `too-many`, `too-long`, `bad-header`.
pub(super) fn check_sip(fields: &[Header]) -> Result<(), types::Error> {
    if fields.len() > SIP_FIELDS_MAX {
        return Err(refused("too-many", format!("at most {SIP_FIELDS_MAX} headers")));
    }
    for Header { name, value } in fields {
        bounded("name of a header", name, SIP_NAME_BYTES_MAX)?;
        bounded("value of a header", value, SIP_VALUE_BYTES_MAX)?;
        if !starts_with(name, "x-") || !is_token(name) || !is_one_line(value) {
            return Err(refused("bad-header", format!("{name:?}: names begin with X-, and values are one line")));
        }
    }
    Ok(())
}

pub(super) fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Source: RFC 9110 5.6.2, RFC 3261 25.1 (a little wider).
pub(super) fn is_token(text: &str) -> bool {
    let is_mark = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
}

/// No control characters but the tab.
pub(super) fn is_one_line(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || !c.is_control())
}
