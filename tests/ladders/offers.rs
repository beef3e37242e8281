use call::BotEvent;
use sip::{Command, Transport};

use crate::raw;
use crate::world::*;

#[test]
fn hold_and_resume() {
    let mut world = World::talking(Transport::Tcp, &[]);
    let hold = OFFER.replace("root 1 1", "root 1 2").replace("a=sendrecv", "a=inactive");
    world.caller(Command::Reinvite { dialog: OUTGOING, sdp: hold.into() });
    world.run_ms(5000);
    world.caller(Command::Reinvite { dialog: OUTGOING, sdp: OFFER.replace("root 1 1", "root 1 3").into() });
    world.run_ms(5000);
    world.caller(Command::Bye { dialog: OUTGOING, reason: None });
    world.finish("hold-resume");
    assert_eq!(world.bot_events[..3], [BotEvent::Answered, BotEvent::Hold, BotEvent::Resume]);
}

#[test]
fn an_offer_that_cannot_be_taken_changes_nothing() {
    let mut world = World::talking(Transport::Tcp, &[]);
    world.caller(Command::Reinvite { dialog: OUTGOING, sdp: OFFER.replace("8 0 96", "18").into() });
    world.run_ms(1000);
    world.caller(Command::Bye { dialog: OUTGOING, reason: None });
    world.finish("offer-refused");
}

/// The host refreshes the session by re-INVITE just as the caller holds: both get 491, and both come again.
#[test]
fn glare() {
    let mut world = World::new(Transport::Tcp);
    let mut caller =
        raw::Caller::invite(&mut world, &raw::tcp_invite("Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n"));
    caller.acknowledge(&mut world);
    world.run_ms(44_998);
    let hold = OFFER.replace("root 1 1", "root 1 2").replace("a=sendrecv", "a=inactive");
    caller.request(&mut world, "INVITE", 103, &hold);
    let (theirs, ours) = (caller.receive(&mut world, "INVITE"), caller.receive(&mut world, "SIP/2.0 491"));
    caller.acknowledge_refusal(&mut world, &ours);
    caller.respond(&mut world, &theirs, "491 Request Pending", "");
    let again = caller.receive(&mut world, "INVITE");
    caller.respond(&mut world, &again, "200 OK", OFFER);
    caller.receive(&mut world, "ACK");
    world.run_ms(1000);
    caller.request(&mut world, "INVITE", 104, &hold);
    caller.receive(&mut world, "SIP/2.0 200");
    caller.request(&mut world, "ACK", 104, "");
    caller.request(&mut world, "BYE", 105, "");
    world.finish("glare");
}
