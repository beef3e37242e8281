//! The verbs. Each change is one transaction: all of it and its audit entries, or nothing.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::error::Result;
use crate::folder::FolderTenant;
use crate::model::*;
use crate::name::{Digest, Name};
use crate::overlap::Overlap;
use crate::plugin::{Activate, Plugin, RollBack, Version};
use crate::token::{Scope, Token, TokenText};

/// The state of a host. Changes are serialised: of two at once the second sees the first. All verbs may block on the disk.
/// A tenant from a folder is changed by `put_folder_tenant` and `delete_folder_tenant` alone; tokens are the API's for all tenants.
pub trait Store: Pairs {
    fn create_tenant(&self, by: &By, name: &Name, quotas: Quotas) -> Result<Tenant>;
    fn set_quotas(&self, by: &By, tenant: &str, quotas: Quotas) -> Result<Tenant>;
    /// Where its bots want to connect to, all of it. Each line is taken as it is.
    fn set_egress(&self, by: &By, tenant: &str, egress: &[String]) -> Result<Tenant>;
    /// Its own engines, all of them. What they are is for who uses them to know.
    fn set_engines(&self, by: &By, tenant: &str, engines: &Map<String, Value>) -> Result<Tenant>;
    /// With all that it owns, its tokens too.
    fn delete_tenant(&self, by: &By, tenant: &str) -> Result<()>;
    fn tenants(&self) -> Result<Vec<Tenant>>;
    fn tenant(&self, tenant: &str) -> Result<Tenant>;
    fn usage(&self, tenant: &str) -> Result<Usage>;

    /// New, or in the place of the one of that name. Refused if the plugin is not there, another route has these calls, or
    /// `overlap` says so.
    fn put_route(&self, by: &By, tenant: &str, route: &Route, overlap: Overlap) -> Result<()>;
    fn delete_route(&self, by: &By, tenant: &str, name: &str) -> Result<()>;
    /// In order of name.
    fn routes(&self, tenant: &str) -> Result<Vec<Route>>;

    /// New, or in the place of the one of that name. Refused if it changes where that one may go and may not.
    fn put_secret(&self, by: &By, tenant: &str, name: &Name, change: &SecretChange) -> Result<()>;
    fn delete_secret(&self, by: &By, tenant: &str, name: &str) -> Result<()>;
    /// Without their values.
    fn secrets(&self, tenant: &str) -> Result<Vec<Secret>>;
    /// For the tenant's own bots; never for the API.
    fn reveal_secret(&self, tenant: &str, name: &str) -> Result<SecretValue>;

    /// The text is shown this once.
    fn create_token(&self, by: &By, scope: &Scope, label: &str) -> Result<(Token, TokenText)>;
    fn revoke_token(&self, by: &By, id: &str) -> Result<()>;
    /// Of a tenant, or with None those of operators.
    fn tokens(&self, tenant: Option<&str>) -> Result<Vec<Token>>;
    /// Whose text this is, if it is not revoked. Notes the use.
    fn token(&self, text: &str, at_ms: u64) -> Result<Option<Token>>;

    /// Stores a component that was found good as a version of a plugin, which it makes if need be. Nothing is activated.
    fn upload(&self, by: &By, tenant: &str, plugin: &Name, bytes: &[u8], wit: &str) -> Result<Version>;
    fn plugins(&self, tenant: &str) -> Result<Vec<Plugin>>;
    fn plugin(&self, tenant: &str, plugin: &str) -> Result<Plugin>;
    /// Newest first.
    fn versions(&self, tenant: &str, plugin: &str) -> Result<Vec<Version>>;
    /// The bytes, compared with their digest.
    fn component(&self, digest: &Digest) -> Result<Vec<u8>>;
    fn activate(&self, by: &By, tenant: &str, plugin: &str, request: &Activate) -> Result<Plugin>;
    fn roll_back(&self, by: &By, tenant: &str, plugin: &str, request: &RollBack) -> Result<Plugin>;
    /// Refused while it is current, previous or canary.
    fn delete_version(&self, by: &By, tenant: &str, plugin: &str, digest: &Digest) -> Result<()>;
    /// Refused while a route names it.
    fn delete_plugin(&self, by: &By, tenant: &str, plugin: &str) -> Result<()>;

    /// All of a folder at once: what it does not hold is gone, a component that differs is activated for all calls.
    /// Each bot's `wit` has been filled in by who found it good. False: it was so already.
    fn put_folder_tenant(&self, by: &By, tenant: &FolderTenant) -> Result<bool>;
    fn delete_folder_tenant(&self, by: &By, tenant: &str) -> Result<()>;

    /// That a trunk is asked for a call changes nothing here but the log. `request`: the host's name of it; `to`: as much of the number as
    /// may be told.
    fn note_dial(&self, by: &By, tenant: &str, trunk: &str, request: &str, to: &str) -> Result<()>;

    /// Newest first, before a sequence number if one is given; [`AUDIT_PAGE_MAX`](crate::AUDIT_PAGE_MAX) at most.
    fn audit(&self, tenant: Option<&str>, before: Option<u64>, limit: usize) -> Result<Vec<AuditEntry>>;
    /// The number of the last change; 0: none yet.
    fn sequence(&self) -> u64;
    /// What changed after `sequence`, oldest first.
    fn changes(&self, sequence: u64) -> Result<Changes>;
    /// Waits for a change after `sequence`. Returns the number of the last one, which is `sequence` when the time is up.
    fn wait_for_change(&self, sequence: u64, at_most: Duration) -> u64;
}

/// What tenants' bots keep, whoever made the tenant; no business of the audit log. All verbs may block on the disk.
pub trait Pairs: Send + Sync {
    /// None: nothing is there, or it has expired.
    fn value(&self, tenant: &str, key: &str, now_ms: u64) -> Result<Option<Vec<u8>>>;
    /// `expires_at_ms`: none is never. Refused beyond the storage quota.
    fn put_value(&self, tenant: &str, key: &str, value: &[u8], expires_at_ms: Option<u64>, now_ms: u64) -> Result<()>;
    /// Puts only if what is there is still `expected`; it expires when that would have. False: something else is there.
    fn swap_value(&self, tenant: &str, key: &str, expected: Option<&[u8]>, value: &[u8], now_ms: u64) -> Result<bool>;
    fn delete_value(&self, tenant: &str, key: &str) -> Result<()>;
    /// Keys that begin so, in order of their bytes, after this one; [`KEYS_PAGE_MAX`](crate::KEYS_PAGE_MAX) at most.
    fn keys(&self, tenant: &str, prefix: &str, after: &str, now_ms: u64) -> Result<Vec<String>>;
    /// Together; what has expired counts until its tenant next writes.
    fn kept(&self, tenant: &str) -> Result<Kept>;
}

/// What somebody who knew the state up to some change has to look at again.
#[derive(Clone, Debug, PartialEq)]
pub enum Changes {
    /// [`AUDIT_PAGE_MAX`](crate::AUDIT_PAGE_MAX) at most: ask again after the last one.
    These(Vec<Change>),
    /// The log does not reach back so far: read everything, then go on from here.
    Everything { sequence: u64 },
}

/// A change is told by its audit entry.
pub type Change = AuditEntry;
