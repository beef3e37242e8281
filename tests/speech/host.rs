//! A host whose bots hear, speak and converse by these engines, and callers of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use patchbay_tests::repository;
use patchbay_tests::running::{Running, run, until};
use patchbay_tests::sound::{read_wav, silence, write_wav};
use serde_json::Value;

/// Compiling a bot on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Engines may be slow. A call ends by itself long before.
const CALL_SECONDS: u64 = 240;
const SUMMARY_WITHIN: Duration = Duration::from_secs(20);

pub struct Host {
    process: Running,
    folder: PathBuf,
    address: String,
}

/// What came of a call.
pub struct Called {
    /// What the caller heard, 8 kHz.
    pub heard: Vec<i16>,
    /// The bot's notes.
    pub notes: Value,
    /// How often the caller cut the bot off.
    pub barge_ins: u64,
}

impl Host {
    /// Its bot is plugins/agent. `sections`: `[speech.stt]` and so on, as in a configuration. Each of `models` is a number to be called;
    /// `agent`: the rest of the agent's own configuration.
    pub fn start(test: &str, sections: &str, models: &[&str], agent: &str) -> Result<Host> {
        let folder = repository().join("target/speech").join(test);
        let bots = folder.join("bots");
        std::fs::create_dir_all(&bots)?;
        let shipped = built("PATCHBAY_BOTS", "bots")?;
        std::fs::copy(shipped.join("agent.wasm"), bots.join("agent.wasm")).context("agent.wasm")?;
        let route = |model: &&str| {
            format!(
                "[[routes]]\ncalled = \"{model}\"\nplugin = \"agent\"\n[routes.config]\nmodel = \"{model}\"\n{agent}\n"
            )
        };
        let routes: String = models.iter().map(route).collect();
        let text = format!(
            "bots = \"bots\"\nlog.personal = true\n[rtp]\nports = \"21000-21098\"\n[[listeners]]\nlisten = \"tcp://127.0.0.1:0\"\n\
             [[trunks]]\nname = \"test\"\nnetworks = [\"127.0.0.1/32\"]\n{routes}{sections}"
        );
        let config = folder.join("patchbay.toml");
        std::fs::write(&config, text)?;
        let mut command = Command::new(built("PATCHBAY_BIN", "debug/patchbay")?);
        command.args(["serve", "--config"]).arg(&config);
        let (process, lines) = Running::start_read(command, &folder.join("host.log"))?;
        let mut host = Host { process, folder, address: String::new() };
        host.await_ready(&lines).with_context(|| format!("the host does not start:\n{}", host.log()))?;
        Ok(host)
    }

    fn await_ready(&mut self, lines: &Receiver<String>) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))?;
            if line.starts_with("ready") {
                return Ok(());
            }
            if let Some(address) = line.strip_prefix("listening tcp://") {
                self.address = address.to_owned();
            }
        }
    }

    /// To each of these numbers a call, all at the same time; see [`Host::call`].
    pub fn calls(&self, models: &[&str], says: &[(Duration, Vec<i16>)]) -> Result<Vec<Called>> {
        thread::scope(|scope| {
            let calls: Vec<_> = models.iter().map(|model| scope.spawn(move || self.call(model, says))).collect();
            calls.into_iter().map(|call| call.join().map_err(|_| anyhow!("a caller panicked"))?).collect()
        })
    }

    /// The only call to this number, of the host's own client: says this after so long, and listens until the bot hangs up.
    pub fn call(&self, model: &str, says: &[(Duration, Vec<i16>)]) -> Result<Called> {
        let file = |of: &str| self.folder.join(format!("{model}{of}"));
        let (play, record) = (file(".says.wav"), file(".wav"));
        let waits =
            |(pause, sound): &(Duration, Vec<i16>)| [silence(pause.as_millis() as usize), sound.clone()].concat();
        write_wav(&play, &says.iter().flat_map(waits).collect::<Vec<i16>>())?;
        let mut command = Command::new(built("PATCHBAY_BIN", "debug/patchbay")?);
        command.arg("call").arg(format!("sip:{model}@{};transport=tcp", self.address));
        command.arg("--play").arg(&play).arg("--record").arg(&record);
        command.args(["--json", "--duration", &CALL_SECONDS.to_string()]);
        let limit = Duration::from_secs(CALL_SECONDS + 30);
        run(command, &file(".log"), limit)?;
        let summary = until(SUMMARY_WITHIN, || self.summaries().into_iter().find(|summary| summary["called"] == model))
            .with_context(|| format!("no summary: {}", self.log()))?;
        ensure!(summary["ended_by"] == "bot", "the bot hangs up: {summary}");
        let barge_ins = summary["bot"]["barge_ins"]["count"].as_u64().context("barge_ins")?;
        Ok(Called { heard: read_wav(&record)?, notes: notes(&summary["notes"]), barge_ins })
    }

    fn summaries(&self) -> Vec<Value> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| line.split_once(" summary: "));
        lines.filter_map(|(_, summary)| serde_json::from_str(summary).ok()).collect()
    }

    /// So far: its own lines, and those of its bots.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Errors: it does not drain, ends with an error, or a thread of it panicked.
    pub fn stop(mut self) -> Result<()> {
        self.process.signal(libc::SIGTERM);
        let status = self.process.wait(READY_WITHIN)?;
        let log = self.log();
        ensure!(status.success() && !log.contains("panicked at"), "the host ended with {status}:\n{log}");
        Ok(())
    }
}

/// By their keys.
fn notes(pairs: &Value) -> Value {
    let pairs = pairs.as_array().into_iter().flatten();
    pairs.filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].clone()))).collect()
}

fn built(variable: &str, default: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| repository().join("target").join(default), PathBuf::from);
    let path: &Path = &path;
    path.canonicalize().with_context(|| format!("{} ({variable}) was not built: cargo xtask test", path.display()))
}
