//! What tests need beside Rust: Debian packages, and Python packages in an environment of their own. Each install is tried
//! three times, and what cannot be had is named with the line that would bring it: that is no failed test.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Ended, root, run_logged, target_dir};

const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(10);
const APT_TIME_MAX: Duration = Duration::from_secs(600);
const PIP_TIME_MAX: Duration = Duration::from_secs(300);
const LOOK_TIME_MAX: Duration = Duration::from_secs(30);

/// What some tests need.
pub struct Needs {
    /// The stage of those tests.
    pub stage: &'static str,
    /// What they are.
    pub title: &'static str,
    /// One per line: `apt <package>` or `pip <requirement>`.
    list: &'static str,
    /// Where they look for Python packages.
    venv: &'static str,
}

pub const NEEDS: [Needs; 2] = [
    Needs { stage: "interop", title: "clients", list: "tests/interop/clients.txt", venv: "target/interop/venv" },
    Needs { stage: "speech", title: "engines", list: "tests/speech/engines.txt", venv: "target/speech/venv" },
];

impl Needs {
    /// Installs what is not there. Returns a sentence for each thing that could not be had.
    pub fn install(&self) -> Result<Vec<String>> {
        let list = std::fs::read_to_string(root().join(self.list)).context(self.list)?;
        let of = |kind: &str| -> Vec<String> {
            list.lines().filter_map(|line| line.strip_prefix(kind)).map(|name| name.trim().to_owned()).collect()
        };
        let mut missing = debian(&of("apt "))?;
        missing.extend(python(self.venv, &of("pip "))?);
        Ok(missing)
    }
}

/// rustfmt and clippy: not in rustup's minimal profile.
pub fn rust_components() -> Result<Vec<String>> {
    let there = |name: &str| -> Result<bool> { Ok(quiet(&["cargo", name, "--version"], LOOK_TIME_MAX)?.succeeded()) };
    let mut missing = Vec::new();
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !there(subcommand)? {
            let line = ["rustup", "component", "add", component];
            missing.extend(tried(&line, || quiet(&line, PIP_TIME_MAX))?);
        }
    }
    Ok(missing)
}

fn debian(packages: &[String]) -> Result<Vec<String>> {
    let mut wanted = Vec::new();
    for package in packages {
        if !is_installed(package)? {
            wanted.push(package.as_str());
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let install = [&["apt-get", "install", "-y", "-q", "--no-install-recommends"], &wanted[..]].concat();
    let may = if quiet(&["id", "-u"], LOOK_TIME_MAX)?.output.trim() == "0" {
        &[][..]
    } else if quiet(&["sudo", "-n", "true"], LOOK_TIME_MAX).is_ok_and(|sudo| sudo.succeeded()) {
        &["sudo", "-n"][..]
    } else {
        return Ok(vec![format!("not root; run: {}", install.join(" "))]);
    };
    // tshark would ask whether everybody may capture.
    let apt = |line: &[&str]| quiet(&[may, &["env", "DEBIAN_FRONTEND=noninteractive"], line].concat(), APT_TIME_MAX);
    let missing = tried(&install, || {
        let updated = apt(&["apt-get", "update", "-q"])?;
        if updated.succeeded() { apt(&install) } else { Ok(updated) }
    })?;
    Ok(missing.into_iter().collect())
}

fn is_installed(package: &str) -> Result<bool> {
    let query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package];
    Ok(quiet(&query, LOOK_TIME_MAX).is_ok_and(|answer| answer.output.trim() == "installed"))
}

fn python(venv: &str, requirements: &[String]) -> Result<Option<String>> {
    let venv = root().join(venv);
    let python = venv.join("bin/python");
    let (venv, python) =
        (venv.to_str().context("a path that is no text")?, python.to_str().context("a path that is no text")?);
    let is_there = Path::new(python).exists();
    let wanted: Vec<&str> =
        requirements.iter().map(String::as_str).filter(|wanted| !is_there || !has(python, wanted)).collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let install =
        [&[python, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check"], &wanted[..]].concat();
    tried(&install, || {
        let made = quiet(&["python3", "-m", "venv", venv], PIP_TIME_MAX)?;
        if made.succeeded() { quiet(&install, PIP_TIME_MAX) } else { Ok(made) }
    })
}

/// Whether a requirement `name==version` is met.
fn has(python: &str, requirement: &str) -> bool {
    const LOOK: &str =
        "import importlib.metadata as m, sys; n, v = sys.argv[1].split('=='); sys.exit(m.version(n) != v)";
    quiet(&[python, "-c", LOOK, requirement], LOOK_TIME_MAX).is_ok_and(|look| look.succeeded())
}

/// None: it worked, if not at once. Else the line, and the end of what it said.
fn tried(line: &[&str], mut install: impl FnMut() -> Result<Ended>) -> Result<Option<String>> {
    let line = line.join(" ");
    let mut said = String::new();
    for attempt in 1..=TRIES {
        println!("  {line} (try {attempt} of {TRIES})");
        match install() {
            Ok(ended) if ended.succeeded() => return Ok(None),
            Ok(ended) => said = format!("{}\n{}", ended.output.trim_end(), ended.failure()),
            Err(error) => said = format!("{error:#}"),
        }
        if attempt < TRIES {
            thread::sleep(PAUSE * attempt);
        }
    }
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Ok(Some(format!("{line}\n{}", last.join("\n"))))
}

fn quiet(line: &[&str], limit: Duration) -> Result<Ended> {
    let (program, arguments) = line.split_first().context("an empty command")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    run_logged(command, &target_dir().join("xtask/install.log"), limit)
}
