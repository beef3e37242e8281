use std::sync::Arc;

use call::{Dial, Input, Milestone, OutboundInput, Output};
use sip::Ending;

use crate::scene::*;

const CUSTOMER: &str = "+918888888888";

fn dial(scene: &mut Scene, id: &str) {
    let dial = Dial {
        id: id.into(),
        tenant: "acme".into(),
        trunk: "exotel".into(),
        to: CUSTOMER.into(),
        from: MENU.into(),
        context: Arc::new([("name".into(), "Asha".into()), ("due".into(), "12 \"May\"".into())]),
    };
    scene.input(Input::Outbound(OutboundInput::Dialled(Box::new(dial))));
}

fn answered(scene: &mut Scene, id: &str, call_sid: &str) {
    let input = OutboundInput::Answered { id: id.into(), call_sid: Some(call_sid.into()) };
    scene.input(Input::Outbound(input));
}

fn invite(scene: &mut Scene, trunk: u16, call_sid: &str) {
    let headers = format!("X-Exotel-CallSid: {call_sid}\r\n");
    scene.invite_as(CALL, trunk, request(MENU, &headers, OFFER)).ports(CALL);
}

/// Of the bot that started last.
fn attribute(scene: &Scene, name: &str) -> Option<String> {
    let started = scene.last.iter().rev().find_map(|output| match output {
        Output::StartBot { start, .. } => Some(&start.attributes),
        _ => None,
    });
    let found = started.expect("a bot has started").iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.clone())
}

#[test]
fn a_second_leg_starts_its_bot_with_the_context_of_its_request() {
    let mut scene = Scene::new(settings());
    dial(&mut scene, "o1");
    answered(&mut scene, "o1", "s-1");
    invite(&mut scene, 0, "s-1");
    for (name, value) in [
        ("outbound", Some("matched")),
        ("outbound-id", Some("o1")),
        ("context.name", Some("Asha")),
        ("context.due", Some("12 \"May\"")),
        ("context", Some(r#"{"due":"12 \"May\"","name":"Asha"}"#)),
        ("context.other", None),
        ("transport", Some("tcp")),
    ] {
        assert_eq!(attribute(&scene, name).as_deref(), value, "{name}");
    }
    scene.expect(&["open ports IPv4", "Connected { id: \"o1\", call: \"c1\" }", "start bot"]);
    let told = scene.milestones.iter().find_map(|milestone| match milestone {
        Milestone::SecondLeg { request, .. } => Some(request.clone()),
        _ => None,
    });
    assert_eq!(told, Some(Some("o1".into())));
    scene.started(false).acknowledged().ended(Ending::PeerBye { reason: None });
    scene.leg_closed().bot_ended();
    assert_eq!(scene.summaries[0].outbound.as_deref(), Some("o1"));
}

#[test]
fn a_bot_waits_half_a_second_for_the_apis_answer_and_then_goes_by_the_numbers() {
    let mut scene = Scene::new(settings());
    dial(&mut scene, "o1");
    invite(&mut scene, 0, "s-1");
    scene.expect(&["open ports IPv4"]);
    scene.wait_ms(499).expect(&[]);
    scene.wait_ms(1);
    assert_eq!(attribute(&scene, "outbound-id").as_deref(), Some("o1"));
    scene.expect(&["Connected { id: \"o1\", call: \"c1\" }", "start bot"]);
}

#[test]
fn the_apis_answer_ends_the_wait() {
    let mut scene = Scene::new(settings());
    dial(&mut scene, "o1");
    dial(&mut scene, "o2");
    invite(&mut scene, 0, "s-2");
    scene.words();
    answered(&mut scene, "o2", "s-2");
    assert_eq!(attribute(&scene, "outbound-id").as_deref(), Some("o2"));
    scene.expect(&["Connected { id: \"o2\", call: \"c1\" }", "start bot"]);
}

#[test]
fn an_ambiguous_second_leg_starts_without_context_and_says_so() {
    let mut scene = Scene::new(settings());
    dial(&mut scene, "o1");
    dial(&mut scene, "o2");
    invite(&mut scene, 0, "s-1");
    scene.wait_ms(500);
    assert_eq!(attribute(&scene, "outbound").as_deref(), Some("unmatched"));
    assert_eq!((attribute(&scene, "outbound-id"), attribute(&scene, "context")), (None, None));
    assert!(scene.milestones.iter().any(|told| matches!(told, Milestone::SecondLeg { request: None, .. })));
}

#[test]
fn an_inbound_call_is_told_of_no_request_and_does_not_wait() {
    let mut scene = Scene::new(settings());
    dial(&mut scene, "o1");
    answered(&mut scene, "o1", "s-1");
    invite(&mut scene, 0, "s-9");
    assert_eq!(attribute(&scene, "outbound"), None);
    scene.expect(&["open ports IPv4", "start bot"]);
}

#[test]
fn the_name_of_a_call_is_believed_from_a_trusted_trunk_alone() {
    let mut scene = Scene::new(settings());
    let dialled = Dial {
        id: "o1".into(),
        tenant: "acme".into(),
        trunk: "world".into(),
        to: "+917777777777".into(),
        from: "echo".into(),
        context: Arc::new([]),
    };
    scene.input(Input::Outbound(OutboundInput::Dialled(Box::new(dialled))));
    answered(&mut scene, "o1", "s-1");
    scene.invite_as(CALL, 1, request("echo", "X-Exotel-CallSid: s-1\r\n", OFFER)).ports(CALL);
    assert_eq!(attribute(&scene, "outbound"), None);
}

#[test]
fn a_caller_who_gives_up_while_the_answer_is_out_leaves_nothing_behind() {
    let mut scene = Scene::new(settings());
    dial(&mut scene, "o1");
    invite(&mut scene, 0, "s-1");
    scene.ended(Ending::Cancelled).expect(&["open ports IPv4", "free ports"]);
    answered(&mut scene, "o1", "s-1");
    scene.expect(&[]);
    scene.wait_ms(120_000).expect(&["Expired { id: \"o1\" }"]);
    scene.nothing_left(1);
}
