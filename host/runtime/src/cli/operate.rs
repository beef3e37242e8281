//! What may be written to operate a running host over its admin API.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use store::{Digest, Name};

#[derive(Debug, Subcommand)]
pub enum Operate {
    /// Tries a token with a host and remembers both for the commands below.
    #[command(after_help = LOGIN_EXAMPLES)]
    Login(LoginArgs),
    /// Forgets the host and its token.
    #[command(after_help = "Example:\n  patchbay logout")]
    Logout,
    /// Who uses this host, and how much they may.
    #[command(after_help = TENANT_EXAMPLES)]
    Tenant(Each<TenantVerb>),
    /// Who may use the admin API.
    #[command(after_help = TOKEN_EXAMPLES)]
    Token(Each<TokenVerb>),
    /// Which calls go to which plugin.
    #[command(after_help = ROUTE_EXAMPLES)]
    Route(Each<RouteVerb>),
    /// What a tenant's bots may know and nobody may read back.
    #[command(after_help = SECRET_EXAMPLES)]
    Secret(Each<SecretVerb>),
    /// Uploads a build of a bot: checked, compiled and tried before it is stored.
    #[command(after_help = DEPLOY_EXAMPLES)]
    Deploy(On<DeployArgs>),
    /// Lets a stored version answer new calls.
    #[command(after_help = ACTIVATE_EXAMPLES)]
    Activate(On<ActivateArgs>),
    /// Ends a canary, or returns to the version before.
    #[command(name = "rollback", after_help = ROLLBACK_EXAMPLES)]
    RollBack(On<RollBackArgs>),
    /// What is uploaded, and which version of it answers.
    #[command(visible_alias = "plugin", after_help = PLUGINS_EXAMPLES)]
    Plugins(On<PluginsArgs>),
    /// Live calls.
    #[command(after_help = CALLS_EXAMPLES)]
    Calls(On<CallsArgs>),
    /// What a plugin's bots log, as it happens.
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(On<LogsArgs>),
    /// Who changed what, the newest first.
    #[command(after_help = AUDIT_EXAMPLES)]
    Audit(On<AuditArgs>),
    /// Who would answer a call to this number, or why nobody would.
    #[command(after_help = ROUTE_TEST_EXAMPLES)]
    RouteTest(On<RouteTestArgs>),
}

/// Something asked of a host.
#[derive(Args, Debug)]
pub struct On<T: Args> {
    #[command(flatten)]
    pub host: HostArgs,
    #[command(flatten)]
    pub what: T,
}

/// One of several things asked of a host.
#[derive(Args, Debug)]
pub struct Each<T: Subcommand> {
    #[command(flatten)]
    pub host: HostArgs,
    #[command(subcommand)]
    pub verb: T,
}

/// Which host, by which token, and how its answer is shown.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Host")]
pub struct HostArgs {
    /// The admin API. [default: PATCHBAY_URL, else that of `patchbay login`]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Holds the token. [default: PATCHBAY_TOKEN, else that of `patchbay login` to the same URL]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Whom to trust on https, PEM. [default: as at login, else the system's authorities]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Prints the API's JSON, one document; of logs one a line.
    #[arg(long, global = true)]
    pub json: bool,
}

const LOGIN_EXAMPLES: &str = "\
Examples:
  patchbay login http://127.0.0.1:8080 --token-file /var/lib/patchbay/operator.token
  patchbay login https://patchbay.example.com --ca ca.pem       asks for the token
  pass show patchbay | patchbay login https://patchbay.example.com --token -
Plain http is for this machine's own addresses alone: a token does not travel in the clear.
It is kept in $XDG_CONFIG_HOME/patchbay/login.json, else ~/.config/patchbay/login.json, readable by you alone.";

#[derive(Args, Debug)]
pub struct LoginArgs {
    /// The admin API, for instance https://patchbay.example.com:8443.
    #[arg(value_name = "URL")]
    pub url: String,
    /// Holds the token.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// `-`: the token comes on stdin. Never the token itself: everybody on this machine reads command lines.
    #[arg(long, value_name = "-", allow_hyphen_values = true)]
    pub token: Option<String>,
    /// Whom to trust on https, PEM. [default: the system's authorities]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    #[arg(long)]
    pub json: bool,
}

/// The tenant that is meant.
#[derive(Args, Clone, Debug)]
pub struct Whose {
    /// [default: the token's own]
    #[arg(long, value_name = "T")]
    pub tenant: Option<Name>,
}

const TENANT_EXAMPLES: &str = "\
Examples:
  patchbay tenant create acme --calls 50
  patchbay tenant quotas acme --guest-memory-mb 32      changes this one, leaves the others
  patchbay tenant quotas acme                           shows them
  patchbay tenant list --json";

#[derive(Debug, Subcommand)]
pub enum TenantVerb {
    List,
    /// Its quotas, and what it uses of them.
    Show {
        #[arg(value_name = "T")]
        name: Name,
    },
    Create {
        #[arg(value_name = "T")]
        name: Name,
        #[command(flatten)]
        quotas: QuotaArgs,
    },
    /// Changes the quotas that are named; without any shows them.
    Quotas {
        #[arg(value_name = "T")]
        name: Name,
        #[command(flatten)]
        quotas: QuotaArgs,
    },
    /// With its plugins, routes, secrets and tokens.
    Delete {
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

const TOKEN_EXAMPLES: &str = "\
Examples:
  patchbay token create --tenant acme --scope deploy --label ci > acme.token     shown this once
  patchbay token create --operator --label 'second operator' > operator2.token
  patchbay token list --tenant acme
  patchbay token revoke 5f0c1a2b3c4d";

#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Those of a tenant; of operators if none is named.
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Prints the token's text on stdout, this once, and nothing else there.
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
    Revoke {
        #[arg(value_name = "ID")]
        id: String,
    },
}

const ROUTE_EXAMPLES: &str = "\
Examples:
  patchbay route put main --tenant acme --called +912261234567 --plugin menu --fallback sorry
  patchbay route put rest --tenant acme --called-prefix +9122 --trunk exotel --plugin menu --config '{\"lang\":\"hi\"}'
  patchbay route put sip --tenant acme --called-uri 'sip:*@acme.example.com' --plugin menu
  patchbay route list --tenant acme
  patchbay route delete rest --tenant acme";

#[derive(Debug, Subcommand)]
pub enum RouteVerb {
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Makes a route, or changes the one of that name.
    Put(Box<RoutePutArgs>),
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

const SECRET_EXAMPLES: &str = "\
Examples:
  patchbay secret put api-key --tenant acme < key.txt
  patchbay secret put api-key --tenant acme --file key.txt
  patchbay secret list --tenant acme
  patchbay secret delete api-key --tenant acme";

#[derive(Debug, Subcommand)]
pub enum SecretVerb {
    /// Their names; no value ever comes back.
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// The value comes on stdin, by --file, or is asked for; one line end after it is left out.
    Put {
        #[arg(value_name = "NAME")]
        name: Name,
        #[command(flatten)]
        whose: Whose,
        #[arg(long, value_name = "F")]
        file: Option<PathBuf>,
    },
    Delete {
        #[arg(value_name = "NAME")]
        name: Name,
        #[command(flatten)]
        whose: Whose,
    },
}

const DEPLOY_EXAMPLES: &str = "\
Examples:
  patchbay deploy menu.wasm --tenant acme                            stored as `menu`, answers nothing yet
  patchbay deploy menu.wasm --tenant acme --activate --live move     live calls go over to it, none is dropped
  patchbay deploy build/bot.wasm --tenant acme --name menu --canary 10%";

#[derive(Args, Debug)]
#[group(id = "activation", args = ["activate", "canary"], multiple = true)]
pub struct DeployArgs {
    #[arg(value_name = "BOT.wasm")]
    pub file: PathBuf,
    #[command(flatten)]
    pub whose: Whose,
    /// The plugin. [default: the file's name without .wasm]
    #[arg(long, value_name = "N")]
    pub name: Option<Name>,
    /// Lets it answer new calls as soon as it is stored.
    #[arg(long)]
    pub activate: bool,
    /// Lets it answer this share of new calls.
    #[arg(long, value_name = "SHARE%", value_parser = parse_percent)]
    pub canary: Option<u8>,
    /// What live calls do: stay on their build until they end, or go over to this one.
    #[arg(long, value_parser = ["drain", "move"], requires = "activation")]
    pub live: Option<String>,
    /// How long a call may stay on an old build.
    #[arg(long, value_name = "SECONDS", requires = "activation")]
    pub limit: Option<u32>,
}

/// What calls of earlier generations do.
#[derive(Args, Clone, Debug)]
pub struct LiveArgs {
    /// What live calls do: stay on their build until they end, or go over to this one.
    #[arg(long, value_parser = ["drain", "move"])]
    pub live: Option<String>,
    /// How long a call may stay on an old build.
    #[arg(long, value_name = "SECONDS")]
    pub limit: Option<u32>,
}

const ACTIVATE_EXAMPLES: &str = "\
Examples:
  patchbay activate 3f9a01bc77d2 --tenant acme --name menu --live move
  patchbay activate 3f9a01bc77d2 --tenant acme --name menu --canary 10%";

#[derive(Args, Debug)]
pub struct ActivateArgs {
    /// Of the component, as `patchbay plugins --name` shows it: 8 digits at least.
    #[arg(value_name = "DIGEST", value_parser = parse_digest)]
    pub digest: String,
    #[command(flatten)]
    pub whose: Whose,
    /// The plugin.
    #[arg(long, value_name = "N")]
    pub name: Name,
    /// Lets it answer this share of new calls only.
    #[arg(long, value_name = "SHARE%", value_parser = parse_percent)]
    pub canary: Option<u8>,
    #[command(flatten)]
    pub live: LiveArgs,
    /// Refused unless the plugin's last generation is this one: nobody's work is undone unseen.
    #[arg(long, value_name = "N")]
    pub if_last_generation: Option<u64>,
}

const ROLLBACK_EXAMPLES: &str = "\
Examples:
  patchbay rollback --tenant acme --name menu --reason 'keys are not understood'
  patchbay rollback --tenant acme --name menu --live move";

#[derive(Args, Debug)]
pub struct RollBackArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// The plugin.
    #[arg(long, value_name = "N")]
    pub name: Name,
    /// For the audit log.
    #[arg(long, value_name = "R")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub live: LiveArgs,
    /// Refused unless this is the generation that would be rolled back.
    #[arg(long, value_name = "N")]
    pub if_generation: Option<u64>,
}

const PLUGINS_EXAMPLES: &str = "\
Examples:
  patchbay plugins --tenant acme
  patchbay plugins --tenant acme --name menu                             its versions
  patchbay plugin delete menu --tenant acme                              once no route names it
  patchbay plugin delete menu --tenant acme --version 3f9a01bc77d2       once it is not in use";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PluginsArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// Shows this plugin's versions.
    #[arg(long, value_name = "N")]
    pub name: Option<Name>,
    #[command(subcommand)]
    pub verb: Option<PluginVerb>,
}

#[derive(Debug, Subcommand)]
pub enum PluginVerb {
    /// A plugin that no route names, or one of its versions that is not in use.
    Delete {
        #[arg(value_name = "N")]
        name: Name,
        #[command(flatten)]
        whose: Whose,
        #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
        version: Option<String>,
    },
}

const CALLS_EXAMPLES: &str = "\
Examples:
  patchbay calls --tenant acme
  patchbay calls show ID
  patchbay calls hangup ID";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CallsArgs {
    #[command(flatten)]
    pub whose: Whose,
    #[command(subcommand)]
    pub verb: Option<CallVerb>,
}

#[derive(Debug, Subcommand)]
pub enum CallVerb {
    /// All that is known of one call.
    Show {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Ends a call with a BYE.
    Hangup {
        #[arg(value_name = "ID")]
        id: String,
    },
}

const LOGS_EXAMPLES: &str = "\
Examples:
  patchbay logs --tenant acme --name menu -f
  patchbay logs --tenant acme --name menu --json | jq .message";

#[derive(Args, Debug)]
pub struct LogsArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// The plugin.
    #[arg(long, value_name = "N")]
    pub name: Name,
    /// Goes on when the connection is lost, as at a restart of the host.
    #[arg(long, short)]
    pub follow: bool,
}

const AUDIT_EXAMPLES: &str = "\
Examples:
  patchbay audit --limit 20
  patchbay audit --tenant acme --before 1041";

#[derive(Args, Debug)]
pub struct AuditArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// Entries before this number.
    #[arg(long, value_name = "N")]
    pub before: Option<u64>,
    /// So many at most.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

const ROUTE_TEST_EXAMPLES: &str = "\
Examples:
  patchbay route-test +912261234567 --trunk exotel
  patchbay route-test sip:menu@acme.example.com";

#[derive(Args, Debug)]
pub struct RouteTestArgs {
    /// The called number, or a whole request-URI.
    #[arg(value_name = "CALLED")]
    pub called: String,
    /// The trunk that it comes from.
    #[arg(long, value_name = "X")]
    pub trunk: Option<Name>,
}

fn parse_percent(text: &str) -> Result<u8, String> {
    let share = text.strip_suffix('%').unwrap_or(text).parse().ok().filter(|share| (1..=99).contains(share));
    share.ok_or_else(|| "not a share from 1% to 99%".into())
}

/// A digest, or the beginning of one that tells it apart.
fn parse_digest(text: &str) -> Result<String, String> {
    let hexadecimal = |text: &str| text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    match text.parse::<Digest>() {
        Ok(digest) => Ok(digest.to_string()),
        Err(_) if (8..64).contains(&text.len()) && hexadecimal(text) => Ok(text.to_owned()),
        Err(_) => Err("not a digest: write its first 8 to 64 hexadecimal digits, lower-case".into()),
    }
}

fn parse_object(text: &str) -> Result<Object, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}
