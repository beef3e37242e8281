//! Plugins and their versions: which build answers. How a version comes: `upload`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use store::{Activate, Digest, Live, Plugin, RollBack, Store, Version};
use utoipa::ToSchema;

use super::Api;
use super::access::{Asked, Deploy, Read};
use super::body::Sent;
use super::refusal::Answer;

/// Fewer digits of a digest are no name.
const DIGITS_MIN: usize = 8;

/// What to activate, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateBody {
    /// 64 hexadecimal digits, or the first of them: 8 at least, and as many as tell the plugin's versions apart.
    digest: String,
    /// The share of new calls, 1 to 99; left out: all of them.
    #[serde(default)]
    canary_percent: Option<u8>,
    #[serde(default)]
    live: Live,
    /// Refused unless this is the last generation's number.
    #[serde(default)]
    if_last_generation: Option<u64>,
}

/// The plugins of a tenant.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/plugins", tag = "plugins", operation_id = "list_plugins",
    security(("token" = ["read"])), responses((status = 200, description = "In order of name", body = Vec<Plugin>)))]
pub async fn list(State(api): State<Api>, asked: Asked<Read>) -> Answer<Json<Vec<Plugin>>> {
    let tenant = asked.tenant();
    Ok(Json(api.look(move |store| store.plugins(&tenant)).await?))
}

/// A plugin, and how its canary does.
#[derive(Serialize, ToSchema)]
pub struct PluginNow {
    #[serde(flatten)]
    plugin: Plugin,
    #[serde(skip_serializing_if = "Option::is_none")]
    canary_counts: Option<CanaryCounts>,
}

#[derive(Serialize, ToSchema)]
pub struct CanaryCounts {
    calls: u32,
    /// Traps and refusals among its first 50 calls; the third rolls it back.
    failures: u32,
}

/// One plugin, with its generations.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/plugins/{plugin}", tag = "plugins", operation_id = "show_plugin",
    security(("token" = ["read"])), responses((status = 200, description = "It", body = PluginNow)))]
pub async fn show(State(api): State<Api>, asked: Asked<Read>) -> Answer<Json<PluginNow>> {
    let (tenant, plugin) = (asked.tenant(), asked.path("plugin"));
    let counts = api.hosting.canary(&tenant, &plugin);
    let canary_counts = counts.map(|counts| CanaryCounts { calls: counts.calls, failures: counts.failures });
    let plugin = api.look(move |store| store.plugin(&tenant, &plugin)).await?;
    Ok(Json(PluginNow { plugin, canary_counts }))
}

/// Deletes a plugin with all its versions; refused while a route names it.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/plugins/{plugin}", tag = "plugins", operation_id = "delete_plugin",
    security(("token" = ["deploy"])), responses((status = 204, description = "Gone")))]
pub async fn delete(State(api): State<Api>, asked: Asked<Deploy>) -> Answer<StatusCode> {
    let (by, tenant, plugin) = (asked.by(), asked.tenant(), asked.path("plugin"));
    api.with(move |store| store.delete_plugin(&by, &tenant, &plugin)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The versions of a plugin.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/plugins/{plugin}/versions", tag = "plugins", operation_id = "list_versions",
    security(("token" = ["read"])), responses((status = 200, description = "Newest first", body = Vec<Version>)))]
pub async fn versions(State(api): State<Api>, asked: Asked<Read>) -> Answer<Json<Vec<Version>>> {
    let (tenant, plugin) = (asked.tenant(), asked.path("plugin"));
    Ok(Json(api.look(move |store| store.versions(&tenant, &plugin)).await?))
}

/// Deletes a version; refused while it is current, previous or canary.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/plugins/{plugin}/versions/{digest}", tag = "plugins",
    operation_id = "delete_version",
    security(("token" = ["deploy"])), responses((status = 204, description = "Gone")))]
pub async fn delete_version(State(api): State<Api>, asked: Asked<Deploy>) -> Answer<StatusCode> {
    let (by, tenant, plugin, digest) = (asked.by(), asked.tenant(), asked.path("plugin"), asked.path("digest"));
    api.with(move |store| {
        let digest = find(store, &tenant, &plugin, &digest)?;
        store.delete_version(&by, &tenant, &plugin, &digest)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a version answer new calls, all of them or a canary's share; live calls drain or move.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/plugins/{plugin}/activate", tag = "plugins", operation_id = "activate",
    request_body = ActivateBody,
    security(("token" = ["deploy"])), responses((status = 200, description = "As it is now", body = Plugin)))]
pub async fn activate(
    State(api): State<Api>,
    asked: Asked<Deploy>,
    Sent(body): Sent<ActivateBody>,
) -> Answer<Json<Plugin>> {
    let (by, tenant, plugin) = (asked.by(), asked.tenant(), asked.path("plugin"));
    let plugin = api.with(move |store| {
        let digest = find(store, &tenant, &plugin, &body.digest)?;
        let ActivateBody { canary_percent, live, if_last_generation, .. } = body;
        store.activate(&by, &tenant, &plugin, &Activate { digest, canary_percent, live, if_last_generation })
    });
    Ok(Json(plugin.await?))
}

/// Ends the canary if there is one, else returns to the generation before, under a new number.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/plugins/{plugin}/rollback", tag = "plugins", operation_id = "roll_back",
    request_body = RollBack,
    security(("token" = ["deploy"])), responses((status = 200, description = "As it is now", body = Plugin)))]
pub async fn roll_back(
    State(api): State<Api>,
    asked: Asked<Deploy>,
    Sent(request): Sent<RollBack>,
) -> Answer<Json<Plugin>> {
    let (by, tenant, plugin) = (asked.by(), asked.tenant(), asked.path("plugin"));
    Ok(Json(api.with(move |store| store.roll_back(&by, &tenant, &plugin, &request)).await?))
}

/// The version of that digest, or of the only one that begins so.
fn find(store: &dyn Store, tenant: &str, plugin: &str, digits: &str) -> store::Result<Digest> {
    let is_hexadecimal = digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    let wrong = |text: String, hint: &str| {
        store::Error::from(store::Problems::from(store::Problem::new("digest", text).hint(hint)))
    };
    if !(DIGITS_MIN..=64).contains(&digits.len()) || !is_hexadecimal {
        let hint = "write 8 to 64 lower-case hexadecimal digits of a version's SHA-256";
        return Err(wrong("is not a digest, nor the beginning of one".into(), hint));
    }
    let versions = store.versions(tenant, plugin)?;
    let fitting: Vec<Digest> =
        versions.iter().map(|it| it.digest).filter(|it| it.to_string().starts_with(digits)).collect();
    match *fitting {
        [digest] => Ok(digest),
        [] => Err(store::Error::not_found("version", digits)),
        _ => Err(wrong(format!("fits {} versions", fitting.len()), "write more of its digits")),
    }
}
