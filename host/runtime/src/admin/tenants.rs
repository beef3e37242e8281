//! Tenants and their quotas.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Name, Problems, Quotas, Store, Tenant, Usage};
use utoipa::ToSchema;

use super::Api;
use super::access::{Asked, Deploy, Operator, Read};
use super::body::Sent;
use super::refusal::Answer;
use crate::config::{Engines, Scope};
use crate::services::check_hosts;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    name: Name,
    #[serde(default)]
    quotas: Quotas,
}

/// A tenant, and how much it stores.
#[derive(Serialize, ToSchema)]
pub struct TenantWithUsage {
    #[serde(flatten)]
    tenant: Tenant,
    usage: Usage,
}

/// All tenants.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", operation_id = "list_tenants",
    security(("token" = ["operator"])), responses((status = 200, description = "In order of name", body = Vec<Tenant>)))]
pub async fn list(State(api): State<Api>, _: Asked<Operator>) -> Answer<Json<Vec<Tenant>>> {
    Ok(Json(api.look(|store| store.tenants()).await?))
}

/// A new tenant. Quotas that are left out have their defaults.
#[utoipa::path(post, path = "/v1/tenants", tag = "tenants", operation_id = "create_tenant", request_body = NewTenant,
    security(("token" = ["operator"])), responses((status = 201, description = "Made", body = Tenant)))]
pub async fn create(
    State(api): State<Api>,
    asked: Asked<Operator>,
    Sent(new): Sent<NewTenant>,
) -> Answer<(StatusCode, Json<Tenant>)> {
    let by = asked.by();
    let tenant = api.with(move |store| store.create_tenant(&by, &new.name, new.quotas)).await?;
    Ok((StatusCode::CREATED, Json(tenant)))
}

/// One tenant, with what it stores.
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "tenants", operation_id = "show_tenant",
    security(("token" = ["read"])), responses((status = 200, description = "It", body = TenantWithUsage)))]
pub async fn show(State(api): State<Api>, asked: Asked<Read>) -> Answer<Json<TenantWithUsage>> {
    let name = asked.tenant();
    let (tenant, usage) = api.look(move |store| Ok((store.tenant(&name)?, store.usage(&name)?))).await?;
    Ok(Json(TenantWithUsage { tenant, usage }))
}

/// Deletes a tenant with all that it owns, its tokens too. Live calls of its bots go on until they end.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", tag = "tenants", operation_id = "delete_tenant",
    security(("token" = ["operator"])), responses((status = 204, description = "Gone")))]
pub async fn delete(State(api): State<Api>, asked: Asked<Operator>) -> Answer<StatusCode> {
    let (by, name) = (asked.by(), asked.tenant());
    api.with(move |store| store.delete_tenant(&by, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets all quotas of a tenant. What is left out has its default.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/quotas", tag = "tenants", operation_id = "set_quotas", request_body = Quotas,
    security(("token" = ["operator"])), responses((status = 200, description = "As it is now", body = Tenant)))]
pub async fn set_quotas(
    State(api): State<Api>,
    asked: Asked<Operator>,
    Sent(quotas): Sent<Quotas>,
) -> Answer<Json<Tenant>> {
    let (by, name) = (asked.by(), asked.tenant());
    Ok(Json(api.with(move |store| store.set_quotas(&by, &name, quotas)).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EgressBody {
    /// `api.example.com:443`, `*.example.com:443`.
    egress: Vec<String>,
}

/// Sets where a tenant's bots want to connect to, all of it. The operator's own list has to allow it too.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/egress", tag = "tenants", operation_id = "set_egress", request_body = EgressBody,
    security(("token" = ["deploy"])), responses((status = 200, description = "As it is now", body = Tenant)))]
pub async fn set_egress(
    State(api): State<Api>,
    asked: Asked<Deploy>,
    Sent(body): Sent<EgressBody>,
) -> Answer<Json<Tenant>> {
    let (by, name) = (asked.by(), asked.tenant());
    let mut problems = Problems::default();
    check_hosts("egress", &body.egress, &mut problems);
    problems.none().map_err(store::Error::from)?;
    Ok(Json(api.with(move |store| store.set_egress(&by, &name, &body.egress)).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnginesBody {
    /// `speech` with `stt` and `tts`, and `chat`, with the keys that they have in tenant.toml.
    #[schema(value_type = Object)]
    engines: Map<String, Value>,
}

/// Sets the engines by which a tenant's bots hear, speak and converse, all of them. What is left out is the host's.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/engines", tag = "tenants", operation_id = "set_engines", request_body = EnginesBody,
    security(("token" = ["deploy"])), responses((status = 200, description = "As it is now", body = Tenant)))]
pub async fn set_engines(
    State(api): State<Api>,
    asked: Asked<Deploy>,
    Sent(body): Sent<EnginesBody>,
) -> Answer<Json<Tenant>> {
    let (by, name) = (asked.by(), asked.tenant());
    let set = move |store: &dyn Store| {
        let secrets = store.secrets(&name)?;
        let scopes: Vec<Scope> = secrets.iter().map(|secret| Scope::of_tenant(&secret.name, &secret.scope)).collect();
        Engines::of_tenant(&body.engines, &scopes)?;
        store.set_engines(&by, &name, &body.engines)
    };
    Ok(Json(api.with(set).await?))
}
