//! Operates a running host over its admin API: what `patchbay login`, `tenant`, `deploy`, ... do.
//!
//! A command is one request and one way to show its answer: [`ask`] has the table of requests, `view` that of answers. `deploy`, `logs`
//! and those few that take two requests stand by themselves. A token is in no output but that of `token create`, and never
//! leaves this machine in the clear.
//!
//! Start reading at [`run`], then `ask`.

mod ask;
mod client;
mod credentials;
mod deploy;
mod login;
mod logs;
mod pairs;
mod problem;
mod table;
mod view;
mod when;

use std::fmt;
use std::process::ExitCode;
use std::time::SystemTime;

use serde_json::Value;

use crate::cli::{EXIT_UNREACHED, EXIT_USAGE, Each, HostArgs, On, Operate, PluginsArgs, TenantVerb, TokenVerb};
use crate::said::{complain, say};
use ask::Ask;
pub(crate) use ask::{path, with_query};
use client::Client;
use problem::Refusal;

/// Why nothing came of a command, by who can mend it.
#[derive(Debug)]
enum Failure {
    /// What was written cannot be.
    Usage(String),
    /// The host was not reached, or was lost before it had answered.
    Unreached(String),
    /// The host says no.
    Refused(Refusal),
    /// It went wrong on this side, or the answer is none of a Patchbay host.
    Failed(String),
}

type Outcome<T> = Result<T, Failure>;

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => EXIT_USAGE,
            Failure::Unreached(_) => EXIT_UNREACHED,
            Failure::Refused(_) | Failure::Failed(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Unreached(text) | Failure::Failed(text) => f.write_str(text),
            Failure::Refused(refusal) => refusal.fmt(f),
        }
    }
}

/// Exit code: 0 done, 1 refused or failed, 64 wrong usage, 69 the host was not reached.
pub fn run(command: &Operate) -> ExitCode {
    let as_json = command.as_json();
    match obey(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match &failure {
                // The host's own words, for a program.
                Failure::Refused(refusal) if as_json => say(&refusal.document),
                failure => complain(format_args!("patchbay: {failure}")),
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn obey(command: &Operate) -> Outcome<()> {
    match command {
        Operate::Login(args) => login::login(args),
        Operate::Logout => login::logout(),
        Operate::Deploy(On { host, what }) => deploy::deploy(&client(host)?, what, host.json),
        Operate::Logs(On { host, what }) => logs::follow(&client(host)?, what, host.json),
        Operate::Tenant(Each { host, verb: TenantVerb::Create { names, quotas } }) => {
            pairs::create_tenants(&client(host)?, names, quotas, host.json)
        }
        Operate::Tenant(Each { host, verb: TenantVerb::Quotas { name, quotas } }) => {
            pairs::quotas(&client(host)?, name, quotas, host.json)
        }
        Operate::Token(Each { host, verb: TokenVerb::Create { tenant, scope, label, .. } }) => {
            pairs::create_token(&client(host)?, tenant.as_deref(), scope.as_deref(), label, host.json)
        }
        Operate::Plugins(On { host, what: PluginsArgs { whose, name: Some(name), verb: None } }) => {
            pairs::versions(&client(host)?, whose, name, host.json)
        }
        command => {
            let host = command.host().cloned().unwrap_or_default();
            let client = client(&host)?;
            let ask = ask::ask_for(command, |given| client.tenant(given))?;
            let answer = client.ask(&ask)?;
            show(&ask, &answer, host.json);
            Ok(())
        }
    }
}

fn client(host: &HostArgs) -> Outcome<Client> {
    Client::new(credentials::find(host)?)
}

fn show(ask: &Ask, answer: &Value, as_json: bool) {
    if as_json {
        // Where the API has nothing to say, the document is an empty one.
        say(if answer.is_null() { "{}".to_owned() } else { answer.to_string() });
        return;
    }
    let text = ask.view.shown(answer, now_ms());
    if !text.is_empty() {
        say(text);
    }
}

/// Milliseconds since 1970, UTC.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Operate {
    /// Those of `login` and `logout` are their own.
    fn host(&self) -> Option<&HostArgs> {
        match self {
            Operate::Login(_) | Operate::Logout => None,
            Operate::Tenant(each) => Some(&each.host),
            Operate::Token(each) => Some(&each.host),
            Operate::Route(each) => Some(&each.host),
            Operate::Secret(each) => Some(&each.host),
            Operate::Deploy(on) => Some(&on.host),
            Operate::Activate(on) => Some(&on.host),
            Operate::RollBack(on) => Some(&on.host),
            Operate::Plugins(on) => Some(&on.host),
            Operate::Dial(on) => Some(&on.host),
            Operate::Calls(on) => Some(&on.host),
            Operate::Logs(on) => Some(&on.host),
            Operate::Audit(on) => Some(&on.host),
            Operate::RouteTest(on) => Some(&on.host),
        }
    }

    fn as_json(&self) -> bool {
        match self {
            Operate::Login(login) => login.json,
            command => command.host().is_some_and(|host| host.json),
        }
    }
}
