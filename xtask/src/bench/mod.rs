//! `cargo xtask bench`: what is promised, measured from outside on a release build, and written as one flat JSON object.
//! The measuring is done by `tests/bench`; here programs are built and started, and figures judged.

mod calls;
mod conversation;
mod hosting;
mod instructions;
mod running;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use self::calls::Calls;
use self::conversation::Conversation;
use self::hosting::Hosting;
use self::instructions::Instructions;
use crate::bots::{self, Bots};
use crate::process::{cargo, root, target_dir};

/// A `--require` does not hold.
const EXIT_REQUIRED: u8 = 1;
/// Nothing was measured.
const EXIT_NOT_RUN: u8 = 2;

#[derive(clap::Subcommand)]
pub enum Bench {
    /// Load a release host with calls and measure CPU, memory, loss, lateness and set-up.
    Calls(Calls),
    /// Drive a release host over its admin API and measure reloads, isolation, activation, kill -9 and what slots keep.
    Hosting(Hosting),
    /// Talk with bots on a release host, its engines answering at once, and measure interruptions, turns and what listening costs.
    Conversation(Conversation),
    /// Count the instructions of the hot paths with callgrind, and compare them with the committed counts.
    Instructions(Instructions),
}

/// What every measurement is asked.
#[derive(clap::Args)]
pub struct Wanted {
    /// Where the figures are written, as one flat JSON object.
    #[arg(long, value_name = "FILE")]
    pub json: PathBuf,
    /// Fails unless this figure is at most so much. May be given several times.
    #[arg(long, value_name = "FIELD<=N", value_parser = parse_required)]
    pub require: Vec<Required>,
    /// Measures this build of the host instead of the one in this folder.
    #[arg(long, value_name = "PROGRAM")]
    pub host: Option<PathBuf>,
}

#[derive(Clone)]
pub struct Required {
    field: String,
    at_most: f64,
}

fn parse_required(text: &str) -> Result<Required, String> {
    let (field, limit) = text.split_once("<=").ok_or("expected FIELD<=N")?;
    let at_most = limit.trim().parse().map_err(|_| format!("`{limit}` is not a number"))?;
    Ok(Required { field: field.trim().to_owned(), at_most })
}

pub fn run(bench: &Bench) -> ExitCode {
    let judged = match bench {
        Bench::Calls(calls) => calls::measure(calls).map(|figures| judge(&figures, &calls.wanted.require)),
        Bench::Hosting(hosting) => hosting::measure(hosting).map(|figures| judge(&figures, &hosting.wanted.require)),
        Bench::Conversation(asked) => {
            conversation::measure(asked).map(|figures| judge(&figures, &asked.wanted.require))
        }
        Bench::Instructions(asked) => instructions::run(asked),
    };
    match judged {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(EXIT_NOT_RUN)
        }
    }
}

/// Builds one package, in release, and gives the program of that name. One after the other, so that the host has the features that it has
/// when an operator builds it.
fn release_program(package: &str, program: &str, options: &[&str]) -> Result<PathBuf> {
    let status = cargo(&[&["build", "--release", "--package", package], options].concat())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "{package} does not build");
    Ok(target_dir().join("release").join(program))
}

/// The load generator that measures this, with the host, all bots, and a folder for it.
fn measuring(what: &str, host: Option<&Path>) -> Result<Command> {
    bots::build(&Bots { names: Vec::new(), tests: true, toolchain: None })?;
    let host = match host {
        Some(host) => host.to_owned(),
        None => release_program("patchbay", "patchbay", &[])?,
    };
    let mut command = Command::new(release_program("patchbay-bench", "loadgen", &[])?);
    command.env("RUST_BACKTRACE", "0").arg(what).arg("--host").arg(host);
    for folder in ["target/bots", "target/bots-test"] {
        command.arg("--bots").arg(root().join(folder));
    }
    command.arg("--folder").arg(target_dir().join("bench").join(what));
    Ok(command)
}

/// To the file, and for whoever looks on.
fn write_figures(figures: &Map<String, Value>, file: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(figures)?;
    fs::write(file, format!("{text}\n")).with_context(|| file.display().to_string())?;
    println!("{text}");
    Ok(())
}

fn judge(figures: &Map<String, Value>, required: &[Required]) -> ExitCode {
    let mut kept = true;
    for Required { field, at_most } in required {
        let Some(figure) = figures.get(field) else {
            eprintln!("bench: there is no figure `{field}`");
            return ExitCode::from(EXIT_NOT_RUN);
        };
        if !figure.as_f64().is_some_and(|figure| figure <= *at_most) {
            eprintln!("bench: required {field} <= {at_most}, measured {figure}");
            kept = false;
        }
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::from(EXIT_REQUIRED) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_requirement_that_does_not_hold_and_one_that_cannot_be_judged_are_told_apart() {
        let measured = json!({"lost_frames": 3, "rtt_p50_ms": null}).as_object().cloned().unwrap();
        for (required, code) in [
            ("lost_frames<=3", ExitCode::SUCCESS),
            ("lost_frames<=2.5", ExitCode::from(1)),
            ("rtt_p50_ms<=100", ExitCode::from(1)),
            ("lost_framez<=3", ExitCode::from(2)),
        ] {
            let required_one = parse_required(required).unwrap();
            assert_eq!(format!("{:?}", judge(&measured, &[required_one])), format!("{code:?}"), "{required}");
        }
    }
}
