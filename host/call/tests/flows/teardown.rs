use std::time::Duration;

use call::{BotAct, By, Cause, Input, Milestone};
use media::LegEvent;
use sip::{Ending, Reason};

use crate::scene::*;

#[test]
fn the_callers_bye_frees_leg_and_ports_and_lets_the_bot_finish() {
    let mut scene = Scene::talking(MENU);
    scene.wait_ms(5000);
    let reason = Some(Reason { protocol: "Q.850".into(), cause: Some(16), text: "Terminated".into() });
    scene.ended(Ending::PeerBye { reason }).expect(&["close leg", "bot: hangup caller bye"]);
    scene.leg_closed().expect(&["free ports"]);
    scene.wait_ms(3000).bot(BotAct::Note { key: "result".into(), value: "late".into() });
    scene.bot(BotAct::Done).expect(&["close bot"]);
    scene.bot_ended().nothing_left(1);
    let summary = &scene.summaries[0];
    assert_eq!((summary.ended_by, summary.cause, summary.why.as_str()), (By::Caller, Cause::Bye, "Terminated"));
    assert_eq!((summary.ended_after_ms, summary.talked_ms), (5000, 5000), "the bot's work after the call is no talk");
    assert_eq!(summary.notes, [("result".to_owned(), "late".to_owned())]);
}

#[test]
fn the_bots_hangup_is_a_bye_without_excuse() {
    let mut scene = Scene::talking(MENU);
    scene.bot(BotAct::Hangup).expect(&["BYE", "close leg", "bot: hangup bot bye"]);
    scene.bot(BotAct::Hangup).expect(&[]);
    scene
        .bot(BotAct::Done)
        .leg_closed()
        .bot_ended()
        .ended(Ending::OurBye)
        .expect(&["close bot", "free ports"])
        .nothing_left(1);
}

#[test]
fn a_bot_that_hangs_up_while_it_rings_refuses_the_call() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).started(true).words();
    scene.bot(BotAct::Hangup).expect(&["480 bye", "free ports", "bot: hangup bot bye"]);
}

#[test]
fn every_other_end_is_told_to_both_sides() {
    let gone = Ending::Gone { status: 481 };
    for (ending, expect) in [
        (Ending::NoAck, "bot: hangup host no-ack"),
        (Ending::SessionExpired, "bot: hangup host session-expired"),
        (gone, "bot: hangup host gone"),
    ] {
        let mut scene = Scene::talking(MENU);
        scene.ended(ending).expect(&["close leg", expect]);
    }
    let mut scene = Scene::talking(MENU);
    scene.leg(LegEvent::MediaTimeout).expect(&[
        "BYE Q.850;102 media-timeout",
        "close leg",
        "bot: hangup host media-timeout",
    ]);
    let mut scene = Scene::talking(MENU);
    scene.input(Input::Hangup { call: CALL }).expect(&[
        "BYE Q.850;16 operator",
        "close leg",
        "bot: hangup operator operator",
    ]);
    let mut scene = Scene::talking(MENU);
    scene
        .wait_ms(4 * 3_600_000)
        .expect(&["BYE Q.850;16 too-long", "close leg", "bot: hangup host too-long", "free ports", "close bot"][..3]);
}

#[test]
fn a_caller_that_is_never_heard_of_is_given_up() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).started(false).words();
    scene.ended(Ending::NoAck).expect(&["close leg", "bot: hangup host no-ack"]);

    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).started(false).words();
    scene.wait_ms(70_000).expect(&["BYE Q.850;102 no-ack", "close leg", "bot: hangup host no-ack"]);
}

#[test]
fn a_bot_lives_on_for_ten_seconds_at_most() {
    let mut scene = Scene::talking(MENU);
    scene.ended(Ending::PeerBye { reason: None }).leg_closed().words();
    scene.wait_ms(9_999).expect(&[]);
    scene.wait_ms(1).expect(&["close bot"]);
    scene.bot_ended().nothing_left(1);
}

#[test]
fn a_bot_that_traps_after_the_hangup_is_closed() {
    let mut scene = Scene::talking(MENU);
    scene.ended(Ending::PeerBye { reason: None }).leg_closed().words();
    scene.input(Input::BotFaulted { call: CALL, why: "x".into() }).expect(&["close bot"]);
    scene.bot_ended().nothing_left(1);
}

#[test]
fn nothing_that_fails_to_answer_keeps_a_call() {
    let mut scene = Scene::talking(MENU);
    scene.bot(BotAct::Hangup).expect(&["BYE", "close leg", "bot: hangup bot bye"]);
    scene.wait_ms(5_000).expect(&["free ports"]);
    scene.wait_ms(10_000).expect(&["close bot"]);
    assert_eq!(scene.calls.live().dialogs, 1);
    scene.wait_ms(55_000).expect(&[]).nothing_left(1);
    let overdue: Vec<_> = scene.milestones.iter().filter(|m| matches!(m, Milestone::Overdue { .. })).collect();
    assert_eq!(overdue.len(), 3, "{overdue:?}");
}

#[test]
fn a_leg_or_a_bot_that_is_given_up_by_its_plane_ends_the_call() {
    let mut scene = Scene::talking(MENU);
    scene.leg_closed().expect(&["BYE Q.850;41 internal", "free ports", "bot: hangup host internal"]);
    let mut scene = Scene::talking(MENU);
    scene.bot_ended().expect(&["BYE Q.850;41 internal", "close leg"]);
    scene.leg_closed().ended(Ending::OurBye).nothing_left(1);
}

#[test]
fn bye_from_both_sides_at_once_is_one_end() {
    let mut scene = Scene::talking(MENU);
    scene.bot(BotAct::Hangup).words();
    scene.ended(Ending::PeerBye { reason: None }).expect(&[]);
    scene.leg_closed().bot(BotAct::Done).bot_ended().nothing_left(1);
    assert_eq!(scene.summaries[0].ended_by, By::Bot);
}

#[test]
fn a_draining_host_refuses_new_calls_and_gives_live_ones_time() {
    let mut scene = Scene::talking(MENU);
    scene.input(Input::Drain { limit: Duration::from_secs(60) }).expect(&["drain sip"]);
    scene.invite_as(sip::DialogId(2), 0, request(MENU, "", OFFER)).expect(&["503 drain"]);
    scene.wait_ms(59_999).expect(&[]);
    scene.wait_ms(1).expect(&["BYE Q.850;41 drain", "close leg", "bot: hangup host drain"]);
    scene.ended(Ending::OurBye).leg_closed().bot(BotAct::Done).expect(&["free ports", "close bot"]);
    scene.bot_ended().expect(&["drained"]).nothing_left(2);
}

#[test]
fn a_peer_that_acknowledges_nothing_does_not_hold_up_the_drain() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).input(Input::Hangup { call: CALL }).words();
    scene.input(Input::Drain { limit: Duration::from_secs(1) }).words();
    scene.wait_ms(1000).expect(&[]);
    scene.wait_ms(4999).expect(&[]);
    scene.wait_ms(1).expect(&["drained"]);
}

#[test]
fn a_host_without_calls_is_drained_at_once() {
    let mut scene = Scene::new(settings());
    scene.input(Input::Drain { limit: Duration::from_secs(60) }).expect(&["drain sip", "drained"]);
    scene.wait_ms(70_000).expect(&[]).nothing_left(0);
}
