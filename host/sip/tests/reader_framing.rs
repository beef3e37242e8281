//! A stream is cut into the same messages whatever the splits of its bytes, or not at all.

use sip::framing::{Frame, FramingProblem, StreamReader};
use sip::limits::MAX_MESSAGE_BYTES;

fn message(length_header: &str, body: &str) -> String {
    format!(
        "INFO sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKa\r\nContent-Type: text/plain\r\n{length_header}\r\n\r\n{body}"
    )
}

fn frames_of(chunks: &[&[u8]]) -> (Vec<Frame>, Option<FramingProblem>) {
    let mut reader = StreamReader::new();
    let mut frames = Vec::new();
    let mut problem = None;
    for chunk in chunks {
        reader.push(chunk);
        for frame in reader.by_ref() {
            match frame {
                Ok(frame) => frames.push(frame),
                Err(error) => problem = Some(error.problem),
            }
        }
    }
    (frames, problem)
}

#[test]
fn every_split_of_a_stream_yields_the_same_messages() {
    let spellings = [
        message("Content-Length: 5", "hello"),
        message("l:0", ""),
        message("content-LENGTH \t:  12", "l: 3\r\n\r\nINFO"),
        message("Content-Length:\r\n  4", "abcd"),
        message("Content-Length: 3\r\nL: 3", "xyz"),
    ];
    let mut stream = String::new();
    let mut expected = Vec::new();
    for (i, message) in spellings.iter().enumerate() {
        stream.push_str(["", "\r\n", "\r\n\r\n", "\r\n\r\n\r\n", "\r\n\r\n\r\n\r\n"][i]);
        expected.extend(vec![Frame::Ping; i / 2]);
        stream.push_str(message);
        expected.push(Frame::Message(message.clone().into_bytes()));
    }
    let stream = stream.as_bytes();
    assert_eq!(frames_of(&[stream]), (expected.clone(), None));
    for first in 0..stream.len() {
        assert_eq!(frames_of(&[&stream[..first], &stream[first..]]).0, expected, "split at {first}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(frames_of(&bytes).0, expected);
}

#[test]
fn a_stream_that_could_be_read_two_ways_is_closed() {
    let table = [
        ("Content-Length: 3\r\nContent-Length: 4", FramingProblem::ConflictingContentLength),
        ("Content-Length: 3\r\nl: 4", FramingProblem::ConflictingContentLength),
        ("Content-Length: -1", FramingProblem::BadContentLength),
        ("Content-Length: +1", FramingProblem::BadContentLength),
        ("Content-Length: 1 2", FramingProblem::BadContentLength),
        ("Content-Length: 1\r\n 2", FramingProblem::BadContentLength),
        ("Content-Length: 3, 3", FramingProblem::BadContentLength),
        ("Content-Length:", FramingProblem::BadContentLength),
        ("Content-Length: 18446744073709551617", FramingProblem::BadContentLength),
        ("Content-Length: 18446744073709551615", FramingProblem::TooLarge),
        ("Content-Length: 65536", FramingProblem::TooLarge),
        ("X: y", FramingProblem::MissingContentLength),
    ];
    for (header, problem) in table {
        let stream = message(header, "hello") + &message("Content-Length: 0", "");
        assert_eq!(frames_of(&[stream.as_bytes()]), (vec![], Some(problem)), "{header}");
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(frames_of(&bytes), (vec![], Some(problem)), "{header}, byte by byte");
    }
}

#[test]
fn a_message_without_length_and_type_has_no_body() {
    let ack = "ACK sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.2\r\n\r\n";
    let (frames, problem) = frames_of(&[ack.as_bytes(), ack.as_bytes()]);
    assert_eq!((frames.len(), problem), (2, None));
}

#[test]
fn what_is_not_sip_is_told_at_its_first_byte_or_line() {
    for stream in [&b"\x16\x03\x01\x02"[..], b"GET / HTTP/1.1\r\n", b"\r\n\r\n\0", b"\n", b"\rX"] {
        assert_eq!(frames_of(&[stream]).1, Some(FramingProblem::NotSip), "{stream:?}");
    }
}

#[test]
fn the_reader_keeps_one_message_at_most_and_nothing_when_idle() {
    let mut reader = StreamReader::new();
    let mut problem = None;
    reader.push(b"INFO sip:a@192.0.2.1 SIP/2.0\r\nX: ");
    for _ in 0..MAX_MESSAGE_BYTES {
        reader.push(b"xx");
        problem = problem.or(reader.next().and_then(Result::err));
        assert!(reader.buffered() <= MAX_MESSAGE_BYTES);
    }
    assert_eq!(problem.map(|error| error.problem), Some(FramingProblem::TooLarge));
    assert!(reader.is_broken() && reader.buffered() == 0);

    let mut reader = StreamReader::new();
    reader.push(message("Content-Length: 5", "hello").as_bytes());
    assert!(matches!(reader.next(), Some(Ok(Frame::Message(_)))));
    assert_eq!((reader.buffered(), reader.is_unfinished()), (0, false));
}

#[test]
fn the_reader_says_whether_a_message_is_unfinished() {
    let mut reader = StreamReader::new();
    for (bytes, unfinished) in [
        ("\r\n", false),
        ("\r\n", false),
        ("INF", true),
        ("O sip:a SIP/2.0\r\nl: 2\r\n\r\n", true),
        ("a", true),
        ("b", false),
    ] {
        reader.push(bytes.as_bytes());
        let _ = reader.by_ref().count();
        assert_eq!(reader.is_unfinished(), unfinished, "after {bytes:?}");
    }
}

#[test]
fn the_head_of_an_offending_message_is_handed_out_for_an_answer() {
    let mut reader = StreamReader::new();
    let message = message("Content-Length: -9", "hello");
    reader.push(message.as_bytes());
    let error = reader.next().unwrap().unwrap_err();
    assert!(message.as_bytes().starts_with(&error.head) && error.head.ends_with(b"\r\n\r\n"));
    let refused = sip::Message::parse(&error.head).unwrap_err();
    assert_eq!(refused.refusal.unwrap().status(), 400);
}
