//! `cargo xtask demo`: builds bots and host, then leaves the word to `tests/demo`, which places the calls.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::bots::{self, Bots};
use crate::built::{Built, build_programs};
use crate::process::{Ended, root, run_shown};

/// Calls, with all that may go wrong in them; `--stay` has no end.
const CALLS_TIME_MAX: Duration = Duration::from_secs(600);
const STAY_TIME_MAX: Duration = Duration::from_secs(30 * 86_400);

#[derive(clap::Args)]
pub struct Demo {
    /// Leave the host running afterwards, and say what to dial.
    #[arg(long)]
    stay: bool,
}

pub fn run(demo: &Demo) -> Result<ExitCode> {
    bots::build(&Bots { names: Vec::new(), tests: false, toolchain: None })?;
    let ended = start(&build_programs()?, demo.stay)?;
    if !ended.failure().is_empty() {
        eprintln!("demo: {}", ended.failure());
    }
    Ok(if ended.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The calls alone, for what is already built.
pub fn place_calls(built: &Built) -> Result<Ended> {
    start(built, false)
}

fn start(built: &Built, stay: bool) -> Result<Ended> {
    let mut command = std::process::Command::new(built.program("demo")?);
    command.current_dir(root()).arg(built.program("patchbay")?);
    command.args(stay.then_some("--stay"));
    run_shown(command, if stay { STAY_TIME_MAX } else { CALLS_TIME_MAX })
}
