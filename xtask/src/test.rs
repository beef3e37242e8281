//! `cargo xtask test`: everything, in this order. What is quick and says most comes first; what is in real time comes last,
//! one test at a time, because two at once would disturb each other.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bots::{self, Bots};
use crate::built::{Built, TestProgram, build_tests, counts};
use crate::process::{cargo, root, run_logged, target_dir};
use crate::report::{Counts, Report};
use crate::{demo, install, tidy};

const CHECK_TIME_MAX: Duration = Duration::from_secs(1800);
/// Each of its waits has an end of its own.
const EXAMPLE_TIME_MAX: Duration = Duration::from_secs(600);
/// Any program of tests; the real clients take longest.
const TESTS_TIME_MAX: Duration = Duration::from_secs(1200);

#[derive(clap::Args)]
pub struct Test {
    /// Only stages of these names, else test programs (`sip::reader`), else tests whose name contains one of these.
    filters: Vec<String>,
}

type IsIn = fn(&TestProgram) -> bool;
/// Test programs by stage, first match. The rest is `units`.
const STAGES: [(&str, IsIn); 7] = [
    ("fuzz", |tests| tests.target.starts_with("fuzz")),
    ("ladders", |tests| tests.name == "tests::ladders"),
    ("simulation", |tests| tests.name == "tests::sim"),
    ("interop", |tests| tests.name == "tests::interop"),
    ("speech", |tests| tests.name == "tests::speech"),
    // The trunk calls a host, and is asked for calls.
    ("trunk", |tests| tests.name == "trunk::calls"),
    // Sockets, threads and deadlines.
    ("host", |tests| tests.package == "patchbay"),
];
const UNITS: &str = "units";
/// What is not a test program.
const CHECKS: [&str; 5] = ["rustfmt", "tidy", "clippy", "demo", "examples"];

fn stage_of(tests: &TestProgram) -> &'static str {
    STAGES.iter().find(|(_, holds)| holds(tests)).map_or(UNITS, |(stage, _)| stage)
}

pub fn run(test: &Test) -> Result<ExitCode> {
    let plan = Plan { filters: &test.filters, is_ci: env::var("CI").is_ok_and(|ci| ci == "true") };
    let mut report = Report::new();

    if plan.wants_check("rustfmt") || plan.wants_check("clippy") {
        report.stage("rust tools");
        install::rust_components()?.into_iter().for_each(|missing| report.not_installed(missing));
    }
    if plan.wants_check("rustfmt") {
        report.stage("rustfmt");
        check(&mut report, "rustfmt", &["fmt", "--all", "--check"])?;
        check(&mut report, "rustfmt plugins", &["fmt", "--all", "--check", "--manifest-path", "plugins/Cargo.toml"])?;
    }
    if plan.wants_check("tidy") {
        report.stage("tidy");
        let began = Instant::now();
        let untidy = tidy::look()?;
        report.step("tidy", began, Counts::one(untidy.is_empty()), &untidy.join("\n"));
    }
    let lacking = plan.install(&mut report)?;

    report.stage("bots");
    let began = Instant::now();
    let built = bots::build(&Bots { names: Vec::new(), tests: true, toolchain: None });
    report.step("bots", began, Counts::one(built.is_ok()), &built.err().map(|e| format!("{e:#}")).unwrap_or_default());

    report.stage("build");
    let (host, plugins) = match (build_tests(&[]), build_tests(&["--manifest-path", "plugins/Cargo.toml"])) {
        (Ok(host), Ok(plugins)) => (host, plugins),
        (host, plugins) => {
            for error in [host.err(), plugins.err()].into_iter().flatten() {
                report.step("build", Instant::now(), Counts::one(false), &format!("{error:#}"));
            }
            return Ok(report.close());
        }
    };
    if plan.wants_check("clippy") {
        report.stage("clippy");
        let clippy = ["clippy", "--workspace", "--all-targets"];
        let deny = ["--", "-D", "warnings"];
        check(&mut report, "clippy", &[&clippy[..], &deny].concat())?;
        let plugins = [&clippy[..], &["--manifest-path", "plugins/Cargo.toml"], &deny].concat();
        check(&mut report, "clippy plugins", &plugins)?;
    }
    plan.tests(&mut report, &host, &plugins, &lacking)?;
    if plan.wants_check("demo") {
        report.stage("demo");
        let began = Instant::now();
        let ended = demo::place_calls(&host)?;
        report.step("demo", began, Counts::one(ended.succeeded()), &ended.failure());
    }
    if plan.wants_check("examples") {
        report.stage("examples");
        let began = Instant::now();
        let mut script = Command::new(root().join("examples/two-tenants/run"));
        script.arg(host.program("patchbay")?).current_dir(root());
        let ended = run_logged(script, &log_of("two-tenants"), EXAMPLE_TIME_MAX)?;
        let told = format!("{}\n{}", ended.output, ended.failure());
        report.step("two-tenants", began, Counts::one(ended.succeeded()), &told);
    }
    Ok(report.close())
}

/// A command of cargo's that succeeds or not.
fn check(report: &mut Report, name: &str, arguments: &[&str]) -> Result<()> {
    let began = Instant::now();
    let log = log_of(name);
    let ended = run_logged(cargo(arguments), &log, CHECK_TIME_MAX)?;
    report.step(name, began, Counts::one(ended.succeeded()), &format!("{}\n{}", ended.output, ended.failure()));
    Ok(())
}

fn log_of(name: &str) -> std::path::PathBuf {
    let file: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    target_dir().join("xtask").join(format!("{file}.log"))
}

struct Plan<'a> {
    filters: &'a [String],
    is_ci: bool,
}

impl Plan<'_> {
    /// Stages that are not test programs run if nothing was named, or they were.
    fn wants_check(&self, name: &str) -> bool {
        self.filters.is_empty() || self.names(name)
    }

    fn names(&self, name: &str) -> bool {
        self.filters.iter().any(|filter| filter == name)
    }

    /// Returns the stages whose tests lack something.
    fn install(&self, report: &mut Report) -> Result<Vec<&'static str>> {
        let mut lacking = Vec::new();
        for needs in &install::NEEDS {
            if !self.filters.is_empty() && !self.filters.iter().any(|filter| filter.contains(needs.stage)) {
                continue;
            }
            report.stage(needs.title);
            for what in needs.install()? {
                lacking.push(needs.stage);
                if self.is_ci { report.not_installed(what) } else { report.skipped(&what) }
            }
        }
        Ok(lacking)
    }

    fn tests(&self, report: &mut Report, host: &Built, plugins: &Built, lacking: &[&str]) -> Result<()> {
        let all: Vec<&TestProgram> = plugins.tests.iter().chain(&host.tests).collect();
        let chosen = self.chosen(&all)?;
        for stage in [UNITS, "ladders", "simulation", "fuzz", "host", "trunk", "speech", "interop"] {
            let of_stage: Vec<_> = chosen.iter().filter(|(tests, _)| stage_of(tests) == stage).collect();
            if of_stage.is_empty() {
                continue;
            }
            report.stage(stage);
            for (tests, filter) in of_stage {
                let mut command = tests.command();
                command.args(*filter);
                if matches!(stage, "host" | "trunk" | "speech" | "interop") {
                    command.arg("--test-threads=1");
                }
                if self.is_ci {
                    command.arg("--include-ignored");
                }
                if lacking.contains(&stage) {
                    // It is known and said that they are missing: their tests have not failed.
                    command.env_remove("CI");
                }
                command.env("PATCHBAY_BIN", host.program("patchbay")?);
                command.env("PATCHBAY_BOTS", root().join("target/bots"));
                command.env("PATCHBAY_TEST_BOTS", root().join("target/bots-test"));
                run_tests(report, tests, command, self.is_ci)?;
            }
        }
        Ok(())
    }

    /// Each program, and the filter for its tests. Errors: a filter that fits nothing, as far as that can be seen.
    fn chosen<'t>(&self, all: &[&'t TestProgram]) -> Result<Vec<(&'t TestProgram, Option<&str>)>> {
        if self.filters.is_empty() {
            return Ok(all.iter().map(|tests| (*tests, None)).collect());
        }
        let mut chosen = Vec::new();
        for filter in self.filters.iter().filter(|filter| !CHECKS.contains(&filter.as_str())) {
            let is_stage = all.iter().any(|tests| stage_of(tests) == filter);
            let is_named = |tests: &&&TestProgram| match is_stage {
                true => stage_of(tests) == filter,
                false => tests.name.contains(filter.as_str()),
            };
            let named: Vec<_> = all.iter().filter(is_named).map(|tests| (*tests, None)).collect();
            // No stage and no program is called so: a test, then, wherever it is.
            let everywhere = || all.iter().map(|tests| (*tests, Some(filter.as_str()))).collect();
            chosen.extend(if named.is_empty() { everywhere() } else { named });
        }
        ensure!(
            !chosen.is_empty() || self.filters.iter().any(|f| CHECKS.contains(&f.as_str())),
            "nothing is called so"
        );
        Ok(chosen)
    }
}

/// Runs one program of tests. Nothing is shown of those that hold no test for the filter.
fn run_tests(report: &mut Report, tests: &TestProgram, command: Command, is_ci: bool) -> Result<()> {
    let began = Instant::now();
    let log: &Path = &log_of(&tests.name);
    let ended = run_logged(command, log, TESTS_TIME_MAX)?;
    let mut counts = counts(&ended.output).unwrap_or_default();
    if !ended.succeeded() && counts.failed == 0 {
        // It crashed, or was stopped.
        counts.failed = 1;
    }
    let skips: Vec<&str> = ended.output.lines().filter(|line| line.contains("SKIPPED")).collect();
    for skip in &skips {
        report.skipped(skip.trim_start_matches(['*', ' ']));
    }
    counts.passed -= (skips.len() as u32).min(counts.passed);
    counts.skipped += skips.len() as u32;
    if counts.skipped > 0 && is_ci && skips.is_empty() {
        counts.failed += counts.skipped;
    }
    if counts != Counts::default() {
        report.step(&tests.name, began, counts, &format!("{}\n{}", ended.output, ended.failure()));
    }
    Ok(())
}
