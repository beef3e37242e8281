//! Who asks, and what for: tokens, the rate of wrong ones, and the scope that each operation needs.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use store::{By, Digest, Name, Scope, Token};

use super::Api;
use super::bounds::{Bounds, Buckets};
use super::listener::Peer;
use super::refusal::{Answer, Kind, Refusal};

/// A token is 52 characters long.
const TOKEN_BYTES_MAX: usize = 128;

/// Who was wrong how often, and who asked how often.
pub struct Gate {
    failures: Buckets<Peer>,
    /// By the digest of the token's text. Who is in here had a valid token: others behind its address do not lock it out.
    requests: Buckets<Digest>,
}

impl Gate {
    pub fn new(bounds: &Bounds) -> Self {
        Self { failures: Buckets::new(bounds.failures), requests: Buckets::new(bounds.requests) }
    }
}

/// Whose token it was. Not shown by `Debug`.
#[derive(Clone)]
struct Bearer {
    token: Arc<Token>,
    text: Arc<str>,
}

/// Lets a request through that has a valid token and is within its rates.
pub async fn authenticate(State(api): State<Api>, mut request: Request, next: Next) -> Answer<Response> {
    let text: Arc<str> = bearer_text(request.headers().get(AUTHORIZATION).map(|value| value.as_bytes()))?.into();
    let peer = *request.extensions().get::<Peer>().ok_or_else(|| Refusal::internal("a request from nowhere"))?;
    let digest = Digest::of(text.as_bytes());
    let now = Instant::now();
    let is_known = api.gate.requests.knows(&digest);
    if !is_known {
        // Taken before the look-up: many at once are counted too.
        api.gate.failures.take(&peer, now).map_err(|wait| {
            let detail = "too many wrong tokens came from this address: mend the token, then wait";
            Refusal::new(Kind::Rate, detail).retry_after(wait)
        })?;
    }
    let found = api.token(&text).await?;
    let Some(token) = found else {
        if is_known {
            api.gate.requests.forget(&digest);
            let _ = api.gate.failures.take(&peer, now);
        }
        return Err(unauthenticated("the token is unknown or was revoked: ask whoever gave it to you for another"));
    };
    if !is_known {
        api.gate.failures.give_back(&peer, now);
    }
    api.gate.requests.take(&digest, now).map_err(|wait| {
        Refusal::new(Kind::Rate, "this token asks too often: wait as long as Retry-After says").retry_after(wait)
    })?;
    request.extensions_mut().insert(Bearer { token: Arc::new(token), text });
    Ok(next.run(request).await)
}

fn unauthenticated(detail: &str) -> Refusal {
    Refusal::new(Kind::Unauthenticated, detail)
}

fn bearer_text(header: Option<&[u8]>) -> Answer<String> {
    const HOW: &str = "send `Authorization: Bearer patchbay_...` with a token of this host";
    let header = header.ok_or_else(|| unauthenticated(HOW))?;
    let text = std::str::from_utf8(header).ok().and_then(|header| header.split_once(' '));
    match text {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") && text.len() <= TOKEN_BYTES_MAX => {
            Ok(text.trim().to_owned())
        }
        _ => Err(unauthenticated(HOW)),
    }
}

/// What an operation needs, as its OpenAPI text says.
pub trait Needs: Send + Sync + 'static {
    const SCOPE: &'static str;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident = $scope:literal;)*) => {
        $($(#[$doc])* pub enum $name {} impl Needs for $name { const SCOPE: &'static str = $scope; })*
    };
}

needs! {
    /// Any token; the operation itself leaves out what is not the bearer's.
    Any = "any";
    Read = "read";
    Deploy = "deploy";
    Operator = "operator";
}

/// A request whose bearer may do it. The only way for an operation to the names in its path.
pub struct Asked<N> {
    bearer: Bearer,
    path: Vec<(String, String)>,
    needs: PhantomData<N>,
}

impl<N: Needs> FromRequestParts<Api> for Asked<N> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Answer<Self> {
        let params = RawPathParams::from_request_parts(parts, api)
            .await
            .map_err(|error| Refusal::new(Kind::Malformed, format!("{}: mend the path", error.body_text())))?;
        let path: Vec<_> = params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let bearer = parts.extensions.get::<Bearer>().cloned();
        let bearer = bearer.ok_or_else(|| Refusal::internal("an operation without authentication"))?;
        let tenant = path.iter().find(|(key, _)| key == "tenant").map(|(_, value)| value.as_str());
        admit(&bearer.token.scope, tenant, N::SCOPE)?;
        Ok(Self { bearer, path, needs: PhantomData })
    }
}

/// Errors: another's tenant is as if it were not there; within its own a token learns what scope it lacks.
fn admit(scope: &Scope, tenant: Option<&str>, needs: &'static str) -> Answer<()> {
    let Some(own) = scope.tenant() else { return Ok(()) };
    if let Some(other) = tenant.filter(|tenant| *tenant != &**own) {
        return Err(no_tenant(other));
    }
    match (scope, needs) {
        (_, "any" | "read") | (Scope::Deploy(_), "deploy") => Ok(()),
        _ => {
            let detail = format!("this takes a token of scope {needs}, and yours is of scope {}", scope.kind());
            Err(Refusal::new(Kind::Scope, detail))
        }
    }
}

/// As the store says it.
pub fn no_tenant(name: &str) -> Refusal {
    store::Error::not_found("tenant", name).into()
}

impl<N> Asked<N> {
    /// A name in the path.
    pub fn path(&self, key: &'static str) -> String {
        self.path.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// A name in the path of something that is to be made.
    pub fn name(&self, key: &'static str) -> Answer<Name> {
        self.path(key).parse().map_err(|error: String| Refusal::invalid(key, error, "mend the path"))
    }

    pub fn tenant(&self) -> String {
        self.path("tenant")
    }

    pub fn token(&self) -> &Token {
        &self.bearer.token
    }

    /// The one tenant that the bearer may see; None: all.
    pub fn own_tenant(&self) -> Option<&Name> {
        self.bearer.token.scope.tenant()
    }

    /// For whoever has to ask again whether the token is still good.
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.bearer.text)
    }

    pub fn by(&self) -> By {
        let Token { id, label, .. } = self.token();
        let who = if label.is_empty() { format!("token {id}") } else { format!("token {id} ({label})") };
        By { who, at_ms: super::now_ms() }
    }
}
