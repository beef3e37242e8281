//! Tenants and their secrets.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde_json::Value;

use super::{Entry, all, count, json, parsed, to_json, who};
use crate::bounds::*;
use crate::error::{Error, Result};
use crate::host_key::HostKey;
use crate::model::*;
use crate::name::Name;
use crate::problem::Problems;

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
    Ok((Tenant { name: name.clone(), source, quotas: *quotas, created_at_ms: by.at_ms }, entry))
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
        created_at_ms: row.get("created_at_ms")?,
    })
}

pub fn usage(connection: &Connection, tenant: &str) -> Result<Usage> {
    get(connection, tenant)?;
    Ok(Usage {
        storage_bytes: storage_bytes(connection, tenant)?,
        plugins: count(connection, "SELECT count(*) FROM plugins WHERE tenant = ?1", [tenant])?,
        routes: count(connection, "SELECT count(*) FROM routes WHERE tenant = ?1", [tenant])?,
    })
}

/// A component under two names of one tenant counts once.
pub fn storage_bytes(connection: &Connection, tenant: &str) -> Result<u64> {
    let query = "SELECT coalesce(sum(bytes), 0) FROM (SELECT DISTINCT digest, bytes FROM versions WHERE tenant = ?1)";
    count(connection, query, [tenant])
}

pub fn put_secret(
    connection: &Transaction<'_>,
    by: &By,
    key: &HostKey,
    tenant: &str,
    name: &Name,
    value: &SecretValue,
) -> Result<Entry> {
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
    Ok(Entry::new(tenant, Action::PutSecret, &**name))
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
