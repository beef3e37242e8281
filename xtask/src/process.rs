//! Running programs: always with a deadline, and with their output where it can be read afterwards.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, Result};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_owned()
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// The cargo that runs us, in the repository. Both workspaces share a folder, so that the macros of both are compiled once.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(arguments).env("CARGO_TARGET_DIR", target_dir());
    cargo
}

/// How a program ended.
pub struct Ended {
    /// None: it was stopped at its deadline.
    pub status: Option<ExitStatus>,
    /// What it wrote to both streams, if that was asked for.
    pub output: String,
}

impl Ended {
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Empty, or how it failed.
    pub fn failure(&self) -> String {
        match self.status {
            Some(status) if status.success() => String::new(),
            Some(status) => status.to_string(),
            None => "stopped at its deadline".into(),
        }
    }
}

/// Runs it with both its streams in `log`.
pub fn run_logged(mut command: Command, log: &Path, limit: Duration) -> Result<Ended> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = File::create(log).with_context(|| log.display().to_string())?;
    command.stdout(file.try_clone()?).stderr(file);
    let status = finish(command, limit)?;
    let mut output = Vec::new();
    File::open(log)?.read_to_end(&mut output)?;
    Ok(Ended { status, output: String::from_utf8_lossy(&output).into_owned() })
}

/// Runs it with both its streams on ours.
pub fn run_shown(command: Command, limit: Duration) -> Result<Ended> {
    Ok(Ended { status: finish(command, limit)?, output: String::new() })
}

fn finish(mut command: Command, limit: Duration) -> Result<Option<ExitStatus>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot run {name}"))?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}
