//! `patchbay doctor` beside the trunk itself: where nothing is wrong, the trunk's calls are answered and heard.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use patchbay_tests::running::run;
use serde_json::Value;
use trunk::{Plan, SecondLeg, Spelling};

use crate::host::{ECHO, Host, OURS, PATIENCE, built};

#[test]
fn where_nothing_is_wrong_the_trunk_is_answered_in_both_spellings_and_heard_from_its_media_address() -> Result<()> {
    let host = Host::start("doctor")?;
    let live = format!("sip:{};transport=tcp", host.api.address);
    let findings = findings(&host, &["--called", OURS, "--called", ECHO, "--live", &live])?;
    let well = |start: &str, end: &str| {
        let is_it = |line: &&(String, String)| line.0.starts_with(start) && line.0.ends_with(end) && line.1 == "well";
        findings.iter().filter(is_it).count()
    };
    ensure!(findings.iter().all(|(_, verdict)| verdict != "wrong"), "{findings:#?}");
    ensure!(well("route ", "by trunk exotel") == 2, "{findings:#?}");
    // As the trunk does: without and with SRTP, and from another address than its signalling.
    for end in ["transport=tcp", " with SRTP", " with RTP from 127.0.0.2"] {
        ensure!(well(&format!("call sip:{ECHO}@"), end) == 1, "{end}: {findings:#?}");
    }
    for spelling in [Spelling::PRINTED, Spelling::all().last().context("a spelling")?] {
        for secure in [false, true] {
            let mut leg = SecondLeg::establish(Plan { spelling, ..host.plan(secure)? }, PATIENCE)?;
            leg.media.speak_until_echoed(10, PATIENCE)?;
            leg.hang_up(PATIENCE)?;
        }
    }
    host.stop()
}

/// What each is of, and its verdict.
fn findings(host: &Host, args: &[&str]) -> Result<Vec<(String, String)>> {
    let mut command = Command::new(built("PATCHBAY_BIN", "debug/patchbay")?);
    command
        .args(["doctor", "--json", "--config"])
        .arg(host.bound_configuration()?)
        .args(args)
        .env("TRUNK_KEY", "the-key");
    let said: Value = serde_json::from_str(&run(command, &host.folder.join("doctor.log"), PATIENCE)?)?;
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let findings = said["findings"].as_array().context("findings")?;
    Ok(findings.iter().map(|finding| (text(finding, "what"), text(finding, "verdict"))).collect())
}
