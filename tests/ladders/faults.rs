use call::Cause;
use sip::{Command, Transport};

use crate::world::*;

#[test]
fn a_lost_ack_is_asked_for_again() {
    let mut world = World::new(Transport::Udp);
    world.lose(End::Caller, "ACK", 1);
    world.invite("+911234567890", OFFER, &[]);
    world.run_ms(3000);
    world.caller(Command::Bye { dialog: OUTGOING, reason: None });
    world.finish("lost-ack");
}

#[test]
fn a_lost_200_is_sent_again() {
    let mut world = World::new(Transport::Udp);
    world.lose(End::Host, "SIP/2.0 200", 1);
    world.invite("+911234567890", OFFER, &[]);
    world.run_ms(3000);
    world.caller(Command::Bye { dialog: OUTGOING, reason: None });
    world.finish("lost-200");
}

#[test]
fn a_200_that_is_never_acknowledged_ends_the_call() {
    let mut world = World::new(Transport::Udp);
    world.lose(End::Caller, "ACK", usize::MAX);
    world.invite("+911234567890", OFFER, &[]);
    world.finish("no-ack");
    assert_eq!(world.summaries[0].cause, Cause::NoAck);
}

#[test]
fn a_lost_connection_does_not_end_the_call() {
    let mut world = World::talking(Transport::Tcp, &[]);
    world.cut();
    world.run_ms(10_000);
    world.bot_acts(call::BotAct::Hangup);
    world.finish("connection-lost");
}

#[test]
fn a_caller_comes_back_on_another_connection() {
    let mut world = World::talking(Transport::Tcp, &[]);
    world.cut();
    world.run_ms(10_000);
    world.caller(Command::Bye { dialog: OUTGOING, reason: None });
    world.finish("connection-changed");
}

#[test]
fn a_bye_that_nobody_answers_frees_everything() {
    let mut world = World::talking(Transport::Udp, &[]);
    world.caller_falls_silent();
    world.bot_acts(call::BotAct::Hangup);
    world.finish("bye-unanswered");
}
