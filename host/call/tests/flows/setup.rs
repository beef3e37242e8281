use call::{Accept, BotAct, Cause, Input, Output, StartFailure, Verdict};
use sip::{Ending, Event};

use crate::scene::*;

fn start_fails(scene: &mut Scene, failure: StartFailure) -> &mut Scene {
    scene.input(Input::BotStarted { call: CALL, result: Err(failure) })
}

#[test]
fn an_invite_becomes_a_call_between_caller_and_bot() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).expect(&["open ports IPv4"]);
    scene.ports(CALL).expect(&["start bot"]);
    scene.started(false).expect(&["open leg", "200 sdp"]);
    scene.acknowledged().expect(&["bot: answered"]);
    let live = scene.calls.live();
    assert_eq!((live.calls, live.dialogs, live.ports, live.legs, live.bots), (1, 1, 1, 1, 1));
}

#[test]
fn the_bot_is_told_of_the_call_as_the_invite_has_it() {
    let mut scene = Scene::new(settings());
    let headers = "X-Exotel-CallSid: c-1\r\nP-Asserted-Identity: <sip:+918888888888@x>, <tel:+918888888888>\r\nDiversion: <sip:a@b>\r\n";
    scene.invite_as(CALL, 0, request("%2B911234567890", headers, OFFER)).ports(CALL);
    let Some(Output::StartBot { start, .. }) = scene.last.pop() else { panic!("the bot starts last") };
    assert_eq!((start.caller.as_str(), start.called.as_str()), ("+918888888888", MENU));
    assert_eq!(
        (start.trunk.as_str(), start.route.tenant.as_str(), start.route.plugin.as_str()),
        ("exotel", "acme", "menu")
    );
    let header = |name: &str| start.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    assert_eq!(header("X-Exotel-CallSid"), Some("c-1"));
    assert_eq!(header("P-Asserted-Identity"), Some("<sip:+918888888888@x>, <tel:+918888888888>"));
    assert_eq!(header("From"), Some("\"+918888888888\" <sip:+918888888888@pstn.example>;tag=as2aef"));
    let attribute = |name: &str| start.attributes.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
    for (name, value) in [
        ("sip-call-id", "7a1c@pstn.example"),
        ("transport", "tcp"),
        ("codec", "PCMA"),
        ("srtp", "no"),
        ("identity", "asserted"),
        ("asserted-identity", "<sip:+918888888888@x>"),
        ("route", "to +911234567890"),
    ] {
        assert_eq!(attribute(name), Some(value), "{name}");
    }
}

#[test]
fn what_an_untrusted_trunk_claims_is_removed() {
    let mut scene = Scene::new(settings());
    let headers = "x-exotel-callsid: c-1\r\nP-Asserted-Identity: <tel:+918888888888>\r\nSubject: hello\r\n";
    scene.invite_as(CALL, 1, request("echo", headers, OFFER)).ports(CALL);
    let Some(Output::StartBot { start, .. }) = scene.last.pop() else { panic!("the bot starts last") };
    let names: Vec<&str> = start.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"Subject"));
    assert!(
        !names.iter().any(|name| name.eq_ignore_ascii_case("x-exotel-callsid") || *name == "P-Asserted-Identity"),
        "{names:?}"
    );
    scene.ended(Ending::Cancelled).bot_ended();
    assert_eq!(scene.summaries[0].identity, Verdict::Absent);
    assert!(scene.summaries[0].asserted.is_empty() && scene.summaries[0].extra_headers.is_empty());
}

#[test]
fn a_tel_uri_is_routed_by_its_number() {
    let mut scene = Scene::new(settings());
    let invite = String::from_utf8(request(MENU, "", OFFER).to_bytes()).unwrap();
    let tel = invite.replacen(
        "INVITE sip:+911234567890@198.51.100.1:5070;transport=tcp",
        "INVITE tel:+91-1234567890;phone-context=x",
        1,
    );
    let Ok(sip::Message::Request(tel)) = sip::Message::parse(tel.as_bytes()) else { panic!("{tel}") };
    scene.invite_as(CALL, 0, Box::new(tel)).expect(&["open ports IPv4"]);
}

#[test]
fn what_cannot_be_served_is_refused_with_the_truth_and_opens_nothing() {
    let no_media =
        OFFER.replace("8 0 96", "18").replace("a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000", "a=rtpmap:18 G729/8000");
    for (called, body, expect, cause) in [
        ("+913333333333", OFFER, "404 no-route", Cause::NoRoute),
        (MENU, no_media.as_str(), "488 media", Cause::Media),
        (MENU, "v=0\r\nnonsense", "488 media", Cause::Media),
    ] {
        let mut scene = Scene::new(settings());
        scene.invite_as(CALL, 0, request(called, "", body)).expect(&[expect]).nothing_left(1);
        assert_eq!(scene.summaries[0].cause, cause);
        scene.ended(Ending::Rejected { status: 404 }).nothing_left(1);
    }
}

#[test]
fn a_trunk_that_must_assert_the_caller_gets_403_without() {
    let mut settings = settings();
    settings.trunks[0].require_pai = true;
    let mut scene = Scene::new(settings);
    scene.invite(MENU).expect(&["403 no-identity"]);
    scene.invite_as(CALL, 0, request(MENU, "P-Asserted-Identity: <tel:+91>\r\n", OFFER)).expect(&["open ports IPv4"]);
}

#[test]
fn a_host_without_ports_says_503_with_retry_after() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).words();
    scene.input(Input::PortsExhausted { call: CALL }).expect(&["503 no-ports retry-after 5"]);
    scene.ended(Ending::Rejected { status: 503 }).nothing_left(1);
}

#[test]
fn an_offer_of_an_address_family_that_the_host_lacks_is_488_and_no_shortage_of_ports() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).words();
    scene.input(Input::NoAddress { call: CALL }).expect(&["488 media"]);
    scene.ended(Ending::Rejected { status: 488 }).nothing_left(1);
}

#[test]
fn ports_that_do_not_come_are_not_waited_for_and_given_back_when_they_do() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).words();
    scene.wait_ms(2000).expect(&["503 no-ports retry-after 5"]);
    scene.ended(Ending::Rejected { status: 503 }).nothing_left(1);
    scene.ports(CALL).expect(&["free ports"]).nothing_left(1);
}

#[test]
fn ports_that_come_for_a_call_being_refused_are_given_back() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).input(Input::Hangup { call: CALL }).words();
    scene.ports(CALL).expect(&["free ports"]);
    scene.ended(Ending::Rejected { status: 480 }).nothing_left(1);
}

#[test]
fn the_bots_refusal_is_the_sip_answer() {
    for (status, reason, expect) in [
        (486, "on another line", "486 on another line"),
        (603, "two\r\nlines", "603 two  lines"),
        (200, "nonsense", "480 nonsense"),
        (999, "", "480 "),
    ] {
        let mut scene = Scene::new(settings());
        scene.invite(MENU).ports(CALL).words();
        start_fails(&mut scene, StartFailure::Refused { status, reason: reason.into() });
        scene.expect(&[expect, "free ports", "close bot"]);
        scene.bot_ended().ended(Ending::Rejected { status: 486 }).nothing_left(1);
        assert_eq!(scene.summaries[0].cause, Cause::BotRefused);
    }
}

#[test]
fn a_long_refusal_is_cut_at_a_character() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).words();
    start_fails(&mut scene, StartFailure::Refused { status: 486, reason: "é".repeat(5000) });
    assert_eq!(scene.words()[0], format!("486 {}", "é".repeat(60)));
}

#[test]
fn a_bot_that_cannot_be_loaded_is_480_even_with_a_fallback() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).words();
    start_fails(&mut scene, StartFailure::NotLoadable { why: "no build".into() });
    scene.expect(&["480 bot-not-loadable", "free ports", "close bot"]);
    scene.bot_ended().ended(Ending::Rejected { status: 480 }).nothing_left(1);
}

#[test]
fn a_bot_that_traps_at_its_start_is_480_where_the_route_has_no_fallback() {
    let mut scene = Scene::new(settings());
    scene.invite(NO_FALLBACK).ports(CALL).words();
    start_fails(&mut scene, StartFailure::Faulted { why: "unreachable".into() });
    scene.expect(&["480 bot-fault", "free ports", "close bot"]);
}

#[test]
fn a_bot_that_traps_at_its_start_leaves_the_call_to_the_fallback() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).words();
    start_fails(&mut scene, StartFailure::Faulted { why: "unreachable".into() });
    scene.expect(&["open leg", "200 sdp"]);
    scene.acknowledged().expect(&["play sorry"]);
    scene.input(Input::FallbackPlayed { call: CALL });
    scene.expect(&["BYE Q.850;41 bot-fault", "close leg", "close bot"]);
    scene.ended(Ending::OurBye).leg_closed().bot_ended().expect(&["free ports"]).nothing_left(1);
    assert!(scene.summaries[0].fallback);
    assert_eq!((scene.summaries[0].cause, scene.summaries[0].why.as_str()), (Cause::BotFault, "unreachable"));
}

#[test]
fn a_start_has_200_ms_and_what_comes_later_changes_nothing() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).words();
    scene.wait_ms(199).expect(&[]);
    scene.wait_ms(1).expect(&["open leg", "200 sdp"]);
    scene.started(false).expect(&[]);
    scene.bot(BotAct::Hangup).expect(&[]);
    scene.acknowledged().expect(&["play sorry"]);
    scene.wait_ms(30_000).expect(&["BYE Q.850;41 bot-timeout", "close leg", "close bot"]);

    let mut scene = Scene::new(settings());
    scene.invite(NO_FALLBACK).ports(CALL).words();
    scene.wait_ms(200).expect(&["480 bot-timeout", "free ports", "close bot"]);
}

#[test]
fn a_route_may_ring_while_the_bot_starts() {
    let mut scene = Scene::new(settings());
    scene.invite(RINGING).ports(CALL).expect(&["open ports IPv4", "180", "start bot"]);
    scene.started(true).expect(&[]);
    scene.bot(BotAct::Answer).expect(&["open leg", "200 sdp"]);
}

#[test]
fn a_bot_may_let_it_ring_for_a_minute() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).words();
    scene.started(true).expect(&["180"]);
    scene.wait_ms(59_999).expect(&[]);
    scene.wait_ms(1).expect(&["480 not-answered", "free ports", "bot: hangup host not-answered"]);
    scene.bot(BotAct::Done).bot_ended().expect(&["close bot"]);
    scene.ended(Ending::Rejected { status: 480 }).nothing_left(1);
}

#[test]
fn a_bot_that_asked_for_an_answer_within_start_is_answered_at_once() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).words();
    scene.bot(BotAct::Answer).expect(&[]);
    scene.input(Input::BotStarted { call: CALL, result: Ok(Accept { ring: true, frames: false }) });
    scene.expect(&["open leg", "200 sdp"]);
    scene.bot(BotAct::Answer).expect(&[]);
}

#[test]
fn a_caller_that_gives_up_ends_the_bot_in_every_stage() {
    let mut scene = Scene::new(settings());
    scene.invite(MENU).ended(Ending::Cancelled).nothing_left(1);

    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).words();
    scene.ended(Ending::Cancelled).expect(&["free ports", "close bot"]);
    scene.started(false).expect(&[]);
    scene.bot_ended().nothing_left(1);
    assert_eq!((scene.summaries[0].cause, scene.summaries[0].status), (Cause::Cancel, None));

    let mut scene = Scene::new(settings());
    scene.invite(MENU).ports(CALL).started(true).words();
    scene.ended(Ending::Cancelled).expect(&["free ports", "bot: hangup caller cancel"]);
    scene.bot(BotAct::Done).bot_ended().nothing_left(1);
}

#[test]
fn a_late_offer_is_ours_and_the_leg_opens_with_its_answer() {
    let mut scene = Scene::new(settings());
    scene.invite_as(CALL, 0, request(MENU, "", "")).ports(CALL).started(false);
    scene.expect(&["open ports IPv4", "start bot", "200 sdp"]);
    let answer = OFFER.replace("8 0 96", "0 101").replace("96 telephone", "101 telephone");
    scene.sip(Event::Acknowledged { dialog: CALL, sdp: Some(answer.into()) }).expect(&["open leg", "bot: answered"]);
    scene.ended(Ending::PeerBye { reason: None }).leg_closed().bot_ended().nothing_left(1);
    assert_eq!(scene.summaries[0].codec, Some("PCMU"));
}

#[test]
fn an_answer_in_the_ack_that_is_of_no_use_ends_the_call() {
    for sdp in [None, Some("nonsense".to_owned()), Some(OFFER.replace("8 0 96", "18"))] {
        let mut scene = Scene::new(settings());
        scene.invite_as(CALL, 0, request(MENU, "", "")).ports(CALL).started(false).words();
        scene.sip(Event::Acknowledged { dialog: CALL, sdp: sdp.map(Into::into) });
        scene.expect(&["BYE Q.850;41 media", "free ports", "bot: hangup host media"]);
    }
}

#[test]
fn an_ipv6_offer_wants_ports_of_its_family() {
    let mut scene = Scene::new(settings());
    let offer = OFFER.replace("IP4 192.0.2.9", "IP6 2001:db8::9");
    scene.invite_as(CALL, 0, request(MENU, "", &offer)).expect(&["open ports IPv6"]);
}
