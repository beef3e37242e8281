//! Requests to services outside. Where they may go is not judged here: that is the tenant's and the operator's word.

use super::{bounded, fields, refused};
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::{http, types};
use crate::{Header, HttpRequest, Pair, Pieces, Request};
use wasmtime::component::{HasSelf, Linker};

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
pub(super) const URL_BYTES_MAX: usize = 8192;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    http::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl http::Host for HostState {
    fn send(&mut self, request: http::Request) -> Result<u64, types::Error> {
        let http::Request { method, url, headers, body, timeout_ms, pieces } = request;
        if !METHODS.contains(&method.as_str()) {
            return Err(refused("bad-request", format!("methods are {}", METHODS.join(", "))));
        }
        check_url(&url, &["https://", "http://"])?;
        let headers = from_wit(headers);
        fields::check_http(&headers)?;
        let pieces = match pieces {
            http::Pieces::Whole => Pieces::Whole,
            http::Pieces::Chunks => Pieces::Chunks,
            http::Pieces::Events => Pieces::Events,
        };
        self.begin(Request::Http(HttpRequest { method, url, headers, body, timeout_ms, pieces }))
    }

    fn cancel(&mut self, id: u64) -> bool {
        self.port.cancel(Pair::Http, id)
    }
}

pub(super) fn from_wit(headers: Vec<http::Header>) -> Vec<Header> {
    headers.into_iter().map(|http::Header { name, value }| Header { name, value }).collect()
}

/// By its scheme only, and that it stays in its line.
pub(super) fn check_url(url: &str, schemes: &[&str]) -> Result<(), types::Error> {
    bounded("URL", url, URL_BYTES_MAX)?;
    let fits = schemes.iter().any(|scheme| fields::starts_with(url, scheme));
    if !fits || url.chars().any(|c| c.is_control() || c == ' ') {
        return Err(refused("bad-request", format!("a URL begins with {} and has no spaces", schemes.join(" or "))));
    }
    Ok(())
}
