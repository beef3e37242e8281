//! A live call, as its operator and its tenant are shown it.

use std::time::Instant;

use serde::Serialize;

use crate::call::{Call, Stage};
use crate::control::Calls;
use crate::door::CallId;
use crate::record::{call_name, codec_name};

/// One call that has not ended. Caller and called are personal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CallView {
    /// As in the log, and as [`Calls::named`] takes it.
    pub id: String,
    pub tenant: String,
    pub route: String,
    pub plugin: String,
    pub trunk: String,
    /// Empty if withheld.
    pub caller: String,
    pub called: String,
    /// `setting-up`, `starting`, `ringing`, `answered`, `talking` or `fallback`.
    pub stage: &'static str,
    pub started_unix_ms: u64,
    pub answered: bool,
    /// Since the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    pub held: bool,
    /// The route's fall-back took the bot's place.
    pub fallback: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<&'static str>,
    pub srtp: bool,
}

impl Calls {
    /// Every live call, in the order in which they came. Cost: a copy of a few words each.
    pub fn views(&self, now: Instant) -> Vec<CallView> {
        let mut live: Vec<&Call> = self.calls.values().filter(|call| !call.is_over()).collect();
        live.sort_unstable_by_key(|call| call.id);
        live.into_iter().map(|call| view(call, now)).collect()
    }

    /// The live call of that name.
    pub fn named(&self, id: &str) -> Option<CallId> {
        let number = id.strip_prefix('c')?.parse().ok()?;
        let call = self.calls.get(&sip::DialogId(number)).filter(|call| !call.is_over())?;
        // `c+1` and `c01` are no names.
        (call_name(call.id) == id).then_some(call.id)
    }
}

fn view(call: &Call, now: Instant) -> CallView {
    let facts = &call.facts;
    CallView {
        id: call_name(call.id),
        tenant: call.route.tenant.clone(),
        route: call.route.name.clone(),
        plugin: call.route.plugin.clone(),
        trunk: facts.trunk.clone(),
        caller: facts.identity.caller.clone(),
        called: facts.called.clone(),
        stage: match call.stage {
            Stage::OpeningPorts { .. } | Stage::Matching { .. } => "setting-up",
            Stage::StartingBot { .. } => "starting",
            Stage::Ringing { .. } => "ringing",
            Stage::Answered { .. } => "answered",
            Stage::Talking { .. } => "talking",
            Stage::Fallback { .. } => "fallback",
            Stage::Over => "over",
        },
        started_unix_ms: facts.started_unix_ms,
        answered: call.is_answered(),
        seconds: facts.answered.map(|at| now.saturating_duration_since(at).as_secs()),
        held: call.session.negotiated().is_some_and(|negotiated| negotiated.held),
        fallback: facts.fallback,
        codec: facts.codec.map(codec_name),
        srtp: facts.srtp,
    }
}
