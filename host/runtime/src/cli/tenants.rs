//! What may be written about tenants and what they own: tokens, routes, secrets.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use store::Name;

/// The tenant that is meant.
#[derive(Args, Clone, Debug)]
pub struct Whose {
    /// [default: the token's own]
    #[arg(long, value_name = "T")]
    pub tenant: Option<Name>,
}

pub(super) const TENANT_EXAMPLES: &str = "\
Examples:
  patchbay tenant create acme --calls 50
  patchbay tenant create bravo charlie
  patchbay tenant quotas acme --guest-memory-mb 32      changes this one, leaves the others
  patchbay tenant quotas acme                           shows them
  patchbay tenant egress acme api.example.com:443       where its bots want to connect to, all of it
  patchbay tenant egress acme                           shows it
  patchbay tenant engines acme --file engines.toml      [speech.stt], [speech.tts], [chat]: its own, all of them
  patchbay tenant engines acme --none                   it uses the host's again
  patchbay tenant list --json";

#[derive(Debug, Subcommand)]
pub enum TenantVerb {
    #[command(after_help = TENANT_EXAMPLES)]
    List,
    /// Its quotas, and what it uses of them.
    #[command(after_help = TENANT_EXAMPLES)]
    Show {
        /// The tenant.
        #[arg(value_name = "T")]
        name: Name,
    },
    /// One tenant, or several alike.
    #[command(after_help = TENANT_EXAMPLES)]
    Create {
        #[arg(value_name = "T", required = true)]
        names: Vec<Name>,
        #[command(flatten)]
        quotas: QuotaArgs,
    },
    /// Changes the quotas that are named; without any shows them.
    #[command(after_help = TENANT_EXAMPLES)]
    Quotas {
        /// The tenant.
        #[arg(value_name = "T")]
        name: Name,
        #[command(flatten)]
        quotas: QuotaArgs,
    },
    /// Sets where its bots want to connect to, all of it; without any shows it. The operator's list has to allow it too.
    #[command(after_help = TENANT_EXAMPLES)]
    Egress {
        /// The tenant.
        #[arg(value_name = "T")]
        name: Name,
        /// `api.example.com:443`, `*.example.com:443`.
        #[arg(value_name = "HOST:PORT")]
        hosts: Vec<String>,
        /// Nowhere.
        #[arg(long, conflicts_with = "hosts")]
        none: bool,
    },
    /// Sets the engines by which its bots hear, speak and converse, all of them; without a file shows them.
    #[command(after_help = TENANT_EXAMPLES)]
    Engines {
        /// The tenant.
        #[arg(value_name = "T")]
        name: Name,
        /// TOML as in tenant.toml, or JSON; `-` is stdin. What it leaves out is the host's.
        #[arg(long, value_name = "F")]
        file: Option<PathBuf>,
        /// Those of the host.
        #[arg(long, conflicts_with = "file")]
        none: bool,
    },
    /// With its plugins, routes, secrets and tokens.
    #[command(after_help = TENANT_EXAMPLES)]
    Delete {
        /// The tenant.
        #[arg(value_name = "T")]
        name: Name,
    },
}

#[derive(Args, Clone, Debug, Default, serde::Serialize)]
#[command(next_help_heading = "Quotas")]
pub struct QuotaArgs {
    /// Calls at a time.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<u32>,
    /// Guest CPU for each second of each call.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_cpu_ms_per_call_second: Option<u32>,
    /// What a call may use at once, saved up while it used less.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_cpu_burst_ms: Option<u32>,
    /// Memory of one bot.
    #[arg(long, value_name = "MIB")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_memory_mb: Option<u32>,
    /// Sound that a bot may queue ahead.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playout_ms: Option<u32>,
    /// All versions of all plugins together.
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_bytes: Option<u64>,
}

pub(super) const TOKEN_EXAMPLES: &str = "\
Examples:
  patchbay token create --tenant acme --scope deploy --label ci > acme.token     shown this once
  patchbay token create --operator --label 'second operator' > operator2.token
  patchbay token list --tenant acme
  patchbay token revoke 5f0c1a2b3c4d";

#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Those of a tenant; of operators if none is named.
    #[command(after_help = TOKEN_EXAMPLES)]
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Prints the token's text on stdout, this once, and nothing else there.
    #[command(after_help = TOKEN_EXAMPLES)]
    Create {
        /// The tenant whose things it may read or deploy.
        #[arg(long, value_name = "T", required_unless_present = "operator", requires = "scope")]
        tenant: Option<Name>,
        #[arg(long, value_parser = ["read", "deploy"], requires = "tenant")]
        scope: Option<String>,
        /// It may do everything.
        #[arg(long, conflicts_with_all = ["tenant", "scope"])]
        operator: bool,
        /// Names its bearer in the audit log.
        #[arg(long, value_name = "L")]
        label: String,
    },
    #[command(after_help = TOKEN_EXAMPLES)]
    Revoke {
        #[arg(value_name = "ID")]
        id: String,
    },
}

pub(super) const ROUTE_EXAMPLES: &str = "\
Examples:
  patchbay route put main --tenant acme --called +912261234567 --plugin menu --fallback sorry
  patchbay route put rest --tenant acme --called-prefix +9122 --trunk exotel --plugin menu --config '{\"lang\":\"hi\"}'
  patchbay route put sip --tenant acme --called-uri 'sip:*@acme.example.com' --plugin menu
  patchbay route list --tenant acme
  patchbay route delete rest --tenant acme";

#[derive(Debug, Subcommand)]
pub enum RouteVerb {
    #[command(after_help = ROUTE_EXAMPLES)]
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Makes a route, or changes the one of that name.
    #[command(after_help = ROUTE_EXAMPLES)]
    Put(Box<RoutePutArgs>),
    #[command(after_help = ROUTE_EXAMPLES)]
    Delete {
        #[arg(value_name = "NAME")]
        name: Name,
        #[command(flatten)]
        whose: Whose,
    },
}

#[derive(Args, Debug)]
#[group(id = "which", args = ["called", "called_prefix", "called_uri"], required = true, multiple = false)]
pub struct RoutePutArgs {
    #[arg(value_name = "NAME")]
    pub name: Name,
    #[command(flatten)]
    pub whose: Whose,
    /// The whole called number, or user part.
    #[arg(long, value_name = "NUMBER")]
    pub called: Option<String>,
    /// Its beginning; the longest that fits wins, the empty one takes every call.
    #[arg(long, value_name = "DIGITS")]
    pub called_prefix: Option<String>,
    /// The whole request-URI, `*` for any run of characters.
    #[arg(long, value_name = "PATTERN")]
    pub called_uri: Option<String>,
    #[arg(long, value_name = "P")]
    pub plugin: Name,
    /// Only calls of this trunk.
    #[arg(long, value_name = "X")]
    pub trunk: Option<Name>,
    /// The sound that a caller hears if the bot fails.
    #[arg(long, value_name = "PROMPT")]
    pub fallback: Option<Name>,
    /// What the bot is told, a JSON object.
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    pub config: Option<Object>,
    /// 180 while the bot's `start` runs.
    #[arg(long)]
    pub ring: bool,
}

pub type Object = Map<String, Value>;

pub(super) const SECRET_EXAMPLES: &str = "\
Examples:
  patchbay secret put api-key --tenant acme < key.txt
  patchbay secret put api-key --tenant acme --file key.txt
  patchbay secret put openai --tenant acme --host api.openai.com:443 --header Authorization < key.txt
  patchbay secret scope openai --tenant acme --host api.openai.com:443 --header Authorization
  patchbay secret list --tenant acme
  patchbay secret delete api-key --tenant acme";

#[derive(Debug, Subcommand)]
pub enum SecretVerb {
    /// Their names; no value ever comes back.
    #[command(after_help = SECRET_EXAMPLES)]
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// The value comes on stdin, by --file, or is asked for; one line end after it is left out.
    #[command(after_help = SECRET_EXAMPLES, visible_alias = "set")]
    Put {
        #[arg(value_name = "NAME")]
        name: Name,
        #[command(flatten)]
        whose: Whose,
        /// Where it may go, over TLS; once for each. Left out: as it is, of a new one nowhere.
        #[arg(long = "host", value_name = "HOST:PORT", requires = "header")]
        hosts: Vec<String>,
        /// The header that it may go in.
        #[arg(long, value_name = "H", requires = "hosts")]
        header: Option<String>,
        #[arg(long, value_name = "F")]
        file: Option<PathBuf>,
    },
    /// Changes where it may go, for operators; its value stays.
    #[command(after_help = SECRET_EXAMPLES)]
    Scope {
        #[arg(value_name = "NAME")]
        name: Name,
        #[command(flatten)]
        whose: Whose,
        #[arg(long = "host", value_name = "HOST:PORT", required = true)]
        hosts: Vec<String>,
        #[arg(long, value_name = "H")]
        header: String,
    },
    #[command(after_help = SECRET_EXAMPLES)]
    Delete {
        #[arg(value_name = "NAME")]
        name: Name,
        #[command(flatten)]
        whose: Whose,
    },
}

fn parse_object(text: &str) -> Result<Object, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}
