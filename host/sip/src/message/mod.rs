//! Requests and responses: what the reader made of the wire's bytes, or what the writer will send.
//! By construction each has a readable top Via, From, To, Call-ID and CSeq.

mod header_name;
mod headers;
mod values;
mod vocabulary;

use std::net::SocketAddr;

pub use header_name::HeaderName;
pub use headers::{Headers, Name};
pub use values::{CSeq, Contact, Refresher, SessionExpires};
pub use vocabulary::{Method, reason_phrase};

use crate::limits::{MAX_ROUTES, MAX_VIAS};
use crate::name_addr::NameAddr;
use crate::reader::Problem;
use crate::uri::Uri;
use crate::via::Via;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Response(Response),
}

/// A request whose required headers could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    method: Method,
    uri: Uri,
    pub(crate) common: Common,
}

/// A response whose required headers could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    phrase: Box<[u8]>,
    pub(crate) common: Common,
}

/// What requests and responses share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Common {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    via: Via,
    from: NameAddr,
    to: NameAddr,
    cseq: CSeq,
    call_id: Box<str>,
}

/// Headers that have one value; a second line of one of them could be read two ways.
const SINGLE: &[HeaderName] = &[
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::ContentLength,
    HeaderName::ContentType,
    HeaderName::ContentDisposition,
    HeaderName::Expires,
    HeaderName::SessionExpires,
    HeaderName::MinSe,
    HeaderName::RAck,
    HeaderName::RSeq,
    HeaderName::ReferTo,
    HeaderName::Replaces,
];

impl Common {
    /// What a response to `request` starts from: its Via lines, From, To (with `to_tag` if it has none), Call-ID and
    /// CSeq. Source: RFC 3261 8.2.6.2.
    pub(crate) fn answering(request: &Common, to_tag: Option<&str>, record_route: bool) -> Common {
        let to = match to_tag {
            Some(tag) if request.to.tag().is_none() => request.to.with_tag(tag),
            _ => request.to.clone(),
        };
        let mut headers = Headers::default();
        for (name, wanted) in [(HeaderName::Via, true), (HeaderName::RecordRoute, record_route)] {
            for line in request.headers.lines(name).filter(|_| wanted) {
                headers.push(name, line);
            }
        }
        headers.push(HeaderName::From, request.from.as_bytes());
        headers.push(HeaderName::To, to.as_bytes());
        headers.push(HeaderName::CallId, &*request.call_id);
        headers.push(HeaderName::CSeq, request.headers.get(HeaderName::CSeq).unwrap_or_default());
        Common {
            headers,
            body: Vec::new(),
            via: request.via.clone(),
            from: request.from.clone(),
            to,
            cseq: request.cseq.clone(),
            call_id: request.call_id.clone(),
        }
    }

    /// Reads what every message must have. Errors: the first thing amiss, in the order of RFC 3261 8.2.
    pub(crate) fn read(headers: Headers, body: Vec<u8>) -> Result<Common, (Problem, Headers)> {
        match Self::essentials(&headers) {
            Ok((via, from, to, cseq, call_id)) => Ok(Common { headers, body, via, from, to, cseq, call_id }),
            Err(problem) => Err((problem, headers)),
        }
    }

    fn essentials(headers: &Headers) -> Result<(Via, NameAddr, NameAddr, CSeq, Box<str>), Problem> {
        if SINGLE.iter().any(|&name| headers.lines(name).nth(1).is_some()) {
            return Err(Problem::DuplicateHeader);
        }
        if headers.values(HeaderName::Via).nth(MAX_VIAS).is_some() {
            return Err(Problem::TooManyVias);
        }
        let via = headers.values(HeaderName::Via).next().ok_or(Problem::MissingHeader)?;
        let via = Via::parse(via).map_err(|_| Problem::BadVia)?;
        let required = |name| headers.get(name).ok_or(Problem::MissingHeader);
        let from = NameAddr::parse(required(HeaderName::From)?).map_err(|_| Problem::BadFrom)?;
        let to = NameAddr::parse(required(HeaderName::To)?).map_err(|_| Problem::BadTo)?;
        let call_id = values::parse_call_id(required(HeaderName::CallId)?).ok_or(Problem::BadCallId)?;
        let cseq = CSeq::parse(required(HeaderName::CSeq)?).ok_or(Problem::BadCSeq)?;
        if headers.get(HeaderName::MaxForwards).is_some_and(|value| values::parse_max_forwards(value).is_none()) {
            return Err(Problem::BadMaxForwards);
        }
        for name in [HeaderName::Route, HeaderName::RecordRoute] {
            if headers.values(name).nth(MAX_ROUTES).is_some() {
                return Err(Problem::TooManyRoutes);
            }
            if headers.values(name).any(|value| NameAddr::parse_route(value).is_err()) {
                return Err(Problem::BadRoute);
            }
        }
        values::check_contacts(headers)?;
        Ok((via, from, to, cseq, call_id.into()))
    }

    pub(crate) fn cseq_method(&self) -> &Method {
        &self.cseq.method
    }

    /// Writes the top Via anew, other values of its line kept.
    fn set_top_via(&mut self, via: &str) {
        let line = self.headers.get(HeaderName::Via).unwrap_or_default();
        let top = crate::name_addr::split_commas(line).next().unwrap_or_default().len();
        // The first value begins its line, both being trimmed.
        let line = [via.as_bytes(), &line[top..]].concat();
        if let Ok(read) = Via::parse(via.as_bytes()) {
            self.headers.replace_first(HeaderName::Via, line);
            self.via = read;
        }
    }
}

macro_rules! common_accessors {
    ($message:ident) => {
        impl $message {
            pub fn headers(&self) -> &Headers {
                &self.common.headers
            }

            pub fn body(&self) -> &[u8] {
                &self.common.body
            }

            /// The topmost Via value. All of them: `headers().lines(HeaderName::Via)`.
            pub fn via(&self) -> &Via {
                &self.common.via
            }

            pub fn from(&self) -> &NameAddr {
                &self.common.from
            }

            pub fn to(&self) -> &NameAddr {
                &self.common.to
            }

            pub fn cseq(&self) -> &CSeq {
                &self.common.cseq
            }

            pub fn call_id(&self) -> &str {
                &self.common.call_id
            }

            pub fn from_tag(&self) -> Option<&str> {
                self.common.from.tag()
            }

            pub fn to_tag(&self) -> Option<&str> {
                self.common.to.tag()
            }

            /// Contact, `*` or the first value. None: none was sent.
            pub fn contact(&self) -> Option<Contact> {
                values::contact(&self.common.headers)
            }

            /// Record-Route values in the order sent; unbracketed parameters count as the URI's.
            pub fn record_routes(&self) -> impl Iterator<Item = NameAddr> {
                self.common
                    .headers
                    .values(HeaderName::RecordRoute)
                    .filter_map(|value| NameAddr::parse_route(value).ok())
            }

            pub fn routes(&self) -> impl Iterator<Item = NameAddr> {
                self.common.headers.values(HeaderName::Route).filter_map(|value| NameAddr::parse_route(value).ok())
            }

            /// P-Asserted-Identity values that could be read, `sip:` and `tel:`. As sent: `headers().lines(..)`.
            pub fn asserted_identities(&self) -> impl Iterator<Item = NameAddr> {
                self.common
                    .headers
                    .values(HeaderName::PAssertedIdentity)
                    .filter_map(|value| NameAddr::parse(value).ok())
            }

            /// Option tags or methods of Require, Supported, Allow, Unsupported: every non-empty value.
            pub fn tokens(&self, name: HeaderName) -> impl Iterator<Item = &str> {
                self.common
                    .headers
                    .values(name)
                    .filter_map(|value| std::str::from_utf8(value).ok())
                    .filter(|value| !value.is_empty())
            }

            pub fn max_forwards(&self) -> Option<u8> {
                self.common.headers.get(HeaderName::MaxForwards).and_then(values::parse_max_forwards)
            }

            /// `type/subtype` in lower case, parameters left off. None: none was sent, or not of that shape.
            pub fn content_type(&self) -> Option<String> {
                self.common.headers.get(HeaderName::ContentType).and_then(values::media_type)
            }

            /// Source: RFC 4028 4. None also if it cannot be read.
            pub fn session_expires(&self) -> Option<SessionExpires> {
                self.common.headers.get(HeaderName::SessionExpires).and_then(SessionExpires::parse)
            }

            /// In seconds. Source: RFC 4028 5.
            pub fn min_se(&self) -> Option<u32> {
                self.common.headers.get(HeaderName::MinSe).and_then(values::delta_seconds)
            }

            /// The first Reason value. Source: RFC 3326.
            pub fn reason(&self) -> Option<crate::Reason> {
                self.common.headers.values(HeaderName::Reason).next().and_then(values::parse_reason)
            }

            /// Keeps the headers that `keep` wants, by name and value; those that every message must have stay.
            pub fn retain_headers(&mut self, mut keep: impl FnMut(&str, &[u8]) -> bool) {
                use HeaderName::{CSeq, CallId, From, To, Via};
                let required = [Via, From, To, CallId, CSeq].map(HeaderName::as_str);
                self.common.headers.retain(|name, value| required.contains(&name) || keep(name, value));
            }
        }
    };
}

common_accessors!(Request);
common_accessors!(Response);

impl Request {
    pub(crate) fn from_parts(method: Method, uri: Uri, common: Common) -> Request {
        Request { method, uri, common }
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The request-URI.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Notes in the top Via where the request really came from, so that responses copied from it find their way back.
    /// Source: RFC 3261 18.2.1, RFC 3581 4.
    pub fn note_source(&mut self, source: SocketAddr) {
        let via = self.common.via.with_source(source);
        self.common.set_top_via(&via);
    }
}

impl Response {
    pub(crate) fn from_parts(status: u16, phrase: Box<[u8]>, common: Common) -> Response {
        Response { status, phrase, common }
    }

    /// 100 to 699.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase as sent; bytes that are not UTF-8 are replaced.
    pub fn phrase(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.phrase)
    }

    pub(crate) fn phrase_bytes(&self) -> &[u8] {
        &self.phrase
    }
}
