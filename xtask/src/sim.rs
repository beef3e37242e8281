//! The tests in virtual time, called by name: one seed of the simulation again, and the ladders written anew.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::process::{cargo, run_shown};

const TIME_MAX: Duration = Duration::from_secs(3600);

#[derive(clap::Args)]
pub struct Sim {
    /// Replays this seed alone, with its story told.
    #[arg(long)]
    seed: Option<u64>,
}

pub fn run(sim: &Sim) -> Result<ExitCode> {
    let mut command = cargo(&["test", "--workspace", "--test", "sim", "--", "--nocapture"]);
    if let Some(seed) = sim.seed {
        command.env("SIM_SEED", seed.to_string());
    }
    shown(command)
}

pub fn ladders() -> Result<ExitCode> {
    let mut command = cargo(&["test", "--workspace", "--test", "ladders"]);
    command.env("UPDATE_LADDERS", "1");
    shown(command)
}

fn shown(command: std::process::Command) -> Result<ExitCode> {
    let ended = run_shown(command, TIME_MAX)?;
    Ok(if ended.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
