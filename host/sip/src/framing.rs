//! Cuts a TCP or TLS stream into messages, at every split of the bytes the same.
//! Source: RFC 3261 7.5, 18.3 and 20.14; RFC 5626 4.4.1 (keep-alive).
//!
//!     bytes in --push--> [ buffer: at most one unfinished message ] --next--> Message | Ping | error, once

use crate::limits::MAX_MESSAGE_BYTES;
use crate::message::HeaderName;
use crate::params::{is_token, parse_digits};
use crate::reader::{find_head_end, find_line_end, is_sip, split_line, unfold};

/// What a stream brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message, for [`Message::parse`](crate::Message::parse).
    Message(Vec<u8>),
    /// CRLF CRLF between messages: the edge answers with one CRLF. A lone CRLF (the answer to ours) is skipped.
    Ping,
}

/// Why a stream cannot be read on: the connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FramingProblem {
    /// Not a SIP start line.
    NotSip,
    /// Head and body are longer than [`MAX_MESSAGE_BYTES`] together, or the head does not end within that.
    TooLarge,
    /// Content-Length is no number.
    BadContentLength,
    /// Two Content-Lengths that differ.
    ConflictingContentLength,
    /// A body, by its Content-Type, of unknown length.
    MissingContentLength,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramingError {
    pub problem: FramingProblem,
    /// The head of the offending message, if it was complete: the endpoint may answer it before the connection closes.
    pub head: Vec<u8>,
}

/// Iterate it after each [`StreamReader::push`]: it yields what is complete, and goes on after the next push. After an
/// error it yields nothing more.
/// Memory: one unfinished message of at most [`MAX_MESSAGE_BYTES`] and what the last push brought.
#[derive(Debug, Default)]
pub struct StreamReader {
    buffer: Vec<u8>,
    /// What lies before is handed out.
    start: usize,
    /// Up to here, from `start`, the head is known not to end.
    searched: usize,
    /// Whether the start line is known to be one.
    started: bool,
    /// Length of head and body together, once the head is read.
    message_bytes: Option<usize>,
    broken: bool,
}

/// An idle connection keeps no more than this, in bytes.
const IDLE_CAPACITY_BYTES: usize = 4 * 1024;

impl StreamReader {
    pub fn new() -> StreamReader {
        StreamReader::default()
    }

    /// Takes what one read of the socket brought. Cost: one copy.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken {
            return;
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a message has begun and not ended: the edge puts a deadline on that. Ask after iterating.
    pub fn is_unfinished(&self) -> bool {
        self.buffer[self.start..].iter().any(|b| !b"\r\n".contains(b))
    }

    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Bytes kept.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.searched = 0;
        self.started = false;
        self.message_bytes = None;
        if self.start == self.buffer.len() {
            self.start = 0;
            self.buffer.clear();
            self.buffer.shrink_to(IDLE_CAPACITY_BYTES);
        }
    }

    /// Reads the head, if it is there, and sets `message_bytes`.
    fn read_head(&mut self) -> Result<Option<usize>, FramingError> {
        let fail = |problem| Err(FramingError { problem, head: Vec::new() });
        let pending = self.pending();
        let window = &pending[..pending.len().min(MAX_MESSAGE_BYTES)];
        if !self.started {
            match find_line_end(window, 0) {
                Some(end) if !is_sip(&window[..end]) => return fail(FramingProblem::NotSip),
                Some(_) => self.started = true,
                // Something else than SIP is told by its first byte, so that it is not waited for.
                None if window.first().is_some_and(|b| !is_token(&[*b])) => {
                    return fail(FramingProblem::NotSip);
                }
                None => {}
            }
        }
        let window = &self.buffer[self.start..];
        let window = &window[..window.len().min(MAX_MESSAGE_BYTES)];
        // The head may end with bytes of which the last three were there before.
        let from = self.searched.saturating_sub(3);
        let Some(end) = find_head_end(window, from) else {
            if window.len() == MAX_MESSAGE_BYTES {
                return fail(FramingProblem::TooLarge);
            }
            self.searched = window.len();
            return Ok(None);
        };
        let head = &window[..end + 2];
        let length = body_bytes(head).and_then(|body| {
            let whole = head.len().checked_add(body).filter(|&whole| whole <= MAX_MESSAGE_BYTES);
            whole.ok_or(FramingProblem::TooLarge)
        });
        length.map(Some).map_err(|problem| FramingError { problem, head: head.to_vec() })
    }
}

/// What Content-Length says of the body. Without it and without Content-Type there is no body: older peers leave both
/// out of an ACK or BYE.
fn body_bytes(head: &[u8]) -> Result<usize, FramingProblem> {
    let mut buffer = head[..head.len() - 2].to_vec();
    let mut length = None;
    let mut typed = false;
    for range in unfold(&mut buffer).into_iter().skip(1) {
        // The reader refuses a message with a line that is none; here it is only the length that matters.
        let line = &buffer[range];
        let Ok((name, value)) = split_line(line) else {
            continue;
        };
        match HeaderName::from_bytes(&line[name]) {
            Some(HeaderName::ContentType) => typed = true,
            Some(HeaderName::ContentLength) => {
                let value: usize = parse_digits(&line[value]).ok_or(FramingProblem::BadContentLength)?;
                if length.is_some_and(|earlier| earlier != value) {
                    return Err(FramingProblem::ConflictingContentLength);
                }
                length = Some(value);
            }
            _ => {}
        }
    }
    match length {
        None if typed => Err(FramingProblem::MissingContentLength),
        length => Ok(length.unwrap_or(0)),
    }
}

impl Iterator for StreamReader {
    type Item = Result<Frame, FramingError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.broken {
                return None;
            }
            match self.pending() {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    self.advance(4);
                    return Some(Ok(Frame::Ping));
                }
                // What follows decides.
                [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return None,
                [b'\r', b'\n', ..] => {
                    self.advance(2);
                    continue;
                }
                _ => {}
            }
            if self.message_bytes.is_none() {
                match self.read_head() {
                    Ok(length) => self.message_bytes = length,
                    Err(error) => {
                        self.broken = true;
                        self.buffer = Vec::new();
                        self.start = 0;
                        return Some(Err(error));
                    }
                }
            }
            let message = self.pending().get(..self.message_bytes?)?.to_vec();
            self.advance(message.len());
            return Some(Ok(Frame::Message(message)));
        }
    }
}
