//! Where trunks say what became of calls that they were asked for. A listener of its own, because all the world may reach it: there is
//! nothing here but one path of 256 random bits for each request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::body;
use super::bounds::Bounds;
use super::listener;
use crate::outbound::{BODY_BYTES_MAX, Desk};

/// Binds and serves in a task of its own, until the runtime ends. Returns the real address. Errors: it cannot be bound.
pub async fn serve(
    listen: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    desk: Arc<Desk>,
    bounds: Bounds,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/callbacks/{token}", post(take)).with_state((desk, bounds));
    // Whatever else is asked for is not there, and why is nobody's affair.
    let router = router.method_not_allowed_fallback(async || StatusCode::NOT_FOUND);
    tokio::spawn(listener::accept(listener, tls.map(TlsAcceptor::from), router, bounds));
    Ok(address)
}

/// Errors: 404 before the body is read if nobody has the token; 413, 408 and 400 as for any other body.
async fn take(
    State((desk, bounds)): State<(Arc<Desk>, Bounds)>,
    Path(token): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> StatusCode {
    if !desk.knows(&token) {
        return StatusCode::NOT_FOUND;
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let refused = |refusal: super::refusal::Refusal| StatusCode::from_u16(refusal.details().status).ok();
    if let Err(refusal) = body::expect_length(&headers, BODY_BYTES_MAX) {
        return refused(refusal).unwrap_or(StatusCode::BAD_REQUEST);
    }
    match body::read(request.into_body(), BODY_BYTES_MAX, bounds.pace).await {
        Ok(bytes) if desk.call_back(&token, content_type, &bytes).await => StatusCode::NO_CONTENT,
        Ok(_) => StatusCode::NOT_FOUND,
        Err(refusal) => refused(refusal).unwrap_or(StatusCode::BAD_REQUEST),
    }
}
