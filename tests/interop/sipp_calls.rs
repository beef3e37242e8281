//! sipp: TCP and UDP, voice and keys out of recordings, and what peers do that no specification foresees.

use anyhow::{Result, ensure};

use crate::clients::Client;
use crate::host::{Srtp, Transport};
use crate::rtp_file::RtpFile;
use crate::sipp::Dial;
use crate::sipp::Step::*;
use crate::sound::{ensure_heard, voice};
use crate::stage::Stage;

const VOICE_MS: usize = 2_000;

#[test]
fn sipp_over_tcp_gets_its_voice_back_and_hangs_up() -> Result<()> {
    echo("sipp-echo-tcp", Transport::Tcp, &[Invite, AwaitAnswer, Ack])
}

#[test]
fn sipp_over_udp_gets_its_voice_back_and_hangs_up() -> Result<()> {
    echo("sipp-echo-udp", Transport::Udp, &[Invite, AwaitAnswer, Ack])
}

#[test]
fn a_reinvite_in_one_segment_with_the_ack_is_answered_and_the_voice_comes_back() -> Result<()> {
    echo("sipp-ack-and-reinvite", Transport::Tcp, &[Invite, AwaitAnswer, AckAndReinvite])
}

#[test]
fn an_ack_in_one_segment_with_the_invite_disturbs_nothing() -> Result<()> {
    echo("sipp-invite-and-ack", Transport::Tcp, &[InviteAndAck, AwaitAnswer, Ack])
}

#[test]
fn rtp_that_comes_seconds_late_is_heard() -> Result<()> {
    echo("sipp-late-rtp", Transport::Tcp, &[Invite, AwaitAnswer, Ack, Pause { ms: 3_000 }])
}

#[test]
fn sipp_over_tcp_walks_the_menu_with_keys_in_its_voice_stream_and_the_bot_hangs_up() -> Result<()> {
    menu("sipp-menu-tcp", Transport::Tcp)
}

#[test]
fn sipp_over_udp_walks_the_menu_with_keys_in_its_voice_stream_and_the_bot_hangs_up() -> Result<()> {
    menu("sipp-menu-udp", Transport::Udp)
}

#[test]
fn rtp_and_keys_before_the_ack_are_heard() -> Result<()> {
    let keys = RtpFile::new(0x1111_1111).press(101, "12")?.say(&voice(500)?).press(101, "3")?;
    let begin = [Invite, AwaitAnswer, Play(&keys), Pause { ms: 300 }, Ack, Pause { ms: 2_500 }, Bye];
    press_back("sipp-rtp-before-ack", 101, &begin, "123")
}

#[test]
fn keys_on_another_ssrc_beside_the_voice_are_each_reported_once() -> Result<()> {
    let keys = RtpFile::new(0x2222_2222).pause(400).press_alone(96, "47")?;
    let both = RtpFile::new(0x1111_1111).say(&voice(2_000)?).beside(keys);
    let steps = [Invite, AwaitAnswer, Ack, Play(&both), Pause { ms: 3_500 }, Bye];
    press_back("sipp-keys-beside-voice", 96, &steps, "47")
}

#[test]
fn sipps_own_keys_after_its_voice_are_each_reported_once() -> Result<()> {
    let voice = RtpFile::new(0x1111_1111).say(&voice(600)?);
    let steps =
        [Invite, AwaitAnswer, Ack, Play(&voice), Pause { ms: 1_000 }, PlayKeys("05#"), Pause { ms: 4_000 }, Bye];
    press_back("sipp-play-dtmf", 96, &steps, "05#")
}

#[test]
fn a_bye_in_one_segment_with_the_ack_ends_the_call() -> Result<()> {
    let Some(mut stage) = Stage::open("sipp-ack-and-bye", &[Client::Sipp], Srtp::Prefer)? else { return Ok(()) };
    let dial = Dial { bot: "echo", transport: Transport::Tcp, event: 101 };
    dial.run(&stage, "sipp", &[Invite, AwaitAnswer, AckAndBye])?;
    let summary = stage.host.next_summary()?;
    summary.expect(&[("status", 200.into()), ("ended_by", "caller".into()), ("cause", "bye".into())])?;
    stage.host.stop()
}

/// The call is set up by `begin`, then the voice is played to echo.
fn echo(test: &str, transport: Transport, begin: &[crate::sipp::Step<'static>]) -> Result<()> {
    let Some(mut stage) = Stage::open(test, &[Client::Sipp], Srtp::Prefer)? else { return Ok(()) };
    let said = voice(VOICE_MS)?;
    let recording = RtpFile::new(0x1111_1111).say(&said);
    let steps: Vec<_> =
        begin.iter().cloned().chain([Play(&recording), Pause { ms: VOICE_MS as u64 + 1_000 }, Bye]).collect();
    Dial { bot: "echo", transport, event: 101 }.run(&stage, "sipp", &steps)?;
    let summary = stage.host.next_summary()?;
    summary.expect_good(transport, false, "caller")?;
    let wire = stage.wire()?;
    let streams = wire.streams()?;
    let to_host = streams.iter().filter(|stream| stage.host.rtp_ports.contains(&stream.to));
    let said_packets: u64 = to_host.map(|stream| stream.packets).sum();
    ensure!(said_packets > 0, "sipp sent nothing: {streams:?}");
    summary.expect(&[("media.packets_received", said_packets.into()), ("media.digits_received", 0.into())])?;
    let heard = ensure_heard("sipp", &said, &wire.sound_from(&stage.host.rtp_ports)?)?;
    println!("{test}: {heard:?}");
    wire.expect_no_loss()?;
    ensure!(wire.keys()?.is_empty(), "keys that nobody pressed");
    wire.expect_well_formed()?;
    stage.host.stop()
}

fn menu(test: &str, transport: Transport) -> Result<()> {
    let Some(mut stage) = Stage::open(test, &[Client::Sipp], Srtp::Prefer)? else { return Ok(()) };
    let recording = RtpFile::new(0x1111_1111)
        .say(&voice(500)?)
        .press(101, "1")?
        .say_nothing(400)
        .press(101, "4711#")?
        .say_nothing(600)
        .press(101, "9")?
        .say_nothing(4_000);
    let steps = [Invite, AwaitAnswer, Ack, Play(&recording), AwaitBye];
    Dial { bot: "dtmf-menu", transport, event: 101 }.run(&stage, "sipp", &steps)?;
    let summary = stage.host.next_summary()?;
    summary.expect_good(transport, false, "bot")?;
    summary.expect(&[("media.digits_received", 7.into())])?;
    ensure!(summary.note("digits") == Some("4711") && summary.note("choice") == Some("9"), "other notes: {summary:?}");
    stage.close("14711#9", "")
}

/// A bot that presses back each key that it is sent.
fn press_back(test: &str, event: u8, steps: &[crate::sipp::Step], keys: &str) -> Result<()> {
    let Some(mut stage) = Stage::open(test, &[Client::Sipp], Srtp::Prefer)? else { return Ok(()) };
    Dial { bot: "press-back", transport: Transport::Tcp, event }.run(&stage, "sipp", steps)?;
    let summary = stage.host.next_summary()?;
    summary.expect_good(Transport::Tcp, false, "caller")?;
    summary.expect(&[("media.digits_received", keys.len().into()), ("media.digits_sent", keys.len().into())])?;
    stage.close(keys, keys)
}
