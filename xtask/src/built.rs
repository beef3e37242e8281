//! What cargo built: asked once, for the whole workspace, so that features unify once and nothing is compiled twice.
//! The test programs are then run by us, which decides their order and gives each a deadline.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::cargo;
use crate::report::Counts;

/// One test program.
pub struct TestProgram {
    /// `sip::reader`; `sip` for the unit tests of a crate.
    pub name: String,
    pub package: String,
    pub target: String,
    program: PathBuf,
    /// The folder of its package: where cargo would run it.
    folder: PathBuf,
}

impl TestProgram {
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }
}

#[derive(Default)]
pub struct Built {
    pub tests: Vec<TestProgram>,
    /// Name and path.
    pub programs: Vec<(String, PathBuf)>,
}

impl Built {
    /// Errors: cargo built no such program.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let found = self.programs.iter().find(|(built, _)| built == name);
        found.map(|(_, path)| path.clone()).with_context(|| format!("cargo built no {name}"))
    }
}

/// All programs and all tests of a workspace. What the compiler says goes to our stderr. Errors: it does not build.
pub fn build_tests(arguments: &[&str]) -> Result<Built> {
    build(&[&["test", "--workspace", "--no-run"], arguments].concat())
}

/// All programs of the host's workspace, without tests.
pub fn build_programs() -> Result<Built> {
    build(&["build", "--workspace", "--bins"])
}

fn build(arguments: &[&str]) -> Result<Built> {
    let mut command = cargo(arguments);
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped()).stdin(Stdio::null());
    let mut child = command.spawn().context("cannot run cargo")?;
    let stdout = child.stdout.take().context("its stdout is piped")?;
    let mut built = Built::default();
    for line in BufReader::new(stdout).lines() {
        if let Ok(message) = serde_json::from_str::<Value>(&line?) {
            take_artifact(&message, &mut built);
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "cargo {}: {status}", arguments.join(" "));
    built.tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(built)
}

/// One of cargo's messages, if it tells of a program.
fn take_artifact(message: &Value, built: &mut Built) -> Option<()> {
    let program = PathBuf::from(message["executable"].as_str()?);
    let target = message["target"]["name"].as_str()?.to_owned();
    if message["profile"]["test"] != true {
        built.programs.push((target, program));
        return Some(());
    }
    let folder = PathBuf::from(message["manifest_path"].as_str()?).parent()?.to_owned();
    let package = package_name(message["package_id"].as_str()?).trim_start_matches("patchbay-").to_owned();
    let name = match message["target"]["kind"][0].as_str()? {
        "test" => format!("{package}::{target}"),
        "bin" => format!("{package} (program {target})"),
        _ => package.clone(),
    };
    built.tests.push(TestProgram { name, package, target, program, folder });
    Some(())
}

/// From cargo's name for a package: `path+file:///folder/sip#patchbay-sip@0.1.0`, or without the name if it is the folder's.
fn package_name(id: &str) -> &str {
    let (folder, version) = id.split_once('#').unwrap_or((id, ""));
    let of_folder = || folder.rsplit('/').next().unwrap_or(folder);
    version.split_once('@').map_or_else(of_folder, |(name, _)| name)
}

/// Adds up the lines `test result: ok. 12 passed; 0 failed; 1 ignored; ...` of a test program's output.
/// None: there is no such line, so it did not come to its end.
pub fn counts(output: &str) -> Option<Counts> {
    let mut sum = None::<Counts>;
    for line in output.lines().filter_map(|line| line.trim_start().strip_prefix("test result: ")) {
        let sum = sum.get_or_insert_default();
        for part in line.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(Ok(count)), Some(word)) = (words.next().map(str::parse::<u32>), words.next()) else { continue };
            match word {
                "passed" => sum.passed += count,
                "failed" => sum.failed += count,
                "ignored" => sum.skipped += count,
                _ => {}
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_by_their_manifest_or_their_folder() {
        assert_eq!(package_name("path+file:///x/host/sip#patchbay-sip@0.1.0"), "patchbay-sip");
        assert_eq!(package_name("path+file:///x/xtask#0.1.0"), "xtask");
    }

    #[test]
    fn results_of_a_test_program_are_counted() {
        let output = "running 3 tests\n\
            test result: FAILED. 12 passed; 3 failed; 2 ignored; 0 measured; 40 filtered out; finished in 0.06s\n\
            test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s\n";
        assert_eq!(counts(output), Some(Counts { passed: 13, failed: 3, skipped: 2 }));
        assert_eq!(counts("Segmentation fault"), None);
    }
}
