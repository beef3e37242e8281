//! What may be written to operate a running host over its admin API.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use store::Name;

use super::builds::*;
use super::tenants::*;

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
    /// Has a trunk call a customer and connect that call with a bot.
    #[command(after_help = DIAL_EXAMPLES)]
    Dial(On<DialArgs>),
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
pub struct HostArgs {
    /// The admin API. [default: PATCHBAY_URL, else that of `patchbay login`]
    #[arg(long, global = true, help_heading = "Host", value_name = "URL")]
    pub url: Option<String>,
    /// Holds the token. [default: PATCHBAY_TOKEN, else that of `patchbay login` to the same URL]
    #[arg(long, global = true, help_heading = "Host", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Whom to trust on https, PEM. [default: as at login, else the system's authorities]
    #[arg(long, global = true, help_heading = "Host", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Prints the API's JSON, one document; of logs one a line.
    #[arg(long, global = true, help_heading = "Host")]
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

const CALLS_EXAMPLES: &str = "\
Examples:
  patchbay calls --tenant acme
  patchbay calls show ID
  patchbay calls hangup ID
  patchbay calls outbound ID            what became of a `patchbay dial`";

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
    #[command(after_help = CALLS_EXAMPLES)]
    Show {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// What became of a call that was dialled.
    #[command(after_help = CALLS_EXAMPLES)]
    Outbound {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Ends a call with a BYE.
    #[command(after_help = CALLS_EXAMPLES)]
    Hangup {
        #[arg(value_name = "ID")]
        id: String,
    },
}

const DIAL_EXAMPLES: &str = "\
Examples:
  patchbay dial --tenant acme --trunk exotel --to +919999999999 --from +918888888888
  patchbay dial --trunk exotel --to +919999999999 --from +918888888888 --context name=Asha --context due='12 May'
The customer is called first. Once it answers, the trunk's flow dials --from, and the bot of its route reads the context.";

#[derive(Args, Debug)]
pub struct DialArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// The trunk that makes the call.
    #[arg(long, value_name = "X")]
    pub trunk: Name,
    /// The customer.
    #[arg(long, value_name = "NUMBER")]
    pub to: String,
    /// Our number, which a route of the tenant takes.
    #[arg(long, value_name = "NUMBER")]
    pub from: String,
    /// What the bot is told: its attribute `context.K`.
    #[arg(long, value_name = "K=V", value_parser = parse_pair)]
    pub context: Vec<(String, String)>,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
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
