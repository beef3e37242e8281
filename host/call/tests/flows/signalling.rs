//! What a bot asks of its call's signalling: transfer, hold and resume, headers, a hangup with its cause.

use call::{BotAct, By, Cause, Input, Milestone};
use sip::{Ending, Event};

use crate::scene::*;

fn transfer(id: u64, target: &str) -> BotAct {
    BotAct::Transfer { id, target: target.into(), headers: Vec::new() }
}

fn progress(status: u16) -> Event {
    Event::ReferProgress { dialog: CALL, status, phrase: "so\u{7} far".into() }
}

fn ended(status: u16) -> Event {
    Event::ReferEnded { dialog: CALL, status, phrase: "as it is".into() }
}

fn offer(sdp: &str) -> Event {
    Event::Offer { dialog: CALL, sdp: Some(sdp.into()) }
}

fn answered(direction: &str) -> Event {
    Event::OfferAnswered { dialog: CALL, sdp: OFFER.replace("sendrecv", direction).into() }
}

fn own(count: usize) -> Vec<(String, String)> {
    (0..count).map(|number| (format!("X-{number}"), "1".to_owned())).collect()
}

#[test]
fn a_transfer_is_done_when_the_other_side_has_answered_and_the_call_ends() {
    let mut scene = Scene::talking(MENU);
    scene.bot(transfer(7, "sip:agent@trunk.example")).expect(&["REFER sip:agent@trunk.example +0"]);
    scene.sip(progress(180)).expect(&["bot: control 7 Progress { status: 180, reason: \"so  far\" }"]);
    scene.sip(ended(200));
    scene.expect(&["bot: control 7 Done", "BYE", "close leg", "bot: hangup bot transferred"]);
    scene.ended(Ending::OurBye).leg_closed().bot(BotAct::Done).bot_ended().nothing_left(1);
    let summary = &scene.summaries[0];
    assert_eq!((summary.cause, summary.ended_by, summary.transfers), (Cause::Transferred, By::Bot, 1));
}

#[test]
fn a_transfer_that_fails_leaves_the_call_with_the_bot() {
    let mut scene = Scene::talking(MENU);
    for (id, status) in [(1, 603), (2, 408)] {
        scene.bot(transfer(id, "tel:+911")).words();
        scene.sip(ended(status));
        scene.expect(&[&format!("bot: control {id} Failed {{ status: {status}, reason: \"as it is\" }}")]);
    }
    assert!(scene.milestones.contains(&Milestone::TransferFailed { status: 603, why: "as it is".into() }));
    scene.sip(ended(200)).sip(progress(180)).expect(&[]);
    scene.ended(Ending::PeerBye { reason: None }).leg_closed().bot(BotAct::Done).bot_ended().nothing_left(1);
    assert_eq!(scene.summaries[0].transfers, 2);
}

#[test]
fn one_transfer_at_a_time_to_a_number_or_address_once_the_call_is_up() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).words();
    let failed = |id, status, reason| format!("bot: control {id} Failed {{ status: {status}, reason: {reason:?} }}");
    scene.bot(transfer(1, "sip:a@b")).expect(&[&failed(1, 481, "the call is not up")]);
    scene.started(false).acknowledged().words();
    scene
        .bot(transfer(2, "sip:a@b?Replaces=x"))
        .bot(transfer(3, "sip:a@b\r\nX-Evil: 1"))
        .bot(transfer(4, "mailto:a@b"));
    let no_uri = "a transfer's target is a sip:, sips: or tel: URI";
    let more = "a transfer's target names neither headers nor a method";
    scene.expect(&[&failed(2, 400, more), &failed(3, 400, no_uri), &failed(4, 400, no_uri)]);
    scene.bot(transfer(5, "sip:a@b")).bot(transfer(6, "sip:c@d"));
    scene.expect(&["REFER sip:a@b +0", &failed(6, 491, "a transfer is under way")]);
}

#[test]
fn a_transfer_goes_through_though_its_bot_has_died() {
    let mut scene = Scene::talking(MENU);
    scene.bot(transfer(1, "sip:a@b")).input(Input::BotFaulted { call: CALL, why: "x".into() }).words();
    scene.sip(progress(180)).expect(&[]);
    scene.sip(ended(200)).expect(&["BYE", "close leg", "close bot"]);
}

#[test]
fn a_bot_holds_and_takes_back_its_caller() {
    let mut scene = Scene::talking(MENU);
    scene.bot(BotAct::Resume { id: 1 }).expect(&["bot: control 1 Done"]);
    scene.bot(BotAct::Hold { id: 2 }).expect(&["re-INVITE sendonly"]);
    scene.bot(BotAct::Resume { id: 3 });
    scene.expect(&["bot: control 3 Failed { status: 491, reason: \"a hold or resume is under way\" }"]);
    scene.sip(answered("recvonly")).expect(&["update leg deaf", "bot: control 2 Done"]);
    scene.bot(BotAct::Hold { id: 4 }).expect(&["bot: control 4 Done"]);
    scene.bot(BotAct::Resume { id: 5 }).expect(&["re-INVITE sendrecv"]);
    scene.sip(answered("sendrecv")).expect(&["update leg", "bot: control 5 Done"]);
    let held = [Milestone::HeldByBot, Milestone::ResumedByBot];
    assert!(held.iter().all(|milestone| scene.milestones.contains(milestone)));
}

#[test]
fn a_hold_that_is_refused_leaves_all_as_it_was() {
    let mut scene = Scene::talking(MENU);
    scene.bot(BotAct::Hold { id: 1 }).words();
    scene.sip(Event::OfferRejected { dialog: CALL, status: 488 });
    scene.expect(&["bot: control 1 Failed { status: 488, reason: \"Not Acceptable Here\" }"]);
    scene.bot(BotAct::Hold { id: 2 }).words();
    scene.sip(Event::OfferAnswered { dialog: CALL, sdp: "nonsense".into() });
    scene.expect(&["bot: control 2 Failed { status: 488, reason: \"Not Acceptable Here\" }"]);
    scene.sip(offer(OFFER)).expect(&["accept offer"]);
}

/// A peer may ring on a re-INVITE for minutes. The bot hears that it failed, and in the end it has.
#[test]
fn a_hold_without_an_answer_fails_after_35_s_and_is_taken_back_if_it_comes_to_be() {
    let mut scene = Scene::talking(MENU);
    scene.bot(BotAct::Hold { id: 1 }).expect(&["re-INVITE sendonly"]);
    scene.wait_ms(34_999).expect(&[]);
    scene.wait_ms(1).expect(&["bot: control 1 Failed { status: 408, reason: \"Request Timeout\" }"]);
    let under_way =
        |id| format!("bot: control {id} Failed {{ status: 491, reason: \"a hold or resume is under way\" }}");
    scene.wait_ms(100_000).bot(BotAct::Resume { id: 2 }).expect(&[&under_way(2)]);
    scene.sip(answered("recvonly")).expect(&["update leg deaf", "re-INVITE sendrecv"]);
    scene.bot(BotAct::Hold { id: 3 }).expect(&[&under_way(3)]);
    scene.sip(answered("sendrecv")).expect(&["update leg"]);
    scene.bot(BotAct::Resume { id: 4 }).expect(&["bot: control 4 Done"]);
}

#[test]
fn a_hold_that_was_given_up_and_refused_is_over() {
    let mut scene = Scene::talking(MENU);
    scene.bot(BotAct::Hold { id: 1 }).wait_ms(35_000).words();
    scene.sip(Event::OfferRejected { dialog: CALL, status: 488 }).expect(&[]);
    scene.bot(BotAct::Hold { id: 2 }).expect(&["re-INVITE sendonly"]);
    scene.sip(answered("recvonly")).expect(&["update leg deaf", "bot: control 2 Done"]);
    scene.wait_ms(40_000).expect(&[]);
    assert_eq!(scene.calls.live().timers, 1, "only the longest call's");
}

#[test]
fn a_hold_before_the_call_is_up_fails() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).started(false).words();
    let failed = "bot: control 1 Failed { status: 481, reason: \"the call is not up\" }";
    scene.bot(BotAct::Hold { id: 1 }).expect(&[failed]);
}

/// The endpoint waits out a glare with our offer; the peer's comes first.
#[test]
fn a_hold_that_waits_is_offered_anew_after_the_peers_own_offer() {
    let mut scene = Scene::talking(MENU);
    scene.bot(BotAct::Hold { id: 1 }).words();
    scene.sip(offer(&OFFER.replace("37456", "37460"))).expect(&["accept offer", "update leg", "re-INVITE sendonly"]);
    scene.sip(offer("nonsense")).expect(&["refuse offer 488", "re-INVITE sendonly"]);
    scene.sip(Event::Offer { dialog: CALL, sdp: None }).expect(&["accept offer"]);
    scene.sip(answered("sendrecv")).expect(&["update leg", "re-INVITE sendonly"]);
    scene.sip(Event::Offer { dialog: CALL, sdp: None }).expect(&["accept offer"]);
    scene.sip(Event::OfferWithdrawn { dialog: CALL }).expect(&["re-INVITE sendonly"]);
    scene.sip(answered("recvonly")).expect(&["update leg deaf", "bot: control 1 Done"]);
}

#[test]
fn a_hold_waits_for_the_answer_to_an_offer_that_the_peer_asked_for() {
    let mut scene = Scene::talking(MENU);
    scene.sip(Event::Offer { dialog: CALL, sdp: None }).expect(&["accept offer"]);
    scene.bot(BotAct::Hold { id: 1 }).expect(&[]);
    scene.sip(answered("sendrecv")).expect(&["re-INVITE sendonly"]);
    scene.sip(answered("recvonly")).expect(&["update leg deaf", "bot: control 1 Done"]);
}

#[test]
fn a_held_caller_may_offer_and_stays_on_hold() {
    let mut scene = Scene::talking(MENU);
    scene.bot(BotAct::Hold { id: 1 }).sip(answered("recvonly")).words();
    scene.sip(offer(OFFER)).expect(&["accept offer sendonly"]);
    scene.sip(offer(&OFFER.replace("sendrecv", "sendonly"))).expect(&["accept offer", "update leg held", "bot: hold"]);
    scene.sip(Event::Offer { dialog: CALL, sdp: None }).expect(&["accept offer sendonly"]);
    scene.sip(answered("recvonly")).expect(&["update leg deaf", "bot: resume"]);
}

#[test]
fn headers_go_with_the_200_and_the_bye_and_the_last_ones_said_count() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).bot(BotAct::AnswerHeaders(own(2))).bot(BotAct::AnswerHeaders(own(1))).words();
    scene.started(false).expect(&["open leg", "200 sdp X-0"]);
    scene.acknowledged().words();
    scene.bot(BotAct::ByeHeaders(own(3))).expect(&["BYE headers 3"]);
}

#[test]
fn headers_that_are_too_many_too_long_or_not_a_bots_are_left_out_and_counted() {
    let mut scene = Scene::talking(MENU);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let long = "v".repeat(513);
    let name = format!("X-{}", "n".repeat(63));
    let wrong = [
        ("From", "<sip:x@y>"),
        ("X-", "1"),
        ("X-A b", "1"),
        ("X-A:", "1"),
        ("X-A", "1\r\nFrom: x"),
        ("X-A", &long),
        (&name, "1"),
    ];
    let headers: Vec<(String, String)> = wrong.iter().map(|(name, value)| pair(name, value)).chain(own(17)).collect();
    scene.bot(BotAct::ByeHeaders(headers)).expect(&["BYE headers 16"]);
    scene.bot(BotAct::ByeHeaders(vec![pair(&name[..64], &long[..512])])).expect(&["BYE headers 1"]);
    let target = "sip:a@b".to_owned();
    scene.bot(BotAct::Transfer { id: 1, target, headers: vec![pair("Via", "x"), pair("x-b", "1")] });
    scene.expect(&["REFER sip:a@b +1"]);
    scene.bot(BotAct::Hangup).bot(BotAct::Done).bot_ended().leg_closed().ended(Ending::OurBye);
    assert_eq!(scene.summaries[0].dropped, 7 + 1 + 1);
}

#[test]
fn a_hangup_with_a_cause_says_it_in_the_bye() {
    let mut scene = Scene::talking(MENU);
    scene.bot(BotAct::HangupWith { status: 486, reason: "all\r\nagents talk".into() });
    scene.expect(&["BYE SIP;486 all  agents talk", "close leg", "bot: hangup bot bye"]);
}

#[test]
fn a_hangup_with_a_cause_while_it_rings_is_the_refusal() {
    let mut scene = Scene::new(settings());
    scene.invite(RINGING).ports(CALL).started(true).words();
    scene.bot(BotAct::HangupWith { status: 603, reason: "not now".into() });
    scene.expect(&["603 not now", "free ports", "bot: hangup bot bot-refused"]);
    let mut scene = Scene::new(settings());
    scene.invite(RINGING).ports(CALL).words();
    scene.bot(BotAct::HangupWith { status: 200, reason: "x".into() });
    assert_eq!(scene.words()[0], "480 x");
}
