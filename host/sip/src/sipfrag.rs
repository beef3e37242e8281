//! The start line that a NOTIFY carries of the call that our REFER led to. Source: RFC 3420, RFC 3515 2.4.5.

/// What is kept of a reason phrase, in bytes: it goes on to a bot.
pub const MAX_PHRASE_BYTES: usize = 128;

/// The status line of a message/sipfrag; whatever follows it is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sipfrag {
    /// 100 to 699.
    pub status: u16,
    /// One line without control characters, at most [`MAX_PHRASE_BYTES`].
    pub phrase: String,
}

impl Sipfrag {
    /// Reads the body of a NOTIFY. Line ends before the status line and white space around its parts are tolerated, as is a missing
    /// phrase. Errors: None for anything else, a request line included.
    pub fn read(body: &[u8]) -> Option<Sipfrag> {
        let is_end = |b: &u8| matches!(*b, b'\r' | b'\n');
        let start = body.iter().position(|b| !is_end(b))?;
        let line = body[start..].split(is_end).next()?.trim_ascii();
        let (version, rest) = line.split_at_checked(7)?;
        if !version.eq_ignore_ascii_case(b"SIP/2.0") || !rest.first()?.is_ascii_whitespace() {
            return None;
        }
        let rest = rest.trim_ascii();
        let (digits, phrase) = rest.split_at_checked(3)?;
        let status = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
        let status = status.parse().ok().filter(|status| (100..700).contains(status))?;
        let ends = phrase.first().is_none_or(u8::is_ascii_whitespace);
        ends.then(|| Sipfrag { status, phrase: phrase_of(phrase) })
    }
}

/// Words of a peer's, fit to be passed on: one line, printable, bounded.
pub(crate) fn phrase_of(bytes: &[u8]) -> String {
    let mut phrase: String =
        String::from_utf8_lossy(bytes.trim_ascii()).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    phrase.truncate(phrase.floor_char_boundary(MAX_PHRASE_BYTES));
    phrase
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<(u16, String)> {
        Sipfrag::read(body.as_bytes()).map(|fragment| (fragment.status, fragment.phrase))
    }

    #[test]
    fn a_status_line_is_read_and_what_follows_it_is_not() {
        for (body, status, phrase) in [
            ("SIP/2.0 100 Trying\r\n", 100, "Trying"),
            ("SIP/2.0 200 OK", 200, "OK"),
            ("\r\nsip/2.0  486   Busy Here \r\nVia: x\r\n", 486, "Busy Here"),
            ("SIP/2.0 603", 603, ""),
            ("SIP/2.0 180\n", 180, ""),
            ("SIP/2.0 404 No\tsuch\u{1}one", 404, "No such one"),
        ] {
            assert_eq!(read(body), Some((status, phrase.to_owned())), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_status_line_is_nothing() {
        for body in [
            "",
            "\r\n\r\n",
            "INVITE sip:a@b SIP/2.0",
            "SIP/2.0",
            "SIP/2.0 ",
            "SIP/2.0 99",
            "SIP/2.0 99 Low",
            "SIP/2.0 700 High",
            "SIP/2.0 2000 OK",
            "SIP/2.0 +20 OK",
            "SIP/1.0 200 OK",
            "SIP/2.0200 OK",
            "HTTP/1.1 200 OK",
        ] {
            assert_eq!(read(body), None, "{body:?}");
        }
    }

    #[test]
    fn a_phrase_is_cut_at_its_bound_between_characters() {
        let (_, phrase) = read(&format!("SIP/2.0 500 {}é", "x".repeat(MAX_PHRASE_BYTES - 1))).unwrap();
        assert_eq!(phrase, "x".repeat(MAX_PHRASE_BYTES - 1));
    }
}
