//! The tables, and how an older database becomes one of today. A step that was released is never changed: a new one is added.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result};

/// Step n leads from schema n to n + 1.
const STEPS: &[&str] = &[
    "
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT;
    CREATE TABLE tenants (
        name TEXT PRIMARY KEY,
        -- Its tenant.toml; NULL: kept by the API.
        file TEXT,
        quotas TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE plugins (
        tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
        name TEXT NOT NULL,
        last_generation INTEGER NOT NULL,
        PRIMARY KEY (tenant, name)
    ) STRICT;
    CREATE TABLE versions (
        tenant TEXT NOT NULL,
        plugin TEXT NOT NULL,
        digest TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        wit TEXT NOT NULL,
        uploaded_at_ms INTEGER NOT NULL,
        uploaded_by TEXT NOT NULL,
        PRIMARY KEY (tenant, plugin, digest),
        FOREIGN KEY (tenant, plugin) REFERENCES plugins ON DELETE CASCADE
    ) STRICT;
    CREATE INDEX versions_by_digest ON versions (digest);
    CREATE TABLE generations (
        tenant TEXT NOT NULL,
        plugin TEXT NOT NULL,
        slot TEXT NOT NULL CHECK (slot IN ('current', 'previous', 'canary')),
        number INTEGER NOT NULL,
        digest TEXT NOT NULL,
        live TEXT NOT NULL,
        activated_at_ms INTEGER NOT NULL,
        activated_by TEXT NOT NULL,
        percent INTEGER,
        PRIMARY KEY (tenant, plugin, slot),
        UNIQUE (tenant, plugin, number),
        FOREIGN KEY (tenant, plugin) REFERENCES plugins ON DELETE CASCADE,
        FOREIGN KEY (tenant, plugin, digest) REFERENCES versions DEFERRABLE INITIALLY DEFERRED
    ) STRICT;
    CREATE TABLE routes (
        tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
        name TEXT NOT NULL,
        -- Empty: any.
        trunk TEXT NOT NULL,
        kind TEXT NOT NULL,
        called TEXT NOT NULL,
        plugin TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (tenant, name),
        UNIQUE (trunk, kind, called),
        FOREIGN KEY (tenant, plugin) REFERENCES plugins DEFERRABLE INITIALLY DEFERRED
    ) STRICT;
    CREATE INDEX routes_by_plugin ON routes (tenant, plugin);
    CREATE TABLE secrets (
        tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
        name TEXT NOT NULL,
        sealed BLOB NOT NULL,
        changed_at_ms INTEGER NOT NULL,
        changed_by TEXT NOT NULL,
        PRIMARY KEY (tenant, name)
    ) STRICT;
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        label TEXT NOT NULL,
        kind TEXT NOT NULL,
        tenant TEXT REFERENCES tenants ON DELETE CASCADE,
        created_at_ms INTEGER NOT NULL,
        created_by TEXT NOT NULL,
        last_used_at_ms INTEGER,
        revoked_at_ms INTEGER
    ) STRICT;
    CREATE INDEX tokens_by_tenant ON tokens (tenant);
    CREATE TABLE audit (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        by TEXT NOT NULL,
        -- No reference: the log outlives the tenant.
        tenant TEXT,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_by_tenant ON audit (tenant, sequence);
",
    "
    -- JSON lists of host:port.
    ALTER TABLE tenants ADD COLUMN egress TEXT NOT NULL DEFAULT '[]';
    -- A JSON object.
    ALTER TABLE tenants ADD COLUMN engines TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE secrets ADD COLUMN hosts TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE secrets ADD COLUMN header TEXT NOT NULL DEFAULT '';
    -- How many pairs there are and what they count for; the triggers keep both.
    ALTER TABLE tenants ADD COLUMN pairs INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tenants ADD COLUMN pair_bytes INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE pairs (
        tenant TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
        -- Bytes, so that their order is that of the keys.
        key BLOB NOT NULL,
        value BLOB NOT NULL,
        -- NULL: never.
        expires_at_ms INTEGER,
        PRIMARY KEY (tenant, key)
    ) STRICT;
    CREATE INDEX pairs_that_expire ON pairs (tenant, expires_at_ms) WHERE expires_at_ms IS NOT NULL;
    CREATE TRIGGER pair_inserted AFTER INSERT ON pairs BEGIN
        UPDATE tenants SET pairs = pairs + 1, pair_bytes = pair_bytes + length(new.key) + length(new.value) + 64
        WHERE name = new.tenant;
    END;
    CREATE TRIGGER pair_updated AFTER UPDATE OF value ON pairs BEGIN
        UPDATE tenants SET pair_bytes = pair_bytes + length(new.value) - length(old.value) WHERE name = new.tenant;
    END;
    CREATE TRIGGER pair_deleted AFTER DELETE ON pairs BEGIN
        UPDATE tenants SET pairs = pairs - 1, pair_bytes = pair_bytes - length(old.key) - length(old.value) - 64
        WHERE name = old.tenant;
    END;
",
];

/// Brings a database up to date. True: it was empty. Errors: a newer patchbay wrote it; nothing is changed then.
pub fn migrate(connection: &mut Connection, file: &Path) -> Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (schema INTEGER PRIMARY KEY, patchbay TEXT NOT NULL) STRICT;",
    )?;
    let found: u32 = transaction.query_one("SELECT coalesce(max(schema), 0) FROM migrations", [], |row| row.get(0))?;
    let known = STEPS.len() as u32;
    if found > known {
        return Err(Error::NewerSchema { file: file.to_owned(), found, known });
    }
    for (step, sql) in STEPS.iter().enumerate().skip(found as usize) {
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT INTO migrations (schema, patchbay) VALUES (?1, ?2)",
            (step as u32 + 1, env!("CARGO_PKG_VERSION")),
        )?;
    }
    transaction.commit()?;
    Ok(found == 0)
}
