//! Every bound of the reader: what reaches it is read, one more is refused with the status that says so.

use sip::limits::*;
use sip::{Message, Problem, Uri, UriError};

/// An OPTIONS with these lines added, and a body.
fn options(uri: &str, lines: &str, body: usize) -> Vec<u8> {
    let head = format!(
        "OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n{lines}\r\n"
    );
    [head.as_bytes(), &vec![b'x'; body]].concat()
}

/// What refuses the message, as problem and status; None: it is read.
fn refused(bytes: &[u8]) -> Option<(Problem, u16)> {
    let error = Message::parse(bytes).err()?;
    Some((error.problem, error.refusal.map_or(0, |refusal| refusal.status())))
}

const URI: &str = "sip:c@d";
/// Header lines of [`options`] before those added.
const LINES: usize = 5;

#[test]
fn a_message_holds_64_kib() {
    let head = options(URI, "", 0).len();
    assert_eq!(refused(&options(URI, "", MAX_MESSAGE_BYTES - head)), None);
    assert_eq!(refused(&options(URI, "", MAX_MESSAGE_BYTES - head + 1)), Some((Problem::MessageTooLarge, 513)));
}

#[test]
fn a_message_holds_256_headers() {
    assert_eq!(refused(&options(URI, &"X-A: y\r\n".repeat(MAX_HEADERS - LINES), 0)), None);
    assert_eq!(
        refused(&options(URI, &"X-A: y\r\n".repeat(MAX_HEADERS - LINES + 1), 0)),
        Some((Problem::TooManyHeaders, 513))
    );
}

#[test]
fn a_header_holds_8_kib_folded_lines_included() {
    let folds = |bytes: usize| format!("X: {}\r\n {}\r\n", "y".repeat(100), "z".repeat(bytes - 106));
    assert_eq!(refused(&options(URI, &folds(MAX_HEADER_BYTES), 0)), None);
    assert_eq!(refused(&options(URI, &folds(MAX_HEADER_BYTES + 1), 0)), Some((Problem::HeaderTooLong, 513)));
}

#[test]
fn a_message_holds_70_vias_joined_or_not() {
    let via = "SIP/2.0/UDP h;branch=z9hG4bKb";
    for joined in [true, false] {
        let lines = |count: usize| match joined {
            true => format!("Via: {}\r\n", vec![via; count].join(",")),
            false => format!("Via: {via}\r\n").repeat(count),
        };
        assert_eq!(refused(&options(URI, &lines(MAX_VIAS - 1), 0)), None);
        assert_eq!(refused(&options(URI, &lines(MAX_VIAS), 0)), Some((Problem::TooManyVias, 513)));
    }
}

#[test]
fn a_message_holds_70_routes_record_routes_and_contacts() {
    let table = [
        ("Route", Problem::TooManyRoutes),
        ("Record-Route", Problem::TooManyRoutes),
        ("Contact", Problem::TooManyContacts),
    ];
    for (name, problem) in table {
        let lines = |count: usize| format!("{name}: {}\r\n", vec!["<sip:p;lr>"; count].join(", "));
        assert_eq!(refused(&options(URI, &lines(MAX_ROUTES), 0)), None, "{name}");
        assert_eq!(refused(&options(URI, &lines(MAX_ROUTES + 1), 0)), Some((problem, 513)), "{name}");
    }
}

#[test]
fn a_uri_holds_4_kib() {
    let uri = |bytes: usize| format!("sip:{}@d", "u".repeat(bytes - 6));
    assert_eq!(refused(&options(&uri(MAX_URI_BYTES), "", 0)), None);
    assert_eq!(refused(&options(&uri(MAX_URI_BYTES + 1), "", 0)), Some((Problem::UriTooLong, 414)));
    assert_eq!(Uri::parse(uri(MAX_URI_BYTES + 1).as_bytes()), Err(UriError::TooLong));
}

#[test]
fn a_uri_and_a_header_value_hold_64_parameters_each() {
    let params = |count: usize| (0..count).map(|i| format!(";p{i}=v")).collect::<String>();
    assert_eq!(refused(&options(&format!("sip:c@d{}", params(MAX_PARAMS)), "", 0)), None);
    assert_eq!(refused(&options(&format!("sip:c@d{}", params(MAX_PARAMS + 1)), "", 0)), Some((Problem::BadUri, 400)));
    let contact = |count| format!("Contact: <sip:a@b>{}\r\n", params(count));
    assert_eq!(refused(&options(URI, &contact(MAX_PARAMS), 0)), None);
    assert_eq!(refused(&options(URI, &contact(MAX_PARAMS + 1), 0)), Some((Problem::BadContact, 400)));
}

#[test]
fn a_method_holds_128_bytes() {
    let request = |bytes: usize| {
        let method = "M".repeat(bytes);
        String::from_utf8(options(URI, "", 0)).unwrap().replace("OPTIONS", &method).into_bytes()
    };
    assert_eq!(refused(&request(MAX_METHOD_BYTES)), None);
    assert_eq!(refused(&request(MAX_METHOD_BYTES + 1)), Some((Problem::BadRequestLine, 400)));
}

#[test]
fn a_status_line_has_a_bound_too() {
    let response = |bytes: usize| {
        let line = format!("SIP/2.0 200 {}", "k".repeat(bytes - 12));
        String::from_utf8(options(URI, "", 0)).unwrap().replace("OPTIONS sip:c@d SIP/2.0", &line).into_bytes()
    };
    assert_eq!(refused(&response(MAX_START_LINE_BYTES)), None);
    assert_eq!(refused(&response(MAX_START_LINE_BYTES + 1)), Some((Problem::BadStatusLine, 0)));
}
