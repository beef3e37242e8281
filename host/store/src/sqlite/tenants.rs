//! Tenants and their secrets.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde_json::{Map, Value};

use super::{Entry, all, count, json, parsed, to_json, who};
use crate::bounds::*;
use crate::error::{Error, Result};
use crate::host_key::HostKey;
use crate::model::*;
use crate::name::Name;
use crate::problem::{Problem, Problems};

pub fn create(
    connection: &Transaction<'_>,
    by: &By,
    name: &Name,
    source: Source,
    quotas: &Quotas,
) -> Result<(Tenant, Entry)> {
    check(quotas)?;
    if find(connection, name)?.is_some() {
        return Err(Error::Exists { what: "tenant", name: name.to_string() });
    }
    if count(connection, "SELECT count(*) FROM tenants", [])? >= TENANTS_MAX as u64 {
        return Err(Error::TooMany { what: "tenants", owner: "this host".into(), max: TENANTS_MAX });
    }
    let file = match &source {
        Source::Api => None,
        Source::Folder(file) => Some(file),
    };
    connection.execute(
        "INSERT INTO tenants (name, file, quotas, created_at_ms) VALUES (?1, ?2, ?3, ?4)",
        (&**name, file, to_json(quotas)?, by.at_ms),
    )?;
    let entry = Entry::new(name, Action::CreateTenant, &**name);
    let tenant = Tenant {
        name: name.clone(),
        source,
        quotas: *quotas,
        egress: Vec::new(),
        engines: Map::new(),
        created_at_ms: by.at_ms,
    };
    Ok((tenant, entry))
}

/// None: they are so already.
pub fn set_quotas(connection: &Transaction<'_>, tenant: &mut Tenant, quotas: &Quotas) -> Result<Option<Entry>> {
    check(quotas)?;
    if tenant.quotas == *quotas {
        return Ok(None);
    }
    connection.execute("UPDATE tenants SET quotas = ?2 WHERE name = ?1", (&*tenant.name, to_json(quotas)?))?;
    let value = |quotas: &Quotas| serde_json::to_value(quotas).unwrap_or(Value::Null);
    let entry = Entry::new(&tenant.name, Action::SetQuotas, &*tenant.name)
        .detail("before", value(&tenant.quotas))
        .detail("after", value(quotas));
    tenant.quotas = *quotas;
    Ok(Some(entry))
}

/// None: it is so already.
pub fn set_egress(connection: &Transaction<'_>, tenant: &mut Tenant, egress: &[String]) -> Result<Option<Entry>> {
    let mut problems = Problems::default();
    check_hosts("egress", egress, EGRESS_PER_TENANT_MAX, &mut problems);
    problems.none()?;
    if tenant.egress == egress {
        return Ok(None);
    }
    connection.execute("UPDATE tenants SET egress = ?2 WHERE name = ?1", (&*tenant.name, to_json(&egress)?))?;
    let entry = Entry::new(&tenant.name, Action::SetEgress, &*tenant.name)
        .detail("before", tenant.egress.as_slice())
        .detail("after", egress);
    tenant.egress = egress.to_vec();
    Ok(Some(entry))
}

/// None: they are so already.
pub fn set_engines(
    connection: &Transaction<'_>,
    tenant: &mut Tenant,
    engines: &Map<String, Value>,
) -> Result<Option<Entry>> {
    let text = to_json(engines)?;
    let mut problems = Problems::default();
    if text.len() > ENGINES_BYTES_MAX {
        let problem = Problem::new("engines", format!("are {} bytes of JSON", text.len()));
        problems.report(problem.hint(format!("{ENGINES_BYTES_MAX} at most")));
    }
    problems.none()?;
    if tenant.engines == *engines {
        return Ok(None);
    }
    connection.execute("UPDATE tenants SET engines = ?2 WHERE name = ?1", (&*tenant.name, text))?;
    let entry = Entry::new(&tenant.name, Action::SetEngines, &*tenant.name)
        .detail("before", Value::Object(tenant.engines.clone()))
        .detail("after", Value::Object(engines.clone()));
    tenant.engines = engines.clone();
    Ok(Some(entry))
}

fn check(quotas: &Quotas) -> Result<()> {
    let mut problems = Problems::default();
    quotas.check("quotas.", &mut problems);
    Ok(problems.none()?)
}

pub fn delete(connection: &Transaction<'_>, name: &str) -> Result<Entry> {
    connection.execute("DELETE FROM tenants WHERE name = ?1", [name])?;
    Ok(Entry::new(name, Action::DeleteTenant, name))
}

pub fn list(connection: &Connection) -> Result<Vec<Tenant>> {
    all(connection, "SELECT * FROM tenants ORDER BY name", [], tenant_of)
}

pub fn get(connection: &Connection, name: &str) -> Result<Tenant> {
    find(connection, name)?.ok_or_else(|| Error::not_found("tenant", name))
}

/// One that the API may change.
pub fn of_api(connection: &Connection, name: &str) -> Result<Tenant> {
    let tenant = get(connection, name)?;
    match &tenant.source {
        Source::Api => Ok(tenant),
        Source::Folder(file) => Err(Error::FromFolder { tenant: name.to_owned(), file: file.clone() }),
    }
}

pub fn find(connection: &Connection, name: &str) -> Result<Option<Tenant>> {
    let mut found = all(connection, "SELECT * FROM tenants WHERE name = ?1", [name], tenant_of)?;
    Ok(found.pop())
}

fn tenant_of(row: &Row<'_>) -> Result<Tenant> {
    let file: Option<String> = row.get("file")?;
    Ok(Tenant {
        name: parsed(row, "name")?,
        source: file.map_or(Source::Api, Source::Folder),
        quotas: json(row, "quotas")?,
        egress: json(row, "egress")?,
        engines: json(row, "engines")?,
        created_at_ms: row.get("created_at_ms")?,
    })
}

pub fn usage(connection: &Connection, tenant: &str) -> Result<Usage> {
    get(connection, tenant)?;
    Ok(Usage {
        storage_bytes: storage_bytes(connection, tenant)?,
        plugins: count(connection, "SELECT count(*) FROM plugins WHERE tenant = ?1", [tenant])?,
        routes: count(connection, "SELECT count(*) FROM routes WHERE tenant = ?1", [tenant])?,
        kept: kept(connection, tenant)?,
    })
}

pub fn kept(connection: &Connection, tenant: &str) -> Result<Kept> {
    let query = "SELECT pairs, pair_bytes FROM tenants WHERE name = ?1";
    let kept = |row: &Row<'_>| Ok(Kept { keys: row.get(0)?, bytes: row.get(1)? });
    let kept = connection.query_one(query, [tenant], kept).optional()?;
    kept.ok_or_else(|| Error::not_found("tenant", tenant))
}

/// A component under two names of one tenant counts once.
pub fn storage_bytes(connection: &Connection, tenant: &str) -> Result<u64> {
    let versions =
        "SELECT coalesce(sum(bytes), 0) FROM (SELECT DISTINCT digest, bytes FROM versions WHERE tenant = ?1)";
    let kept = kept(connection, tenant)?.bytes;
    Ok(count(connection, versions, [tenant])?.saturating_add(kept))
}

/// None: it is so already.
pub fn put_secret(
    connection: &Transaction<'_>,
    by: &By,
    key: &HostKey,
    (tenant, name): (&str, &Name),
    change: &SecretChange,
) -> Result<Option<Entry>> {
    let mut problems = Problems::default();
    change.scope.iter().for_each(|scope| scope.check("", &mut problems));
    problems.none()?;
    let known = secrets(connection, tenant)?.into_iter().find(|secret| secret.name == *name);
    let scope = match (&known, &change.scope) {
        (Some(known), Some(new)) if known.scope != *new && !change.may_rescope => {
            return Err(Error::ScopeOfSecret { name: name.to_string() });
        }
        (Some(known), None) => known.scope.clone(),
        (_, scope) => scope.clone().unwrap_or_default(),
    };
    let rescoped = known.as_ref().is_none_or(|known| known.scope != scope);
    let mut entry = Entry::new(tenant, Action::PutSecret, &**name);
    if rescoped {
        entry = entry.detail("hosts", scope.hosts.as_slice()).detail("header", scope.header.as_str());
    }
    match (&change.value, known) {
        (Some(value), _) => seal_secret(connection, by, key, (tenant, name), value)?,
        (None, None) => return Err(Error::not_found("secret", &**name)),
        (None, Some(_)) if !rescoped => return Ok(None),
        (None, Some(_)) => {}
    }
    connection.execute(
        "UPDATE secrets SET hosts = ?3, header = ?4, changed_at_ms = ?5, changed_by = ?6 WHERE tenant = ?1 AND name = ?2",
        (tenant, &**name, to_json(&scope.hosts)?, &scope.header, by.at_ms, who(by)),
    )?;
    Ok(Some(entry))
}

fn seal_secret(
    connection: &Transaction<'_>,
    by: &By,
    key: &HostKey,
    (tenant, name): (&str, &Name),
    value: &SecretValue,
) -> Result<()> {
    value.check()?;
    let others = "SELECT count(*) FROM secrets WHERE tenant = ?1 AND name <> ?2";
    if count(connection, others, (tenant, &**name))? >= SECRETS_PER_TENANT_MAX as u64 {
        return Err(Error::TooMany { what: "secrets", owner: tenant.to_owned(), max: SECRETS_PER_TENANT_MAX });
    }
    let sealed = key.seal(&place(tenant, name), value.reveal())?;
    connection.execute(
        "INSERT OR REPLACE INTO secrets (tenant, name, sealed, changed_at_ms, changed_by) VALUES (?1, ?2, ?3, ?4, ?5)",
        (tenant, &**name, sealed, by.at_ms, who(by)),
    )?;
    Ok(())
}

pub fn delete_secret(connection: &Transaction<'_>, tenant: &str, name: &str) -> Result<Entry> {
    match connection.execute("DELETE FROM secrets WHERE tenant = ?1 AND name = ?2", (tenant, name))? {
        0 => Err(Error::not_found("secret", name)),
        _ => Ok(Entry::new(tenant, Action::DeleteSecret, name)),
    }
}

pub fn secrets(connection: &Connection, tenant: &str) -> Result<Vec<Secret>> {
    get(connection, tenant)?;
    all(connection, "SELECT * FROM secrets WHERE tenant = ?1 ORDER BY name", [tenant], |row| {
        Ok(Secret {
            name: parsed(row, "name")?,
            scope: SecretScope { hosts: json(row, "hosts")?, header: row.get("header")? },
            changed_at_ms: row.get("changed_at_ms")?,
            changed_by: row.get("changed_by")?,
        })
    })
}

pub fn reveal_secret(connection: &Connection, key: &HostKey, tenant: &str, name: &str) -> Result<SecretValue> {
    get(connection, tenant)?;
    let query = "SELECT sealed FROM secrets WHERE tenant = ?1 AND name = ?2";
    let sealed: Option<Vec<u8>> = connection.query_one(query, (tenant, name), |row| row.get(0)).optional()?;
    let sealed = sealed.ok_or_else(|| Error::not_found("secret", name))?;
    SecretValue::new(key.unseal(&place(tenant, name), &sealed)?)
}

/// Names hold no slash, so that no two secrets have one place.
fn place(tenant: &str, name: &str) -> String {
    format!("secret {tenant}/{name}")
}
