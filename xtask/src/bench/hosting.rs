//! `cargo xtask bench hosting`: what hosting promises to tenants, driven over the admin API of a release host.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Map, Value};

use super::running::said_by;
use super::{Wanted, measuring, write_figures};

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
    let mut command = measuring("hosting", hosting.wanted.host.as_deref())?;
    command.args(hosting.only.iter().flat_map(|only| ["--only", only.word()]));
    command.args(hosting.full.then_some("--full"));
    command.args(["--calls", &hosting.calls.to_string(), "--looping", &hosting.looping.to_string()]);
    let figures = said_by(command, if hosting.full { TIME_MAX_FULL } else { TIME_MAX })?;
    write_figures(&figures, &hosting.wanted.json)?;
    Ok(figures)
}
