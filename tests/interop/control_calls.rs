//! What a bot asks of its caller's phone, asked of pjsua2: hold and resume by re-INVITE, transfer by REFER. The bot is tests/bots/control;
//! what it does is its route's configuration.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::clients::Client;
use crate::host::{Listeners, Srtp, Summary, Transport};
use crate::pjsua::{Plan, Told};
use crate::sound::{ensure_heard, read_a_law_wav, silence, voice};
use crate::stage::Stage;

const VOICE_MS: usize = 3_000;
/// More than any of these calls needs. It ends as soon as what it waits for has come.
const LONG_MS: usize = 40_000;

#[test]
fn pjsua2_over_tcp_is_put_on_hold_hears_its_music_and_is_taken_back() -> Result<()> {
    held("control-hold-tcp", Transport::Tcp, Srtp::Prefer)
}

#[test]
fn pjsua2_over_verified_tls_with_mandatory_srtp_is_put_on_hold_hears_its_music_and_is_taken_back() -> Result<()> {
    held("control-hold-tls", Transport::Tls, Srtp::Require)
}

#[test]
fn pjsua2_over_tcp_follows_a_refer_and_the_bot_is_told() -> Result<()> {
    transferred("control-transfer-tcp", Transport::Tcp, Srtp::Prefer)
}

#[test]
fn pjsua2_over_verified_tls_with_mandatory_srtp_follows_a_refer_and_the_bot_is_told() -> Result<()> {
    transferred("control-transfer-tls", Transport::Tls, Srtp::Require)
}

#[test]
fn a_refer_that_pjsua2_declines_leaves_the_call_with_the_bot() -> Result<()> {
    refused("control-declined", 603, "echo", "603 Decline")
}

#[test]
fn a_refer_that_pjsua2_does_not_allow_leaves_the_call_with_the_bot() -> Result<()> {
    refused("control-not-allowed", 405, "echo", "405 Method Not Allowed")
}

#[test]
fn a_refer_that_pjsua2_follows_to_nobody_leaves_the_call_with_the_bot() -> Result<()> {
    refused("control-to-nobody", 202, "nobody", "404 Not Found")
}

/// The number `asked` leads to the bot, which does so.
fn route(steps: &str) -> String {
    format!("[[routes]]\ncalled = \"asked\"\nplugin = \"control\"\nconfig.steps = \"\"\"\n{steps}\"\"\"\n")
}

fn ensure_notes(summary: &Summary, notes: &[&str]) -> Result<()> {
    let noted: Vec<Option<&str>> = (1..=notes.len()).map(|number| summary.note(&number.to_string())).collect();
    ensure!(noted.iter().flatten().eq(notes), "other notes: {summary:?}");
    Ok(())
}

fn ensure_prompts_heard(told: &Told, prompts: &[&str]) -> Result<()> {
    let heard = told.heard()?;
    for prompt in prompts {
        let said = read_a_law_wav(&patchbay_tests::repository().join(format!("plugins/prompts/{prompt}.wav")))?;
        println!("{prompt}: {:?}", ensure_heard(prompt, &said, &heard)?);
    }
    Ok(())
}

/// Voice again and again: whenever the bot listens, there is some.
fn endless_voice() -> Result<Vec<i16>> {
    Ok([voice(VOICE_MS)?, silence(500)].concat().into_iter().cycle().take(silence(LONG_MS).len()).collect())
}

fn held(test: &str, transport: Transport, srtp: Srtp) -> Result<()> {
    let steps = route("play apology\nhold\nplay invalid\nresume\nhear\nplay goodbye\n");
    let Some(mut stage) = Stage::with_routes(test, &[Client::Pjsua], srtp, |_| steps.clone())? else { return Ok(()) };
    let says = endless_voice()?;
    let plan = Plan { bot: "asked", says: &says, ..Plan::new(&stage, transport, json!([["await-end"]])) };
    let told = plan.run(&stage)?.expect_success()?;
    let summary = stage.host.next_summary()?;
    summary.expect_good(transport, srtp == Srtp::Require, "bot")?;
    ensure_notes(&summary, &["whole", "done", "whole", "done", "voice", "whole"])?;
    // What the client itself makes of it: held once, then as before.
    let mut states: Vec<_> = told.of("media").map(|media| (&media["held"], &media["direction"])).collect();
    states.dedup();
    let (talks, held) = ((&json!(false), &json!("sendrecv")), (&json!(true), &json!("recvonly")));
    ensure!(states == [talks, held, talks], "other states: {told:?}");
    ensure!(told.log().contains("a=recvonly"), "the client's answer does not say recvonly");
    ensure_prompts_heard(&told, &["apology", "invalid", "goodbye"])?;
    ensure!(told.lost()? == 0, "pjsua2 lost packets: {told:?}");
    stage.close("", "")
}

fn transferred(test: &str, transport: Transport, srtp: Srtp) -> Result<()> {
    // What comes after the transfer is never come to: the hangup ends it.
    let steps = |listeners: Listeners| {
        route(&format!("play invalid\ntransfer {}\nwait {LONG_MS}\n", listeners.uri("echo", transport)))
    };
    let Some(mut stage) = Stage::with_routes(test, &[Client::Pjsua], srtp, steps)? else { return Ok(()) };
    let said = voice(VOICE_MS)?;
    let follow = json!([["follow"], ["wait", VOICE_MS as f64 / 1000.0 + 1.5], ["hangup"]]);
    let plan = Plan { bot: "asked", says: &said, referred: 202, ..Plan::new(&stage, transport, follow) };
    let told = plan.run(&stage)?.expect_success()?;

    let summary = stage.host.next_summary()?;
    summary.expect(&[
        ("status", 200.into()),
        ("ended_by", "bot".into()),
        ("cause", "transferred".into()),
        ("transfers", 1.into()),
        ("fallback", false.into()),
    ])?;
    ensure_notes(&summary, &["whole", "done"])?;
    ensure!(summary.note("3").is_none(), "the bot went on after the transfer: {summary:?}");
    // The progress that it told, by its own word.
    let log = told.log();
    let progress = ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"].map(|line| {
        let is_told = |message: &str| message.contains("message/sipfrag") && message.contains(line);
        log.split("NOTIFY sip:").skip(1).filter(|rest| is_told(rest.split("--end msg--").next().unwrap_or(""))).count()
    });
    ensure!(progress.iter().all(|count| *count >= 1), "NOTIFYs of 100 and 200: {progress:?}");

    // And whom the REFER named: it was called, and speaks with its caller.
    stage.host.next_summary()?.expect_good(transport, srtp == Srtp::Require, "caller")?;
    println!("{test}: {:?}", ensure_heard("pjsua2", &said, &told.heard_referred()?)?);
    ensure!(told.lost()? == 0, "pjsua2 lost packets: {told:?}");
    stage.close("", "")
}

fn refused(test: &str, answer: u16, target: &str, noted: &str) -> Result<()> {
    let steps = |listeners: Listeners| {
        route(&format!("transfer {}\nhear\nplay goodbye\n", listeners.uri(target, Transport::Tcp)))
    };
    let Some(mut stage) = Stage::with_routes(test, &[Client::Pjsua], Srtp::Prefer, steps)? else { return Ok(()) };
    let says = endless_voice()?;
    let steps = json!([["await-end"]]);
    let plan = Plan { bot: "asked", says: &says, referred: answer, ..Plan::new(&stage, Transport::Tcp, steps) };
    let told = plan.run(&stage)?.expect_success()?;
    ensure!(told.of("refer").count() == 1, "not one REFER: {told:?}");
    if answer == 202 {
        // Who is nobody's number ends first.
        stage.host.next_summary()?.expect(&[("status", 404.into())])?;
    }
    let summary = stage.host.next_summary()?;
    summary.expect_good(Transport::Tcp, false, "bot")?;
    summary.expect(&[("transfers", 1.into())])?;
    ensure_notes(&summary, &[noted, "voice", "whole"])?;
    ensure_prompts_heard(&told, &["goodbye"])?;
    stage.host.stop()
}
