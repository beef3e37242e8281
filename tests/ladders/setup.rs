use std::sync::Arc;

use call::{BotAct, Cause, Input, Routing, StartFailure};
use sip::{Command, Event, Transport};

use crate::world::*;

#[test]
fn answer_and_bye_from_the_caller() {
    let mut world = World::talking(Transport::Tcp, &[]);
    world.run_ms(4000);
    world.caller(Command::Bye { dialog: OUTGOING, reason: None });
    world.finish("answer");
}

#[test]
fn ringing_until_the_bot_answers_and_bye_from_the_bot() {
    let mut world = World::new(Transport::Udp);
    world.bot = Bot::Rings;
    world.invite("+911234567890", OFFER, &[]);
    world.run_ms(2000);
    world.bot_acts(BotAct::Answer);
    world.run_ms(3000);
    world.bot_acts(BotAct::Hangup);
    world.finish("ringing");
}

#[test]
fn a_bot_refuses() {
    let mut world = World::new(Transport::Tcp);
    world.bot = Bot::Fails(StartFailure::Refused { status: 486, reason: "on another line".into() });
    world.invite("+911234567890", OFFER, &[]);
    world.finish("bot-refusal");
    assert_eq!(world.summaries[0].cause, Cause::BotRefused);
}

#[test]
fn an_offer_without_a_codec_of_ours_is_rejected() {
    let mut world = World::new(Transport::Udp);
    world.invite(
        "+911234567890",
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n",
        &[],
    );
    world.finish("reject");
}

#[test]
fn a_number_without_a_route_is_404() {
    let mut world = World::new(Transport::Tcp);
    world.host(Input::Routing(Arc::new(Routing::default())));
    world.invite("+911234567890", OFFER, &[]);
    world.finish("no-route");
}

#[test]
fn an_overloaded_host_is_503() {
    let mut world = World::new(Transport::Tcp);
    world.host(Input::Overload(true));
    world.invite("+911234567890", OFFER, &[]);
    world.finish("overload");
}

#[test]
fn a_caller_that_gives_up_while_it_rings() {
    let mut world = World::new(Transport::Tcp);
    world.bot = Bot::Rings;
    world.invite("+911234567890", OFFER, &[]);
    world.run_ms(2000);
    world.caller(Command::Cancel { dialog: OUTGOING });
    world.finish("cancel");
    assert_eq!(world.summaries[0].cause, Cause::Cancel);
}

#[test]
fn a_cancel_that_crosses_the_200_comes_too_late() {
    let mut world = World::new(Transport::Tcp);
    world.bot = Bot::Rings;
    world.invite("+911234567890", OFFER, &[]);
    world.run_ms(2000);
    world.bot_acts(BotAct::Answer);
    world.caller(Command::Cancel { dialog: OUTGOING });
    world.finish("cancel-race");
}

#[test]
fn an_invite_without_offer_gets_ours() {
    let mut world = World::new(Transport::Tcp);
    world.invite("+911234567890", "", &[]);
    world.run_ms(100);
    assert!(world.caller_events.iter().any(|event| matches!(event, Event::Accepted { .. })));
    let answer = OFFER
        .replace("8 0 96", "8 101")
        .replace("a=rtpmap:0 PCMU/8000\r\n", "")
        .replace("96 telephone", "101 telephone");
    world.caller(Command::Acknowledge { dialog: OUTGOING, sdp: answer.into() });
    world.run_ms(1000);
    world.caller(Command::Bye { dialog: OUTGOING, reason: None });
    world.finish("late-offer");
}
