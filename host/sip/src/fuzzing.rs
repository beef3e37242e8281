//! What must hold for any bytes at all: plain functions, driven by a seeded mutator in the tests and by a fuzzer by hand.

use crate::framing::{Frame, FramingError, StreamReader};
use crate::message::{HeaderName, Message};

/// Reading never panics; what could be read is written and read again as the same message; what could not gets an
/// answer that can be read, or none.
pub fn fuzz_message(data: &[u8]) {
    let source = ([192, 0, 2, 1], 5060).into();
    match Message::parse(data) {
        Ok(message) => {
            let bytes = write(&message);
            let again = Message::parse(&bytes).expect("what we write can be read");
            assert!(same(&message, &again), "written and read again it is another message");
            assert_eq!(write(&again), bytes, "writing is stable");
            touch(&message);
            if let Message::Request(mut request) = message {
                request.note_source(source);
                let response = crate::Response::to_request(&request, 200).to_tag("t").record_route().build();
                assert!(Message::parse(&response.to_bytes()).is_ok(), "our answer to a readable request can be read");
            }
        }
        Err(error) => {
            let Some(refusal) = error.refusal else { return };
            let answer = refusal.to_bytes(source, "t");
            let body = crate::reader::find_head_end(&answer, 0).expect("the answer's head ends");
            assert_eq!(body + 2, answer.len(), "nothing in the refused request adds a body or a head to its answer");
        }
    }
}

fn write(message: &Message) -> Vec<u8> {
    match message {
        Message::Request(request) => request.to_bytes(),
        Message::Response(response) => response.to_bytes(),
    }
}

/// Equal but for Content-Length, which the writer makes anew.
fn same(a: &Message, b: &Message) -> bool {
    let lines = |message: &Message| -> Vec<(String, Vec<u8>)> {
        let headers = match message {
            Message::Request(request) => request.headers(),
            Message::Response(response) => response.headers(),
        };
        let kept = headers.iter().filter(|(name, _)| *name != HeaderName::ContentLength.as_str());
        kept.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
    };
    let start = |message: &Message| match message {
        Message::Request(request) => {
            (request.method().to_string(), request.uri().to_string().into_bytes(), request.body().to_vec())
        }
        Message::Response(response) => {
            (response.status().to_string(), response.phrase_bytes().to_vec(), response.body().to_vec())
        }
    };
    lines(a) == lines(b) && start(a) == start(b)
}

/// Every typed accessor, for its panics.
fn touch(message: &Message) {
    let Message::Request(request) = message else {
        return;
    };
    let addresses = request.routes().chain(request.record_routes()).chain(request.asserted_identities());
    for address in addresses.chain([request.from().clone(), request.to().clone()]) {
        let (uri, route) = (address.uri(), address.to_route());
        let again = crate::NameAddr::parse_route(&route).expect("a route we write can be read");
        assert_eq!(again.uri(), uri, "a Route of ours leads where the Record-Route said");
        let _ = (
            address.display(),
            address.tag(),
            uri.number(),
            uri.host_ip(),
            uri.transport(),
            uri.headers(),
            uri.password(),
        );
    }
    let _ = (request.contact(), request.content_type(), request.session_expires(), request.min_se(), request.reason());
    let _ = (
        request.max_forwards(),
        request.via().received(),
        request.via().rport(),
        request.tokens(HeaderName::Require).count(),
    );
}

/// Framing never panics, keeps no more than its bound, and yields the same at three ways of cutting the bytes.
pub fn fuzz_stream(data: &[u8]) {
    let whole = frames(data, data.len().max(1));
    for step in [1, 7] {
        assert_eq!(frames(data, step), whole, "the bytes were cut every {step}");
    }
}

fn frames(data: &[u8], step: usize) -> Vec<Result<Frame, FramingError>> {
    let mut reader = StreamReader::new();
    let mut frames = Vec::new();
    for bytes in data.chunks(step) {
        reader.push(bytes);
        frames.extend(reader.by_ref());
        assert!(reader.buffered() <= crate::limits::MAX_MESSAGE_BYTES, "the reader keeps one message at most");
    }
    frames
}

/// Reading the body of a NOTIFY never panics; what was read is within its bounds, and written it reads as the same.
pub fn fuzz_sipfrag(data: &[u8]) {
    let Some(fragment) = crate::Sipfrag::read(data) else { return };
    assert!((100..700).contains(&fragment.status) && fragment.phrase.len() <= crate::MAX_PHRASE_BYTES, "{fragment:?}");
    assert!(!fragment.phrase.contains(char::is_control), "{fragment:?}");
    let again = crate::Sipfrag::read(format!("SIP/2.0 {} {}\r\n", fragment.status, fragment.phrase).as_bytes());
    assert_eq!(again.map(|again| again.status), Some(fragment.status));
}

/// What a transfer's target reads as can stand in a header between angle brackets, and is one URI there.
pub fn fuzz_refer_target(data: &[u8]) {
    let Some(target) = std::str::from_utf8(data).ok().and_then(|text| crate::ReferTarget::parse(text).ok()) else {
        return;
    };
    let value = format!("<{}>", target.uri());
    assert!(!value.contains(char::is_control), "{value:?}");
    let read = crate::NameAddr::parse(value.as_bytes()).expect("a Refer-To we write can be read");
    assert_eq!((read.uri(), read.uri().headers()), (target.uri(), None));
}
