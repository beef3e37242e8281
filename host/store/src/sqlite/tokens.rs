//! Tokens of the admin API.

use rusqlite::{Connection, Row, Transaction};

use super::{Entry, all, count, tenants, who};
use crate::bounds::*;
use crate::error::{Error, Result};
use crate::model::{Action, By};
use crate::name::Name;
use crate::problem::{Problem, Problems};
use crate::token::{Scope, Token, TokenText, hash, random_id};

pub fn create(
    connection: &Transaction<'_>,
    by: &By,
    scope: &Scope,
    label: &str,
) -> Result<((Token, TokenText), Entry)> {
    if label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
        let problem = Problem::new("label", "is too long or holds control characters");
        return Err(Problems::from(problem.hint("one line of 200 bytes at most")).into());
    }
    let tenant = scope.tenant().map(|tenant| &**tenant);
    if let Some(tenant) = tenant {
        tenants::get(connection, tenant)?;
    }
    make_room(connection, tenant)?;
    let random = |error| Error::Io { place: "the system's random numbers".into(), error };
    let text = TokenText::random().map_err(random)?;
    let token = Token {
        id: random_id().map_err(random)?,
        label: label.to_owned(),
        scope: scope.clone(),
        created_at_ms: by.at_ms,
        created_by: who(by).to_owned(),
        last_used_at_ms: None,
        revoked_at_ms: None,
    };
    connection.execute(
        "INSERT INTO tokens (id, hash, label, kind, tenant, created_at_ms, created_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (&token.id, hash(text.show()), label, scope.kind(), tenant, by.at_ms, who(by)),
    )?;
    let entry = about(&token, Action::CreateToken).detail("label", label).detail("kind", scope.kind());
    Ok(((token, text), entry))
}

/// The token that was revoked longest ago goes if there are too many.
fn make_room(connection: &Transaction<'_>, tenant: Option<&str>) -> Result<()> {
    let many = || count(connection, "SELECT count(*) FROM tokens WHERE tenant IS ?1", [tenant]);
    if many()? < TOKENS_PER_OWNER_MAX as u64 {
        return Ok(());
    }
    let oldest =
        "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE tenant IS ?1 AND revoked_at_ms IS NOT NULL
                  ORDER BY revoked_at_ms LIMIT 1)";
    match connection.execute(oldest, [tenant])? {
        0 => {
            let owner = tenant.unwrap_or("the operator").to_owned();
            Err(Error::TooMany { what: "tokens", owner, max: TOKENS_PER_OWNER_MAX })
        }
        _ => Ok(()),
    }
}

/// None: it was revoked before.
pub fn revoke(connection: &Transaction<'_>, by: &By, id: &str) -> Result<Option<Entry>> {
    let token = all(connection, "SELECT * FROM tokens WHERE id = ?1", [id], token_of)?.pop();
    let token = token.ok_or_else(|| Error::not_found("token", id))?;
    if token.revoked_at_ms.is_some() {
        return Ok(None);
    }
    connection.execute("UPDATE tokens SET revoked_at_ms = ?2 WHERE id = ?1", (id, by.at_ms))?;
    Ok(Some(about(&token, Action::RevokeToken)))
}

fn about(token: &Token, action: Action) -> Entry {
    match token.scope.tenant() {
        Some(tenant) => Entry::new(tenant, action, token.id.as_str()),
        None => Entry::of_host(action, token.id.as_str()),
    }
}

pub fn list(connection: &Connection, tenant: Option<&str>) -> Result<Vec<Token>> {
    if let Some(tenant) = tenant {
        tenants::get(connection, tenant)?;
    }
    all(connection, "SELECT * FROM tokens WHERE tenant IS ?1 ORDER BY created_at_ms, id", [tenant], token_of)
}

/// Whose it is. The use is written down outside of any change, once a minute at most; a disk that is full keeps nobody out.
pub fn find(connection: &Connection, text: &str, at_ms: u64) -> Result<Option<Token>> {
    let query = "SELECT * FROM tokens WHERE hash = ?1 AND revoked_at_ms IS NULL";
    let Some(mut token) = all(connection, query, [hash(text)], token_of)?.pop() else { return Ok(None) };
    if token.last_used_at_ms.is_none_or(|last| at_ms >= last.saturating_add(LAST_USED_EVERY_MS)) {
        let noted = connection.execute("UPDATE tokens SET last_used_at_ms = ?2 WHERE id = ?1", (&token.id, at_ms));
        match noted.map_err(Error::from) {
            Ok(_) => token.last_used_at_ms = Some(at_ms),
            Err(Error::DiskFull { .. } | Error::Busy) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(token))
}

fn token_of(row: &Row<'_>) -> Result<Token> {
    let kind: String = row.get("kind")?;
    let tenant: Option<String> = row.get("tenant")?;
    let tenant: Option<Name> =
        tenant.map(|name| name.parse()).transpose().map_err(|error: String| Error::damaged("a token", error))?;
    let scope = match (kind.as_str(), tenant) {
        ("operator", None) => Scope::Operator,
        ("read", Some(tenant)) => Scope::Read(tenant),
        ("deploy", Some(tenant)) => Scope::Deploy(tenant),
        _ => return Err(Error::damaged("a token", "its scope is unknown")),
    };
    Ok(Token {
        id: row.get("id")?,
        label: row.get("label")?,
        scope,
        created_at_ms: row.get("created_at_ms")?,
        created_by: row.get("created_by")?,
        last_used_at_ms: row.get("last_used_at_ms")?,
        revoked_at_ms: row.get("revoked_at_ms")?,
    })
}
