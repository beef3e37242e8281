//! The live tail of what a plugin's bots say.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, interval};
use utoipa::ToSchema;

use super::Api;
use super::access::{Asked, Read};
use super::bounds::Place;
use super::refusal::{Answer, Kind, Refusal};
use super::upload::{NDJSON, line};
use crate::hosting::{LogLine, Tail};

/// A line of the tail.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum TailLine {
    Said(LogLine),
    /// A reader that lags is told how many lines it did not get.
    Dropped {
        dropped: u64,
    },
}

/// What the bots of a plugin say from now on, a line of JSON each, for as long as the client reads and its token is good.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/plugins/{plugin}/log", tag = "plugins", operation_id = "tail_log",
    security(("token" = ["read"])), responses((status = 200, description = "A line each, without end", body = TailLine,
        content_type = "application/x-ndjson")))]
pub async fn tail(State(api): State<Api>, asked: Asked<Read>) -> Answer<Response> {
    let (tenant, plugin) = (asked.tenant(), asked.path("plugin"));
    let (of, named) = (tenant.clone(), plugin.clone());
    api.look(move |store| store.plugin(&of, &named)).await?;
    let place = api.tails.take(tenant.clone()).ok_or_else(|| {
        let detail = "as many tails of logs are open as may be: close one first";
        Refusal::new(Kind::Crowded, detail).retry_after(Duration::from_secs(5))
    })?;
    let reader = Reader {
        tail: api.hosting.tail(&tenant, &plugin),
        check: interval(api.bounds.tail_check),
        token: asked.text(),
        tenant,
        plugin,
        api,
        _place: place,
    };
    let lines = stream::unfold(reader, async |mut reader| Some((Ok::<_, Infallible>(reader.next().await?), reader)));
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response())
}

struct Reader {
    tail: Tail,
    check: Interval,
    token: Arc<str>,
    tenant: String,
    plugin: String,
    api: Api,
    _place: Place<String>,
}

impl Reader {
    /// None: the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                said = self.tail.lines.recv() => return match said {
                    Ok(said) => Some(line(&TailLine::Said(LogLine::clone(&said)))),
                    Err(RecvError::Lagged(dropped)) => Some(line(&TailLine::Dropped { dropped })),
                    Err(RecvError::Closed) => None,
                },
                _ = self.check.tick() => if !self.is_allowed().await { return None },
            }
        }
    }

    /// Whether the token is still good, and the plugin there.
    async fn is_allowed(&self) -> bool {
        let (tenant, plugin) = (self.tenant.clone(), self.plugin.clone());
        let is_there = self.api.look(move |store| store.plugin(&tenant, &plugin)).await.is_ok();
        is_there && matches!(self.api.token(&self.token).await, Ok(Some(_)))
    }
}
