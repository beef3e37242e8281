//! baresip: TCP, and TLS with mandatory SRTP; it records what it hears.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::baresip::{Baresip, Setup};
use crate::clients::Client;
use crate::host::{Srtp, Transport};
use crate::sound::{ensure_heard, silence, voice};
use crate::stage::Stage;

const VOICE_MS: usize = 3_000;
/// Until the end of the voice has come back through all jitter buffers.
const REST: Duration = Duration::from_millis(1_500);

#[test]
fn baresip_over_tcp_hears_its_own_voice_and_hangs_up() -> Result<()> {
    echo("baresip-echo-tcp", Transport::Tcp, Srtp::Prefer)
}

#[test]
fn baresip_over_tls_with_mandatory_srtp_hears_its_own_voice_and_hangs_up() -> Result<()> {
    echo("baresip-echo-tls", Transport::Tls, Srtp::Require)
}

#[test]
fn baresip_over_tcp_presses_keys_and_the_bot_hangs_up() -> Result<()> {
    menu("baresip-menu-tcp", Transport::Tcp, Srtp::Prefer)
}

#[test]
fn baresip_over_tls_with_mandatory_srtp_presses_keys_and_the_bot_hangs_up() -> Result<()> {
    menu("baresip-menu-tls", Transport::Tls, Srtp::Require)
}

fn echo(test: &str, transport: Transport, srtp: Srtp) -> Result<()> {
    let Some(mut stage) = Stage::open(test, &[Client::Baresip], srtp)? else { return Ok(()) };
    let said = voice(VOICE_MS)?;
    let says = [said.clone(), silence(20_000)].concat();
    let mut baresip = Baresip::start(&stage, &Setup { transport, srtp: srtp == Srtp::Require, says: &says })?;
    baresip.call(&stage, "echo")?;
    thread::sleep(Duration::from_millis(VOICE_MS as u64) + REST);
    baresip.hang_up()?;
    stage.host.next_summary()?.expect_good(transport, srtp == Srtp::Require, "caller")?;
    let heard = ensure_heard("baresip", &said, &baresip.heard()?)?;
    println!("{test}: {heard:?}");
    stage.close("", "")
}

fn menu(test: &str, transport: Transport, srtp: Srtp) -> Result<()> {
    let Some(mut stage) = Stage::open(test, &[Client::Baresip], srtp)? else { return Ok(()) };
    let says = silence(30_000);
    let mut baresip = Baresip::start(&stage, &Setup { transport, srtp: srtp == Srtp::Require, says: &says })?;
    baresip.call(&stage, "dtmf-menu")?;
    for key in "142#9".chars() {
        baresip.press(key)?;
        thread::sleep(Duration::from_millis(400));
    }
    baresip.await_end()?;
    let summary = stage.host.next_summary()?;
    summary.expect_good(transport, srtp == Srtp::Require, "bot")?;
    summary.expect(&[("media.digits_received", 5.into())])?;
    ensure!(summary.note("digits") == Some("42") && summary.note("choice") == Some("9"), "other notes: {summary:?}");
    stage.close("142#9", "")
}
