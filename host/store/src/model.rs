//! What there is: tenants with their quotas, routes and secrets, and the log of changes. JSON as the admin API shows it.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::bounds::*;
use crate::error::Result;
use crate::name::Name;
use crate::problem::{Problem, Problems};

/// Who changes something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// `token 5f0c.. (ci)`, `folder`, `canary`. Cut to [`LABEL_BYTES_MAX`].
    pub who: String,
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    pub name: Name,
    pub source: Source,
    pub quotas: Quotas,
    /// Where its bots want to connect to: `api.example.com:443`. The operator's list has to allow it too.
    #[serde(default)]
    pub egress: Vec<String>,
    /// Engines of its own, by which its bots hear, speak and converse: `speech` and `chat`. What is missing is the host's.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub engines: Map<String, Value>,
    pub created_at_ms: u64,
}

/// Who may change a tenant: one of the two, never both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Api,
    /// The path of its tenant.toml.
    Folder(String),
}

/// What a tenant may use at most. A key that is left out has its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Calls at a time.
    pub calls: u32,
    pub calls_per_second: u32,
    /// Guest CPU for each second of each call.
    pub guest_cpu_ms_per_call_second: u32,
    /// What a call may use at once, saved up while it used less.
    pub guest_cpu_burst_ms: u32,
    /// Memory of one bot.
    pub guest_memory_mb: u32,
    /// Sound that a bot may queue ahead.
    pub playout_ms: u32,
    /// All versions of all plugins, and what its bots keep in the store, together.
    pub storage_bytes: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            calls: 100,
            calls_per_second: 10,
            guest_cpu_ms_per_call_second: 10,
            guest_cpu_burst_ms: 50,
            guest_memory_mb: 16,
            playout_ms: 60_000,
            storage_bytes: 256 << 20,
        }
    }
}

impl Quotas {
    /// The keys, for hints.
    pub const KEYS: [&str; 7] = [
        "calls",
        "calls_per_second",
        "guest_cpu_ms_per_call_second",
        "guest_cpu_burst_ms",
        "guest_memory_mb",
        "playout_ms",
        "storage_bytes",
    ];

    /// Reports every value out of its range. `place` comes before each key.
    pub fn check(&self, place: &str, problems: &mut Problems) {
        let ranges: [(u64, RangeInclusive<u64>); 7] = [
            (self.calls.into(), 0..=100_000),
            (self.calls_per_second.into(), 0..=10_000),
            (self.guest_cpu_ms_per_call_second.into(), 1..=1_000),
            (self.guest_cpu_burst_ms.into(), 1..=10_000),
            (self.guest_memory_mb.into(), 1..=1_024),
            (self.playout_ms.into(), 20..=600_000),
            (self.storage_bytes, 0..=1 << 40),
        ];
        for (key, (value, range)) in Self::KEYS.iter().zip(ranges) {
            if !range.contains(&value) {
                let text = format!("{value} is outside {} to {}", range.start(), range.end());
                problems.report(Problem::new(format!("{place}{key}"), text).hint("write a number within the two"));
            }
        }
    }
}

/// Trunk and called number -> plugin, and what the call needs to know besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub name: Name,
    /// None: calls of every trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<Name>,
    pub called: Called,
    pub plugin: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// Reaches the bot as JSON.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
    /// 180 while the bot's `start` runs.
    #[serde(default)]
    pub ring: bool,
}

/// Which calls a route takes: `{"exact": "+912261234567"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Called {
    /// The whole user part of the request-URI, its `+` and case kept.
    Exact(String),
    /// Its beginning; the longest that fits wins, the empty one takes every call.
    Prefix(String),
    /// The whole request-URI without parameters, `*` for any run of characters: `sip:*@acme.example.com`.
    Uri(String),
}

impl Called {
    /// Of a kind and its text, as [`kind`](Self::kind) and [`text`](Self::text) give them.
    pub(crate) fn of(kind: &str, text: String) -> Option<Self> {
        Some(match kind {
            "exact" => Called::Exact(text),
            "prefix" => Called::Prefix(text),
            "uri" => Called::Uri(text),
            _ => return None,
        })
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Called::Exact(_) => "exact",
            Called::Prefix(_) => "prefix",
            Called::Uri(_) => "uri",
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Called::Exact(text) | Called::Prefix(text) | Called::Uri(text) => text,
        }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind(), self.text())
    }
}

/// What the caller hears instead of a bot that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// The name of a sound that the host knows, then a BYE.
    Prompt(Name),
}

impl Route {
    /// The keys, for hints.
    pub const KEYS: [&str; 7] = ["name", "trunk", "called", "plugin", "fallback", "config", "ring"];

    /// Reports all that is wrong with it by itself. `place` comes before each key.
    pub fn check(&self, place: &str, problems: &mut Problems) {
        let text = self.called.text();
        let mut wrong = |what: String, mend: &str| {
            problems.report(Problem::new(format!("{place}called.{}", self.called.kind()), what).hint(mend));
        };
        if text.len() > CALLED_BYTES_MAX {
            wrong(format!("is {} bytes long", text.len()), "256 bytes at most");
        }
        if !text.chars().all(|c| c.is_ascii_graphic()) {
            wrong("holds blanks or characters that are not ASCII".into(), "write it as it stands in the request-URI");
        }
        match &self.called {
            Called::Exact(number) if number.is_empty() => {
                wrong("is empty".into(), "for every call write { prefix = \"\" }");
            }
            Called::Uri(pattern) if !["sip:", "sips:", "tel:"].iter().any(|scheme| pattern.starts_with(scheme)) => {
                wrong("has no scheme".into(), "begin with sip:, sips: or tel:, for instance sip:*@example.com");
            }
            Called::Uri(pattern) if pattern.matches('*').count() > CALLED_STARS_MAX => {
                wrong("has too many `*`".into(), "4 at most");
            }
            _ => {}
        }
        let config_bytes = serde_json::to_vec(&self.config).map_or(usize::MAX, |json| json.len());
        if config_bytes > CONFIG_BYTES_MAX {
            let text = format!("is {config_bytes} bytes of JSON");
            problems.report(Problem::new(format!("{place}config"), text).hint("65536 bytes at most"));
        }
    }
}

/// A value that comes in and never goes out by way of the API. Not shown by `Debug`, not to be serialised.
#[derive(Clone, PartialEq, Eq, Deserialize, ToSchema)]
pub struct SecretValue(String);

impl SecretValue {
    /// Errors: it is empty or longer than [`SECRET_BYTES_MAX`].
    pub fn new(value: impl Into<String>) -> Result<Self> {
        let value = Self(value.into());
        value.check()?;
        Ok(value)
    }

    /// For one that came by serde.
    pub(crate) fn check(&self) -> Result<()> {
        if (1..=SECRET_BYTES_MAX).contains(&self.0.len()) {
            return Ok(());
        }
        let text = format!("is {} bytes long", self.0.len());
        Err(Problems::from(Problem::new("value", text).hint("1 to 8192 bytes")).into())
    }

    /// For the bot that it was meant for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

/// Where a secret may go: to these hosts, in this header. The default is nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SecretScope {
    /// `api.example.com:443`.
    pub hosts: Vec<String>,
    pub header: String,
}

impl SecretScope {
    /// The keys, for hints.
    pub const KEYS: [&str; 2] = ["hosts", "header"];

    /// Reports what is wrong with its lengths; whether it names hosts is for who knows their spelling. `place` comes before each key.
    pub fn check(&self, place: &str, problems: &mut Problems) {
        check_hosts(&format!("{place}hosts"), &self.hosts, HOSTS_PER_SECRET_MAX, problems);
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if self.header.len() > HEADER_NAME_BYTES_MAX || !self.header.chars().all(is_token) {
            let problem = Problem::new(format!("{place}header"), "is not the name of a header");
            problems.report(problem.hint("Authorization, for instance; 64 characters at most"));
        }
    }
}

/// Reports a list that is too long, or a line of it.
pub fn check_hosts(place: &str, hosts: &[String], max: usize, problems: &mut Problems) {
    if hosts.len() > max {
        problems.report(Problem::new(place, format!("{} are too many", hosts.len())).hint(format!("{max} at most")));
    }
    for (index, host) in hosts.iter().enumerate() {
        if host.is_empty() || host.len() > HOST_BYTES_MAX {
            let problem = Problem::new(format!("{place}[{index}]"), format!("is {} bytes long", host.len()));
            problems.report(problem.hint(format!("1 to {HOST_BYTES_MAX}: a host and its port")));
        }
    }
}

/// What becomes of a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretChange {
    /// None: what it is. One that is not there needs a value.
    pub value: Option<SecretValue>,
    /// None: where it may go already; of a new one nowhere.
    pub scope: Option<SecretScope>,
    /// Whether the scope of one that is there may change.
    pub may_rescope: bool,
}

impl From<SecretValue> for SecretChange {
    fn from(value: SecretValue) -> Self {
        Self { value: Some(value), ..Self::default() }
    }
}

/// What may be told of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Secret {
    pub name: Name,
    #[serde(flatten)]
    pub scope: SecretScope,
    pub changed_at_ms: u64,
    pub changed_by: String,
}

/// One change, as it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Grows by each change; never used twice.
    pub sequence: u64,
    pub at_ms: u64,
    pub by: String,
    /// None: a change of the host.
    pub tenant: Option<String>,
    pub action: Action,
    /// The name of the route, plugin, secret, ... that was changed, or of the trunk that was asked.
    pub subject: String,
    /// What else is worth telling; never a secret.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub detail: Map<String, Value>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    CreateTenant,
    SetQuotas,
    SetEgress,
    SetEngines,
    /// The folder that it is kept in has moved.
    SetSource,
    DeleteTenant,
    PutRoute,
    DeleteRoute,
    PutSecret,
    DeleteSecret,
    CreateToken,
    RevokeToken,
    Upload,
    Activate,
    RollBack,
    DeleteVersion,
    DeletePlugin,
    /// A trunk was asked for a call.
    Dial,
}

/// Numbers over all that a tenant stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    pub storage_bytes: u64,
    pub plugins: u64,
    pub routes: u64,
    pub kept: Kept,
}

/// What a tenant's bots keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Kept {
    pub keys: u64,
    /// As they count in the storage quota.
    pub bytes: u64,
}
