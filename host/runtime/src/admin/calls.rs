//! Live calls, and which tenant and plugin would answer one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use store::Name;
use utoipa::IntoParams;

use super::Api;
use super::access::{Any, Asked, Deploy, no_tenant};
use super::body::Queried;
use super::refusal::{Answer, Refusal};
use crate::core::LiveCall;
use crate::hosting::{Outcome, RouteTest};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Whose {
    /// Only calls of this tenant.
    tenant: Option<Name>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TestCall {
    /// A number, the user part of a URI, or a whole one.
    called: String,
    /// Where it comes from; left out: a trunk without routes of its own.
    #[serde(default)]
    trunk: String,
}

/// The live calls: of all tenants, or of the token's own.
#[utoipa::path(get, path = "/v1/calls", tag = "calls", operation_id = "list_calls", params(Whose),
    security(("token" = ["any"])), responses((status = 200, description = "In the order in which they came", body = Vec<LiveCall>)))]
pub async fn list(
    State(api): State<Api>,
    asked: Asked<Any>,
    Queried(whose): Queried<Whose>,
) -> Answer<Json<Vec<LiveCall>>> {
    let tenant = match (asked.own_tenant(), whose.tenant) {
        (Some(own), Some(other)) if *own != other => return Err(no_tenant(&other)),
        (Some(own), _) => Some(own.clone()),
        (None, tenant) => tenant,
    };
    Ok(Json(api.hosting.calls(tenant).await))
}

/// One live call.
#[utoipa::path(get, path = "/v1/calls/{id}", tag = "calls", operation_id = "show_call",
    security(("token" = ["any"])), responses((status = 200, description = "It", body = LiveCall)))]
pub async fn show(State(api): State<Api>, asked: Asked<Any>) -> Answer<Json<LiveCall>> {
    Ok(Json(find(&api, &asked).await?))
}

/// Hangs up: the caller gets a BYE, or a refusal if the call was not answered yet.
#[utoipa::path(delete, path = "/v1/calls/{id}", tag = "calls", operation_id = "hang_up",
    security(("token" = ["deploy"])), responses((status = 204, description = "It ends")))]
pub async fn hang_up(State(api): State<Api>, asked: Asked<Deploy>) -> Answer<StatusCode> {
    let call = find(&api, &asked).await?;
    match api.hosting.hang_up(call.call.id.clone()).await {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_call(&call.call.id)),
    }
}

/// Errors: there is none, or it is another tenant's.
async fn find<N>(api: &Api, asked: &Asked<N>) -> Answer<LiveCall> {
    let id = asked.path("id");
    let call = api.hosting.call(id.clone()).await;
    let is_own = |call: &LiveCall| asked.own_tenant().is_none_or(|own| **own == *call.call.tenant);
    call.filter(is_own).ok_or_else(|| no_call(&id))
}

fn no_call(id: &str) -> Refusal {
    store::Error::not_found("live call", id).into()
}

/// Which tenant and plugin would answer, or why none. A tenant's token sees its own routes alone.
#[utoipa::path(get, path = "/v1/route-test", tag = "calls", operation_id = "route_test", params(TestCall),
    security(("token" = ["any"])), responses((status = 200, description = "Who would answer", body = RouteTest)))]
pub async fn route_test(
    State(api): State<Api>,
    asked: Asked<Any>,
    Queried(test): Queried<TestCall>,
) -> Answer<Json<RouteTest>> {
    // A `+` that was not escaped came as a blank, which no number holds.
    let answer = api.hosting.route_test(test.trunk, test.called.replace(' ', "+")).await;
    let Some(own) = asked.own_tenant().filter(|own| answer.tenant.as_deref() != Some(&***own)) else {
        return Ok(Json(answer));
    };
    Ok(Json(RouteTest {
        outcome: Outcome::NoRoute,
        tenant: None,
        route: None,
        plugin: None,
        generation: None,
        why: format!("no route of tenant `{own}` takes this number on this trunk"),
        ..answer
    }))
}
