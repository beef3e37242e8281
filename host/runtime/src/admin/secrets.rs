//! Secrets: they go in, and no operation gives them out.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use store::{Secret, SecretValue};
use utoipa::ToSchema;

use super::Api;
use super::access::{Asked, Deploy, Read};
use super::body::Sent;
use super::refusal::Answer;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretBody {
    /// 1 to 8192 bytes.
    value: SecretValue,
}

/// The secrets of a tenant, without their values.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/secrets", tag = "secrets", operation_id = "list_secrets",
    security(("token" = ["read"])), responses((status = 200, description = "In order of name", body = Vec<Secret>)))]
pub async fn list(State(api): State<Api>, asked: Asked<Read>) -> Answer<Json<Vec<Secret>>> {
    let tenant = asked.tenant();
    Ok(Json(api.look(move |store| store.secrets(&tenant)).await?))
}

/// A secret, new or in the place of the one of that name.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/secrets/{name}", tag = "secrets", operation_id = "put_secret",
    request_body = SecretBody,
    security(("token" = ["deploy"])), responses((status = 204, description = "Kept")))]
pub async fn put(State(api): State<Api>, asked: Asked<Deploy>, Sent(body): Sent<SecretBody>) -> Answer<StatusCode> {
    let (by, tenant, name) = (asked.by(), asked.tenant(), asked.name("name")?);
    api.with(move |store| {
        let value = SecretValue::new(body.value.reveal())?;
        store.put_secret(&by, &tenant, &name, &value)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a secret.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/secrets/{name}", tag = "secrets", operation_id = "delete_secret",
    security(("token" = ["deploy"])), responses((status = 204, description = "Gone")))]
pub async fn delete(State(api): State<Api>, asked: Asked<Deploy>) -> Answer<StatusCode> {
    let (by, tenant, name) = (asked.by(), asked.tenant(), asked.path("name"));
    api.with(move |store| store.delete_secret(&by, &tenant, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
