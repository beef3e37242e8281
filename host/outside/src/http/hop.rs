//! One request on its way: what is sent to one target, and what becomes of it when that one sends it on to another.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode, Uri};

use super::Request;
use super::pool::Body;
use crate::error::{Code, Error};
use crate::limits::Limits;
use crate::secrets::{self, Secret};
use crate::target::{Kind, Target};

pub const HEADERS_MAX: usize = 64;
/// Names and values of a request's headers.
pub const HEADER_BYTES_MAX: usize = 32 << 10;
pub const REDIRECTS_MAX: usize = 5;

const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The host's own: what frames messages and concerns the connection.
const NOT_THE_BOTS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Says who asks: not for another host.
const CREDENTIALS: [&str; 8] = [
    "authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-access-token",
    "x-csrf-token",
    "private-token",
];

/// Says what the body is: goes with it.
const OF_THE_BODY: [&str; 4] = ["content-type", "content-encoding", "content-language", "content-location"];

/// A header as the bot wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    name: HeaderName,
    value: String,
}

impl Header {
    /// With its secrets. Errors: `secret-denied`, `bad-request`.
    pub fn fill(&self, secrets: &[Secret], target: &Target) -> Result<(HeaderName, HeaderValue), Error> {
        let value = secrets::fill(secrets, &self.name, &self.value, target)?;
        Ok((self.name.clone(), value))
    }

    fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }

    fn is_for_this_host_alone(&self) -> bool {
        self.is(&CREDENTIALS) || secrets::mentions(self.value.as_bytes())
    }
}

/// Reads headers that a bot wrote. Errors: `bad-request`; `secret-denied` for a secret in a name.
pub(crate) fn read_headers(headers: &[(String, String)]) -> Result<Vec<Header>, Error> {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(bad(format!("more than {HEADERS_MAX} headers or {HEADER_BYTES_MAX} bytes of them")));
    }
    let read = headers.iter().map(|(name, value)| {
        if secrets::mentions(name.as_bytes()) {
            return Err(secrets::denied("a secret goes into the value of a header, not its name".into()));
        }
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(format!("`{name}` is no name of a header")))?;
        if NOT_THE_BOTS.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket-") {
            return Err(bad(format!("the header `{name}` is the host's own")));
        }
        Ok(Header { name, value: value.clone() })
    });
    read.collect()
}

/// What we call ourselves, unless the bot says otherwise.
pub(crate) fn user_agent(headers: &mut HeaderMap) {
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("patchbay/", env!("CARGO_PKG_VERSION"))));
}

pub(super) struct Hop {
    pub method: Method,
    pub target: Target,
    headers: Vec<Header>,
    body: Bytes,
}

impl Hop {
    /// Errors: `bad-request`, `secret-denied` for a secret in URL or body, `egress-denied` for an address spelled to mislead.
    pub fn first(request: Request, limits: &Limits) -> Result<Hop, Error> {
        let Request { method, url, headers, body, .. } = request;
        if secrets::mentions(url.as_bytes()) || secrets::mentions(&body) {
            return Err(secrets::denied("a secret goes into the value of a header, not into URL or body".into()));
        }
        if body.len() > limits.request_bytes {
            return Err(bad(format!("the body is longer than {} bytes", limits.request_bytes)));
        }
        let known = METHODS.into_iter().find(|known| known.as_str() == method);
        let method = known.ok_or_else(|| bad("the method is none of GET, HEAD, POST, PUT, PATCH, DELETE".into()))?;
        Ok(Hop { method, target: Target::read(&url, Kind::Http)?, headers: read_headers(&headers)?, body })
    }

    /// What is sent. Errors: `secret-denied`, `bad-request`.
    pub fn request(&self, secrets: &[Secret]) -> Result<hyper::Request<Body>, Error> {
        let path: Uri = self.target.path_and_query().parse().map_err(|error| bad(format!("the URL: {error}")))?;
        let mut request = hyper::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = path;
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(&self.target.authority()).map_err(|error| bad(format!("the URL: {error}")))?;
        headers.insert(header::HOST, host);
        for header in &self.headers {
            let (name, value) = header.fill(secrets, &self.target)?;
            headers.append(name, value);
        }
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        user_agent(headers);
        Ok(request)
    }

    /// Where the response sends it on to; none: it is the answer. Errors: `protocol`, `egress-denied`.
    pub fn next<B>(&self, response: &Response<B>) -> Result<Option<Hop>, Error> {
        let status = response.status();
        let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(location) = response.headers().get(header::LOCATION).filter(|_| is_redirect) else { return Ok(None) };
        let location = std::str::from_utf8(location.as_bytes());
        let location = location.map_err(|_| Error::new(Code::Protocol, "the redirect: not UTF-8"))?;
        let target = self.target.join(location)?;
        let mut headers = self.headers.clone();
        if !target.is_same_origin(&self.target) {
            headers.retain(|header| !header.is_for_this_host_alone());
        }
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if !becomes_get {
            return Ok(Some(Hop { method: self.method.clone(), target, headers, body: self.body.clone() }));
        }
        headers.retain(|header| !header.is(&OF_THE_BODY));
        Ok(Some(Hop { method: Method::GET, target, headers, body: Bytes::new() }))
    }
}

fn bad(message: String) -> Error {
    Error::new(Code::BadRequest, message)
}
