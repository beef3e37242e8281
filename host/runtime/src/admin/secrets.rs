//! Secrets: they go in, and no operation gives them out.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use store::{Problems, Secret, SecretChange, SecretScope, SecretValue};
use utoipa::ToSchema;

use super::Api;
use super::access::{Asked, Deploy, Read};
use super::body::Sent;
use super::refusal::{Answer, Refusal};
use crate::services::check_hosts;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretBody {
    /// 1 to 8192 bytes. Left out: the value of the one that is there stays.
    #[serde(default)]
    value: Option<SecretValue>,
    /// `api.example.com:443`: the only hosts that it is ever sent to, over TLS. Left out, with `header`: as they are, of a new one
    /// nowhere. Only an operator changes those of a secret that is there.
    #[serde(default)]
    hosts: Option<Vec<String>>,
    /// The only header that it is ever sent in.
    #[serde(default)]
    header: Option<String>,
}

impl SecretBody {
    /// Errors: half a scope, or one that names no hosts.
    fn change(self, may_rescope: bool) -> Answer<SecretChange> {
        let value = self.value.map(|value| SecretValue::new(value.reveal())).transpose()?;
        let scope = match (self.hosts, self.header) {
            (None, None) => None,
            (Some(hosts), Some(header)) => Some(SecretScope { hosts, header }),
            (hosts, _) => {
                let (missing, there) = if hosts.is_none() { ("hosts", "header") } else { ("header", "hosts") };
                return Err(Refusal::invalid(missing, format!("is missing beside {there}"), "name both, or neither"));
            }
        };
        let mut problems = Problems::default();
        scope.iter().for_each(|scope| check_hosts("hosts", &scope.hosts, &mut problems));
        problems.none().map_err(store::Error::from)?;
        Ok(SecretChange { value, scope, may_rescope })
    }
}

/// The secrets of a tenant, without their values.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/secrets", tag = "secrets", operation_id = "list_secrets",
    security(("token" = ["read"])), responses((status = 200, description = "In order of name", body = Vec<Secret>)))]
pub async fn list(State(api): State<Api>, asked: Asked<Read>) -> Answer<Json<Vec<Secret>>> {
    let tenant = asked.tenant();
    Ok(Json(api.look(move |store| store.secrets(&tenant)).await?))
}

/// A secret, new or in the place of the one of that name. A token of scope deploy leaves where it may go as it is.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/secrets/{name}", tag = "secrets", operation_id = "put_secret",
    request_body = SecretBody,
    security(("token" = ["deploy"])), responses((status = 204, description = "Kept")))]
pub async fn put(State(api): State<Api>, asked: Asked<Deploy>, Sent(body): Sent<SecretBody>) -> Answer<StatusCode> {
    let (by, tenant, name) = (asked.by(), asked.tenant(), asked.name("name")?);
    let change = body.change(asked.own_tenant().is_none())?;
    api.with(move |store| store.put_secret(&by, &tenant, &name, &change)).await?;
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
