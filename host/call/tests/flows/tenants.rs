//! Many tenants on one host: what one of them uses up is refused to it alone, and 503 is never its answer.

use std::sync::Arc;

use call::{BotAct, CallId, Called, Cause, Input, Milestone, Route, Routing, Settings, Tenant};
use sip::{DialogId, Ending};

use crate::scene::*;

const RIVAL: &str = "+913333333333";

/// `acme` with one call a second, beside `rival` with neither quota nor fault.
fn two_tenants(max_calls: Option<u32>, calls_per_second: Option<u32>) -> Settings {
    let mut settings = settings();
    let rival = Route { tenant: "rival".into(), ..route(RIVAL, false, false) };
    settings.routing = Arc::new(Routing::new([route(MENU, false, true), rival]));
    settings.tenants = vec![acme(max_calls, calls_per_second)];
    settings
}

fn acme(max_calls: Option<u32>, calls_per_second: Option<u32>) -> Tenant {
    Tenant { name: "acme".into(), max_calls, calls_per_second }
}

fn invite(scene: &mut Scene, number: u64, called: &str) -> Vec<String> {
    scene.invite_as(DialogId(number), 0, request(called, "", OFFER));
    scene.words()
}

const TAKEN: [&str; 1] = ["open ports IPv4"];
const BUSY: [&str; 1] = ["486 quota"];

#[test]
fn calls_that_come_too_fast_are_busy_until_the_second_is_over_and_others_notice_nothing() {
    let mut scene = Scene::new(two_tenants(None, Some(2)));
    assert_eq!(invite(&mut scene, 1, MENU), TAKEN);
    assert_eq!(invite(&mut scene, 2, MENU), TAKEN);
    assert_eq!(invite(&mut scene, 3, MENU), BUSY);
    let refused = scene.summaries.pop().unwrap();
    assert_eq!((refused.cause, refused.status), (Cause::Quota, Some(486)));
    assert_eq!(refused.why, "the tenant may have 2 new calls a second (calls_per_second)");
    assert_eq!((refused.tenant.as_deref(), refused.route.as_deref()), (Some("acme"), Some("to +911234567890")));
    for number in 4..20 {
        assert_eq!(invite(&mut scene, number, RIVAL), TAKEN);
    }
    scene.wait_ms(499);
    assert_eq!(invite(&mut scene, 20, MENU), BUSY);
    scene.wait_ms(1);
    assert_eq!(invite(&mut scene, 21, MENU), TAKEN);
    assert_eq!(invite(&mut scene, 22, MENU), BUSY);
}

#[test]
fn quotas_change_under_live_calls_which_stay_and_count() {
    let mut scene = Scene::new(two_tenants(None, None));
    for number in 1..=3 {
        assert_eq!(invite(&mut scene, number, MENU), TAKEN);
    }
    scene.input(Input::Tenants(vec![acme(Some(2), None)])).expect(&[]);
    assert_eq!(scene.calls.live().calls, 3, "nobody is thrown out");
    assert_eq!(invite(&mut scene, 4, MENU), BUSY);
    scene.ended(Ending::Cancelled).words();
    assert_eq!(invite(&mut scene, 5, MENU), BUSY, "two of three are left");
    scene.sip(sip::Event::Ended { dialog: DialogId(2), ending: Ending::Cancelled }).words();
    assert_eq!(invite(&mut scene, 6, MENU), TAKEN);
    scene.input(Input::Tenants(Vec::new())).expect(&[]);
    assert_eq!(invite(&mut scene, 7, MENU), TAKEN, "a tenant without quotas has none of its own");
}

#[test]
fn a_tenant_whose_bots_use_too_much_cpu_is_busy_and_keeps_its_live_calls() {
    let mut scene = Scene::talking(MENU);
    let over = |over| Input::GuestCpu { tenant: "acme".into(), over };
    scene.input(over(true)).expect(&[]);
    assert_eq!(invite(&mut scene, 2, MENU), BUSY);
    assert_eq!(scene.summaries[0].why, "its bots used more CPU than its quota (guest_cpu)");
    scene.bot(BotAct::Note { key: "still".into(), value: "here".into() }).input(over(false)).expect(&[]);
    assert_eq!(invite(&mut scene, 3, MENU), TAKEN);
    assert_eq!(invite(&mut scene, 4, RIVAL), ["404 no-route"]);

    let mut scene = Scene::new(two_tenants(None, None));
    scene.input(over(true)).words();
    assert_eq!(invite(&mut scene, 1, RIVAL), TAKEN);
    assert_eq!(invite(&mut scene, 2, MENU), BUSY);
}

#[test]
fn a_breach_is_told_with_its_tenant() {
    let mut scene = Scene::new(two_tenants(Some(0), None));
    assert_eq!(invite(&mut scene, 1, MENU), BUSY);
    let told: Vec<_> = scene.milestones.iter().skip(1).take(2).collect();
    assert!(matches!(told[0], Milestone::Routed { tenant, .. } if tenant == "acme"), "{told:?}");
    assert!(matches!(told[1], Milestone::Refused { status: 486, cause: Cause::Quota, .. }), "{told:?}");
}

#[test]
fn a_call_is_taken_by_the_pattern_of_its_request_uri() {
    let mut settings = settings();
    let by_uri = Route { called: Called::Uri("sip:*@198.51.100.1".into()), ..route("any", false, false) };
    settings.routing = Arc::new(Routing::new([by_uri]));
    let mut scene = Scene::new(settings);
    assert_eq!(invite(&mut scene, 1, "whoever"), TAKEN);
    assert_eq!(scene.calls.views(scene.now)[0].route, "to any");
}

#[test]
fn a_call_that_stayed_too_long_on_a_replaced_build_gets_bye_and_the_bot_hears_why() {
    let mut scene = Scene::talking(MENU);
    scene.input(Input::Replaced { call: CALL }).expect(&[
        "BYE Q.850;41 replaced",
        "close leg",
        "bot: hangup host replaced",
    ]);
    scene.input(Input::Replaced { call: CALL }).expect(&[]);
    scene.bot(BotAct::Done).leg_closed().bot_ended().ended(Ending::OurBye).nothing_left(1);
    assert_eq!((scene.summaries[0].cause, scene.summaries[0].status), (Cause::Replaced, Some(200)));

    let mut scene = Scene::new(settings());
    scene.invite(MENU).words();
    scene.input(Input::Replaced { call: CALL }).expect(&["480 replaced"]);
}

#[test]
fn live_calls_are_shown_as_they_stand_and_those_that_ended_are_not() {
    let mut scene = Scene::talking(MENU);
    scene.wait_ms(2500);
    invite(&mut scene, 2, RINGING);
    let views = scene.calls.views(scene.now);
    let shown: Vec<_> = views.iter().map(|view| (view.id.as_str(), view.stage, view.seconds)).collect();
    assert_eq!(shown, [("c1", "talking", Some(2)), ("c2", "setting-up", None)]);
    let first = &views[0];
    assert_eq!((first.tenant.as_str(), first.plugin.as_str(), first.trunk.as_str()), ("acme", "menu", "exotel"));
    assert_eq!((first.caller.as_str(), first.called.as_str()), ("+918888888888", MENU));
    assert_eq!((first.answered, first.held, first.fallback, first.srtp), (true, false, false, false));
    assert_eq!((first.codec, first.started_unix_ms), (Some("PCMA"), 1_000_000));
    assert_eq!(views[1].started_unix_ms, 1_002_500);

    let named: Vec<Option<CallId>> =
        ["c1", "c2", "c3", "1", "c01", "c+1", "", "c"].map(|name| scene.calls.named(name)).into();
    assert_eq!(named[..2], [Some(CALL), Some(DialogId(2))]);
    assert!(named[2..].iter().all(Option::is_none), "{named:?}");
    scene.ended(Ending::PeerBye { reason: None });
    assert_eq!(scene.calls.named("c1"), None, "its bot finishes, and nothing is left to hang up");
    assert_eq!(scene.calls.views(scene.now).len(), 1);
}

#[test]
fn a_call_that_is_held_or_left_to_the_fallback_is_shown_so() {
    let mut scene = Scene::talking(MENU);
    scene.input(Input::BotFaulted { call: CALL, why: "x".into() });
    let view = &scene.calls.views(scene.now)[0];
    assert_eq!((view.stage, view.fallback), ("fallback", true));

    let mut scene = Scene::talking(MENU);
    let hold = OFFER.replace("a=sendrecv", "a=sendonly").replace("o=root 1 1", "o=root 1 2");
    scene.sip(sip::Event::Offer { dialog: CALL, sdp: Some(hold.into()) });
    assert!(scene.calls.views(scene.now)[0].held);
}
