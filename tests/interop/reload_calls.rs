//! A bot saved again while the host runs, over real calls: the next call gets the new build, live calls stay on theirs.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::baresip::{Baresip, Setup};
use crate::clients::Client;
use crate::host::{Srtp, Transport};
use crate::running::until;
use crate::sipp::Dial;
use crate::sipp::Step::*;
use crate::sound::{SAMPLES_PER_MS, ensure_heard, silence, voice};
use crate::stage::Stage;

/// Only a hang takes as long: how long it took is printed, and what is promised (a second) is for the bench to measure.
const NEXT_BUILD_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn a_bot_saved_again_answers_the_next_call_and_a_broken_one_none_while_live_calls_go_on() -> Result<()> {
    let clients = [Client::Baresip, Client::Sipp];
    let Some(mut stage) = Stage::open("reload", &clients, Srtp::Prefer)? else { return Ok(()) };
    // Some of it before the bot is saved again, some of it after.
    let voice = voice(4_800)?;
    let (before, after) = voice.split_at(2_400 * SAMPLES_PER_MS);
    let said = [before, &silence(2_000), after].concat();
    let says = [said.clone(), silence(60_000)].concat();
    let setup = Setup { transport: Transport::Tcp, srtp: false, says: &says };
    let mut live = Baresip::start(&stage, &setup)?;
    let said_from = Instant::now();
    live.call(&stage, "echo")?;
    let first = digest_of_a_call(&mut stage, "first")?;

    let build = fs::read(stage.bots.join("echo.wasm"))?;
    save(&stage, &with_custom_section(&build, "another build"))?;
    let saved = Instant::now();
    let mut calls = 0;
    let second = until(NEXT_BUILD_WITHIN, || {
        calls += 1;
        let digest = digest_of_a_call(&mut stage, &format!("second-{calls}"));
        digest.map(|digest| (digest != first).then_some(digest)).transpose()
    })??;
    println!(
        "reload: the next build answered a call that ended {:.1} s after it was saved",
        saved.elapsed().as_secs_f64()
    );

    // Half a component, as an editor or a copy that was cut off leaves it.
    save(&stage, &build[..build.len() / 2])?;
    until(NEXT_BUILD_WITHIN, || named_broken(&stage.host.log()).first().map(drop))?;
    ensure!(digest_of_a_call(&mut stage, "third")? == second, "a call after the broken build is not on the one before");
    let log = stage.host.log();
    let complaints = named_broken(&log);
    ensure!(complaints.len() == 1, "not one line but {complaints:#?}");

    thread::sleep(Duration::from_millis(8_500).saturating_sub(said_from.elapsed()));
    live.hang_up()?;
    let summary = stage.host.next_summary()?;
    summary.expect_good(Transport::Tcp, false, "caller")?;
    ensure!(summary.text("plugin_digest")? == first, "the live call changed its build: {summary:?}");
    let heard = ensure_heard("the live call", &said, &live.heard()?)?;
    println!("reload: {heard:?}");
    stage.host.stop()
}

/// Renamed in, as editors and `cargo xtask bots` do.
fn save(stage: &Stage, bytes: &[u8]) -> Result<()> {
    let new = stage.bots.join(".echo.wasm.new");
    fs::write(&new, bytes)?;
    Ok(fs::rename(&new, stage.bots.join("echo.wasm"))?)
}

/// The same code, another file: a custom section means nothing to who runs it. Source: the component model's binary format.
fn with_custom_section(component: &[u8], name: &str) -> Vec<u8> {
    let size = name.len() as u8 + 1;
    [component, &[0, size, name.len() as u8], name.as_bytes()].concat()
}

/// A short call to echo, to see which build answers.
fn digest_of_a_call(stage: &mut Stage, name: &str) -> Result<String> {
    let dial = Dial { bot: "echo", transport: Transport::Udp, event: 101 };
    dial.run(stage, name, &[Invite, AwaitAnswer, Ack, Pause { ms: 100 }, Bye])?;
    let summary = stage.host.next_summary()?;
    summary.expect(&[("status", 200.into()), ("plugin", "echo".into()), ("ended_by", "caller".into())])?;
    Ok(summary.text("plugin_digest")?.to_owned())
}

/// Lines that complain of the bot echo.
fn named_broken(log: &str) -> Vec<&str> {
    let complains = |line: &&str| line.contains("WARN") || line.contains("ERROR");
    log.lines().filter(complains).filter(|line| line.contains("echo")).collect()
}
