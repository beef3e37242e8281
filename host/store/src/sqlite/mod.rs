//! The store of one host: `<data>/patchbay.db`, `<data>/components/` and `<data>/host.key`, one process at a time.
//!
//! Why these settings, and how secrets are kept: docs/decisions/store.md.

mod folder_tenants;
mod pairs;
mod plugins;
mod routes;
mod schema;
mod tenants;
mod tokens;
mod verbs;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::limits::Limit;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior};
use serde_json::{Map, Value};

use crate::bounds::*;
use crate::components::Components;
use crate::error::{Error, Result};
use crate::host_key::HostKey;
use crate::model::{Action, AuditEntry, By};
use crate::name::Digest;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest value or statement.
const SQL_BYTES_MAX: i32 = 4 << 20;
const PAGE_BYTES: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub component_bytes_max: u64,
    pub database_bytes_max: u64,
    pub audit_entries_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { component_bytes_max: 64 << 20, database_bytes_max: 4 << 30, audit_entries_max: AUDIT_ENTRIES_MAX }
    }
}

pub struct SqliteStore {
    /// Changes and looks alike go through this one: each takes some milliseconds at most.
    connection: Mutex<Connection>,
    components: Components,
    /// Held while the files and the rows of components change together. Taken before `connection`, so that nobody waits for an
    /// upload's bytes but another upload.
    files: Mutex<()>,
    key: HostKey,
    settings: Settings,
    sequence: Mutex<u64>,
    changed: Condvar,
    found: Found,
    /// Keeps other processes out until it is dropped.
    _lock: File,
}

/// What a kill or a disk had left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Names of files in `components/` that were of no use and are gone.
    pub collected: Vec<String>,
    /// Versions whose file is missing: upload them again.
    pub missing: Vec<Digest>,
}

/// An audit entry to be.
struct Entry {
    tenant: Option<String>,
    action: Action,
    subject: String,
    detail: Map<String, Value>,
}

impl Entry {
    fn new(tenant: &str, action: Action, subject: impl Into<String>) -> Self {
        Self { tenant: Some(tenant.to_owned()), action, subject: subject.into(), detail: Map::new() }
    }

    fn of_host(action: Action, subject: impl Into<String>) -> Self {
        Self { tenant: None, action, subject: subject.into(), detail: Map::new() }
    }

    fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(key.to_owned(), value.into());
        self
    }
}

impl SqliteStore {
    /// Opens the data folder, or begins one. Cost: reads the names of all components.
    /// Errors: another process has it, a newer patchbay wrote it, the host's key is not the one.
    pub fn open(data: &Path, settings: Settings) -> Result<Self> {
        let named = |error| Error::io(data, error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(named)?;
        let lock = lock(data)?;
        let file = data.join("patchbay.db");
        // SQLite gives its log and index the mode of the database.
        let private = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&file);
        private.map_err(|error| Error::io(&file, error))?;
        let mut connection = Connection::open(&file)?;
        configure(&connection, &settings)?;
        let fresh = schema::migrate(&mut connection, &file)?;
        let key = open_key(&connection, data, fresh)?;
        let components = Components::open(data)?;
        let collected = components.collect(&plugins::digests(&connection)?)?;
        // Of the table's own counter: the entries themselves may be gone.
        let sequence: Option<u64> = connection
            .query_one("SELECT seq FROM sqlite_sequence WHERE name = 'audit'", [], |row| row.get(0))
            .optional()?;
        Ok(Self {
            connection: Mutex::new(connection),
            components,
            files: Mutex::default(),
            key,
            settings,
            sequence: Mutex::new(sequence.unwrap_or(0)),
            changed: Condvar::new(),
            found: Found { collected: collected.removed, missing: collected.missing },
            _lock: lock,
        })
    }

    /// What opening found.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// For what else of the host's needs a key, such as the authentication of its compiled cache.
    pub fn key(&self) -> &HostKey {
        &self.key
    }

    /// One transaction. No entries: nothing was changed, and nothing is.
    fn change<T>(&self, by: &By, verb: impl FnOnce(&Transaction<'_>) -> Result<(T, Vec<Entry>)>) -> Result<T> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (outcome, entries) = verb(&transaction)?;
        if entries.is_empty() {
            return Ok(outcome);
        }
        for entry in &entries {
            write_entry(&transaction, by, entry)?;
        }
        let last = u64::try_from(transaction.last_insert_rowid()).unwrap_or(0);
        let forgotten = last.saturating_sub(self.settings.audit_entries_max);
        transaction.execute("DELETE FROM audit WHERE sequence <= ?1", [forgotten])?;
        transaction.commit()?;
        // Still under the connection's lock, so that numbers are told in order.
        *self.sequence.lock().unwrap_or_else(PoisonError::into_inner) = last;
        self.changed.notify_all();
        Ok(outcome)
    }

    /// One transaction that is no business of the audit log. What it has done is kept, whatever it returns.
    fn keep<T>(&self, verb: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcome = verb(&transaction);
        let kept = transaction.commit();
        outcome.and_then(|outcome| kept.map(|()| outcome).map_err(Error::from))
    }

    /// A look at one moment's state.
    fn look<T>(&self, verb: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut connection = self.connection();
        verb(&*connection.transaction_with_behavior(TransactionBehavior::Deferred)?)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic under the lock rolled its transaction back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the files of those that no version has any more. Under the lock `files`. What cannot be removed now is collected
    /// at the next start: the change that came before it is made, whatever becomes of the file.
    fn release(&self, digests: impl IntoIterator<Item = Digest>) {
        let Ok(in_use) = self.look(plugins::digests) else { return };
        digests
            .into_iter()
            .filter(|digest| !in_use.contains(digest))
            .for_each(|digest| self.components.remove(&digest));
    }
}

fn lock(data: &Path) -> Result<File> {
    let path = data.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|error| Error::io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::FolderInUse { folder: data.to_owned() }),
        Err(TryLockError::Error(error)) => Err(Error::io(&path, error)),
    }
}

fn configure(connection: &Connection, settings: &Settings) -> Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, SQL_BYTES_MAX)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // A deleted secret or token is overwritten.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "max_page_count", settings.database_bytes_max / PAGE_BYTES)?;
    Ok(())
}

/// The key that sealed this database, or a new one for a new database.
fn open_key(connection: &Connection, data: &Path, fresh: bool) -> Result<HostKey> {
    const QUERY: &str = "SELECT value FROM meta WHERE key = 'host key'";
    let known: Option<Vec<u8>> = connection.query_one(QUERY, [], |row| row.get(0)).optional()?;
    let key = HostKey::open(data, fresh || known.is_none())?;
    match known {
        Some(known) if known != key.fingerprint() => Err(key.is_not_the_one()),
        Some(_) => Ok(key),
        None => {
            connection.execute("INSERT INTO meta (key, value) VALUES ('host key', ?1)", [key.fingerprint()])?;
            Ok(key)
        }
    }
}

fn write_entry(transaction: &Transaction<'_>, by: &By, entry: &Entry) -> Result<()> {
    transaction.execute(
        "INSERT INTO audit (at_ms, by, tenant, action, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (by.at_ms, who(by), &entry.tenant, to_json(&entry.action)?, &entry.subject, to_json(&entry.detail)?),
    )?;
    Ok(())
}

fn audit(connection: &Connection, tenant: Option<&str>, before: Option<u64>, limit: usize) -> Result<Vec<AuditEntry>> {
    // SQLite's numbers end at 2^63.
    let before = before.unwrap_or(u64::MAX).min(i64::MAX as u64);
    all(
        connection,
        "SELECT * FROM audit WHERE (?1 IS NULL OR tenant = ?1) AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3",
        (tenant, before, limit.min(AUDIT_PAGE_MAX)),
        entry_of,
    )
}

fn entry_of(row: &Row<'_>) -> Result<AuditEntry> {
    Ok(AuditEntry {
        sequence: row.get("sequence")?,
        at_ms: row.get("at_ms")?,
        by: row.get("by")?,
        tenant: row.get("tenant")?,
        action: json(row, "action")?,
        subject: row.get("subject")?,
        detail: json(row, "detail")?,
    })
}

/// Who did it, cut to what a column takes.
fn who(by: &By) -> &str {
    &by.who[..by.who.floor_char_boundary(LABEL_BYTES_MAX)]
}

/// Every row of a query, read by `read`.
fn all<T>(
    connection: &Connection,
    query: &str,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn count(connection: &Connection, query: &str, parameters: impl rusqlite::Params) -> Result<u64> {
    Ok(connection.query_one(query, parameters, |row| row.get(0))?)
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::damaged("a value for the database", error))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| Error::damaged(format!("column {column} of the database"), error))
}

/// A name or a digest from a column.
fn parsed<T: std::str::FromStr<Err = String>>(row: &Row<'_>, column: &'static str) -> Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: String| Error::damaged(format!("column {column} of the database"), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::Step;
    use crate::model::Quotas;
    use crate::plugin::{Activate, Live};
    use crate::store::Store;

    #[test]
    fn the_database_runs_with_the_settings_that_keep_what_was_answered() {
        let data = std::env::temp_dir().join(format!("patchbay-settings-{}", std::process::id()));
        let store = SqliteStore::open(&data, Settings::default()).unwrap();
        let set = |pragma: &str| {
            let value = |row: &Row<'_>| row.get::<_, rusqlite::types::Value>(0);
            store.connection().query_one(&format!("PRAGMA {pragma}"), [], value).unwrap()
        };
        use rusqlite::types::Value::{Integer, Text};
        for (pragma, value) in [
            ("journal_mode", Text("wal".into())),
            ("synchronous", Integer(2)),
            ("foreign_keys", Integer(1)),
            ("trusted_schema", Integer(0)),
            ("secure_delete", Integer(1)),
            ("busy_timeout", Integer(5000)),
            ("page_size", Integer(PAGE_BYTES as i64)),
            ("max_page_count", Integer(1 << 20)),
        ] {
            assert_eq!(set(pragma), value, "{pragma}");
        }
        drop(store);
        std::fs::remove_dir_all(&data).unwrap();
    }
    #[test]
    fn an_upload_that_finds_the_disk_full_at_any_step_leaves_the_old_state() {
        let data = std::env::temp_dir().join(format!("patchbay-steps-{}", std::process::id()));
        let store = SqliteStore::open(&data, Settings::default()).unwrap();
        let by = By { who: "test".into(), at_ms: 1 };
        let name = |text: &str| text.parse().unwrap();
        store.create_tenant(&by, &name("acme"), Quotas::default()).unwrap();
        let digest = store.upload(&by, "acme", &name("menu"), b"old", "0.1.0").unwrap().digest;
        let request = Activate { digest, canary_percent: None, live: Live::default(), if_last_generation: None };
        store.activate(&by, "acme", "menu", &request).unwrap();
        let seen =
            || (store.plugins("acme"), store.versions("acme", "menu"), store.components.names(), store.sequence());
        let before = format!("{:?}", seen());
        for step in [Step::Create, Step::Write, Step::Sync, Step::Rename, Step::SyncFolder] {
            store.components.fail_at(Some(step));
            let error = store.upload(&by, "acme", &name("menu"), b"new", "0.1.0").unwrap_err();
            assert!(matches!(error, Error::DiskFull { .. }), "{step:?}: {error}");
            assert_eq!(format!("{:?}", seen()), before, "{step:?}");
        }
        store.components.fail_at(None);
        store.upload(&by, "acme", &name("menu"), b"new", "0.1.0").unwrap();
        drop(store);
        std::fs::remove_dir_all(&data).unwrap();
    }
}
