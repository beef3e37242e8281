//! What was run, how long it took, and how it went: a line as each step ends, a table at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u32,
    pub failed: u32,
    pub skipped: u32,
}

impl Counts {
    /// One check that is not made of tests: a formatter, a linter.
    pub fn one(passed: bool) -> Counts {
        Counts { passed: passed.into(), failed: (!passed).into(), skipped: 0 }
    }

    fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    fn words(self) -> String {
        let words = [(self.passed, "passed"), (self.failed, "failed"), (self.skipped, "skipped")];
        let words = words.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        words.collect::<Vec<_>>().join(", ")
    }
}

struct Stage {
    name: &'static str,
    began: Instant,
    took: Duration,
    counts: Counts,
}

pub struct Report {
    began: Instant,
    stages: Vec<Stage>,
    /// What could not be installed: no test failed by it, and yet not everything was tested.
    not_installed: Vec<String>,
    skipped: Vec<String>,
}

/// Tests failed.
const EXIT_FAILED: u8 = 1;
/// No test failed, but something that they need could not be installed.
const EXIT_NOT_INSTALLED: u8 = 3;

impl Report {
    pub fn new() -> Report {
        Report { began: Instant::now(), stages: Vec::new(), not_installed: Vec::new(), skipped: Vec::new() }
    }

    pub fn stage(&mut self, name: &'static str) {
        self.close_stage();
        println!("\n== {name}");
        self.stages.push(Stage { name, began: Instant::now(), took: Duration::ZERO, counts: Counts::default() });
    }

    fn close_stage(&mut self) {
        if let Some(stage) = self.stages.last_mut().filter(|stage| stage.took.is_zero()) {
            stage.took = stage.began.elapsed();
        }
    }

    /// One step of the stage is over. `details` is shown if it failed.
    pub fn step(&mut self, name: &str, began: Instant, counts: Counts, details: &str) {
        let word = if counts.failed > 0 { "FAILED" } else { "ok" };
        if counts.failed > 0 && !details.trim().is_empty() {
            println!("---- {name}\n{}\n----", details.trim_end());
        }
        println!("  {word:<6} {:>7.1} s  {name:<32} {}", began.elapsed().as_secs_f64(), counts.words());
        if let Some(stage) = self.stages.last_mut() {
            stage.counts.add(counts);
        }
    }

    pub fn not_installed(&mut self, what: String) {
        println!("  COULD NOT INSTALL (this is no failed test): {what}");
        self.not_installed.push(what);
    }

    pub fn skipped(&mut self, what: &str) {
        println!("\n*** SKIPPED: {what}\n");
        self.skipped.push(what.to_owned());
    }

    /// Prints the table, and the line that says how many passed and failed.
    pub fn close(mut self) -> ExitCode {
        self.close_stage();
        println!("\n{:<14} {:>9}  tests", "stage", "seconds");
        let mut all = Counts::default();
        for stage in &self.stages {
            println!("{:<14} {:>9.1}  {}", stage.name, stage.took.as_secs_f64(), stage.counts.words());
            all.add(stage.counts);
        }
        println!("{:<14} {:>9.1}", "all", self.began.elapsed().as_secs_f64());
        for what in &self.skipped {
            println!("*** SKIPPED: {what}");
        }
        for what in &self.not_installed {
            println!("*** COULD NOT INSTALL: {what}");
        }
        println!("{} passed, {} failed", all.passed, all.failed);
        match (all.failed, self.not_installed.len()) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(EXIT_NOT_INSTALLED),
            _ => ExitCode::from(EXIT_FAILED),
        }
    }
}
