//! `cargo xtask bench hosting`: what hosting promises to tenants, driven over the admin API of a release host.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::running::{Running, lines_of};
use super::{Wanted, release_program, write_figures};
use crate::bots::{self, Bots};
use crate::process::{root, target_dir};

/// Far more than it takes.
const TIME_MAX: Duration = Duration::from_secs(1800);
const TIME_MAX_FULL: Duration = Duration::from_secs(4 * 3600);

#[derive(clap::Args)]
pub struct Hosting {
    /// One measure instead of all.
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// The long counts.
    #[arg(long)]
    full: bool,
    /// Calls that are up while builds are activated, or beside which others loop.
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// Of those, callers of bots that loop.
    #[arg(long, default_value_t = 20)]
    looping: usize,
    #[command(flatten)]
    pub wanted: Wanted,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Only {
    /// Calls that are up while 100 builds are activated.
    Reload,
    /// Calls beside some whose bots loop without end.
    Isolation,
    /// How soon a new build answers.
    Activation,
    /// Builds that are complete whenever the host is killed.
    Kill9,
    /// Memory that no tenant sees of another.
    Churn,
}

impl Only {
    fn word(self) -> &'static str {
        match self {
            Only::Reload => "reload",
            Only::Isolation => "isolation",
            Only::Activation => "activation",
            Only::Kill9 => "kill9",
            Only::Churn => "churn",
        }
    }
}

pub fn measure(hosting: &Hosting) -> Result<Map<String, Value>> {
    bots::build(&Bots { names: Vec::new(), tests: true, toolchain: None })?;
    let host = match &hosting.wanted.host {
        Some(host) => host.clone(),
        None => release_program("patchbay", "patchbay", &[])?,
    };
    let loadgen = release_program("patchbay-bench", "loadgen", &[])?;
    let mut command = Command::new(loadgen);
    command.env("RUST_BACKTRACE", "0").arg("hosting").arg("--host").arg(host);
    for folder in ["target/bots", "target/bots-test"] {
        command.arg("--bots").arg(root().join(folder));
    }
    command.arg("--folder").arg(target_dir().join("bench/hosting"));
    command.args(hosting.only.iter().flat_map(|only| ["--only", only.word()]));
    command.args(hosting.full.then_some("--full"));
    command.args(["--calls", &hosting.calls.to_string(), "--looping", &hosting.looping.to_string()]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("the load generator")?;
    let said = lines_of(child.stdout.take().context("its stdout is piped")?);
    let loadgen = Running(child);
    let limit = if hosting.full { TIME_MAX_FULL } else { TIME_MAX };
    let line = said.recv_timeout(limit).context("nothing was measured")?;
    drop(loadgen);
    let Value::Object(figures) = serde_json::from_str(&line)? else { bail!("the load generator said {line}") };
    write_figures(&figures, &hosting.wanted.json)?;
    Ok(figures)
}
