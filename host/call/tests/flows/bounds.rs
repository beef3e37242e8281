use std::sync::Arc;

use call::{BotAct, CallId, Input, Output, Routing};
use sip::{DialogId, Ending};

use crate::scene::*;

#[test]
fn an_overloaded_host_says_503_with_retry_after_until_it_is_not() {
    let mut scene = Scene::new(settings());
    scene.input(Input::Overload(true)).invite(MENU).expect(&["503 overload retry-after 5"]);
    scene.input(Input::Overload(false)).invite(MENU).expect(&["open ports IPv4"]);
}

#[test]
fn retry_after_is_never_above_five_seconds() {
    let mut settings = settings();
    settings.limits.retry_after_s = 60;
    let mut scene = Scene::new(settings);
    scene.input(Input::Overload(true)).invite(MENU).expect(&["503 overload retry-after 5"]);
}

#[test]
fn the_host_takes_as_many_calls_as_it_may_and_no_more() {
    let mut settings = settings();
    settings.limits.calls = 2;
    settings.tenants.clear();
    let mut scene = Scene::new(settings);
    let invite = |scene: &mut Scene, n| {
        scene.invite_as(DialogId(n), 0, request(MENU, "", OFFER));
    };
    invite(&mut scene, 1);
    invite(&mut scene, 2);
    invite(&mut scene, 3);
    assert_eq!(scene.words()[2], "503 overload retry-after 5");
    scene.ended(Ending::Cancelled);
    invite(&mut scene, 4);
    scene.expect(&["open ports IPv4"]);
}

#[test]
fn a_full_tenant_is_busy_and_others_are_not() {
    let mut scene = Scene::new(settings());
    for n in 1..=3 {
        scene.invite_as(DialogId(n), 0, request(MENU, "", OFFER));
    }
    scene.words();
    scene.invite_as(DialogId(4), 0, request(RINGING, "", OFFER)).expect(&["486 quota"]);
    scene.ended(Ending::Cancelled).expect(&[]);
    scene.invite_as(DialogId(5), 0, request(RINGING, "", OFFER)).expect(&["open ports IPv4"]);
}

#[test]
fn an_offer_of_no_use_costs_no_quota() {
    let mut scene = Scene::new(settings());
    for n in 1..=10 {
        scene.invite_as(DialogId(n), 0, request(MENU, "", "v=0\r\nnonsense")).expect(&["488 media"]);
    }
}

#[test]
fn a_tenant_may_have_as_many_bots_that_linger_as_calls() {
    let mut settings = settings();
    settings.tenants[0].max_calls = Some(1);
    let mut scene = Scene::new(settings);
    let place = |scene: &mut Scene, n: u64| {
        let call: CallId = DialogId(n);
        scene.invite_as(call, 0, request(MENU, "", OFFER)).ports(call);
        scene.input(Input::BotStarted { call, result: Ok(call::Accept { ring: false, frames: true }) });
        scene.words();
        scene.sip(sip::Event::Ended { dialog: call, ending: Ending::PeerBye { reason: None } });
    };
    place(&mut scene, 1);
    scene.expect(&["close leg", "bot: hangup caller bye"]);
    place(&mut scene, 2);
    scene.expect(&["close leg", "close bot"]);
    scene.bot(BotAct::Done).words();
    place(&mut scene, 3);
    scene.expect(&["close leg", "bot: hangup caller bye"]);
}

#[test]
fn headers_for_the_bot_are_bounded_in_number_and_bytes() {
    let mut scene = Scene::new(settings());
    let many: String = (0..100).map(|n| format!("X-N{n}: 1\r\n")).collect();
    scene.invite_as(CALL, 0, request(MENU, &many, OFFER)).ports(CALL);
    let Some(Output::StartBot { start, .. }) = scene.last.pop() else { panic!("the bot starts last") };
    assert_eq!(start.headers.len(), 64);

    let mut scene = Scene::new(settings());
    let long: String =
        ["X-A", "X-B", "X-C"].iter().map(|name| format!("{name}: {}\r\n", "a".repeat(6 * 1024))).collect();
    scene.invite_as(CALL, 0, request(MENU, &long, OFFER)).ports(CALL);
    let Some(Output::StartBot { start, .. }) = scene.last.pop() else { panic!("the bot starts last") };
    let names: Vec<&str> =
        start.headers.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with("X-")).collect();
    assert_eq!(names, ["X-A", "X-B"]);
    scene.ended(Ending::Cancelled).bot_ended();
    assert!(scene.summaries[0].dropped >= 1);
}

#[test]
fn notes_are_bounded_and_a_second_one_replaces_the_first() {
    let mut scene = Scene::talking(MENU);
    let note = |key: &str, value: &str| BotAct::Note { key: key.into(), value: value.into() };
    for n in 0..20 {
        scene.bot(note(&format!("k{n}"), "v"));
    }
    scene.bot(note("k0", "again")).bot(note(&"k".repeat(65), "v")).bot(note("k1", &"v".repeat(1025)));
    scene.ended(Ending::PeerBye { reason: None }).leg_closed().bot_ended();
    let summary = &scene.summaries[0];
    assert_eq!((summary.notes.len(), summary.dropped), (16, 6));
    assert_eq!((summary.notes[0].1.as_str(), summary.notes[1].1.as_str()), ("again", "v"));
}

#[test]
fn keys_that_wait_are_bounded() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL);
    for id in 0..10 {
        scene.bot(BotAct::SendDigits { id, keys: "0123456789".into() });
    }
    scene.started(false).words();
    scene.acknowledged();
    assert_eq!(scene.words().iter().filter(|word| word.starts_with("send digits")).count(), 6);
}

#[test]
fn new_routes_hold_for_new_calls_and_live_ones_go_on() {
    let mut scene = Scene::talking(MENU);
    scene.input(Input::Routing(Arc::new(Routing::default()))).expect(&[]);
    scene.invite_as(DialogId(2), 0, request(MENU, "", OFFER)).expect(&["404 no-route"]);
    scene.input(Input::BotFaulted { call: CALL, why: "x".into() }).expect(&["play sorry"]);
}

#[test]
fn what_concerns_no_call_is_dropped() {
    let mut scene = Scene::new(settings());
    scene.started(false).bot(BotAct::Hangup).leg_closed().bot_ended().acknowledged().ended(Ending::OurBye);
    scene.input(Input::Hangup { call: CALL }).input(Input::FallbackPlayed { call: CALL }).expect(&[]).nothing_left(0);
}
