use call::{BotAct, Output};
use sip::Event;

use crate::scene::*;

fn offer(sdp: &str) -> Event {
    Event::Offer { dialog: CALL, sdp: Some(sdp.into()) }
}

#[test]
fn hold_and_resume_reach_leg_and_bot() {
    let mut scene = Scene::talking(MENU);
    let hold = OFFER.replace("a=sendrecv", "a=inactive").replace("root 1 1", "root 1 2");
    scene.sip(offer(&hold)).expect(&["accept offer", "update leg held", "bot: hold"]);
    scene.sip(offer(&hold)).expect(&["accept offer"]);
    scene.sip(offer(OFFER)).expect(&["accept offer", "update leg", "bot: resume"]);
}

#[test]
fn an_unchanged_offer_disturbs_nothing() {
    let mut scene = Scene::talking(MENU);
    scene.sip(offer(OFFER)).expect(&["accept offer"]);
}

#[test]
fn a_new_address_reaches_the_leg_and_not_the_bot() {
    let mut scene = Scene::talking(MENU);
    scene.sip(offer(&OFFER.replace("37456", "37460")));
    let Some(Output::UpdateLeg { negotiated, .. }) = scene.last.pop() else { panic!("the leg is updated") };
    assert_eq!(negotiated.remote_rtp.map(|addr| addr.port()), Some(37460));
}

#[test]
fn a_refused_offer_leaves_all_as_it_was() {
    let mut scene = Scene::talking(MENU);
    scene.sip(offer(&OFFER.replace("8 0 96", "18"))).expect(&["refuse offer 488"]);
    scene.sip(offer("nonsense")).expect(&["refuse offer 488"]);
    scene.sip(offer(OFFER)).expect(&["accept offer"]);
}

#[test]
fn an_offer_without_description_gets_ours_and_its_answer_counts() {
    let mut scene = Scene::talking(MENU);
    scene.sip(Event::Offer { dialog: CALL, sdp: None }).expect(&["accept offer"]);
    let answer = OFFER.replace("37456", "37470");
    scene.sip(Event::OfferAnswered { dialog: CALL, sdp: answer.into() }).expect(&["update leg"]);
    scene.sip(Event::Offer { dialog: CALL, sdp: None }).expect(&["accept offer"]);
    scene.sip(Event::OfferAnswered { dialog: CALL, sdp: "nonsense".into() }).expect(&[]);
    scene.sip(Event::OfferAnswered { dialog: CALL, sdp: OFFER.into() }).expect(&[]);
}

#[test]
fn an_offer_of_ours_that_was_withdrawn_or_refused_takes_no_answer() {
    for event in [Event::OfferWithdrawn { dialog: CALL }, Event::OfferRejected { dialog: CALL, status: 488 }] {
        let mut scene = Scene::talking(MENU);
        scene.sip(Event::Offer { dialog: CALL, sdp: None }).sip(event).words();
        scene.sip(Event::OfferAnswered { dialog: CALL, sdp: OFFER.replace("37456", "37470").into() }).expect(&[]);
    }
}

#[test]
fn an_offer_crosses_no_offer_of_our_200() {
    let mut scene = Scene::new(settings());
    scene.invite_as(CALL, 0, request(MENU, "", "")).ports(CALL).started(false).words();
    scene.sip(offer(OFFER)).expect(&["refuse offer 491"]);
}

#[test]
fn an_offer_for_a_call_that_is_over_is_refused() {
    let mut scene = Scene::talking(MENU);
    scene.bot(BotAct::Hangup).words();
    scene.sip(offer(OFFER)).expect(&["refuse offer 481"]);
    Scene::new(settings()).sip(offer(OFFER)).expect(&["refuse offer 481"]);
}

#[test]
fn a_hold_before_the_ack_is_told_after_answered() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).started(false).words();
    scene.sip(offer(&OFFER.replace("a=sendrecv", "a=inactive"))).expect(&["accept offer", "update leg held"]);
    scene.acknowledged().expect(&["bot: answered", "bot: hold"]);
}
