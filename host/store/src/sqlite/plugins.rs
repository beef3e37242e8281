//! Plugins, their versions, and which of them answers.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, Transaction};
use serde_json::Value;

use super::{Entry, all, count, json, parsed, tenants, to_json, who};
use crate::bounds::*;
use crate::error::{Error, Result};
use crate::model::*;
use crate::name::{Digest, Name};
use crate::plugin::{Activate, Canary, Generation, Plugin, RollBack, Version};
use crate::problem::{Problem, Problems};

/// The components that any version has.
pub fn digests(connection: &Connection) -> Result<BTreeSet<Digest>> {
    let found = all(connection, "SELECT DISTINCT digest FROM versions", [], |row| parsed(row, "digest"))?;
    Ok(found.into_iter().collect())
}

pub fn digests_of(connection: &Connection, tenant: &str, plugin: Option<&str>) -> Result<Vec<Digest>> {
    let query = "SELECT digest FROM versions WHERE tenant = ?1 AND (?2 IS NULL OR plugin = ?2)";
    all(connection, query, (tenant, plugin), |row| parsed(row, "digest"))
}

pub fn names(connection: &Connection, tenant: &str) -> Result<Vec<Name>> {
    all(connection, "SELECT name FROM plugins WHERE tenant = ?1", [tenant], |row| parsed(row, "name"))
}

/// Whether there is room for a version, before anything is written. False: it is there already.
pub fn admit(connection: &Connection, tenant: &Tenant, plugin: &str, digest: &Digest, bytes: u64) -> Result<bool> {
    let name = &*tenant.name;
    if version(connection, name, plugin, digest)?.is_some() {
        return Ok(false);
    }
    let many = count(connection, "SELECT count(*) FROM versions WHERE tenant = ?1 AND plugin = ?2", (name, plugin))?;
    if many >= VERSIONS_PER_PLUGIN_MAX as u64 {
        let owner = format!("plugin `{plugin}`");
        return Err(Error::TooMany { what: "versions", owner, max: VERSIONS_PER_PLUGIN_MAX });
    }
    let others = "SELECT count(*) FROM plugins WHERE tenant = ?1 AND name <> ?2";
    if count(connection, others, (name, plugin))? >= PLUGINS_PER_TENANT_MAX as u64 {
        let owner = format!("tenant `{name}`");
        return Err(Error::TooMany { what: "plugins", owner, max: PLUGINS_PER_TENANT_MAX });
    }
    let elsewhere = "SELECT count(*) FROM versions WHERE tenant = ?1 AND digest = ?2";
    let is_stored = count(connection, elsewhere, (name, digest.to_string()))? > 0;
    let after = tenants::storage_bytes(connection, name)?.saturating_add(if is_stored { 0 } else { bytes });
    if after > tenant.quotas.storage_bytes {
        let quota = tenant.quotas.storage_bytes;
        return Err(Error::StorageQuota { tenant: name.to_owned(), bytes: after, quota });
    }
    Ok(true)
}

/// The file is there. No entry: so was the version.
pub fn add_version(
    connection: &Transaction<'_>,
    by: &By,
    tenant: &Tenant,
    plugin: &Name,
    new: (Digest, u64, &str),
) -> Result<(Version, Option<Entry>)> {
    let (digest, bytes, wit) = new;
    let name = &*tenant.name;
    if !admit(connection, tenant, plugin, &digest, bytes)? {
        let version = version(connection, name, plugin, &digest)?;
        return Ok((version.ok_or_else(|| Error::not_found("version", digest.to_string()))?, None));
    }
    connection.execute(
        "INSERT INTO plugins (tenant, name, last_generation) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING",
        (name, &**plugin),
    )?;
    connection.execute(
        "INSERT INTO versions (tenant, plugin, digest, bytes, wit, uploaded_at_ms, uploaded_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (name, &**plugin, digest.to_string(), bytes, wit, by.at_ms, who(by)),
    )?;
    let entry = Entry::new(name, Action::Upload, &**plugin).detail("digest", digest.to_string()).detail("bytes", bytes);
    let uploaded_by = who(by).to_owned();
    Ok((Version { digest, bytes, wit: wit.to_owned(), uploaded_at_ms: by.at_ms, uploaded_by }, Some(entry)))
}

pub fn versions(connection: &Connection, tenant: &str, plugin: &str) -> Result<Vec<Version>> {
    get(connection, tenant, plugin)?;
    let query = "SELECT * FROM versions WHERE tenant = ?1 AND plugin = ?2 ORDER BY uploaded_at_ms DESC, rowid DESC";
    all(connection, query, (tenant, plugin), version_of)
}

fn version(connection: &Connection, tenant: &str, plugin: &str, digest: &Digest) -> Result<Option<Version>> {
    let query = "SELECT * FROM versions WHERE tenant = ?1 AND plugin = ?2 AND digest = ?3";
    Ok(all(connection, query, (tenant, plugin, digest.to_string()), version_of)?.pop())
}

fn version_of(row: &Row<'_>) -> Result<Version> {
    Ok(Version {
        digest: parsed(row, "digest")?,
        bytes: row.get("bytes")?,
        wit: row.get("wit")?,
        uploaded_at_ms: row.get("uploaded_at_ms")?,
        uploaded_by: row.get("uploaded_by")?,
    })
}

pub fn list(connection: &Connection, tenant: &str) -> Result<Vec<Plugin>> {
    tenants::get(connection, tenant)?;
    let mut names = names(connection, tenant)?;
    names.sort();
    names.iter().map(|name| get(connection, tenant, name)).collect()
}

pub fn get(connection: &Connection, tenant: &str, name: &str) -> Result<Plugin> {
    tenants::get(connection, tenant)?;
    let query = "SELECT * FROM plugins WHERE tenant = ?1 AND name = ?2";
    let found = all(connection, query, (tenant, name), |row| {
        let mut plugin = Plugin::new(parsed(row, "tenant")?, parsed(row, "name")?);
        plugin.last_generation = row.get("last_generation")?;
        Ok(plugin)
    })?;
    let mut plugin = found.into_iter().next().ok_or_else(|| Error::not_found("plugin", name))?;
    let query = "SELECT * FROM generations WHERE tenant = ?1 AND plugin = ?2";
    for (slot, percent, generation) in all(connection, query, (tenant, name), generation_of)? {
        match (slot.as_str(), percent) {
            ("current", _) => plugin.current = Some(generation),
            ("previous", _) => plugin.previous = Some(generation),
            (_, Some(percent)) => plugin.canary = Some(Canary { generation, percent }),
            (_, None) => return Err(Error::damaged("a canary", "it has no share")),
        }
    }
    Ok(plugin)
}

fn generation_of(row: &Row<'_>) -> Result<(String, Option<u8>, Generation)> {
    let generation = Generation {
        number: row.get("number")?,
        digest: parsed(row, "digest")?,
        live: json(row, "live")?,
        activated_at_ms: row.get("activated_at_ms")?,
        activated_by: row.get("activated_by")?,
    };
    Ok((row.get("slot")?, row.get("percent")?, generation))
}

/// What is written: the number given out last, and the generations that count. Older ones are told by the audit log.
fn save(connection: &Transaction<'_>, plugin: &Plugin) -> Result<()> {
    let key = (&*plugin.tenant, &*plugin.name);
    connection.execute("DELETE FROM generations WHERE tenant = ?1 AND plugin = ?2", key)?;
    connection.execute(
        "UPDATE plugins SET last_generation = ?3 WHERE tenant = ?1 AND name = ?2",
        (key.0, key.1, plugin.last_generation),
    )?;
    for (slot, generation) in plugin.generations() {
        let percent = plugin.canary.as_ref().filter(|_| slot == "canary").map(|canary| canary.percent);
        connection.execute(
            "INSERT INTO generations
             (tenant, plugin, slot, number, digest, live, activated_at_ms, activated_by, percent)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                key.0,
                key.1,
                slot,
                generation.number,
                generation.digest.to_string(),
                to_json(&generation.live)?,
                generation.activated_at_ms,
                generation.activated_by.as_str(),
                percent,
            ),
        )?;
    }
    Ok(())
}

pub fn activate(
    connection: &Transaction<'_>,
    by: &By,
    tenant: &str,
    name: &str,
    request: &Activate,
) -> Result<(Plugin, Option<Entry>)> {
    let plugin = get(connection, tenant, name)?;
    if version(connection, tenant, name, &request.digest)?.is_none() {
        let problem = Problem::new("digest", format!("plugin `{name}` has no version {}", request.digest));
        return Err(Problems::from(problem.hint("upload it first, or take one from the list of versions")).into());
    }
    let by = By { who: who(by).to_owned(), at_ms: by.at_ms };
    let Some(after) = plugin.activate(request, &by)? else { return Ok((plugin, None)) };
    save(connection, &after)?;
    let entry = told(Entry::new(tenant, Action::Activate, name), &after);
    Ok((after, Some(entry)))
}

pub fn roll_back(
    connection: &Transaction<'_>,
    by: &By,
    tenant: &str,
    name: &str,
    request: &RollBack,
) -> Result<(Plugin, Entry)> {
    let plugin = get(connection, tenant, name)?;
    let by = By { who: who(by).to_owned(), at_ms: by.at_ms };
    let after = plugin.roll_back(request, &by)?;
    save(connection, &after)?;
    let gone = plugin.canary.as_ref().map(|canary| &canary.generation).or(plugin.current.as_ref());
    let entry = told(Entry::new(tenant, Action::RollBack, name), &after)
        .detail("rolled_back", gone.map_or(Value::Null, |generation| generation.number.into()))
        .detail("reason", request.reason.as_str());
    Ok((after, entry))
}

/// Who answers after a change.
fn told(entry: Entry, after: &Plugin) -> Entry {
    after.generations().filter(|(slot, _)| *slot != "previous").fold(entry, |entry, (slot, generation)| {
        let percent = after.canary.as_ref().filter(|_| slot == "canary").map(|canary| canary.percent);
        let mut told = serde_json::json!({ "generation": generation.number, "digest": generation.digest });
        if let Some(percent) = percent {
            told["percent"] = percent.into();
        }
        entry.detail(slot, told)
    })
}

pub fn delete_version(connection: &Transaction<'_>, tenant: &str, plugin: &str, digest: &Digest) -> Result<Entry> {
    let used = get(connection, tenant, plugin)?;
    if let Some((slot, generation)) = used.generations().find(|(_, generation)| generation.digest == *digest) {
        let by = format!("plugin `{plugin}` as its {slot} generation {}", generation.number);
        return Err(Error::InUse { what: "version", name: digest.to_string(), by });
    }
    let query = "DELETE FROM versions WHERE tenant = ?1 AND plugin = ?2 AND digest = ?3";
    match connection.execute(query, (tenant, plugin, digest.to_string()))? {
        0 => Err(Error::not_found("version", digest.to_string())),
        _ => Ok(Entry::new(tenant, Action::DeleteVersion, plugin).detail("digest", digest.to_string())),
    }
}

pub fn delete(connection: &Transaction<'_>, tenant: &str, name: &str) -> Result<Entry> {
    get(connection, tenant, name)?;
    let query = "SELECT name FROM routes WHERE tenant = ?1 AND plugin = ?2 LIMIT 1";
    let routes: Vec<Name> = all(connection, query, (tenant, name), |row| parsed(row, "name"))?;
    if let Some(route) = routes.first() {
        return Err(Error::InUse { what: "plugin", name: name.to_owned(), by: format!("route `{route}`") });
    }
    connection.execute("DELETE FROM plugins WHERE tenant = ?1 AND name = ?2", (tenant, name))?;
    Ok(Entry::new(tenant, Action::DeletePlugin, name))
}
