//! Routes. Whose calls are whose is seen across all tenants: two routes never claim the same trunk and called text.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{Entry, all, count, json, plugins, to_json};
use crate::bounds::*;
use crate::error::{Error, Result};
use crate::model::*;
use crate::problem::{Problem, Problems, nearest};

/// None: it is so already.
pub fn put(connection: &Transaction<'_>, tenant: &str, route: &Route) -> Result<Option<Entry>> {
    let mut problems = Problems::default();
    route.check("", &mut problems);
    problems.none()?;
    let before = find(connection, tenant, &route.name)?;
    if before.as_ref() == Some(route) {
        return Ok(None);
    }
    check_plugin(connection, tenant, route)?;
    check_taken(connection, tenant, route)?;
    let many = count(connection, "SELECT count(*) FROM routes WHERE tenant = ?1", [tenant])?;
    if before.is_none() && many >= ROUTES_PER_TENANT_MAX as u64 {
        return Err(Error::TooMany { what: "routes", owner: tenant.to_owned(), max: ROUTES_PER_TENANT_MAX });
    }
    connection.execute(
        // In place of its own name alone: never of another route with the same calls.
        "INSERT INTO routes (tenant, name, trunk, kind, called, plugin, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (tenant, name) DO UPDATE SET trunk = ?3, kind = ?4, called = ?5, plugin = ?6, body = ?7",
        (tenant, &*route.name, trunk(route), route.called.kind(), route.called.text(), &*route.plugin, to_json(route)?),
    )?;
    Ok(Some(Entry::new(tenant, Action::PutRoute, &*route.name).detail("plugin", &*route.plugin)))
}

fn trunk(route: &Route) -> &str {
    route.trunk.as_deref().unwrap_or("")
}

fn check_plugin(connection: &Connection, tenant: &str, route: &Route) -> Result<()> {
    let plugins = plugins::names(connection, tenant)?;
    if plugins.contains(&route.plugin) {
        return Ok(());
    }
    let problem = Problem::new("plugin", format!("there is no plugin `{}`", route.plugin));
    Err(Problems::from(match nearest(&route.plugin, plugins.iter().map(|name| &**name)) {
        Some(known) => problem.hint(format!("did you mean `{known}`?")),
        None => problem.hint("upload it first"),
    })
    .into())
}

fn check_taken(connection: &Connection, tenant: &str, route: &Route) -> Result<()> {
    let query = "SELECT tenant, name FROM routes WHERE trunk = ?1 AND kind = ?2 AND called = ?3";
    let same = (trunk(route), route.called.kind(), route.called.text());
    let owner: Option<(String, String)> =
        connection.query_one(query, same, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let owner = match owner {
        Some((owner, name)) if owner == tenant && name == *route.name => return Ok(()),
        Some((owner, name)) if owner == tenant => format!("route `{name}`"),
        Some(_) => "another tenant".to_owned(),
        None => return Ok(()),
    };
    let trunk = route.trunk.as_ref().map_or("any trunk".to_owned(), |trunk| format!("trunk `{trunk}`"));
    Err(Error::CalledTaken { called: route.called.to_string(), trunk, owner })
}

pub fn delete(connection: &Transaction<'_>, tenant: &str, name: &str) -> Result<Entry> {
    match connection.execute("DELETE FROM routes WHERE tenant = ?1 AND name = ?2", (tenant, name))? {
        0 => Err(Error::not_found("route", name)),
        _ => Ok(Entry::new(tenant, Action::DeleteRoute, name)),
    }
}

fn find(connection: &Connection, tenant: &str, name: &str) -> Result<Option<Route>> {
    let query = "SELECT body FROM routes WHERE tenant = ?1 AND name = ?2";
    Ok(all(connection, query, (tenant, name), |row| json(row, "body"))?.pop())
}

pub fn list(connection: &Connection, tenant: &str) -> Result<Vec<Route>> {
    super::tenants::get(connection, tenant)?;
    all(connection, "SELECT body FROM routes WHERE tenant = ?1 ORDER BY name", [tenant], |row| json(row, "body"))
}
