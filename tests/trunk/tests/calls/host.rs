//! A host with one trunk: its configuration, what it prints, its admin API and its records of calls.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use patchbay_tests::certificates::{self, Certificates};
use patchbay_tests::repository;
use patchbay_tests::running::{Running, run, until};
use serde_json::{Value, json};
use trunk::api::{Account, THROTTLE};
use trunk::{Api, Plan, Spelling, connection, second_leg};

/// Everything that is waited for. Machines may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// Bots behind these numbers: one that echoes and notes what it was told, and one of another route.
pub const OURS: &str = "+918888888888";
/// One that leads to an echo.
pub const ECHO: &str = "+914444444444";
pub const CUSTOMER: &str = "+919999999999";

static TURN: Mutex<()> = Mutex::new(());

/// What of a set-up a test may want otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Of the trunk's.
    pub calls_per_minute: usize,
    /// TLS of the API and of callbacks, and whom the host trusts at the API: a file in its folder.
    pub tls_ca: Option<&'a str>,
    /// Lines of `[trunks.outbound]`.
    pub outbound: &'a str,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self { calls_per_minute: THROTTLE, tls_ca: None, outbound: "" }
    }
}

pub struct Host {
    process: Running,
    pub api: Api,
    pub certificates: Certificates,
    pub folder: PathBuf,
    tcp: SocketAddr,
    tls: SocketAddr,
    admin: String,
    pub callbacks: SocketAddr,
    token: String,
    configuration: String,
    _turn: MutexGuard<'static, ()>,
}

impl Host {
    pub fn start(test: &str) -> Result<Host> {
        Self::with(test, &Setting::default())
    }

    pub fn with(test: &str, setting: &Setting) -> Result<Host> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = repository().join("target/trunk").join(test);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("bots"))?;
        // The doctor calls what is named `echo`.
        for name in ["teller", "echo"] {
            let bot = built("PATCHBAY_TEST_BOTS", "bots-test")?.join("misbehave.wasm");
            fs::copy(bot, folder.join("bots").join(name).with_extension("wasm"))?;
        }
        let certificates = certificates::make(&folder)?;
        let account = Account { sid: "patchbay1".into(), key: "the-key".into(), token: "the-token".into() };
        let tls = setting.tls_ca.map(|_| connection::showing(&certificates.server, &certificates.server_key));
        let api = Api::start("127.0.0.1:0".parse()?, account, setting.calls_per_minute, tls.transpose()?)?;
        fs::write(folder.join("trunk.token"), "the-token\n")?;
        let configuration = configuration(&api, setting);
        fs::write(folder.join("patchbay.toml"), &configuration)?;
        let mut command = Command::new(built("PATCHBAY_BIN", "debug/patchbay")?);
        command.args(["serve", "--config"]).arg(folder.join("patchbay.toml")).env("TRUNK_KEY", "the-key");
        let (process, lines) = Running::start_read(command, &folder.join("host.log"))?;
        let mut said = Vec::new();
        while !said.iter().any(|line: &String| line.starts_with("ready ")) {
            let line = lines.recv_timeout(START_TIME_MAX);
            said.push(line.with_context(|| format!("the host does not start:\n{}", process.output()))?);
        }
        let after = |start: &str| {
            let found = said.iter().find_map(|line| line.strip_prefix(start));
            found.map(str::to_owned).with_context(|| format!("no {start} in {said:?}"))
        };
        Ok(Host {
            api,
            certificates,
            tcp: after("listening tcp://")?.parse()?,
            tls: after("listening tls://")?.parse()?,
            admin: after("listening http://")?,
            callbacks: after(if setting.tls_ca.is_some() { "callbacks https://" } else { "callbacks http://" })?
                .parse()?,
            configuration,
            token: fs::read_to_string(folder.join("data/operator.token"))?.trim().to_owned(),
            process,
            folder,
            _turn: turn,
        })
    }

    /// A call of the trunk as the guides print it.
    pub fn plan(&self, secure: bool) -> Result<Plan> {
        let tls = secure.then(|| connection::trusting(&self.certificates.authority)).transpose()?;
        Ok(Plan {
            host: if secure { self.tls } else { self.tcp },
            tls,
            called: OURS.into(),
            customer: CUSTOMER.into(),
            call_sid: None,
            spelling: Spelling::PRINTED,
            media: second_leg::MEDIA,
        })
    }

    pub fn log(&self) -> String {
        self.process.output()
    }

    /// The host's own record of a call, once it is over.
    pub fn summary(&self, call_id: &str) -> Result<Value> {
        let look = || summaries(&self.log()).into_iter().find(|summary| summary["sip_call_id"] == call_id);
        until(PATIENCE, look).with_context(|| format!("no summary of {call_id}:\n{}", self.log()))
    }

    /// The admin API.
    pub fn client(&self) -> Client {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        let authorization = format!("Bearer {}", self.token);
        Client { agent: config.into(), url: format!("http://{}", self.admin), authorization }
    }

    /// A command of the host's own, as its operator.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(built("PATCHBAY_BIN", "debug/patchbay")?);
        let token = self.folder.join("data/operator.token");
        command.args(arguments).arg("--url").arg(format!("http://{}", self.admin)).arg("--token-file").arg(token);
        run(command, &self.folder.join("command.log"), PATIENCE)
    }

    /// A request in one of its states.
    pub fn await_state(&self, id: &str, state: &str) -> Result<Value> {
        let client = self.client();
        let look = || client.outbound(id).ok().filter(|request| request["state"] == state);
        until(PATIENCE, look).with_context(|| format!("{id} is not {state}: {:?}", client.outbound(id)))
    }

    /// Its configuration with the ports that the system gave it, and so many calls as it has ports for.
    pub fn bound_configuration(&self) -> Result<PathBuf> {
        let mut text = self.configuration.clone();
        for address in [&self.admin, &self.callbacks.to_string(), &self.tcp.to_string(), &self.tls.to_string()] {
            text = text.replacen("127.0.0.1:0", address, 1);
        }
        let file = self.folder.join("bound.toml");
        fs::write(&file, text + "\n[limits]\ncalls = 100\n")?;
        Ok(file)
    }

    /// Ends it. Errors: it does not end well, has lost a call, or told a secret.
    pub fn stop(mut self) -> Result<()> {
        self.process.signal(15);
        let status = self.process.wait(PATIENCE)?;
        let log = self.log();
        ensure!(status.success() && !log.contains("panicked at"), "the host ended with {status}:\n{log}");
        ensure!(!log.contains("the-token") && !log.contains("the-key"), "a secret is in the log:\n{log}");
        ensure!(!log.contains("/callbacks/"), "a callback's path is in the log:\n{log}");
        Ok(())
    }
}

#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    url: String,
    authorization: String,
}

impl Client {
    /// POST /v1/calls: status, Retry-After and document.
    pub fn dial(&self, context: Value) -> Result<(u16, Option<String>, Value)> {
        let body = json!({ "tenant": "default", "trunk": "exotel", "to": CUSTOMER, "from": OURS, "context": context });
        self.post(body)
    }

    pub fn post(&self, body: Value) -> Result<(u16, Option<String>, Value)> {
        let request = self.agent.post(format!("{}/v1/calls", self.url)).header("Authorization", &self.authorization);
        let mut answer = request.header("Content-Type", "application/json").send(body.to_string())?;
        let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let document = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
        Ok((answer.status().as_u16(), wait, document))
    }

    /// A call that the trunk makes.
    pub fn dialled(&self, context: Value) -> Result<Value> {
        let (status, _, document) = self.dial(context)?;
        ensure!(status == 201, "{status}: {document}");
        Ok(document)
    }

    pub fn outbound(&self, id: &str) -> Result<Value> {
        let request = self.agent.get(format!("{}/v1/calls/outbound/{id}", self.url));
        let mut answer = request.header("Authorization", &self.authorization).call()?;
        Ok(serde_json::from_str(&answer.body_mut().read_to_string()?)?)
    }
}

/// What the bot noted under a key.
pub fn note<'a>(summary: &'a Value, key: &str) -> Option<&'a str> {
    summary["notes"].as_array()?.iter().find(|note| note[0] == key)?[1].as_str()
}

fn summaries(log: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| line.split_once(" summary: "));
    lines.filter_map(|(_, summary)| serde_json::from_str(summary).ok()).collect()
}

pub fn built(variable: &str, default: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| repository().join("target").join(default), PathBuf::from);
    path.canonicalize().with_context(|| format!("{} ({variable}) was not built: cargo xtask test", path.display()))
}

fn configuration(api: &Api, setting: &Setting) -> String {
    let certificates = "certificates = [{ cert = \"cert.pem\", key = { file = \"key.pem\" } }]";
    let of_callbacks = if setting.tls_ca.is_some() { certificates } else { "" };
    let tls_ca = setting.tls_ca.map(|file| format!("tls_ca = \"{file}\"")).unwrap_or_default();
    let outbound = setting.outbound;
    // Ports of its own, apart from what the other tests use at the same time.
    let first = 10_000 + (std::process::id() as u16 % 20) * 300;
    format!(
        r#"
bots = "bots"
data = "data"
drain_seconds = 2

[admin]
listen = "127.0.0.1:0"

[callbacks]
listen = "127.0.0.1:0"
{of_callbacks}

[rtp]
ports = "{first}-{}"
rest_ms = 100

[log]
personal = true

[[listeners]]
listen = "tcp://127.0.0.1:0"

[[listeners]]
listen = "tls://127.0.0.1:0"
{certificates}

[[trunks]]
name = "exotel"
networks = ["127.0.0.1"]
trusted = true

[trunks.outbound]
api = "{}"
account_sid = "patchbay1"
key = {{ env = "TRUNK_KEY" }}
token = {{ file = "trunk.token" }}
caller_id = "+912261234567"
flow = "https://my.exotel.com/flow-control/flow/7"
{tls_ca}
{outbound}

{}"#,
        first + 299,
        api.url,
        routes()
    )
}

fn routes() -> String {
    format!(
        r#"
[[routes]]
trunk = "exotel"
called = "{OURS}"
plugin = "teller"
config = {{ conduct = "good", tell = "outbound,outbound-id,context,context.who" }}

[[routes]]
trunk = "exotel"
called = "{ECHO}"
plugin = "echo"
config = {{ conduct = "good" }}

[[routes]]
trunk = "exotel"
called = "+917777777777"
plugin = "teller"
config = {{ conduct = "hangup" }}

[[routes]]
trunk = "exotel"
called = "+916666666666"
plugin = "teller"
config = {{ conduct = "ring-for-ever" }}
"#
    )
}
