//! pjsua2: TCP, and TLS with the authority checked and mandatory SRTP; keys both ways, and a re-INVITE right after the ACK.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::clients::Client;
use crate::host::{Srtp, Transport};
use crate::pjsua::Plan;
use crate::sound::{ensure_heard, silence, voice};
use crate::stage::Stage;

const VOICE_MS: usize = 3_000;

#[test]
fn pjsua2_over_tcp_reinvites_at_once_hears_its_own_voice_and_hangs_up() -> Result<()> {
    echo("pjsua-echo-tcp", Transport::Tcp, Srtp::Prefer)
}

#[test]
fn pjsua2_over_verified_tls_with_mandatory_srtp_reinvites_at_once_and_hears_its_own_voice() -> Result<()> {
    echo("pjsua-echo-tls", Transport::Tls, Srtp::Require)
}

#[test]
fn pjsua2_over_tcp_holds_resumes_and_gets_back_each_key_it_presses() -> Result<()> {
    keys("pjsua-keys-tcp", Transport::Tcp, Srtp::Prefer)
}

#[test]
fn pjsua2_over_verified_tls_with_mandatory_srtp_holds_resumes_and_gets_back_each_key_it_presses() -> Result<()> {
    keys("pjsua-keys-tls", Transport::Tls, Srtp::Require)
}

#[test]
fn pjsua2_over_verified_tls_walks_the_menu_and_the_bot_hangs_up() -> Result<()> {
    let Some(mut stage) = Stage::open("pjsua-menu-tls", &[Client::Pjsua], Srtp::Require)? else { return Ok(()) };
    let steps =
        json!([["wait", 0.5], ["keys", "1"], ["wait", 1], ["keys", "305#"], ["wait", 2], ["keys", "9"], ["await-end"]]);
    let plan = Plan { bot: "dtmf-menu", says: &silence(100), ..Plan::new(&stage, Transport::Tls, steps) };
    let told = plan.run(&stage)?.expect_success()?;
    ensure!(told.lost()? == 0, "pjsua2 lost packets: {told:?}");
    let summary = stage.host.next_summary()?;
    summary.expect_good(Transport::Tls, true, "bot")?;
    ensure!(summary.note("digits") == Some("305") && summary.note("choice") == Some("9"), "other notes: {summary:?}");
    stage.close("1305#9", "")
}

#[test]
fn a_client_that_trusts_another_authority_gets_no_call() -> Result<()> {
    let Some(mut stage) = Stage::open("pjsua-stranger", &[Client::Pjsua], Srtp::Require)? else { return Ok(()) };
    let authority = stage.certificates.stranger.clone();
    let says = silence(100);
    let plan = Plan { authority, says: &says, ..Plan::new(&stage, Transport::Tls, json!([["hangup"]])) };
    let told = plan.run(&stage)?;
    ensure!(!told.succeeded, "the call went through: {told:?}");
    ensure!(told.log().contains("SSL"), "it failed for another reason: {told:?}");
    // Which also says that the host knows of no call.
    stage.host.stop()
}

fn echo(test: &str, transport: Transport, srtp: Srtp) -> Result<()> {
    let Some(mut stage) = Stage::open(test, &[Client::Pjsua], srtp)? else { return Ok(()) };
    let said = voice(VOICE_MS)?;
    let steps = json!([["wait", VOICE_MS as f64 / 1000.0 + 1.5], ["hangup"]]);
    let plan = Plan { says: &said, reinvite: true, ..Plan::new(&stage, transport, steps) };
    let told = plan.run(&stage)?.expect_success()?;
    stage.host.next_summary()?.expect_good(transport, srtp == Srtp::Require, "caller")?;
    let heard = ensure_heard("pjsua2", &said, &told.heard()?)?;
    println!("{test}: {heard:?}");
    ensure!(told.lost()? == 0, "pjsua2 lost packets: {told:?}");
    // That the client did what the test is about.
    let log = told.log();
    ensure!(log.contains("Sending re-INVITE"), "no re-INVITE was sent");
    if srtp == Srtp::Require {
        let offered = log.find("a=crypto:1 ").map(|at| &log[at..at + 20]);
        ensure!(offered == Some("a=crypto:1 AES_256_C"), "offered first: {offered:?}");
    }
    stage.close("", "")
}

fn keys(test: &str, transport: Transport, srtp: Srtp) -> Result<()> {
    let Some(mut stage) = Stage::open(test, &[Client::Pjsua], srtp)? else { return Ok(()) };
    let steps = json!([
        ["wait", 0.5],
        ["keys", "0*"],
        ["wait", 2],
        ["hold"],
        ["wait", 1.5],
        ["resume"],
        ["wait", 0.5],
        ["keys", "9"],
        ["wait", 1.5],
        ["hangup"],
    ]);
    let plan = Plan { bot: "press-back", says: &voice(VOICE_MS)?, ..Plan::new(&stage, transport, steps) };
    let told = plan.run(&stage)?.expect_success()?;
    ensure!(told.keys() == "0*9", "pjsua2 was sent {}: {told:?}", told.keys());
    let summary = stage.host.next_summary()?;
    summary.expect_good(transport, srtp == Srtp::Require, "caller")?;
    summary.expect(&[("media.digits_received", 3.into()), ("media.digits_sent", 3.into())])?;
    ensure!(stage.host.log().contains("on hold") && stage.host.log().contains("resumed"), "it was never on hold");
    stage.close("0*9", "0*9")
}
