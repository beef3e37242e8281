use std::net::SocketAddr;

use call::{BotAct, Cause, Input, Milestone};
use media::LegEvent;
use sip::{Ending, Event};

use crate::scene::*;

#[test]
fn the_first_packet_makes_the_call_as_well_as_the_ack_does() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).started(false).words();
    scene.leg(LegEvent::FirstPacket).expect(&["bot: answered"]);
    scene.acknowledged().leg(LegEvent::FirstPacket).expect(&[]);
}

#[test]
fn keys_that_the_bot_presses_wait_for_the_call_and_go_to_the_leg() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).words();
    scene.bot(BotAct::SendDigits { id: 1, keys: "1".into() });
    scene.started(false).bot(BotAct::SendDigits { id: 2, keys: "2,#".into() });
    scene.expect(&["open leg", "200 sdp"]);
    scene.acknowledged().expect(&["bot: answered", "send digits 1 1", "send digits 2 2,#"]);
    scene.bot(BotAct::SendDigits { id: 3, keys: "9".into() }).expect(&["send digits 3 9"]);
}

fn without_telephone_event() -> Scene {
    let mut scene = Scene::new(settings());
    let offer = OFFER.replace(" 96\r\n", "\r\n").replace("a=rtpmap:96 telephone-event/8000\r\n", "");
    scene.invite_as(CALL, 0, request(MENU, "", &offer)).ports(CALL).started(false).acknowledged().words();
    scene
}

#[test]
fn without_telephone_event_keys_go_by_info_one_after_the_other() {
    let mut scene = without_telephone_event();
    scene.bot(BotAct::SendDigits { id: 7, keys: "1,2".into() }).expect(&["INFO 1"]);
    scene.wait_ms(759).expect(&[]);
    scene.wait_ms(1).expect(&["INFO 2"]);
    scene.wait_ms(260).expect(&["bot: digits sent 7"]);
    assert_eq!(scene.calls.live().timers, 1, "only the longest call's");
}

#[test]
fn a_key_by_info_counts_only_without_telephone_event() {
    let press = |digit| Event::InfoDigit { dialog: CALL, digit, duration_ms: 160 };
    without_telephone_event().sip(press('5')).expect(&["bot: digit 5"]);
    Scene::talking(MENU).sip(press('5')).expect(&[]);
}

#[test]
fn a_bot_that_traps_in_a_call_is_followed_by_the_fallback_and_bye() {
    let mut scene = Scene::talking(MENU);
    scene.input(Input::BotFaulted { call: CALL, why: "out of bounds".into() }).expect(&["play sorry"]);
    scene.bot(BotAct::SendDigits { id: 1, keys: "1".into() }).bot(BotAct::Hangup).expect(&[]);
    scene.input(Input::FallbackPlayed { call: CALL }).expect(&["BYE Q.850;41 bot-fault", "close leg", "close bot"]);
    let fallback = Milestone::Fallback { cause: Cause::BotFault, why: "out of bounds".into() };
    assert!(scene.milestones.contains(&fallback), "{:?}", scene.milestones);
}

#[test]
fn a_bot_that_traps_without_a_fallback_gets_bye_at_once() {
    let mut scene = Scene::talking(NO_FALLBACK);
    scene.input(Input::BotFaulted { call: CALL, why: "out of bounds".into() });
    scene.expect(&["BYE Q.850;41 bot-fault", "close leg", "close bot"]);
}

#[test]
fn a_bot_that_traps_before_the_ack_is_followed_by_the_fallback_after_it() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).started(false).words();
    scene.input(Input::BotFaulted { call: CALL, why: "x".into() }).expect(&[]);
    scene.acknowledged().expect(&["play sorry"]);
}

#[test]
fn a_bot_that_traps_while_it_rings_is_followed_by_the_fallback() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).started(true).words();
    scene.input(Input::BotFaulted { call: CALL, why: "x".into() }).expect(&["open leg", "200 sdp"]);
}

#[test]
fn a_fallback_that_never_ends_is_cut_off() {
    let mut scene = Scene::talking(MENU);
    scene.input(Input::BotFaulted { call: CALL, why: "x".into() }).words();
    scene.wait_ms(30_000).expect(&["BYE Q.850;41 bot-fault", "close leg", "close bot"]);
}

#[test]
fn a_moved_source_is_told_and_digits_of_the_leg_are_not_told_twice() {
    let mut scene = Scene::talking(MENU);
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let (from, to) = (Some(address("192.0.2.9:1")), address("192.0.2.9:2"));
    scene.leg(LegEvent::SourceMoved { from, to }).leg(LegEvent::Digit { key: '1', tick: 4 }).expect(&[]);
    assert!(scene.milestones.contains(&Milestone::SourceMoved { from, to }));
    scene.ended(Ending::PeerBye { reason: None });
}
