//! Who changed what.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use store::AuditEntry;
use utoipa::IntoParams;

use super::Api;
use super::access::{Asked, Operator, Read};
use super::body::Queried;
use super::refusal::Answer;

/// A page of the log.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Only entries before this sequence number.
    before: Option<u64>,
    /// 100 unless told; 1000 at most.
    limit: Option<usize>,
}

/// All changes, newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", operation_id = "audit", params(Page),
    security(("token" = ["operator"])), responses((status = 200, description = "Newest first", body = Vec<AuditEntry>)))]
pub async fn of_host(
    State(api): State<Api>,
    _: Asked<Operator>,
    Queried(page): Queried<Page>,
) -> Answer<Json<Vec<AuditEntry>>> {
    read(&api, None, page).await
}

/// The changes of a tenant, newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/audit", tag = "audit", operation_id = "audit_tenant", params(Page),
    security(("token" = ["read"])), responses((status = 200, description = "Newest first", body = Vec<AuditEntry>)))]
pub async fn of_tenant(
    State(api): State<Api>,
    asked: Asked<Read>,
    Queried(page): Queried<Page>,
) -> Answer<Json<Vec<AuditEntry>>> {
    read(&api, Some(asked.tenant()), page).await
}

async fn read(api: &Api, tenant: Option<String>, page: Page) -> Answer<Json<Vec<AuditEntry>>> {
    const LIMIT: usize = 100;
    let entries = api.look(move |store| {
        if let Some(tenant) = &tenant {
            store.tenant(tenant)?;
        }
        store.audit(tenant.as_deref(), page.before, page.limit.unwrap_or(LIMIT))
    });
    Ok(Json(entries.await?))
}
