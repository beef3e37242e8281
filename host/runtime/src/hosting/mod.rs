//! Tenants at run time: what the store says becomes builds, routes and quotas of the running host.
//!
//!     admin API ----verbs----> store --changes--> follow --> Registry (builds), Routing, quotas --> core
//!     tenant_folders --verbs----^
//!
//! | file | what |
//! |---|---|
//! | builds | bytes -> a plugin that was compiled in a confined child, cached and tried |
//! | picture | who may be called and how, as a value |
//! | shared | what all of the below change: picture, registry, and the way to the core |
//! | follow | the store's changes, taken up one after the other |
//! | tenant_folders, bot_names | tenants and bots kept in files |
//! | log_tail | what bots say, for whoever listens |
//!
//! Nothing here is on a call's way: a call meets the registry and the routes that were put there before.

mod bot_names;
mod builds;
mod follow;
mod log_tail;
mod picture;
mod shared;
mod tenant_folders;

use std::sync::Arc;
use std::time::Duration;

use plugin::{CanaryCounts, CompileError, LoadError};
use serde::Serialize;
use store::{By, Name, Source, Store, Version};
use tokio::sync::{mpsc, oneshot, watch};
use utoipa::ToSchema;

pub use bot_names::BotNames;
pub use builds::{BuildError, Builds, Stage};
pub use follow::{Follower, roll_back_canaries};
pub use log_tail::{LogLine, LogTails, Tail, Tap};
pub use picture::{Picture, TenantPicture, key};
pub use shared::Shared;
pub use tenant_folders::{TenantFolders, check_reach};

use crate::core::{LiveCall, Request};
use crate::outbound::Desk;
pub use crate::services::{Reach, check_hosts};

/// What a change waits for the running host at most. It is made all the same.
const TAKE_UP_TIME_MAX: Duration = Duration::from_secs(10);
/// What the core may take to answer.
const CORE_TIME_MAX: Duration = Duration::from_secs(5);

/// The admin API's way to tenants and calls. A clone is the same.
#[derive(Clone)]
pub struct Hosting {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    /// The number of the last change that the running host has taken up.
    taken_up: watch::Receiver<u64>,
    outbound: Option<Arc<Desk>>,
}

/// Why an upload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The component is at fault: one line that names the import, the export or what it did.
    #[error("{0}")]
    Refused(String),
    #[error("longer than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    /// The host has no time for it now.
    #[error("{0}")]
    Busy(String),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("{0}")]
    Host(String),
}

/// Who would answer a call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RouteTest {
    pub trunk: String,
    pub called: String,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// What new calls get but for a canary's share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// For people.
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Answered,
    /// 404.
    NoRoute,
    /// 480.
    NotLoadable,
}

impl Hosting {
    pub fn new(store: Arc<dyn Store>, shared: Arc<Shared>, taken_up: watch::Receiver<u64>) -> Self {
        Self { store, shared, taken_up, outbound: None }
    }

    /// Tenants may ask for calls.
    pub fn with_outbound(self, desk: Arc<Desk>) -> Self {
        Self { outbound: Some(desk), ..self }
    }

    /// None: this host makes no calls.
    pub fn outbound(&self) -> Option<&Arc<Desk>> {
        self.outbound.as_ref()
    }

    /// Runs store verbs off the async threads, then waits until the running host has taken up what they changed.
    pub async fn with<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&dyn Store) -> store::Result<T> + Send + 'static,
    ) -> store::Result<T> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || {
            let before = store.sequence();
            let made = verb(&*store);
            (made, Some(store.sequence()).filter(|after| *after != before))
        });
        let (made, changed) = done.await.map_err(broke_off)?;
        if let Some(sequence) = changed {
            let mut taken_up = self.taken_up.clone();
            // Not taken up in time is made all the same: the host is busy compiling, most likely.
            let _ = tokio::time::timeout(TAKE_UP_TIME_MAX, taken_up.wait_for(|known| *known >= sequence)).await;
        }
        made
    }

    /// Runs store verbs that change nothing: whatever others change meanwhile is not waited for.
    pub async fn look<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&dyn Store) -> store::Result<T> + Send + 'static,
    ) -> store::Result<T> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || verb(&*store)).await.map_err(broke_off)?
    }

    pub fn component_bytes_max(&self) -> usize {
        self.shared.component_bytes_max
    }

    /// Names of the sounds that a route may name as its fall-back.
    pub fn prompts(&self) -> &[String] {
        &self.shared.prompts
    }

    /// Compiles, tries and stores a component; activates nothing. On any error nothing has changed.
    /// Cost: a second or two of one low-priority thread.
    pub async fn upload(
        &self,
        by: By,
        tenant: Name,
        plugin: Name,
        bytes: Vec<u8>,
        stages: mpsc::UnboundedSender<Stage>,
    ) -> Result<Version, UploadError> {
        let hosting = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Whoever asked may have gone: the upload goes on.
            let mut reached = |stage| {
                let _ = stages.send(stage);
            };
            let made = hosting.take_in(&by, &tenant, &plugin, &bytes, &mut reached);
            made.inspect(|_| reached(Stage::Stored))
        });
        done.await.map_err(|error| UploadError::Host(format!("the upload broke off: {error}")))?
    }

    fn take_in(
        &self,
        by: &By,
        tenant: &Name,
        plugin: &Name,
        bytes: &[u8],
        reached: &mut dyn FnMut(Stage),
    ) -> Result<Version, UploadError> {
        // The cheap refusals before the costly work.
        if let Source::Folder(file) = self.store.tenant(tenant)?.source {
            return Err(store::Error::FromFolder { tenant: tenant.to_string(), file }.into());
        }
        let key = key(tenant, plugin);
        let made = self.shared.builds.try_new(&key, bytes, reached)?;
        let version = self.store.upload(by, tenant, plugin, bytes, made.wit())?;
        self.shared.builds.remember(&key, version.digest, made);
        Ok(version)
    }

    /// The live calls, of one tenant or of all.
    pub async fn calls(&self, tenant: Option<Name>) -> Vec<LiveCall> {
        let mut calls = self.ask(|reply| Request::Calls { reply }).await.unwrap_or_default();
        calls.retain(|call| tenant.as_deref().is_none_or(|tenant| call.call.tenant == tenant));
        calls
    }

    pub async fn call(&self, id: String) -> Option<LiveCall> {
        self.calls(None).await.into_iter().find(|call| call.call.id == id)
    }

    /// False: there is no such call.
    pub async fn hang_up(&self, id: String) -> bool {
        self.ask(|reply| Request::HangUp { id, reply }).await.unwrap_or(false)
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.shared.requests()?.send(request(reply)).await.ok()?;
            answer.await.ok()
        };
        tokio::time::timeout(CORE_TIME_MAX, asked).await.ok().flatten()
    }

    /// What the bots of a plugin say from now on.
    pub fn tail(&self, tenant: &str, plugin: &str) -> Tail {
        self.shared.tails.tail(&key(tenant, plugin))
    }

    /// How the canary of a plugin has done so far; None: there is none.
    pub fn canary(&self, tenant: &str, plugin: &str) -> Option<CanaryCounts> {
        self.shared.registry.canary(&key(tenant, plugin))
    }

    /// Which tenant and plugin would answer. `called`: a number, a user part or a whole URI.
    pub async fn route_test(&self, trunk: String, called: String) -> RouteTest {
        self.shared.route_test(trunk, called)
    }
}

fn broke_off(error: tokio::task::JoinError) -> store::Error {
    store::Error::Damaged { place: "the host".into(), text: format!("a verb of the store broke off: {error}") }
}

impl From<BuildError> for UploadError {
    fn from(error: BuildError) -> Self {
        let text = error.to_string();
        match error {
            BuildError::Load(LoadError::TooBig { limit, .. })
            | BuildError::Compile(CompileError::Load(LoadError::TooBig { limit, .. })) => {
                Self::TooLarge { bytes_max: limit }
            }
            BuildError::Load(_) => Self::Refused(text),
            BuildError::Compile(error) if error.is_refusal() => Self::Refused(text),
            BuildError::Compile(CompileError::Starved { .. } | CompileError::Busy { .. }) => Self::Busy(text),
            BuildError::Compile(_) | BuildError::Thread(_) => Self::Host(text),
        }
    }
}
