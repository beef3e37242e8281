//! The admin port: /health, /ready and /metrics for whoever asks, and the API of a host with many tenants for who has a token.
//!
//! A request passes `listener` (connections, TLS, heads), `access` (tokens, rates, scopes) and `body` (bytes, pace) before it reaches
//! its operation. An operation checks nothing of that: what it is called with, it may do. Each is registered together with its OpenAPI
//! text; whatever is refused is a `refusal`, RFC 9457. State lives behind [`Hosting`]; nothing here knows a call, a bot or a database.

mod access;
mod audit;
mod body;
mod bounds;
mod callbacks;
mod calls;
mod listener;
mod log;
mod open;
mod openapi;
mod outbound;
mod plugins;
mod refusal;
mod routes;
mod secrets;
mod tenants;
mod tokens;
mod upload;

use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use futures_util::FutureExt;
use store::Token;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::hosting::Hosting;
use crate::observe::Metrics;
use access::Gate;
use bounds::Places;
use refusal::{Kind, Refusal};

pub use bounds::{Bounds, Pace, Rate};
pub use callbacks::serve as serve_callbacks;
pub use open::{Phase, Readiness};

/// What is served where.
pub struct Admin {
    pub listen: SocketAddr,
    /// Without it: plain HTTP, on loopback only.
    pub tls: Option<Arc<ServerConfig>>,
    pub metrics: Metrics,
    pub readiness: Readiness,
    /// None: a host without a store has no API.
    pub hosting: Option<Hosting>,
    pub bounds: Bounds,
}

/// Binds and serves in a task of its own, until the runtime ends. Returns the real address.
/// Errors: no certificate and not a loopback address, or it cannot be bound.
pub async fn serve(admin: Admin) -> io::Result<SocketAddr> {
    if admin.tls.is_none() && !admin.listen.ip().is_loopback() {
        return Err(io::Error::other(
            "plain HTTP is served on loopback only: set admin.certificates (cert, key), or listen on 127.0.0.1",
        ));
    }
    let listener = TcpListener::bind(admin.listen).await?;
    let address = listener.local_addr()?;
    let mut router = open::routes(admin.metrics, admin.readiness);
    if let Some(hosting) = admin.hosting {
        router = router.merge(api(hosting, admin.bounds));
    }
    let router = router
        .fallback(async |uri: Uri| {
            let path: String = uri.path().chars().take(200).collect();
            Refusal::new(Kind::NotFound, format!("there is nothing at {path}: GET /v1/openapi.json says what there is"))
        })
        .method_not_allowed_fallback(async |method: Method| {
            Refusal::new(Kind::Method, format!("{method} is not for this path: the Allow header says what is"))
        })
        .layer(from_fn(finish));
    tokio::spawn(listener::accept(listener, admin.tls.map(TlsAcceptor::from), router, admin.bounds));
    Ok(address)
}

/// What every operation works with.
#[derive(Clone)]
struct Api {
    hosting: Hosting,
    bounds: Bounds,
    gate: Arc<Gate>,
    /// By tenant.
    uploads: Arc<Places<String>>,
    tails: Arc<Places<String>>,
}

impl Api {
    /// For what changes nothing.
    async fn look<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&dyn store::Store) -> store::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        Ok(self.hosting.look(verb).await?)
    }

    /// For what changes something: it answers once the running host has taken that up.
    async fn with<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&dyn store::Store) -> store::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        Ok(self.hosting.with(verb).await?)
    }

    /// Whose text this is.
    async fn token(&self, text: &Arc<str>) -> Result<Option<Token>, Refusal> {
        let text = Arc::clone(text);
        self.look(move |store| store.token(&text, now_ms())).await
    }
}

/// Every operation, and its description.
fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(tokens::whoami))
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::show, tenants::delete))
        .routes(routes!(tenants::set_quotas))
        .routes(routes!(tenants::set_egress))
        .routes(routes!(tenants::set_engines))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::list_of_tenant, tokens::create_for_tenant))
        .routes(routes!(routes::list))
        .routes(routes!(routes::put, routes::delete))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::put, secrets::delete))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::show, plugins::delete))
        .routes(routes!(plugins::versions, upload::upload))
        .routes(routes!(plugins::delete_version))
        .routes(routes!(plugins::activate))
        .routes(routes!(plugins::roll_back))
        .routes(routes!(log::tail))
        .routes(routes!(calls::list, outbound::dial))
        .routes(routes!(outbound::show))
        .routes(routes!(calls::show, calls::hang_up))
        .routes(routes!(calls::route_test))
        .routes(routes!(audit::of_host))
        .routes(routes!(audit::of_tenant))
}

fn api(hosting: Hosting, bounds: Bounds) -> Router {
    let api = Api {
        hosting,
        bounds,
        gate: Arc::new(Gate::new(&bounds)),
        uploads: Places::new(bounds.uploads_of_one, bounds.uploads),
        tails: Places::new(bounds.tails_of_one, bounds.tails),
    };
    let (router, _) = operations().split_for_parts();
    // Written once: whoever asks has no token.
    let document = Bytes::from(serde_json::to_vec(&openapi::document()).unwrap_or_default());
    let is_json = [(header::CONTENT_TYPE, "application/json")];
    router
        .route_layer(from_fn_with_state(api.clone(), access::authenticate))
        .with_state(api)
        .route("/v1/openapi.json", routing::get(async move || (is_json, document.clone())))
}

/// The last hand on every answer: none is kept by a cache, and an operation that panicked has one too.
async fn finish(request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| Refusal::internal("an operation panicked").into_response());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Milliseconds since 1970, UTC.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
