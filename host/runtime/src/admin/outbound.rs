//! Calls that a trunk is asked to make: to a customer, who then speaks with a bot of the tenant.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use store::Name;
use utoipa::ToSchema;

use super::Api;
use super::access::{Any, Asked, Deploy, no_tenant};
use super::body::Sent;
use super::refusal::{Answer, Kind, Refusal};
use crate::hosting::Outcome;
use crate::outbound::{DialError, Order, View};

const CONTEXT_MAX: usize = 16;
const CONTEXT_KEY_BYTES_MAX: usize = 64;
const CONTEXT_VALUE_BYTES_MAX: usize = 1024;

/// A call that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallBody {
    /// Whose bot speaks; left out: the token's own tenant.
    #[serde(default)]
    tenant: Option<Name>,
    /// Which trunk makes the call.
    trunk: Name,
    /// The customer's number.
    to: String,
    /// Our number: the one that the trunk's flow dials, and that a route of the tenant takes.
    from: String,
    /// What the bot is told: its attributes `context.KEY`. At most 16, keys of 64 letters, digits, `_`, `-` and `.`, values of 1024 bytes.
    #[serde(default)]
    context: BTreeMap<String, String>,
}

/// Asks a trunk to call a customer and to connect that call with a bot. It answers once the trunk has.
#[utoipa::path(post, path = "/v1/calls", tag = "calls", operation_id = "dial", request_body = CallBody,
    security(("token" = ["deploy"])), responses((status = 201, description = "The trunk makes the call", body = View)))]
pub async fn dial(
    State(api): State<Api>,
    asked: Asked<Deploy>,
    Sent(body): Sent<CallBody>,
) -> Answer<(StatusCode, Json<View>)> {
    let tenant = match (asked.own_tenant(), &body.tenant) {
        (Some(own), Some(other)) if own != other => return Err(no_tenant(other)),
        (Some(own), _) | (None, Some(own)) => own.to_string(),
        (None, None) => return Err(Refusal::invalid("tenant", "is missing", "an operator's token names one")),
    };
    let [to, from] = [("to", &body.to), ("from", &body.from)].map(|(place, number)| number_of(place, number));
    let (to, from) = (to?, from?);
    check_context(&body.context)?;
    let Some(desk) = api.hosting.outbound() else {
        return Err(Refusal::new(Kind::NotFound, "this host makes no calls: its operator sets [trunks.outbound]"));
    };
    // A call that reached somebody else's bot would tell that bot of this tenant's customer.
    let route = api.hosting.route_test(body.trunk.to_string(), from.clone()).await;
    if route.outcome == Outcome::NoRoute || route.tenant.as_deref() != Some(&*tenant) {
        let text = format!("no route of tenant `{tenant}` takes {from} on trunk `{}`", body.trunk);
        return Err(Refusal::invalid("from", text, "put a route for it: the trunk's flow dials this number"));
    }
    let context = body.context.into_iter().collect::<Vec<_>>().into();
    let order = Order { tenant, trunk: body.trunk.to_string(), to, from, context };
    let (hosting, by) = (api.hosting.clone(), asked.by());
    let written = move |view: View| async move {
        let verb = move |store: &dyn store::Store| {
            store.note_dial(&by, &view.tenant, &view.trunk, &view.id, &redacted(&view.to))
        };
        hosting.look(verb).await.map_err(|error| error.to_string())
    };
    let view = desk.dial(order, written).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Enough to tell two calls of one tenant apart, and nobody's number.
fn redacted(number: &str) -> String {
    format!("\u{2026}{}", &number[number.len().saturating_sub(2)..])
}

/// What became of a call that was asked for. Kept for ten minutes after its end.
#[utoipa::path(get, path = "/v1/calls/outbound/{id}", tag = "calls", operation_id = "show_outbound",
    security(("token" = ["any"])), responses((status = 200, description = "It", body = View)))]
pub async fn show(State(api): State<Api>, asked: Asked<Any>) -> Answer<Json<View>> {
    let id = asked.path("id");
    let view = api.hosting.outbound().and_then(|desk| desk.view(&id));
    let is_own = |view: &View| asked.own_tenant().is_none_or(|own| **own == *view.tenant);
    let found = view.filter(is_own).ok_or_else(|| store::Error::not_found("outbound call", &id))?;
    Ok(Json(found))
}

/// As routes and INVITEs have it: `+` and digits, without what people put between them.
fn number_of(place: &str, text: &str) -> Answer<String> {
    let number = call::called_number(text.trim());
    let digits = number.strip_prefix('+').unwrap_or(&number);
    if (3..=20).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit()) {
        return Ok(number);
    }
    Err(Refusal::invalid(place, "is not a telephone number", "write +919999999999"))
}

fn check_context(context: &BTreeMap<String, String>) -> Answer<()> {
    if context.len() > CONTEXT_MAX {
        return Err(Refusal::invalid("context", format!("has more than {CONTEXT_MAX} keys"), "send fewer"));
    }
    for (key, value) in context {
        let is_name = !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-.".contains(&c));
        if !is_name || key.len() > CONTEXT_KEY_BYTES_MAX {
            let hint = format!("a key has 1 to {CONTEXT_KEY_BYTES_MAX} letters, digits, `_`, `-` and `.`");
            return Err(Refusal::invalid("context", "a key that cannot be", hint));
        }
        if value.len() > CONTEXT_VALUE_BYTES_MAX {
            let text = format!("is longer than {CONTEXT_VALUE_BYTES_MAX} bytes");
            return Err(Refusal::invalid(format!("context.{key}"), text, "send less"));
        }
    }
    Ok(())
}

impl From<DialError> for Refusal {
    fn from(error: DialError) -> Self {
        match error {
            DialError::NoTrunk(why) => Refusal::new(Kind::NotFound, why),
            DialError::Crowded => Refusal::new(
                Kind::Crowded,
                "as many calls are under way as may be: wait until some are connected or over",
            ),
            DialError::OverRate { why, wait } => {
                let detail = format!("{why}: nobody is called, wait as long as Retry-After says");
                Refusal::new(Kind::Rate, detail).retry_after(wait)
            }
            DialError::Throttled(wait) => {
                let detail = "the trunk takes no more calls for the moment: wait as long as Retry-After says";
                Refusal::new(Kind::Rate, detail).retry_after(wait)
            }
            DialError::Refused(why) => Refusal::new(Kind::Trunk, format!("{why}: nobody is called")),
            DialError::Unreached(why) => {
                Refusal::new(Kind::Trunk, format!("the trunk's API was not reached: {why}: nobody is called"))
            }
            DialError::Unclear { id, why } => {
                let detail = format!("{why}: it may be made all the same, see GET /v1/calls/outbound/{id}");
                Refusal::new(Kind::TrunkUnclear, detail)
            }
            DialError::Host(why) => Refusal::internal(why),
        }
    }
}
