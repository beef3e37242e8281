//! Routes: which calls a tenant's bots answer.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use store::{Called, Fallback, Name, Overlap, Route};
use utoipa::ToSchema;

use super::Api;
use super::access::{Asked, Deploy, Read};
use super::body::Sent;
use super::refusal::Answer;

/// A route but for its name, which is in the path.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteBody {
    /// None: calls of every trunk.
    #[serde(default)]
    trunk: Option<Name>,
    called: Called,
    plugin: Name,
    #[serde(default)]
    fallback: Option<Fallback>,
    /// Reaches the bot as JSON.
    #[serde(default)]
    #[schema(value_type = Object)]
    config: Map<String, Value>,
    /// 180 while the bot's `start` runs.
    #[serde(default)]
    ring: bool,
}

/// The routes of a tenant.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/routes", tag = "routes", operation_id = "list_routes",
    security(("token" = ["read"])), responses((status = 200, description = "In order of name", body = Vec<Route>)))]
pub async fn list(State(api): State<Api>, asked: Asked<Read>) -> Answer<Json<Vec<Route>>> {
    let tenant = asked.tenant();
    Ok(Json(api.look(move |store| store.routes(&tenant)).await?))
}

/// A route, new or in the place of the one of that name. A tenant binds what overlaps no other tenant's route; an operator whatever
/// is not literally bound.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/routes/{name}", tag = "routes", operation_id = "put_route", request_body = RouteBody,
    security(("token" = ["deploy"])), responses((status = 200, description = "As it is now", body = Route)))]
pub async fn put(State(api): State<Api>, asked: Asked<Deploy>, Sent(body): Sent<RouteBody>) -> Answer<Json<Route>> {
    let RouteBody { trunk, called, plugin, fallback, config, ring } = body;
    let route = Route { name: asked.name("name")?, trunk, called, plugin, fallback, config, ring };
    let (by, tenant) = (asked.by(), asked.tenant());
    let overlap = if asked.own_tenant().is_some() { Overlap::Refused } else { Overlap::Allowed };
    let route = api.with(move |store| store.put_route(&by, &tenant, &route, overlap).map(|()| route)).await?;
    Ok(Json(route))
}

/// Deletes a route: new calls to it are answered 404.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/routes/{name}", tag = "routes", operation_id = "delete_route",
    security(("token" = ["deploy"])), responses((status = 204, description = "Gone")))]
pub async fn delete(State(api): State<Api>, asked: Asked<Deploy>) -> Answer<StatusCode> {
    let (by, tenant, name) = (asked.by(), asked.tenant(), asked.path("name"));
    api.with(move |store| store.delete_route(&by, &tenant, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
