//! Tokens. The text of one is in the answer that made it, and nowhere else.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use store::{Name, Scope, Token};
use utoipa::ToSchema;

use super::Api;
use super::access::{Any, Asked, Operator, no_tenant};
use super::body::Sent;
use super::refusal::Answer;

/// A token for operators.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOperatorToken {
    /// For people: whose it is.
    #[serde(default)]
    label: String,
}

/// A token for one tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenantToken {
    #[serde(default)]
    label: String,
    scope: TenantScope,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TenantScope {
    Read,
    Deploy,
}

/// A token with its text, shown this once.
#[derive(Serialize, ToSchema)]
pub struct NewToken {
    token: Token,
    text: String,
}

/// Whose token a request bears.
#[derive(Serialize, ToSchema)]
pub struct Whoami {
    id: String,
    label: String,
    scope: Scope,
}

/// What the token of this request may do.
#[utoipa::path(get, path = "/v1/whoami", tag = "tokens",
    security(("token" = ["any"])), responses((status = 200, description = "The bearer", body = Whoami)))]
pub async fn whoami(asked: Asked<Any>) -> Json<Whoami> {
    let Token { id, label, scope, .. } = asked.token().clone();
    Json(Whoami { id, label, scope })
}

/// The tokens of operators, revoked ones too.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", operation_id = "list_operator_tokens",
    security(("token" = ["operator"])), responses((status = 200, description = "Without their texts", body = Vec<Token>)))]
pub async fn list(State(api): State<Api>, _: Asked<Operator>) -> Answer<Json<Vec<Token>>> {
    Ok(Json(api.look(|store| store.tokens(None)).await?))
}

/// A new token for operators.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", operation_id = "create_operator_token", request_body = NewOperatorToken,
    security(("token" = ["operator"])), responses((status = 201, description = "Made", body = NewToken)))]
pub async fn create(
    State(api): State<Api>,
    asked: Asked<Operator>,
    Sent(new): Sent<NewOperatorToken>,
) -> Answer<(StatusCode, Json<NewToken>)> {
    make(&api, &asked, Scope::Operator, new.label).await
}

/// Revokes a token, an operator's or a tenant's, at once.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", operation_id = "revoke_token",
    security(("token" = ["operator"])), responses((status = 204, description = "Of no use any more")))]
pub async fn revoke(State(api): State<Api>, asked: Asked<Operator>) -> Answer<StatusCode> {
    let (by, id) = (asked.by(), asked.path("id"));
    api.with(move |store| store.revoke_token(&by, &id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The tokens of a tenant, revoked ones too.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/tokens", tag = "tokens", operation_id = "list_tenant_tokens",
    security(("token" = ["operator"])), responses((status = 200, description = "Without their texts", body = Vec<Token>)))]
pub async fn list_of_tenant(State(api): State<Api>, asked: Asked<Operator>) -> Answer<Json<Vec<Token>>> {
    let tenant = asked.tenant();
    let tokens = api.look(move |store| store.tenant(&tenant).and_then(|_| store.tokens(Some(&tenant)))).await?;
    Ok(Json(tokens))
}

/// A new token for a tenant.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/tokens", tag = "tokens", operation_id = "create_tenant_token",
    request_body = NewTenantToken,
    security(("token" = ["operator"])), responses((status = 201, description = "Made", body = NewToken)))]
pub async fn create_for_tenant(
    State(api): State<Api>,
    asked: Asked<Operator>,
    Sent(new): Sent<NewTenantToken>,
) -> Answer<(StatusCode, Json<NewToken>)> {
    let tenant: Name = asked.tenant().parse().map_err(|_| no_tenant(&asked.tenant()))?;
    let scope = match new.scope {
        TenantScope::Read => Scope::Read(tenant),
        TenantScope::Deploy => Scope::Deploy(tenant),
    };
    make(&api, &asked, scope, new.label).await
}

async fn make(api: &Api, asked: &Asked<Operator>, scope: Scope, label: String) -> Answer<(StatusCode, Json<NewToken>)> {
    let by = asked.by();
    let (token, text) = api.with(move |store| store.create_token(&by, &scope, &label)).await?;
    Ok((StatusCode::CREATED, Json(NewToken { token, text: text.show().to_owned() })))
}
