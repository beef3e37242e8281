//! Where a request goes: a URL read as browsers do (WHATWG), reduced to what rules speak of: host, port, TLS or not.

use std::fmt;
use std::net::IpAddr;

use url::Url;

use crate::error::{Code, Error, Refusal};

/// The longest URL, in bytes.
pub const URL_BYTES_MAX: usize = 8 << 10;

/// One spelling for each host: lower case, punycode, no dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    Name(String),
    Address(IpAddr),
}

impl Host {
    /// Errors: it is no host.
    pub(crate) fn read(text: &str) -> Option<Host> {
        Host::of(url::Host::parse(text).ok()?)
    }

    fn of(host: url::Host<String>) -> Option<Host> {
        match host {
            url::Host::Ipv4(address) => Some(Host::Address(address.into())),
            url::Host::Ipv6(address) => Some(Host::Address(address.into())),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                (!name.is_empty() && !name.ends_with('.')).then(|| Host::Name(name.to_owned()))
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => address.fmt(f),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    WebSocket,
}

/// A URL that names a host to connect to.
#[derive(Clone, Debug)]
pub struct Target {
    url: Url,
    pub host: Host,
    pub port: u16,
    pub is_tls: bool,
}

impl Target {
    /// Reads what a bot wrote. Errors: `bad-request`; `egress-denied` if an IPv4 address is spelled otherwise than as four decimal numbers.
    pub(crate) fn read(text: &str, kind: Kind) -> Result<Target, Error> {
        if text.len() > URL_BYTES_MAX {
            return Err(bad(format!("the URL is longer than {URL_BYTES_MAX} bytes")));
        }
        let url = Url::parse(text).map_err(|error| bad(format!("the URL: {error}")))?;
        let target = Target::of(url, kind)?;
        // A reader of lists sees 0x7f.1 and 127.0.0.1 as two hosts: only one spelling is taken.
        if let Host::Address(IpAddr::V4(address)) = &target.host
            && !text.contains(&format!("//{address}"))
        {
            let message = format!("an address is written in full: {address}");
            return Err(Error::refused(Refusal::Spelling, message));
        }
        Ok(target)
    }

    /// Where a `Location` leads from here. Errors: `protocol`.
    pub(crate) fn join(&self, location: &str) -> Result<Target, Error> {
        let wrong = |what: String| Error::new(Code::Protocol, format!("the redirect: {what}"));
        if location.len() > URL_BYTES_MAX {
            return Err(wrong(format!("longer than {URL_BYTES_MAX} bytes")));
        }
        let url = self.url.join(location).map_err(|error| wrong(error.to_string()))?;
        Target::of(url, Kind::Http).map_err(|error| wrong(error.message))
    }

    fn of(mut url: Url, kind: Kind) -> Result<Target, Error> {
        let is_tls = match (kind, url.scheme()) {
            (Kind::Http, "https") | (Kind::WebSocket, "wss") => true,
            (Kind::Http, "http") | (Kind::WebSocket, "ws") => false,
            (Kind::Http, scheme) => return Err(bad(format!("`{scheme}:` is neither `https:` nor `http:`"))),
            (Kind::WebSocket, scheme) => return Err(bad(format!("`{scheme}:` is neither `wss:` nor `ws:`"))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("credentials belong in a header, not in the URL".into()));
        }
        url.set_fragment(None);
        let host = url.host().map(|host| host.to_owned()).and_then(Host::of);
        let host = host.ok_or_else(|| bad("the URL names no host".into()))?;
        let port = url.port_or_known_default().filter(|port| *port > 0);
        let port = port.ok_or_else(|| bad("the URL names no port".into()))?;
        Ok(Target { url, host, port, is_tls })
    }

    /// What stands in the request line.
    pub(crate) fn path_and_query(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// What the `Host` header says.
    pub(crate) fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    /// Scheme, host and port are the same: what was meant for the one may go to the other.
    pub(crate) fn is_same_origin(&self, other: &Target) -> bool {
        (self.is_tls, &self.host, self.port) == (other.is_tls, &other.host, other.port)
    }
}

/// Host and port, as in a list of rules.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn bad(message: String) -> Error {
    Error::new(Code::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_in_one_way_or_refused() {
        let check = |text: &str, expect: Result<(&str, bool, &str), Code>| {
            let read = Target::read(text, Kind::Http);
            let read = read.as_ref().map(|target| (target.to_string(), target.is_tls, target.path_and_query()));
            let expect = expect.map(|(host, is_tls, path)| (host.to_owned(), is_tls, path));
            assert_eq!(read.map_err(|error| error.code), expect, "{text}");
        };
        check("https://api.example.com", Ok(("api.example.com:443", true, "/")));
        check("HTTPS://API.Example.COM./a?b#c", Ok(("api.example.com:443", true, "/a?b")));
        check("http://bücher.example:8080/ä", Ok(("xn--bcher-kva.example:8080", false, "/%C3%A4")));
        check("https://[2001:DB8:0::1]:8443/", Ok(("[2001:db8::1]:8443", true, "/")));
        check("https://192.0.2.1/", Ok(("192.0.2.1:443", true, "/")));
        for spelled in ["https://3221225985/", "https://0300.0.2.1/", "https://0xc0.0.2.1/", "https://192.0.513/"] {
            check(spelled, Err(Code::EgressDenied));
        }
        for wrong in
            ["", "/a", "ftp://a.example/", "wss://a.example/", "https://u:p@a.example/", "https://a.example:0/"]
        {
            check(wrong, Err(Code::BadRequest));
        }
        check(&format!("https://a.example/{}", "a".repeat(URL_BYTES_MAX)), Err(Code::BadRequest));
    }

    #[test]
    fn a_location_is_read_against_the_url_that_answered() {
        let from = Target::read("https://a.example/b/c", Kind::Http).unwrap();
        let check = |location: &str, expect: Option<&str>| {
            let found = from.join(location).map(|to| format!("{to}{}", to.path_and_query()));
            assert_eq!(found.as_deref().map_err(|error| error.code), expect.ok_or(Code::Protocol), "{location}");
        };
        check("d", Some("a.example:443/b/d"));
        check("//b.example/x", Some("b.example:443/x"));
        check("http://a.example/", Some("a.example:80/"));
        check("https://0x7f.1/", Some("127.0.0.1:443/"));
        check("file:///etc/passwd", None);
        check("https://u:p@a.example/", None);
    }
}
