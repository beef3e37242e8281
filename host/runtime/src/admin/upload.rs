//! Uploads: a component comes in, is judged by the host and stored, and activated if so asked. A failure at any step changes nothing.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use store::{Activate, By, CANARY_PERCENT, LIVE_LIMIT_S, Live, LivePolicy, Name, Plugin, Source, Version};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::access::{Asked, Deploy, no_tenant};
use super::body::{self, Queried};
use super::refusal::{Answer, Kind, ProblemDetails, Refusal};
use crate::hosting::{Stage, UploadError};

pub const NDJSON: &str = "application/x-ndjson";
/// An upload takes about as long.
const CROWDED_WAIT: Duration = Duration::from_secs(3);

/// What becomes of the version.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Wishes {
    /// Makes it answer new calls.
    #[serde(default)]
    activate: bool,
    /// Of new calls, in percent, 1 to 99; left out: all.
    canary: Option<u8>,
    /// What live calls do; left out: they drain.
    live: Option<LivePolicy>,
    /// After so many seconds a call that is still on an old generation is ended.
    limit_s: Option<u32>,
}

/// A component: at most as many bytes as the host is set to take.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Component(#[allow(dead_code, reason = "describes the body")] Vec<u8>);

#[derive(Serialize, ToSchema)]
pub struct Uploaded {
    version: Version,
    /// As it is now.
    plugin: Plugin,
}

/// A line of an answer that tells how far an upload has come; the last one is a result or a problem.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UploadLine {
    /// `received`, `checked`, `compiled`, `tried`, `stored`, `activated`.
    Stage(Reached),
    Result(Box<Uploaded>),
    Problem(ProblemDetails),
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reached {
    Received,
    Checked,
    Compiled,
    Tried,
    Stored,
    Activated,
}

impl From<Stage> for Reached {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Checked => Reached::Checked,
            Stage::Compiled => Reached::Compiled,
            Stage::Tried => Reached::Tried,
            Stage::Stored => Reached::Stored,
        }
    }
}

/// Uploads a version of a plugin, which is made if need be. With `Accept: application/x-ndjson` each step is told as it is done.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/plugins/{plugin}/versions", tag = "plugins", operation_id = "upload",
    params(Wishes), request_body(content = Component, content_type = "application/wasm"),
    security(("token" = ["deploy"])), responses(
        (status = 201, description = "Stored, and activated if so asked", body = Uploaded),
        (status = 200, description = "A line for each step, the last one a result or a problem", body = UploadLine,
            content_type = "application/x-ndjson")))]
pub async fn upload(
    State(api): State<Api>,
    asked: Asked<Deploy>,
    Queried(wishes): Queried<Wishes>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let bytes_max = api.hosting.component_bytes_max();
    body::expect_type(&headers, "application/wasm")?;
    body::expect_length(&headers, bytes_max)?;
    let tenant: Name = asked.tenant().parse().map_err(|_| no_tenant(&asked.tenant()))?;
    let plugin = asked.name("plugin")?;
    let activation = wishes.check()?;
    expect_welcome(&api, &tenant, &plugin, activation.as_ref()).await?;
    let place = api.uploads.take(tenant.to_string()).ok_or_else(|| {
        let detail = "another upload of this tenant, or as many as the host takes, is under way: try again soon";
        Refusal::new(Kind::Crowded, detail).retry_after(CROWDED_WAIT)
    })?;
    let bytes = body::read(body, bytes_max, api.bounds.pace).await?;
    let order = Order { by: asked.by(), tenant, plugin, bytes, activation };
    let (reached, steps) = mpsc::unbounded_channel();
    // Whoever uploads may go away: what was begun is ended, and keeps its place until then.
    let done = tokio::spawn(async move {
        let _place = place;
        order.carry_out(&api, reached).await
    });
    if wants_lines(&headers) {
        return Ok(([(header::CONTENT_TYPE, NDJSON)], told(steps, done)).into_response());
    }
    let uploaded = done.await.map_err(Refusal::internal)??;
    Ok((StatusCode::CREATED, Json(uploaded)).into_response())
}

fn wants_lines(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_ok_and(|accepted| accepted.contains(NDJSON)))
}

/// Each step as it is done, then how it ended.
fn told(steps: mpsc::UnboundedReceiver<Reached>, done: JoinHandle<Answer<Uploaded>>) -> Body {
    let steps = stream::unfold(steps, async |mut steps| Some((UploadLine::Stage(steps.recv().await?), steps)));
    let last = stream::once(async {
        match done.await {
            Ok(Ok(uploaded)) => UploadLine::Result(Box::new(uploaded)),
            Ok(Err(refusal)) => UploadLine::Problem(refusal.details()),
            Err(error) => UploadLine::Problem(Refusal::internal(error).details()),
        }
    });
    Body::from_stream(steps.chain(last).map(|step| Ok::<_, Infallible>(line(&step))))
}

/// A line of JSON.
pub fn line(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

impl Wishes {
    /// How to activate, if at all. Errors: what could not be activated; better now than after the upload.
    fn check(&self) -> Answer<Option<Activation>> {
        let live = Live { policy: self.live.unwrap_or_default(), limit_s: self.limit_s };
        if !self.activate {
            let is_lone = self.canary.is_some() || self.live.is_some() || self.limit_s.is_some();
            let lone = || Refusal::invalid("activate", "is not asked for, but how to", "add activate=true");
            return if is_lone { Err(lone()) } else { Ok(None) };
        }
        if self.canary.is_some_and(|percent| !CANARY_PERCENT.contains(&percent)) {
            return Err(Refusal::invalid(
                "canary",
                "is not a share of new calls",
                "1 to 99; leave it out for all calls",
            ));
        }
        if self.limit_s.is_some_and(|limit| !LIVE_LIMIT_S.contains(&limit)) {
            return Err(Refusal::invalid("limit_s", "is out of range", "1 to 86400; leave it out for no limit"));
        }
        Ok(Some(Activation { canary_percent: self.canary, live }))
    }
}

struct Activation {
    canary_percent: Option<u8>,
    live: Live,
}

/// Refuses for what is known before the first byte has come.
async fn expect_welcome(api: &Api, tenant: &Name, plugin: &Name, activation: Option<&Activation>) -> Answer<()> {
    let (tenant, plugin) = (tenant.clone(), plugin.clone());
    let is_canary = activation.is_some_and(|activation| activation.canary_percent.is_some());
    api.look(move |store| {
        if let Source::Folder(file) = store.tenant(&tenant)?.source {
            return Err(store::Error::FromFolder { tenant: tenant.to_string(), file });
        }
        let answers = |plugin: Plugin| plugin.current.is_some();
        match store.plugin(&tenant, &plugin).map(answers) {
            Ok(false) | Err(store::Error::NotFound { .. }) if is_canary => {
                Err(store::Error::NothingToShareWith { plugin: plugin.to_string() })
            }
            Ok(_) | Err(store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    })
    .await
}

/// An upload whose bytes are all here.
struct Order {
    by: By,
    tenant: Name,
    plugin: Name,
    bytes: Vec<u8>,
    activation: Option<Activation>,
}

impl Order {
    async fn carry_out(self, api: &Api, reached: mpsc::UnboundedSender<Reached>) -> Answer<Uploaded> {
        let Self { by, tenant, plugin, bytes, activation } = self;
        let tell = |step: Reached| {
            // Nobody listens if the steps were not asked for.
            let _ = reached.send(step);
        };
        tell(Reached::Received);
        let (stages, mut done) = mpsc::unbounded_channel();
        let upload = api.hosting.upload(by.clone(), tenant.clone(), plugin.clone(), bytes, stages);
        let (version, ()) = tokio::join!(upload, async {
            while let Some(stage) = done.recv().await {
                tell(stage.into());
            }
        });
        let version = version?;
        let is_activated = activation.is_some();
        let digest = version.digest;
        let plugin = api.with(move |store| match activation {
            None => store.plugin(&tenant, &plugin),
            Some(Activation { canary_percent, live }) => {
                let request = Activate { digest, canary_percent, live, if_last_generation: None };
                store.activate(&by, &tenant, &plugin, &request)
            }
        });
        let plugin = plugin.await?;
        if is_activated {
            tell(Reached::Activated);
        }
        Ok(Uploaded { version, plugin })
    }
}

impl From<UploadError> for Refusal {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Refused(text) => Refusal::new(Kind::Component, text),
            UploadError::TooLarge { bytes_max } => store::Error::TooLarge { bytes_max: bytes_max as u64 }.into(),
            UploadError::Busy(text) => Refusal::new(Kind::Crowded, text).retry_after(CROWDED_WAIT),
            UploadError::Store(error) => error.into(),
            UploadError::Host(text) => Refusal::internal(text),
        }
    }
}
