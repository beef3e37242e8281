use call::{BotAct, By, Cause, Input, StartFailure};
use media::LegEvent;
use sip::{Command, Transport};

use crate::world::*;

#[test]
fn bye_from_both_sides_crosses() {
    let mut world = World::talking(Transport::Tcp, &[]);
    world.bot_acts(BotAct::Hangup);
    world.caller(Command::Bye { dialog: OUTGOING, reason: None });
    world.finish("bye-crossing");
    assert_eq!(world.summaries[0].ended_by, By::Bot);
}

#[test]
fn a_bot_traps_in_the_call() {
    let mut world = World::talking(Transport::Tcp, &[]);
    world.remark("the bot traps");
    world.edge(|call| Input::BotFaulted { call, why: "unreachable".into() });
    world.finish("bot-trap");
    assert_eq!(world.summaries[0].cause, Cause::BotFault);
}

#[test]
fn a_bot_traps_at_its_start() {
    let mut world = World::new(Transport::Tcp);
    world.bot = Bot::Fails(StartFailure::Faulted { why: "unreachable".into() });
    world.invite("+911234567890", OFFER, &[]);
    world.finish("bot-trap-at-start");
}

#[test]
fn the_callers_sound_stays_away() {
    let mut world = World::talking(Transport::Tcp, &[]);
    world.run_ms(60_000);
    world.leg(LegEvent::MediaTimeout);
    world.finish("media-timeout");
}

#[test]
fn a_session_that_nobody_refreshes_expires() {
    let headers = [("Supported", "timer"), ("Session-Expires", "90;refresher=uac")];
    let mut world = World::talking(Transport::Tcp, &headers);
    world.caller_falls_silent();
    world.finish("session-expiry");
    assert_eq!(world.summaries[0].cause, Cause::SessionExpired);
}

#[test]
fn a_draining_host_gives_a_live_call_its_time() {
    let mut world = World::talking(Transport::Tcp, &[]);
    world.remark("drain, 10 s");
    world.host(Input::Drain { limit: std::time::Duration::from_secs(10) });
    world.finish("drain");
}
