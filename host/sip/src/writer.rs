//! The strict writer: builders for requests and responses, and their bytes. What it writes has canonical header names,
//! one header per line, one Content-Length that is right, and no line break that it did not put there.

use std::net::SocketAddr;

use crate::message::{Common, HeaderName, Headers, Method, Name, Request, Response, reason_phrase};
use crate::name_addr::{NameAddr, split_commas};
use crate::reader::{Problem, Refusal};
use crate::uri::Uri;
use crate::via::Via;

/// What a request of ours starts with, if nothing else is asked for. Source: RFC 3261 8.1.1.6.
pub const MAX_FORWARDS: u8 = 70;

/// Builds a response from the request it answers. Source: RFC 3261 8.2.6.
#[derive(Debug)]
pub struct ResponseBuilder<'a> {
    request: &'a Request,
    status: u16,
    phrase: Option<String>,
    to_tag: Option<&'a str>,
    record_route: bool,
    extra: Headers,
    body: Option<(String, Vec<u8>)>,
}

impl Response {
    /// Starts a response: Via lines, From, To, Call-ID and CSeq copied.
    pub fn to_request(request: &Request, status: u16) -> ResponseBuilder<'_> {
        ResponseBuilder {
            request,
            status,
            phrase: None,
            to_tag: None,
            record_route: false,
            extra: Headers::default(),
            body: None,
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let start = [format!("SIP/2.0 {} ", self.status()).as_bytes(), self.phrase_bytes()].concat();
        write_message(&start, &self.common.headers, &self.common.body)
    }
}

impl<'a> ResponseBuilder<'a> {
    /// Another phrase than the RFC's own; line breaks in it become spaces.
    pub fn phrase(mut self, phrase: &str) -> Self {
        self.phrase = Some(phrase.replace(['\r', '\n'], " "));
        self
    }

    /// Added to To unless the request brought one. A 100 needs none.
    pub fn to_tag(mut self, tag: &'a str) -> Self {
        self.to_tag = Some(tag);
        self
    }

    /// Copies the Record-Route lines, byte for byte and in order (RFC 3261 12.1.1).
    pub fn record_route(mut self) -> Self {
        self.record_route = true;
        self
    }

    /// Adds a header. Those that the builder writes itself (Via, From, To, Call-ID, CSeq, Record-Route,
    /// Content-Length), and names that are no tokens, are left out.
    pub fn header<'n>(mut self, name: impl Into<Name<'n>>, value: impl AsRef<[u8]>) -> Self {
        let name = name.into();
        if !COPIED.iter().any(|&copied| name == Name::Known(copied)) {
            self.extra.push(name, value);
        }
        self
    }

    pub fn body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.body = Some((content_type.to_owned(), body));
        self
    }

    pub fn build(self) -> Response {
        let mut common = Common::answering(&self.request.common, self.to_tag, self.record_route);
        let with_body = self.body.is_some();
        for (known, name, value) in self.extra.iter_known() {
            if !(with_body && known == Some(HeaderName::ContentType)) {
                common.headers.push(known.map_or(Name::Other(name), Name::Known), value);
            }
        }
        if let Some((content_type, body)) = self.body {
            common.headers.push(HeaderName::ContentType, content_type);
            common.body = body;
        }
        let phrase = self.phrase.unwrap_or_else(|| reason_phrase(self.status));
        Response::from_parts(self.status, phrase.into_bytes().into(), common)
    }
}

const COPIED: &[HeaderName] = &[
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::RecordRoute,
    HeaderName::ContentLength,
];

/// Builds a request. Headers go out in the order they were given; Via first is the caller's to see to.
#[derive(Debug)]
pub struct RequestBuilder {
    method: Method,
    uri: Uri,
    headers: Headers,
    body: Vec<u8>,
}

impl Request {
    pub fn builder(method: Method, uri: &Uri) -> RequestBuilder {
        RequestBuilder { method, uri: uri.clone(), headers: Headers::default(), body: Vec::new() }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let start = format!("{} {} SIP/2.0", self.method(), self.uri());
        write_message(start.as_bytes(), &self.common.headers, &self.common.body)
    }
}

impl RequestBuilder {
    /// Adds a header; line breaks in the value become spaces. Content-Length is written by [`Request::to_bytes`].
    pub fn header<'n>(mut self, name: impl Into<Name<'n>>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// CSeq with this request's method.
    pub fn cseq(mut self, number: u32) -> Self {
        self.headers.push(HeaderName::CSeq, format!("{number} {}", self.method));
        self
    }

    pub fn body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.headers.push(HeaderName::ContentType, content_type);
        self.body = body;
        self
    }

    /// Adds Max-Forwards if none was given. Errors: what the reader would find amiss in the headers.
    pub fn build(mut self) -> Result<Request, Problem> {
        if !self.headers.contains(HeaderName::MaxForwards) {
            self.headers.push(HeaderName::MaxForwards, MAX_FORWARDS.to_string());
        }
        let common = Common::read(self.headers, self.body).map_err(|(problem, _)| problem)?;
        if common.cseq_method() != &self.method {
            return Err(Problem::CSeqMethodMismatch);
        }
        Ok(Request::from_parts(self.method, self.uri, common))
    }
}

impl Refusal {
    pub fn status(&self) -> u16 {
        self.problem.answer().0
    }

    pub fn phrase(&self) -> &'static str {
        self.problem.answer().1
    }

    /// The answer, with as much of Via, From, To, Call-ID and CSeq as could be read. `source` is noted in the top Via,
    /// if that can be read; `to_tag` added to To, if that can.
    pub fn to_bytes(&self, source: SocketAddr, to_tag: &str) -> Vec<u8> {
        let mut headers = Headers::default();
        for (i, line) in self.headers.lines(HeaderName::Via).enumerate() {
            let mut values = split_commas(line);
            match values.next().filter(|_| i == 0).map(Via::parse) {
                Some(Ok(top)) => {
                    headers.push(HeaderName::Via, top.with_source(source));
                    values.for_each(|value| {
                        headers.push(HeaderName::Via, value);
                    });
                }
                _ => {
                    headers.push(HeaderName::Via, line);
                }
            }
        }
        for name in [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
            let Some(value) = self.headers.get(name) else {
                continue;
            };
            match NameAddr::parse(value) {
                Ok(to) if name == HeaderName::To => headers.push(name, to.with_tag(to_tag).as_bytes()),
                _ => headers.push(name, value),
            };
        }
        write_message(format!("SIP/2.0 {} {}", self.status(), self.phrase()).as_bytes(), &headers, b"")
    }
}

fn write_message(start: &[u8], headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(start.len() + headers.byte_hint() + body.len() + 64);
    out.extend_from_slice(start);
    out.extend_from_slice(b"\r\n");
    for (known, name, value) in headers.iter_known() {
        if known != Some(HeaderName::ContentLength) {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}
