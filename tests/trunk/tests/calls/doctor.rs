//! `patchbay doctor` beside the trunk itself: where nothing is wrong, the trunk's calls are answered and heard.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use patchbay_tests::running::run;
use serde_json::Value;
use trunk::{Plan, SecondLeg, Spelling};

use crate::host::{Host, OURS, PATIENCE, built};

#[test]
fn where_nothing_is_wrong_the_trunk_is_answered_in_both_spellings_and_heard_from_its_media_address() -> Result<()> {
    let host = Host::start("doctor")?;
    let live = format!("sip:{};transport=tcp", host.api.address);
    let wrong = wrong(&host, &["--called", OURS, "--live", &live])?;
    ensure!(wrong.is_empty(), "{wrong:#?}");
    for spelling in [Spelling::PRINTED, Spelling::all().last().context("a spelling")?] {
        for secure in [false, true] {
            let mut leg = SecondLeg::establish(Plan { spelling, ..host.plan(secure)? }, PATIENCE)?;
            leg.media.speak_until_echoed(10, PATIENCE)?;
            leg.hang_up(PATIENCE)?;
        }
    }
    host.stop()
}

fn wrong(host: &Host, args: &[&str]) -> Result<Vec<Value>> {
    let mut command = Command::new(built("PATCHBAY_BIN", "debug/patchbay")?);
    command
        .args(["doctor", "--json", "--config"])
        .arg(host.bound_configuration()?)
        .args(args)
        .env("TRUNK_KEY", "the-key");
    let said: Value = serde_json::from_str(&run(command, &host.folder.join("doctor.log"), PATIENCE)?)?;
    let findings = said["findings"].as_array().context("findings")?;
    Ok(findings.iter().filter(|finding| finding["verdict"] == "wrong").cloned().collect())
}
