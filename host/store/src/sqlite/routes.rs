//! Routes. Whose calls are whose is seen across all tenants: two routes never claim the same trunk and called text.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{Entry, all, count, json, plugins, to_json};
use crate::bounds::*;
use crate::error::{Error, Result};
use crate::model::*;
use crate::overlap::Overlap;
use crate::problem::{Problem, Problems, nearest};

/// None: it is so already.
pub fn put(connection: &Transaction<'_>, tenant: &str, route: &Route, overlap: Overlap) -> Result<Option<Entry>> {
    let mut problems = Problems::default();
    route.check("", &mut problems);
    problems.none()?;
    let before = find(connection, tenant, &route.name)?;
    if before.as_ref() == Some(route) {
        return Ok(None);
    }
    check_plugin(connection, tenant, route)?;
    check_taken(connection, tenant, route)?;
    // Calls that were bound to it already stay so, whoever bound them.
    let has_them = before.as_ref().is_some_and(|before| before.trunk == route.trunk && before.called == route.called);
    if overlap == Overlap::Refused && !has_them {
        check_apart(connection, tenant, route)?;
    }
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
    Err(taken(route, owner))
}

fn taken(route: &Route, owner: String) -> Error {
    let trunk = route.trunk.as_ref().map_or("any trunk".to_owned(), |trunk| format!("trunk `{trunk}`"));
    Error::CalledTaken { called: route.called.to_string(), trunk, owner }
}

/// That it shares no call with another tenant's. Cost: a look at every route of the others.
fn check_apart(connection: &Connection, tenant: &str, route: &Route) -> Result<()> {
    if route.called.takes_everything() {
        let place = format!("called.{}", route.called.kind());
        let problem = Problem::new(place, "takes the calls of every number");
        return Err(Problems::from(problem.hint("name your own; only the operator may bind all")).into());
    }
    let query = "SELECT kind, called FROM routes WHERE tenant <> ?1 AND (?2 = '' OR trunk = '' OR trunk = ?2)";
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query((tenant, trunk(route)))?;
    while let Some(row) = rows.next()? {
        let kind: String = row.get(0)?;
        let theirs = Called::of(&kind, row.get(1)?).ok_or_else(|| Error::damaged("a route's kind", &kind))?;
        if route.called.may_overlap(&theirs) {
            return Err(taken(route, "another tenant, wholly or in part".to_owned()));
        }
    }
    Ok(())
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
