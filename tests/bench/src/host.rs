//! The host under measurement: a process with a configuration, a data folder and a log of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::api::Api;

/// Compiling what it has, on a busy machine.
const READY_TIME_MAX: Duration = Duration::from_secs(60);
/// Bots may finish what they began for 10 s.
const SUMMARIES_TIME_MAX: Duration = Duration::from_secs(30);

pub struct Host {
    process: Child,
    folder: PathBuf,
    log: PathBuf,
    pub sip: SocketAddr,
    /// Asks nobody, where the configuration has no `[admin]`.
    pub api: Api,
}

impl Host {
    /// Returns once it is ready. Its data stays in the folder, for the next one.
    pub fn start(program: &Path, folder: &Path, configuration: &str) -> Result<Host> {
        let file = folder.join("patchbay.toml");
        fs::write(&file, configuration)?;
        let log = folder.join("host.log");
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(&file).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.stderr(File::create(&log)?).spawn().context("the host does not start")?;
        let stdout = process.stdout.take().context("its stdout is piped")?;
        // Killed with this, also when it is never ready.
        let mut host = Host {
            process,
            folder: folder.to_owned(),
            log,
            sip: SocketAddr::from(([127, 0, 0, 1], 0)),
            api: Api::new(String::new(), String::new()),
        };
        let (said, lines) = channel();
        std::thread::spawn(move || {
            // Read to the end, so that it never waits for us.
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(said.send(line)));
        });
        let deadline = Instant::now() + READY_TIME_MAX;
        let mut admin = None;
        loop {
            let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.with_context(|| format!("the host is not ready: see {}", host.log.display()))?;
            if let Some(address) = line.strip_prefix("listening tcp://") {
                host.sip = address.parse()?;
            } else if let Some(address) = line.strip_prefix("listening http://") {
                admin = Some(format!("http://{address}"));
            } else if line.starts_with("ready") {
                break;
            }
        }
        if let Some(admin) = admin {
            let token = fs::read_to_string(folder.join("data/operator.token")).context("the operator's token")?;
            host.api = Api::new(admin, token.trim().to_owned());
        }
        Ok(host)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// kill -9, and nothing else.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// The records of calls that are over, once there are so many.
    pub fn summaries(&self, count: usize) -> Result<Vec<Value>> {
        let deadline = Instant::now() + SUMMARIES_TIME_MAX;
        loop {
            let log = fs::read(&self.log)?;
            let log = String::from_utf8_lossy(&log);
            let summaries: Vec<Value> = log
                .lines()
                .filter_map(|line| line.split_once(" summary: {"))
                .filter_map(|(_, rest)| serde_json::from_str(&format!("{{{rest}")).ok())
                .collect();
            if summaries.len() >= count {
                return Ok(summaries);
            }
            if Instant::now() > deadline {
                bail!("{} of {count} calls have a summary", summaries.len());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended by itself, or been killed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A number in a summary, by its path: `/bot/overruns`. 0 where there is none, as of a call without a bot.
pub fn number(summary: &Value, path: &str) -> u64 {
    summary.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// Of the calls to that number.
pub fn of<'a>(summaries: &'a [Value], called: &'a str) -> impl Iterator<Item = &'a Value> {
    summaries.iter().filter(move |summary| summary["called"] == called)
}
