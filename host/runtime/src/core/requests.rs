//! What others ask of the running host.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use call::{CallView, Input};
use plugin::Generation;
use serde::Serialize;
use tokio::sync::oneshot;

use super::Core;
use crate::bots::Allowance;

#[derive(Debug)]
pub enum Request {
    Drain {
        limit: Duration,
    },
    ToggleSipTrace,
    TogglePcap,
    /// New calls go by these routes.
    Routing(Arc<call::Routing>),
    /// What tenants and their bots may use.
    Quotas(NewQuotas),
    /// Of a call that a trunk is asked for.
    Outbound(call::OutboundInput),
    /// Another generation of a plugin is current.
    Replaced(Replaced),
    Calls {
        reply: oneshot::Sender<Vec<LiveCall>>,
    },
    /// Answered by whether there was such a call.
    HangUp {
        id: String,
        reply: oneshot::Sender<bool>,
    },
}

#[derive(Debug)]
pub struct NewQuotas {
    pub tenants: Vec<call::Tenant>,
    /// By tenant; one that is not named has the default.
    pub allowances: HashMap<String, Allowance>,
}

/// New calls get the new generation already; the live ones do as `live` says.
pub struct Replaced {
    pub key: String,
    pub generation: Generation,
    pub live: store::Live,
}

impl std::fmt::Debug for Replaced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replaced({} by generation {}, {:?})", self.key, self.generation.number, self.live)
    }
}

/// A canary that has failed too often.
#[derive(Debug)]
pub struct CanaryFailed {
    pub key: String,
    pub generation: u64,
    pub why: String,
}

/// A call that has not ended, and the build that its bot runs.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LiveCall {
    #[serde(flatten)]
    pub call: CallView,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

impl Core {
    pub(super) fn take_request(&mut self, request: Request) {
        let now = Instant::now();
        match request {
            Request::Drain { limit } => {
                tracing::info!(limit_s = limit.as_secs(), calls = self.seats.len(), "draining: no new calls");
                self.record.draining.set(1);
                self.calls.handle(Input::Drain { limit }, now);
            }
            Request::ToggleSipTrace => tracing::info!(on = self.trace.toggle(), "SIP trace"),
            Request::TogglePcap => tracing::info!(on = self.witness.captures.toggle(), "captures of new calls"),
            Request::Routing(routing) => self.calls.handle(Input::Routing(routing), now),
            Request::Quotas(NewQuotas { tenants, allowances }) => {
                self.allowances = allowances;
                self.calls.handle(Input::Tenants(tenants), now);
            }
            Request::Replaced(Replaced { key, generation, live }) => {
                let limit = live.limit_s.map(|seconds| Duration::from_secs(seconds.into()));
                self.bots.replace(&key, &generation, live.policy, limit, now);
            }
            Request::Outbound(input) => self.calls.handle(Input::Outbound(input), now),
            // Whoever asked may have gone.
            Request::Calls { reply } => drop(reply.send(self.live_calls(now))),
            Request::HangUp { id, reply } => {
                let named = self.calls.named(&id);
                if let Some(call) = named {
                    self.calls.handle(Input::Hangup { call }, now);
                }
                let _ = reply.send(named.is_some());
            }
        }
    }

    fn live_calls(&self, now: Instant) -> Vec<LiveCall> {
        let generation = |call: &CallView| self.seats.get(&self.calls.named(&call.id)?)?.build.as_ref()?.generation;
        self.calls.views(now).into_iter().map(|call| LiveCall { generation: generation(&call), call }).collect()
    }
}
