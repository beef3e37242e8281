//! The tolerant reader: bytes of one message to a [`Message`], or to what is wrong with them and the answer to that.
//!
//! Tolerated: compact names, folded headers, white space before the colon, any byte in a value but a lone CR or LF,
//! unknown methods and headers, leading empty lines, no reason phrase, a missing Max-Forwards, tag or branch.
//! Not tolerated: whatever two readers could take for two different messages.
//! Source: RFC 3261 7, 8.2 and 18.3; RFC 4475; RFC 5118.

use std::ops::Range;

use crate::limits::*;
use crate::message::{Common, HeaderName, Headers, Message, Method, Request, Response};
use crate::params::{is_space, is_token, parse_digits};
use crate::uri::{Scheme, Uri, UriError};

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Problem {
    /// Nothing but line ends, or nothing.
    Empty,
    /// Neither a request line nor a status line.
    NotSip,
    BadRequestLine,
    BadStatusLine,
    BadVersion,
    BadUri,
    UriTooLong,
    /// A request-URI that is neither `sip:`, `sips:` nor `tel:`.
    UnknownScheme,
    MessageTooLarge,
    TooManyHeaders,
    HeaderTooLong,
    TooManyVias,
    TooManyRoutes,
    TooManyContacts,
    /// No empty line after the headers.
    Truncated,
    /// No colon, a name that is no token, or a fold where no header is.
    BadHeaderLine,
    /// CR or LF alone.
    LoneLineBreak,
    DuplicateHeader,
    MissingHeader,
    BadVia,
    BadFrom,
    BadTo,
    BadCallId,
    BadCSeq,
    BadMaxForwards,
    BadRoute,
    BadContact,
    BadContentLength,
    /// The body is shorter than Content-Length says.
    ContentLengthPastEnd,
    /// The method of CSeq is not that of the request.
    CSeqMethodMismatch,
}

impl Problem {
    /// What a UAS answers, and the phrase that tells the peer's operator why.
    pub fn answer(self) -> (u16, &'static str) {
        match self {
            Problem::Empty | Problem::NotSip => (400, "Not SIP"),
            Problem::BadRequestLine => (400, "Malformed Request-Line"),
            Problem::BadStatusLine => (400, "Malformed Status-Line"),
            Problem::BadVersion => (505, "Version Not Supported"),
            Problem::BadUri => (400, "Malformed Request-URI"),
            Problem::UriTooLong => (414, "Request-URI Too Long"),
            Problem::UnknownScheme => (416, "Unsupported URI Scheme"),
            Problem::MessageTooLarge => (513, "Message Too Large"),
            Problem::TooManyHeaders => (513, "Too Many Headers"),
            Problem::HeaderTooLong => (513, "Header Too Long"),
            Problem::TooManyVias => (513, "Too Many Via Values"),
            Problem::TooManyRoutes => (513, "Too Many Route Values"),
            Problem::TooManyContacts => (513, "Too Many Contact Values"),
            Problem::Truncated => (400, "Missing End of Headers"),
            Problem::BadHeaderLine => (400, "Malformed Header Line"),
            Problem::LoneLineBreak => (400, "Lone CR or LF"),
            Problem::DuplicateHeader => (400, "Duplicate Header"),
            Problem::MissingHeader => (400, "Missing Required Header"),
            Problem::BadVia => (400, "Malformed Via"),
            Problem::BadFrom => (400, "Malformed From"),
            Problem::BadTo => (400, "Malformed To"),
            Problem::BadCallId => (400, "Malformed Call-ID"),
            Problem::BadCSeq => (400, "Malformed CSeq"),
            Problem::BadMaxForwards => (400, "Malformed Max-Forwards"),
            Problem::BadRoute => (400, "Malformed Route or Record-Route"),
            Problem::BadContact => (400, "Malformed Contact"),
            Problem::BadContentLength => (400, "Malformed Content-Length"),
            Problem::ContentLengthPastEnd => (400, "Body Shorter Than Content-Length"),
            Problem::CSeqMethodMismatch => (400, "CSeq Method Does Not Match"),
        }
    }
}

/// Why no message could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub problem: Problem,
    /// What to answer. None: count and drop it (a response, an ACK, no Via to answer by, or not SIP).
    pub refusal: Option<Box<Refusal>>,
}

/// A request that gets an answer and nothing else. Written by [`Refusal::to_bytes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub problem: Problem,
    /// Those that could be read.
    pub headers: Headers,
}

impl From<Problem> for ParseError {
    fn from(problem: Problem) -> ParseError {
        ParseError { problem, refusal: None }
    }
}

impl Message {
    /// Reads one datagram, or one message that [`StreamReader`](crate::framing::StreamReader) cut from a stream.
    /// Shape: start line, headers, an empty line, the body; bytes past Content-Length are discarded (RFC 3261 18.3).
    /// Errors: the first problem in the message's own order. Cost: some twenty small allocations, 10 us for a
    /// trunk INVITE in the test profile.
    pub fn parse(bytes: &[u8]) -> Result<Message, ParseError> {
        let bytes = skip_empty_lines(bytes);
        let (bytes, too_large) = match bytes.get(..MAX_MESSAGE_BYTES) {
            Some(start) if bytes.len() > MAX_MESSAGE_BYTES => (start, Some(Problem::MessageTooLarge)),
            _ => (bytes, None),
        };
        let line_end = find_line_end(bytes, 0).unwrap_or(bytes.len());
        let line = &bytes[..line_end];
        if line.is_empty() {
            return Err(Problem::Empty.into());
        }
        let start = StartLine::read(line);
        if matches!(start, Err(Problem::NotSip)) {
            return Err(Problem::NotSip.into());
        }
        let (headers, body, header_problem) = read_head(bytes, line_end);
        let is_ack = line.starts_with(b"ACK ");
        let is_response = is_status_line(line);
        let refuse = |problem, headers: Headers| {
            let answerable = !is_ack && !is_response && headers.contains(HeaderName::Via);
            ParseError { problem, refusal: answerable.then(|| Box::new(Refusal { problem, headers })) }
        };
        let start = match (start, too_large.or(header_problem)) {
            (Err(problem), _) | (Ok(_), Some(problem)) => return Err(refuse(problem, headers)),
            (Ok(start), None) => start,
        };
        let body = match cut_body(&headers, body) {
            Ok(body) => body.to_vec(),
            Err(problem) => return Err(refuse(problem, headers)),
        };
        let common = Common::read(headers, body).map_err(|(problem, headers)| refuse(problem, headers))?;
        start.join(common).map_err(|(problem, headers)| refuse(problem, headers))
    }
}

enum StartLine {
    Request(Method, Uri),
    Response(u16, Box<[u8]>),
}

impl StartLine {
    fn read(line: &[u8]) -> Result<StartLine, Problem> {
        if is_status_line(line) { Self::read_status(line) } else { Self::read_request(line) }
    }

    /// `SIP/2.0 200 OK`; the phrase may be empty, and even the space before it missing.
    fn read_status(line: &[u8]) -> Result<StartLine, Problem> {
        let mut words = line.splitn(3, |&b| b == b' ');
        let (version, code, phrase) =
            (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            return Err(Problem::BadVersion);
        }
        let three_digits = (code.len() == 3).then(|| parse_digits(code)).flatten();
        let status = three_digits.filter(|status| (100..700).contains(status)).ok_or(Problem::BadStatusLine)?;
        if line.len() > MAX_START_LINE_BYTES || has_line_break(phrase) {
            return Err(Problem::BadStatusLine);
        }
        Ok(StartLine::Response(status, phrase.into()))
    }

    /// `METHOD uri SIP/2.0` with single spaces (RFC 3261 7.1).
    fn read_request(line: &[u8]) -> Result<StartLine, Problem> {
        let words: Vec<&[u8]> = line.trim_ascii_end().splitn(4, |&b| b == b' ').collect();
        let version = line.trim_ascii_end().rsplit(|&b| is_space(b)).next().unwrap_or_default();
        if !is_version(version) || !is_token(words[0]) || words.len() < 3 {
            return Err(Problem::NotSip);
        }
        if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            return Err(Problem::BadVersion);
        }
        if words.len() > 3 || line.trim_ascii_end().len() < line.len() || words[0].len() > MAX_METHOD_BYTES {
            return Err(Problem::BadRequestLine);
        }
        let uri = Uri::parse(words[1]).map_err(|error| match error {
            UriError::TooLong => Problem::UriTooLong,
            UriError::Malformed => Problem::BadUri,
        })?;
        // Headers are not allowed there (RFC 3261 19.1.1, table 1).
        if uri.headers().is_some() {
            return Err(Problem::BadUri);
        }
        let method = std::str::from_utf8(words[0]).map_err(|_| Problem::BadRequestLine)?;
        Ok(StartLine::Request(Method::from_token(method), uri))
    }

    fn join(self, common: Common) -> Result<Message, (Problem, Headers)> {
        match self {
            StartLine::Response(status, phrase) => Ok(Message::Response(Response::from_parts(status, phrase, common))),
            StartLine::Request(method, uri) => match common.request_problem(&method, &uri) {
                Some(problem) => Err((problem, common.headers)),
                None => Ok(Message::Request(Request::from_parts(method, uri, common))),
            },
        }
    }
}

impl Common {
    fn request_problem(&self, method: &Method, uri: &Uri) -> Option<Problem> {
        if self.cseq_method() != method {
            return Some(Problem::CSeqMethodMismatch);
        }
        (uri.scheme() == Scheme::Other).then_some(Problem::UnknownScheme)
    }
}

/// `SIP/` digits `.` digits, in any case.
fn is_version(word: &[u8]) -> bool {
    let Some((name, number)) = word.split_at_checked(4) else {
        return false;
    };
    let mut parts = number.splitn(2, |&b| b == b'.');
    let mut digits = || parts.next().is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit));
    name.eq_ignore_ascii_case(b"SIP/") && digits() && digits()
}

fn is_status_line(line: &[u8]) -> bool {
    line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
}

fn has_line_break(text: &[u8]) -> bool {
    text.iter().any(|b| b"\r\n".contains(b))
}

/// Source: RFC 3261 7.5.
fn skip_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    bytes
}

/// Where the first CRLF at or after `from` begins.
pub(crate) fn find_line_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += text.get(at..)?.iter().position(|&b| b == b'\n')?;
        if at > from && text[at - 1] == b'\r' {
            return Some(at - 1);
        }
        at += 1;
    }
}

/// Where the empty line that ends a head begins its own CRLF, looking from `from` on, which is at or before the last
/// line's CRLF.
pub(crate) fn find_head_end(text: &[u8], from: usize) -> Option<usize> {
    let mut end = find_line_end(text, from)?;
    while !text.get(end + 2..)?.starts_with(b"\r\n") {
        end = find_line_end(text, end + 2)?;
    }
    Some(end + 2)
}

/// Whether a start line is one of SIP's, whatever its version and faults.
pub(crate) fn is_sip(line: &[u8]) -> bool {
    is_status_line(line) || !matches!(StartLine::read_request(line), Err(Problem::NotSip))
}

/// Header lines without their CRLF, folds made white space in place (RFC 3261 7.3.1). A line that no CRLF ends is left
/// out: it may have been cut.
pub(crate) fn unfold(buffer: &mut [u8]) -> Vec<Range<usize>> {
    let mut lines = Vec::with_capacity(24);
    let mut start = 0;
    let mut at = 0;
    while let Some(end) = find_line_end(buffer, at) {
        at = end + 2;
        if buffer.get(at).is_some_and(|&b| is_space(b)) {
            buffer[end..at].fill(b' ');
        } else {
            lines.push(start..end);
            start = at;
        }
    }
    lines
}

/// Where name and value stand in `name : value`. Errors: no colon, a name that is no token, a lone CR or LF.
pub(crate) fn split_line(line: &[u8]) -> Result<(Range<usize>, Range<usize>), Problem> {
    if line.len() > MAX_HEADER_BYTES {
        return Err(Problem::HeaderTooLong);
    }
    if has_line_break(line) {
        return Err(Problem::LoneLineBreak);
    }
    let colon = line.iter().position(|&b| b == b':').ok_or(Problem::BadHeaderLine)?;
    let spaces_before = |end: usize, start: usize| line[start..end].iter().rev().take_while(|b| is_space(**b)).count();
    let name = 0..colon - spaces_before(colon, 0);
    if !is_token(&line[name.clone()]) {
        return Err(Problem::BadHeaderLine);
    }
    let start = colon + 1 + line[colon + 1..].iter().take_while(|b| is_space(**b)).count();
    Ok((name, start..line.len() - spaces_before(line.len(), start)))
}

/// Reads the header lines after the start line, which ends at `line_end`. Returns those that could be read, what
/// follows the empty line, and the first problem.
fn read_head(bytes: &[u8], line_end: usize) -> (Headers, &[u8], Option<Problem>) {
    let mut problem = None;
    // From the start line's own CRLF on, so that a message without headers ends its head there.
    let (head, body) = match find_head_end(bytes, line_end) {
        Some(end) => (&bytes[line_end..end], &bytes[end + 2..]),
        None => {
            problem = Some(Problem::Truncated);
            (&bytes[line_end..], &b""[..])
        }
    };
    let mut buffer = head.strip_prefix(b"\r\n").unwrap_or(head).to_vec();
    let mut lines = unfold(&mut buffer);
    if lines.len() > MAX_HEADERS {
        problem = problem.or(Some(Problem::TooManyHeaders));
        lines.truncate(MAX_HEADERS);
    }
    let mut headers = Headers::over(buffer);
    for line in lines {
        let start = line.start;
        match split_line(headers.slice(line)) {
            Ok((name, value)) => {
                headers.add_line(start + name.start..start + name.end, start + value.start..start + value.end);
            }
            Err(wrong) => problem = problem.or(Some(wrong)),
        }
    }
    (headers, body, problem)
}

/// Source: RFC 3261 18.3: without Content-Length the body goes to the datagram's end.
fn cut_body<'a>(headers: &Headers, body: &'a [u8]) -> Result<&'a [u8], Problem> {
    let mut lengths = headers.lines(HeaderName::ContentLength);
    let Some(length) = lengths.next() else {
        return Ok(body);
    };
    if lengths.next().is_some() {
        return Err(Problem::DuplicateHeader);
    }
    let length: usize = parse_digits(length).ok_or(Problem::BadContentLength)?;
    body.get(..length).ok_or(Problem::ContentLengthPastEnd)
}
