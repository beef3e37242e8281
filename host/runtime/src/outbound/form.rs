//! What a trunk posts when a call is over: a few fields, as a form of either kind or as JSON. Whatever cannot be read is not there.

use serde_json::Value;

/// The longest callback that is read.
pub const BODY_BYTES_MAX: usize = 16 << 10;
const FIELDS_MAX: usize = 64;
/// Of a field that is kept.
const VALUE_CHARS_MAX: usize = 64;

/// What a callback says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `completed`, `failed`, `busy`, `no-answer`, ...
    pub status: Option<String>,
    /// `terminal`, `answered`; older trunks leave it out, and call back at the end alone.
    pub event: Option<String>,
}

impl Status {
    /// The call is over.
    pub fn is_final(&self) -> bool {
        const ENDS: [&str; 6] = ["completed", "failed", "busy", "no-answer", "canceled", "cancelled"];
        self.event.as_deref() == Some("terminal")
            || (self.event.is_none() && self.status.as_deref().is_some_and(|status| ENDS.contains(&status)))
    }
}

pub fn status(content_type: &str, body: &[u8]) -> Status {
    let fields = fields(content_type, body);
    let field = |name: &str| {
        let (_, value) = fields.iter().find(|(known, _)| known == name)?;
        let value: String = value.chars().filter(|c| !c.is_control()).take(VALUE_CHARS_MAX).collect();
        (!value.is_empty()).then(|| value.to_ascii_lowercase())
    };
    Status { status: field("Status"), event: field("EventType") }
}

fn fields(content_type: &str, body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let mut fields = match kind.as_str() {
        "application/json" => json(&text),
        "multipart/form-data" => boundary(content_type).map(|boundary| multipart(&text, &boundary)).unwrap_or_default(),
        _ => text.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (decoded(k), decoded(v))).collect(),
    };
    fields.truncate(FIELDS_MAX);
    fields
}

fn json(text: &str) -> Vec<(String, String)> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return Vec::new() };
    let text_of = |(key, value): (String, Value)| value.as_str().map(|text| (key, text.to_owned()));
    fields.into_iter().filter_map(text_of).collect()
}

/// Source: RFC 2046 5.1.1.
fn boundary(content_type: &str) -> Option<String> {
    let parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut named = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"));
    let boundary = named.next()?.1.trim().trim_matches('"');
    (!boundary.is_empty() && boundary.len() <= 70).then(|| format!("--{boundary}"))
}

/// Source: RFC 7578 4.2.
fn multipart(text: &str, boundary: &str) -> Vec<(String, String)> {
    let part = |part: &str| {
        let (head, value) = part.split_once("\r\n\r\n")?;
        let name = head.split("name=\"").nth(1)?.split('"').next()?;
        Some((name.to_owned(), value.trim_end_matches("\r\n").to_owned()))
    };
    text.split(boundary).skip(1).take(FIELDS_MAX).filter_map(part).collect()
}

/// Source: the URL standard, application/x-www-form-urlencoded.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        let (byte, skipped) = match (first, escaped) {
            (b'+', _) => (b' ', 0),
            (b'%', Some(byte)) => (byte, 2),
            (byte, _) => (*byte, 0),
        };
        bytes.push(byte);
        rest = &after[skipped..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: &str, event: Option<&str>) -> Status {
        Status { status: Some(status.into()), event: event.map(str::to_owned) }
    }

    #[test]
    fn a_callback_is_read_in_each_of_its_spellings() {
        let parts = "--b1\r\nContent-Disposition: form-data; name=\"CallSid\"\r\n\r\ns-1\r\n\
            --b1\r\nContent-Disposition: form-data; name=\"Status\"\r\n\r\nno-answer\r\n--b1--\r\n";
        let form = "application/x-www-form-urlencoded";
        for (kind, body, expected) in [
            (form, "CallSid=s-1&Status=completed&EventType=terminal", said("completed", Some("terminal"))),
            (form, "Status=no%2Danswer%2&Other=a+b", said("no-answer%2", None)),
            ("Application/JSON; charset=utf-8", r#"{"Status":"Busy","Legs":[{}]}"#, said("busy", None)),
            ("multipart/form-data; boundary=b1", parts, said("no-answer", None)),
            ("multipart/form-data; charset=x; Boundary=\"b1\"", parts, said("no-answer", None)),
        ] {
            assert_eq!(status(kind, body.as_bytes()), expected, "{kind}");
        }
    }

    #[test]
    fn garbage_says_nothing() {
        for kind in ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=", "x; boundary=b"] {
            for body in [&b""[..], b"\xff\xfe%", b"{", b"[]", b"--", b"Status", b"name=\"Status\"\r\n\r\n"] {
                assert_eq!(status(kind, body), Status::default(), "{kind} {body:?}");
            }
        }
        let long = format!("Status={}", "x".repeat(BODY_BYTES_MAX));
        assert_eq!(status("", long.as_bytes()).status.map(|text| text.len()), Some(64));
    }

    #[test]
    fn an_end_is_told_from_what_comes_before_it() {
        for (status, is_final) in [
            (said("completed", None), true),
            (said("no-answer", Some("terminal")), true),
            (said("in-progress", Some("answered")), false),
            (said("completed", Some("answered")), false),
            (said("ringing", None), false),
            (Status::default(), false),
        ] {
            assert_eq!(status.is_final(), is_final, "{status:?}");
        }
    }
}
