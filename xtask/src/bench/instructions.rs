//! `cargo xtask bench instructions`: how many instructions the pieces of the hot paths take, counted by callgrind, so that neither
//! a busy machine nor a fast one shows. A ratchet: counts above those of `tests/bench/instructions.json` fail.
//!
//! The pieces are built with the test profile's dependencies, which are there already, and with our own hot crates as a release has them.
//! Counts belong to a compiler: a new one may move them, and then they are written anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bots::{self, Bots};
use crate::process::{cargo, root, run_logged, target_dir};

/// More than the committed count by more than this fails; less by more than it asks for `--update`.
const TOLERANCE_PERCENT: u64 = 5;
/// Compiling the echo bot inside valgrind takes the longest of all pieces.
const PIECE_TIME_MAX: Duration = Duration::from_secs(120);
/// As an operator's build has them; what they depend on stays as the tests have it.
const AS_RELEASED: &[&str] = &["patchbay-media", "patchbay-sip"];
/// A cache of a common server, so that misses do not depend on this machine's.
const CACHE: &[&str] = &["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=33554432,16,64"];
const COUNTS: &str = "tests/bench/instructions.json";

#[derive(clap::Args)]
pub struct Instructions {
    /// Write the counts to the committed file instead of comparing them with it.
    #[arg(long)]
    update: bool,
    /// Only the pieces with this in their name.
    #[arg(long, value_name = "TEXT", conflicts_with = "update")]
    only: Option<String>,
    /// Also show how often each piece misses a simulated cache of 32 KiB.
    #[arg(long)]
    cache: bool,
}

type Counts = BTreeMap<String, u64>;

/// False: there are counts above the committed ones. Errors: nothing could be counted.
pub fn run(asked: &Instructions) -> Result<ExitCode> {
    ensure!(
        Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()),
        "valgrind is missing: install it, on Debian and Ubuntu by `apt-get install valgrind`"
    );
    let (program, echo) = build()?;
    let (times, names) = pieces(&program)?;
    let mut counts = Counts::new();
    for name in names.iter().filter(|name| asked.only.as_ref().is_none_or(|only| name.contains(only))) {
        let events = count(&program, name, &echo, asked.cache)?;
        let each = |event: &str| events.get(event).map_or(0, |total| total / times);
        counts.insert(name.clone(), each("Ir"));
        match asked.cache {
            false => println!("{name:<24}{:>8}", each("Ir")),
            true => println!("{name:<24}{:>8}   {} D1 misses", each("Ir"), each("D1mr") + each("D1mw"),),
        }
    }
    let file = root().join(COUNTS);
    if asked.update {
        fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&counts)?)).with_context(|| COUNTS)?;
        return Ok(ExitCode::SUCCESS);
    }
    let committed = fs::read(&file).with_context(|| format!("{COUNTS}: write it with --update"))?;
    let committed = serde_json::from_slice(&committed).with_context(|| COUNTS)?;
    let (failed, said) = compare(&counts, &committed, asked.only.is_none());
    said.iter().for_each(|line| eprintln!("bench: {line}"));
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// The pieces' program, and the echo bot.
fn build() -> Result<(PathBuf, PathBuf)> {
    bots::build(&Bots { names: vec!["echo".to_owned()], tests: false, toolchain: None })?;
    // The whole workspace is selected so that features, and with them what is compiled already, are those of the tests.
    let mut command = cargo(&["build", "--workspace", "--example", "instructions"]);
    for package in AS_RELEASED {
        for setting in ["opt-level=3", "codegen-units=1", "incremental=false"] {
            command.args(["--config", &format!("profile.dev.package.{package}.{setting}")]);
        }
    }
    ensure!(command.status().context("cannot run cargo")?.success(), "the pieces do not build");
    Ok((target_dir().join("debug/examples/instructions"), root().join("target/bots/echo.wasm")))
}

/// How often each piece is done, and their names.
fn pieces(program: &Path) -> Result<(u64, Vec<String>)> {
    let output = Command::new(program).output().with_context(|| program.display().to_string())?;
    let text = String::from_utf8(output.stdout)?;
    let mut lines = text.lines();
    let times = lines.next().and_then(|line| line.strip_prefix("times ")).context("the pieces do not say how often")?;
    Ok((times.parse()?, lines.map(str::to_owned).collect()))
}

/// All events that callgrind counted inside `counted`, by their names.
fn count(program: &Path, piece: &str, echo: &Path, cache: bool) -> Result<BTreeMap<String, u64>> {
    let folder = target_dir().join("bench");
    fs::create_dir_all(&folder)?;
    let out = folder.join(format!("{piece}.callgrind"));
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=counted"]);
    command.args(if cache { CACHE } else { &[] });
    command.arg(format!("--callgrind-out-file={}", out.display())).arg(program).arg(piece).arg(echo);
    let ended = run_logged(command, &out.with_extension("log"), PIECE_TIME_MAX)?;
    ensure!(ended.succeeded(), "{piece}: {}\n{}", ended.failure(), ended.output);
    let text = fs::read_to_string(&out).with_context(|| out.display().to_string())?;
    read_totals(&text).with_context(|| format!("{piece}: callgrind counted nothing"))
}

/// Source: callgrind's format, lines `events:` and `totals:` (older: `summary:`).
fn read_totals(text: &str) -> Option<BTreeMap<String, u64>> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let events = line("events:")?.split_whitespace().map(str::to_owned);
    let totals = line("totals:").or_else(|| line("summary:"))?.split_whitespace().map(|total| total.parse().ok());
    let counted: BTreeMap<String, u64> = events.zip(totals.collect::<Option<Vec<u64>>>()?).collect();
    counted.get("Ir").is_some_and(|instructions| *instructions > 0).then_some(counted)
}

/// Whether a count is too high, and what there is to say. `all`: pieces that are missing are missed.
fn compare(counts: &Counts, committed: &Counts, all: bool) -> (bool, Vec<String>) {
    let mut said = Vec::new();
    let mut failed = false;
    for (name, &count) in counts {
        let Some(&before) = committed.get(name) else {
            failed = true;
            said.push(format!("{name} is not in {COUNTS}: write it with --update"));
            continue;
        };
        if count * 100 > before * (100 + TOLERANCE_PERCENT) {
            failed = true;
            said.push(format!(
                "{name} takes {count} instructions, {:.0} % more than the {before} of {COUNTS}",
                (count as f64 / before as f64 - 1.0) * 100.0
            ));
        } else if count * 100 < before * (100 - TOLERANCE_PERCENT) {
            said.push(format!("{name} takes {count} instructions, not {before} any more: keep that with --update"));
        }
    }
    for name in committed.keys().filter(|name| all && !counts.contains_key(*name)) {
        failed = true;
        said.push(format!("{name} of {COUNTS} was not counted"));
    }
    (failed, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn counts_may_rise_by_the_tolerance_and_no_further() {
        let committed = counts(&[("a", 1000), ("b", 1000)]);
        for (now, failed, lines) in [
            (&[("a", 1050), ("b", 960)][..], false, 0),
            (&[("a", 1051), ("b", 1000)], true, 1),
            (&[("a", 900), ("b", 1000)], false, 1),
            (&[("a", 1000)], true, 1),
            (&[("a", 1000), ("b", 1000), ("c", 1)], true, 1),
        ] {
            let (fails, said) = compare(&counts(now), &committed, true);
            assert_eq!((fails, said.len()), (failed, lines), "{now:?}: {said:?}");
        }
        assert!(!compare(&counts(&[("a", 1000)]), &committed, false).0);
    }

    #[test]
    fn totals_are_read_by_the_names_of_their_events() {
        let text = "version: 1\nevents: Ir D1mr D1mw\nfn=(1)\n1 2 3\ntotals: 5000 20 10\n";
        let read = read_totals(text).unwrap();
        assert_eq!((read["Ir"], read["D1mr"], read["D1mw"]), (5000, 20, 10));
        assert_eq!(read_totals("events: Ir\ntotals: 0\n"), None);
        assert_eq!(read_totals("nothing"), None);
    }
}
