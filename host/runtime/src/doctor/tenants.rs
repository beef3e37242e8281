//! What tenants keep, by the word of the host that runs: while it does, nobody else may open its data folder.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use store::{Plugin, Route, Tenant};

use super::listeners::Host;
use super::probe::{self, Failure};
use super::{Case, Finding};
use crate::config::read_bounded;
use crate::operate::{path, with_query};
use crate::tenancy::OPERATOR_TOKEN;

/// Looked at: two questions each, of the hundred that a token may ask at once.
const TENANTS_MAX: usize = 40;
const TOKEN_BYTES_MAX: u64 = 1024;

/// Who would answer, as the host says it.
#[derive(Deserialize)]
pub(super) struct Answerer {
    pub outcome: String,
    pub plugin: Option<String>,
    pub why: String,
}

/// Why it is not known, and what mends that.
pub(super) struct Unasked {
    pub why: String,
    pub mend: String,
}

pub(super) fn who_answers(case: &Case, trunk: &str, number: &str) -> Result<Answerer, Unasked> {
    let query = [("called", Some(number.to_owned())), ("trunk", Some(trunk.to_owned()))];
    ask(case, &with_query(path(&["route-test"]), &query))
}

/// Each tenant's routes, and trunks that none of them and none of the operator's is for.
pub(super) fn check(case: &Case) -> Vec<Finding> {
    if case.config.data.is_none() {
        return Vec::new();
    }
    let unknown = |of: &str, unasked: Unasked| Finding::unknown(of, unasked.why, unasked.mend);
    let tenants: Vec<Tenant> = match ask(case, &path(&["tenants"])) {
        Ok(tenants) => tenants,
        Err(unasked) => return vec![unknown("", unasked)],
    };
    let (mut findings, mut routes) = (Vec::new(), Vec::new());
    for tenant in tenants.iter().take(TENANTS_MAX) {
        match routes_of(case, tenant) {
            Ok((found, theirs)) => {
                findings.extend(found);
                routes.extend(theirs);
            }
            Err(unasked) => findings.push(unknown(&tenant.name, unasked)),
        }
    }
    if tenants.len() > TENANTS_MAX {
        let why = format!("{TENANTS_MAX} of {} tenants were looked at", tenants.len());
        findings.push(Finding::unknown("", why, "`patchbay route list --tenant T` and --called say the rest"));
        return findings;
    }
    findings.extend(case.config.trunks.iter().filter_map(|trunk| unserved(case, &trunk.name, &routes)));
    findings
}

fn routes_of(case: &Case, tenant: &Tenant) -> Result<(Vec<Finding>, Vec<Route>), Unasked> {
    let name = &*tenant.name;
    let routes: Vec<Route> = ask(case, &path(&["tenants", name, "routes"]))?;
    let plugins: Vec<Plugin> = ask(case, &path(&["tenants", name, "plugins"]))?;
    let active: HashSet<_> =
        plugins.iter().filter(|plugin| plugin.current.is_some()).map(|plugin| &plugin.name).collect();
    let broken = routes.iter().filter(|route| !active.contains(&route.plugin));
    let mut findings: Vec<Finding> = broken
        .map(|route| {
            let why = format!("names `{}`, of which no version is active: 480", route.plugin);
            let mend = format!("`patchbay activate DIGEST --tenant {name} --name {}`, or another plugin", route.plugin);
            Finding::wrong(format!("{name}: route `{}`", route.name), why, mend)
        })
        .collect();
    match routes.len() {
        0 => findings.push(Finding::unknown(name, "has no route: nobody calls it", "`patchbay route put`")),
        count if findings.is_empty() => {
            findings.push(Finding::well(name, format!("{count} routes, each to a plugin that is active")));
        }
        _ => {}
    }
    Ok((findings, routes))
}

/// None: somebody's route is for the trunk's calls.
fn unserved(case: &Case, trunk: &str, routes: &[Route]) -> Option<Finding> {
    let by_operator = case.config.routes.iter().any(|route| route.trunk.as_deref().is_none_or(|name| name == trunk));
    let by_tenant = routes.iter().any(|route| route.trunk.as_deref().is_none_or(|name| name == trunk));
    let mend = format!("`patchbay route put NAME --tenant T --trunk {trunk}`, or [[routes]] in the configuration");
    let finding = || Finding::wrong(format!("of trunk {trunk}"), "no route of anybody: every call gets 404", mend);
    (!by_operator && !by_tenant).then(finding)
}

/// The host's admin API, with the token that it left in its data folder.
fn ask<T: DeserializeOwned>(case: &Case, path: &str) -> Result<T, Unasked> {
    let unasked = |why: &str, mend: &str| Unasked { why: why.to_owned(), mend: mend.to_owned() };
    let config = &case.config;
    let (Some(data), Some(admin)) = (&config.data, config.admin.listen) else {
        return Err(unasked("tenants' routes are told by the admin API alone", "set [admin] listen"));
    };
    if case.host != Host::Ready {
        return Err(unasked("no patchbay runs that could tell of tenants' routes", "start it, and ask again"));
    }
    let file = data.join(OPERATOR_TOKEN);
    let token = read_bounded(&file, TOKEN_BYTES_MAX).map_err(|error| {
        let mend = format!("run the doctor as the host's user, or put an operator's token into {}", file.display());
        Unasked { why: format!("{}: {error}", file.display()), mend }
    })?;
    let token = String::from_utf8_lossy(&token);
    let mend = "its log says why; if the token was revoked, put another one into operator.token";
    match probe::get(admin, path, Some(token.trim()), &config.admin.certificates) {
        Ok((200, body)) => {
            serde_json::from_str(&body).map_err(|error| unasked(&format!("the host's answer: {error}"), mend))
        }
        Ok((status, _)) => Err(unasked(&format!("the host answers {status}"), mend)),
        Err(Failure::NoConnection(why) | Failure::NoAnswer(why)) => Err(unasked(&format!("the host: {why}"), mend)),
    }
}
