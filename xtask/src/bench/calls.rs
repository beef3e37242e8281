//! `cargo xtask bench calls`: what a call costs, measured from outside on a release build, against the floor of the same run:
//! the same packets, from the same generator, through an echo of UDP that knows no calls.
//!
//! Each run measures the floor first, then a fresh host. The figures are medians of the runs. `tests/bench` does the measuring.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::running::{Running, said_by};
use super::{Wanted, release_program, write_figures};
use crate::bots::{self, Bots};
use crate::process::{root, target_dir};

/// Set-up, warm-up and hanging up, beyond the interval.
const AROUND_TIME_MAX: Duration = Duration::from_secs(180);

/// The echo without Wasm. A host with the feature `native-bot` runs it in place of whatever build has that name.
const NATIVE: &str = "native";

#[derive(clap::Args)]
pub struct Calls {
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    calls: u32,
    /// Length of the measured interval.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    seconds: u32,
    /// SIP over TLS, and SRTP.
    #[arg(long)]
    srtp: bool,
    /// What the calls talk to. Only an echo shows loss and round trips.
    #[arg(long, value_enum, default_value = "echo")]
    bot: Bot,
    /// Calls beside these that are up and on hold: a place in the host, and no sound.
    #[arg(long, default_value_t = 0)]
    held: u32,
    /// Calls beside these, so many a second while it is measured, each of half a second.
    #[arg(long, default_value_t = 0)]
    setups: u32,
    /// What a bot has from a frame to the packet that leaves after it. Units: ms.
    #[arg(long, default_value_t = 10)]
    budget_ms: u32,
    /// The figures are the medians of so many runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    #[command(flatten)]
    pub wanted: Wanted,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Bot {
    Echo,
    DtmfMenu,
    Silent,
    Native,
}

pub fn measure(calls: &Calls) -> Result<Map<String, Value>> {
    let bot = match calls.bot {
        Bot::Echo => "echo",
        Bot::DtmfMenu => "dtmf-menu",
        Bot::Silent => "silent",
        Bot::Native => NATIVE,
    };
    let stage = Stage::build(calls)?;
    let mut floors = Vec::new();
    let mut measured = Vec::new();
    for run in 1..=calls.runs {
        floors.push(stage.floor(calls)?);
        measured.push(stage.host(calls, bot)?);
        eprintln!("bench: run {run} of {}: {}", calls.runs, Value::Object(measured[measured.len() - 1].clone()));
    }
    let mut figures = medians(&measured);
    let floor = medians(&floors);
    let cost = |figures: &Map<String, Value>| figures["cpu_ms_per_call_second"].as_f64();
    let (ours, least) = cost(&figures).zip(cost(&floor)).context("the generator measured no cost")?;
    ensure!(least > 0.0, "the interval is too short to measure the floor");
    figures.remove("threads_ms_per_call_second");
    let more = json!({
        "floor_ms_per_call_second": least, "floor_ratio": (ours / least * 1000.0).round() / 1000.0, "floor_kind": "polled",
        "floor_lost_frames": floor.get("lost_frames"), "calls": calls.calls, "seconds": calls.seconds, "srtp": u8::from(calls.srtp), "runs": calls.runs,
    });
    figures.extend(more.as_object().cloned().unwrap_or_default());
    write_figures(&figures, &calls.wanted.json)?;
    Ok(figures)
}

/// The median of each figure over the runs; null if a run did not have it.
fn medians(runs: &[Map<String, Value>]) -> Map<String, Value> {
    let Some(first) = runs.first() else { return Map::new() };
    let median = |name: &String| {
        let values: Option<Vec<f64>> = runs.iter().map(|run| run.get(name).and_then(Value::as_f64)).collect();
        let Some(mut values) = values else { return Value::Null };
        values.sort_unstable_by(f64::total_cmp);
        match values.len() % 2 {
            1 => json!(values[values.len() / 2]),
            _ => json!((values[values.len() / 2 - 1] + values[values.len() / 2]) / 2.0),
        }
    };
    first.keys().map(|name| (name.clone(), median(name))).collect()
}

/// The programs, and a folder for what they write.
struct Stage {
    host: PathBuf,
    loadgen: PathBuf,
    /// What the host loads.
    bots: PathBuf,
    folder: PathBuf,
}

/// A host with the bot `native`, out of the folder in which people look for one to install.
fn native_host(given: Option<&Path>, folder: &Path) -> Result<PathBuf> {
    if let Some(host) = given {
        return Ok(host.to_owned());
    }
    let host = folder.join("patchbay-native");
    fs::rename(release_program("patchbay", "patchbay", &["--features", "native-bot"])?, &host)?;
    Ok(host)
}

impl Stage {
    fn build(calls: &Calls) -> Result<Stage> {
        // Those that we ship are built in any case.
        let names = if calls.bot == Bot::Silent { vec!["silent".to_owned()] } else { Vec::new() };
        bots::build(&Bots { names, tests: false, toolchain: None })?;
        let folder = target_dir().join("bench");
        let mut bots = root().join("target/bots");
        fs::create_dir_all(&folder)?;
        let host = match (&calls.wanted.host, calls.bot) {
            (_, Bot::Native) => {
                let echo = bots.join("echo.wasm");
                bots = folder.join("native-bots");
                fs::create_dir_all(&bots)?;
                fs::copy(echo, bots.join(format!("{NATIVE}.wasm")))?;
                native_host(calls.wanted.host.as_deref(), &folder)?
            }
            (Some(host), _) => host.clone(),
            (None, _) => release_program("patchbay", "patchbay", &[])?,
        };
        let loadgen = release_program("patchbay-bench", "loadgen", &[])?;
        let stage = Stage { host, loadgen, bots, folder };
        if calls.srtp {
            let status = Command::new(&stage.loadgen).arg("certificate").arg(&stage.folder).status()?;
            ensure!(status.success(), "no certificate could be made");
        }
        Ok(stage)
    }

    fn floor(&self, calls: &Calls) -> Result<Map<String, Value>> {
        let mut command = Command::new(&self.loadgen);
        command.args(["echo", "--legs", &calls.calls.to_string()]);
        let (echo, said) = Running::start(command, &self.folder.join("echo.log"))?;
        let port =
            said.iter().find_map(|line| line.strip_prefix("port ")).context("the echo does not name its port")?;
        self.load(calls, echo.0.id(), &["--echo-port", port])
    }

    fn host(&self, calls: &Calls, bot: &str) -> Result<Map<String, Value>> {
        let scheme = if calls.srtp { "tls" } else { "tcp" };
        let mut command = Command::new(&self.host);
        command.arg("serve").arg("--config").arg(self.configure(calls, scheme)?);
        let certificate = self.folder.join("cert.pem");
        let (host, said) = Running::start(command, &self.folder.join("host.log"))?;
        let address = said.iter().find_map(|line| line.strip_prefix(&format!("listening {scheme}://")));
        let address = address.context("the host does not say where it listens")?;
        let mut arguments = vec!["--sip", address, "--bot", bot];
        let certificate = certificate.to_string_lossy();
        if calls.srtp {
            arguments.extend(["--srtp", &certificate]);
        }
        let [held, setups, budget] = [calls.held, calls.setups, calls.budget_ms].map(|number| number.to_string());
        arguments.extend(["--held", &held, "--setups", &setups, "--budget-ms", &budget]);
        self.load(calls, host.0.id(), &arguments)
    }

    /// What an operator would write, with room for the calls.
    fn configure(&self, calls: &Calls, scheme: &str) -> Result<PathBuf> {
        let room = (calls.calls + calls.held + calls.setups).max(3000);
        let (certificates, srtp) = match calls.srtp {
            true => ("certificates = [{ cert = \"cert.pem\", key = { file = \"key.pem\" } }]", "require"),
            false => ("", "prefer"),
        };
        let (bots, budget) = (&self.bots, calls.budget_ms);
        let text = format!(
            "bots = {bots:?}\nbot_budget_ms = {budget}\n[limits]\ncalls = {room}\n[[listeners]]\nlisten = \"{scheme}://127.0.0.1:0\"\n{certificates}\n\
             [[trunks]]\nname = \"callers\"\nnetworks = [\"127.0.0.0/8\"]\nsrtp = \"{srtp}\"\n[[routes]]\nplugin = \"{{called}}\"\n"
        );
        let file = self.folder.join("patchbay.toml");
        fs::write(&file, text)?;
        Ok(file)
    }

    /// One measurement of a process that is up.
    fn load(&self, calls: &Calls, pid: u32, of: &[&str]) -> Result<Map<String, Value>> {
        let mut command = Command::new(&self.loadgen);
        let numbers = [pid, calls.calls, calls.seconds].map(|number| number.to_string());
        let named = ["--pid", "--calls", "--seconds"].iter().zip(&numbers);
        command.env("RUST_BACKTRACE", "0").arg("load").args(named.flat_map(|(name, number)| [*name, number])).args(of);
        said_by(command, AROUND_TIME_MAX + Duration::from_secs(calls.seconds.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn figures_of_several_runs_are_medians() {
        let runs = [json!({"a": 3, "b": null}), json!({"a": 1, "b": 2}), json!({"a": 9.5, "b": 2})].map(figures);
        assert_eq!(Value::Object(medians(&runs)), json!({"a": 3.0, "b": null}));
        assert_eq!(Value::Object(medians(&runs[1..])), json!({"a": 5.25, "b": 2.0}));
    }
}
