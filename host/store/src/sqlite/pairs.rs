//! What a tenant's bots keep: keys and values, each with the time at which it is gone.
//!
//! What has expired is not seen; it is deleted, and counts no more, when its tenant next writes.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{count, tenants};
use crate::bounds::*;
use crate::error::{Error, Result};
use crate::problem::{Problem, Problems};

/// Deleted before each write.
const EXPIRED_AT_ONCE: usize = 1_000;

pub struct Pair<'a> {
    pub tenant: &'a str,
    pub key: &'a str,
    pub value: &'a [u8],
    pub expires_at_ms: Option<u64>,
}

pub struct Found {
    pub value: Vec<u8>,
    pub expires_at_ms: Option<u64>,
}

pub fn get(connection: &Connection, tenant: &str, key: &str, now_ms: u64) -> Result<Option<Found>> {
    tenants::get(connection, tenant)?;
    let query = "SELECT value, expires_at_ms FROM pairs
        WHERE tenant = ?1 AND key = ?2 AND (expires_at_ms IS NULL OR expires_at_ms > ?3)";
    let found = |row: &rusqlite::Row<'_>| Ok(Found { value: row.get(0)?, expires_at_ms: row.get(1)? });
    Ok(connection.query_one(query, (tenant, key.as_bytes(), in_sql(now_ms)), found).optional()?)
}

/// `database_bytes_max`: an eighth of it is left to everything else.
pub fn put(transaction: &Transaction<'_>, pair: &Pair<'_>, now_ms: u64, database_bytes_max: u64) -> Result<()> {
    let Pair { tenant, key, value, expires_at_ms } = *pair;
    check(key, value)?;
    let quota = tenants::get(transaction, tenant)?.quotas.storage_bytes;
    forget_expired(transaction, tenant, now_ms)?;
    let before = "SELECT length(key) + length(value) + 64 FROM pairs WHERE tenant = ?1 AND key = ?2";
    let before: Option<u64> = transaction.query_one(before, (tenant, key.as_bytes()), |row| row.get(0)).optional()?;
    let bytes = (key.len() + value.len() + PAIR_BYTES) as u64;
    let after = tenants::storage_bytes(transaction, tenant)?.saturating_add(bytes) - before.unwrap_or(0);
    // One that becomes smaller is taken whatever the quota has become.
    if after > quota && before.is_none_or(|before| bytes > before) {
        return Err(Error::StorageQuota { tenant: tenant.to_owned(), bytes: after, quota });
    }
    let pairs = count(transaction, "SELECT pairs FROM tenants WHERE name = ?1", [tenant])?;
    if before.is_none() && pairs >= PAIRS_PER_TENANT_MAX as u64 {
        return Err(Error::TooMany { what: "keys", owner: format!("tenant `{tenant}`"), max: PAIRS_PER_TENANT_MAX });
    }
    let pages = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    if count(transaction, pages, [])? > database_bytes_max / 8 * 7 {
        return Err(Error::DiskFull { place: "the tenants' keys".to_owned() });
    }
    transaction.execute(
        "INSERT INTO pairs (tenant, key, value, expires_at_ms) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET value = excluded.value, expires_at_ms = excluded.expires_at_ms",
        (tenant, key.as_bytes(), value, expires_at_ms.map(in_sql)),
    )?;
    Ok(())
}

pub fn delete(transaction: &Transaction<'_>, tenant: &str, key: &str) -> Result<()> {
    tenants::get(transaction, tenant)?;
    transaction.execute("DELETE FROM pairs WHERE tenant = ?1 AND key = ?2", (tenant, key.as_bytes()))?;
    Ok(())
}

pub fn keys(connection: &Connection, tenant: &str, (prefix, after): (&str, &str), now_ms: u64) -> Result<Vec<String>> {
    tenants::get(connection, tenant)?;
    // The first key that no longer begins so: no byte of UTF-8 is 255. The longest key is shorter than the last.
    let mut end = prefix.as_bytes().to_vec();
    match end.last_mut() {
        Some(last) => *last += 1,
        None => end.push(255),
    }
    let query = "SELECT key FROM pairs WHERE tenant = ?1 AND key >= ?2 AND key < ?3 AND key > ?4
        AND (expires_at_ms IS NULL OR expires_at_ms > ?5) ORDER BY key LIMIT ?6";
    let mut statement = connection.prepare(query)?;
    let mut rows =
        statement.query((tenant, prefix.as_bytes(), end, after.as_bytes(), in_sql(now_ms), KEYS_PAGE_MAX))?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let key = String::from_utf8(row.get(0)?);
        keys.push(key.map_err(|error| Error::damaged("a key of the database", error))?);
    }
    Ok(keys)
}

fn forget_expired(transaction: &Transaction<'_>, tenant: &str, now_ms: u64) -> Result<()> {
    transaction.execute(
        "DELETE FROM pairs WHERE rowid IN
            (SELECT rowid FROM pairs WHERE tenant = ?1 AND expires_at_ms <= ?2 ORDER BY expires_at_ms LIMIT ?3)",
        (tenant, in_sql(now_ms), EXPIRED_AT_ONCE),
    )?;
    Ok(())
}

fn check(key: &str, value: &[u8]) -> Result<()> {
    let mut problems = Problems::default();
    for (place, bytes, least, most) in
        [("key", key.len(), 1, KEY_BYTES_MAX), ("value", value.len(), 0, VALUE_BYTES_MAX)]
    {
        if !(least..=most).contains(&bytes) {
            let problem = Problem::new(place, format!("is {bytes} bytes long"));
            problems.report(problem.hint(format!("{least} to {most} bytes")));
        }
    }
    Ok(problems.none()?)
}

/// SQLite's numbers end at 2^63.
fn in_sql(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
