//! Calls that the host asks the trunk for: each second leg finds its own context, and no other.

use std::collections::HashMap;
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use trunk::callback::{self, Kind, call_back};
use trunk::{Asked, Conduct, Plan, SecondLeg, http};

use crate::host::{CUSTOMER, Host, OURS, PATIENCE, note};

fn second_leg(host: &Host, secure: bool, asked: &Asked) -> Result<Plan> {
    let field = |name: &str| asked.field(name).map(str::to_owned).with_context(|| format!("no {name}"));
    Ok(Plan { customer: field("From")?, called: field("To")?, call_sid: Some(asked.sid.clone()), ..host.plan(secure)? })
}

#[test]
fn a_dialled_customer_speaks_with_the_bot_which_knows_why() -> Result<()> {
    let host = Host::start("dialled")?;
    for secure in [false, true] {
        let said = host.command(&[
            "dial",
            "--tenant",
            "default",
            "--trunk",
            "exotel",
            "--to",
            CUSTOMER,
            "--from",
            OURS,
            "--context",
            "who=Asha",
            "--json",
        ])?;
        let request: Value = serde_json::from_str(&said)?;
        let id = request["id"].as_str().context("no id")?;
        let asked = host.api.asked(PATIENCE)?;
        for (name, value) in [
            ("From", CUSTOMER),
            ("To", OURS),
            ("CallerId", "+912261234567"),
            ("Url", "https://my.exotel.com/flow-control/flow/7"),
            ("CustomField", id),
        ] {
            ensure!(asked.field(name) == Some(value), "{name}: {:?}", asked.fields);
        }
        ensure!((&request["state"], &request["call_sid"]) == (&json!("accepted"), &json!(asked.sid)), "{request}");

        let mut leg = SecondLeg::establish(second_leg(&host, secure, &asked)?, PATIENCE)?;
        leg.media.speak_until_echoed(10, PATIENCE)?;
        let shown = host.command(&["calls", "outbound", id])?;
        ensure!(shown.contains("connected") && shown.contains(CUSTOMER), "{shown}");
        leg.hang_up(PATIENCE)?;
        let summary = host.summary(leg.call_id())?;
        ensure!(summary["outbound"] == id, "{summary}");
        for (key, value) in
            [("outbound", "matched"), ("outbound-id", id), ("context.who", "Asha"), ("context", r#"{"who":"Asha"}"#)]
        {
            ensure!(note(&summary, key) == Some(value), "{key}: {summary}");
        }
        ensure!(call_back(&asked, Kind::Multipart, "completed")? == 204);
        let ended = host.await_state(id, "ended")?;
        ensure!(ended["trunk_status"] == "completed" && ended["why"] == "bye", "{ended}");
    }
    host.stop()
}

#[test]
fn fifty_calls_to_one_number_at_once_find_their_own_contexts_before_and_after_the_apis_answer() -> Result<()> {
    let host = Host::start("fifty")?;
    for number in 0..50 {
        host.api.next(if number % 2 == 0 { Conduct::Hold } else { Conduct::Answer });
    }
    let dials: Vec<_> = (0..50)
        .map(|number| {
            let client = host.client();
            thread::spawn(move || -> Result<(String, String)> {
                let who = format!("customer {number}");
                let request = client.dialled(json!({ "who": who }))?;
                Ok((request["id"].as_str().context("no id")?.to_owned(), who))
            })
        })
        .collect();
    let mut legs = Vec::new();
    let mut before = 0;
    for _ in 0..50 {
        let mut asked = host.api.asked(PATIENCE)?;
        let plan = second_leg(&host, false, &asked)?;
        before += usize::from(asked.is_held());
        legs.push(thread::spawn(move || -> Result<(String, String)> {
            // Those that are held have their INVITE sent before the API answers.
            let mut leg = SecondLeg::invite(plan)?;
            asked.release();
            leg.accepted(PATIENCE)?;
            leg.acknowledge()?;
            leg.hang_up(PATIENCE)?;
            Ok((leg.call_id().to_owned(), asked.field("CustomField").context("no request")?.to_owned()))
        }));
    }
    ensure!(before == 25, "{before} came before their answer");
    let whose: HashMap<String, String> =
        dials.into_iter().map(|dial| dial.join().expect("a dial that panicked")).collect::<Result<_>>()?;
    for leg in legs {
        let (call_id, request) = leg.join().expect("a call that panicked")?;
        let summary = host.summary(&call_id)?;
        ensure!(summary["outbound"] == request.as_str(), "of {request}: {summary}");
        ensure!(note(&summary, "context.who") == whose.get(&request).map(String::as_str), "of {request}: {summary}");
    }
    host.stop()
}

#[test]
fn a_second_leg_that_may_be_of_several_requests_starts_without_context_and_says_so() -> Result<()> {
    let host = Host::start("ambiguous")?;
    // The trunk names no call.
    for who in ["a", "b"] {
        host.api.next(Conduct::Rubbish(b"<html>".to_vec()));
        let (status, _, problem) = host.client().dial(json!({ "who": who }))?;
        ensure!(status == 504 && problem["type"] == "/problems/trunk-unclear", "{problem}");
    }
    let mut leg = SecondLeg::establish(Plan { call_sid: Some("s-1".into()), ..host.plan(false)? }, PATIENCE)?;
    leg.hang_up(PATIENCE)?;
    let summary = host.summary(leg.call_id())?;
    ensure!(note(&summary, "outbound") == Some("unmatched") && summary["outbound"].is_null(), "{summary}");
    ensure!(note(&summary, "context.who").is_none(), "{summary}");
    ensure!(host.log().contains("it starts without context"), "{}", host.log());
    host.stop()
}

#[test]
fn rubbish_from_the_api_leaves_one_request_to_be_found_by_its_numbers() -> Result<()> {
    let host = Host::start("rubbish")?;
    let endless = vec![b'['; 1 << 20];
    for (number, rubbish) in [&b""[..], b"{\"Call\":[]}", b"\xff\xfe", &endless].into_iter().enumerate() {
        host.api.next(Conduct::Rubbish(rubbish.to_vec()));
        let who = format!("{number}");
        let (status, _, problem) = host.client().dial(json!({ "who": who }))?;
        ensure!(status == 504, "{problem}");
        let detail = problem["detail"].as_str().context("no detail")?;
        let id = detail.rsplit('/').next().context("no id")?.to_owned();
        ensure!(host.client().outbound(&id)?["state"] == "unclear", "{id}");
        let mut leg =
            SecondLeg::establish(Plan { call_sid: Some(format!("s-{number}")), ..host.plan(false)? }, PATIENCE)?;
        leg.hang_up(PATIENCE)?;
        let summary = host.summary(leg.call_id())?;
        ensure!(summary["outbound"] == id.as_str() && note(&summary, "context.who") == Some(&who), "{summary}");
    }
    host.stop()
}

#[test]
fn a_slow_api_does_not_keep_the_customer_waiting() -> Result<()> {
    let host = Host::start("slow")?;
    host.api.next(Conduct::Hold);
    let client = host.client();
    let dial = thread::spawn(move || client.dial(json!({ "who": "slow" })));
    let asked = host.api.asked(PATIENCE)?;
    // Half a second after its INVITE the bot starts, by the numbers; the API answers never.
    let mut leg = SecondLeg::establish(second_leg(&host, false, &asked)?, PATIENCE)?;
    ensure!(asked.is_held());
    leg.hang_up(PATIENCE)?;
    let summary = host.summary(leg.call_id())?;
    ensure!(note(&summary, "context.who") == Some("slow"), "{summary}");
    let (status, _, problem) = dial.join().expect("a dial that panicked")?;
    ensure!(status == 504, "{problem}");
    host.await_state(summary["outbound"].as_str().context("no request")?, "ended")?;
    host.stop()
}

#[test]
fn what_the_api_refuses_is_told_with_its_reason_and_no_call_is_waited_for() -> Result<()> {
    let host = Host::with_throttle("refused", 1)?;
    host.api.next(Conduct::Refuse("403 Forbidden", "Account is suspended"));
    let (status, _, problem) = host.client().dial(json!({}))?;
    ensure!((status, &problem["type"]) == (502, &json!("/problems/trunk")), "{problem}");
    ensure!(problem["detail"].as_str().is_some_and(|text| text.contains("Account is suspended")), "{problem}");

    host.client().dialled(json!({ "who": "first" }))?;
    let (status, wait, problem) = host.client().dial(json!({}))?;
    ensure!((status, wait.as_deref()) == (429, Some("7")), "{problem}");

    host.api.next(Conduct::HangUp);
    ensure!(host.client().dial(json!({}))?.0 == 504, "it may have been asked");
    for (body, place) in [
        (json!({ "tenant": "default", "trunk": "exotel", "to": "sip:a@b", "from": OURS }), "to"),
        (json!({ "tenant": "default", "trunk": "exotel", "to": CUSTOMER, "from": "+911" }), "from"),
        (json!({ "tenant": "default", "trunk": "exotel", "to": CUSTOMER, "from": "+915555555555" }), "from"),
        (json!({ "tenant": "other", "trunk": "exotel", "to": CUSTOMER, "from": OURS }), "from"),
        (json!({ "trunk": "exotel", "to": CUSTOMER, "from": OURS }), "tenant"),
    ] {
        let (status, _, problem) = host.client().post(body)?;
        ensure!(status == 422 && problem["problems"][0]["place"] == place, "{place}: {problem}");
    }
    let other = json!({ "tenant": "default", "trunk": "other", "to": CUSTOMER, "from": OURS });
    ensure!([404, 422].contains(&host.client().post(other)?.0));
    let long = json!({ "k": "x".repeat(1025) });
    ensure!(host.client().dial(long)?.0 == 422);
    ensure!(host.client().dial(json!({ "a b": "x" }))?.0 == 422);
    let many: serde_json::Map<String, Value> = (0..17).map(|n| (format!("k{n}"), json!("x"))).collect();
    ensure!(host.client().dial(Value::Object(many))?.0 == 422);
    host.stop()
}

#[test]
fn a_callback_ends_a_request_under_its_own_path_alone() -> Result<()> {
    let host = Host::start("told")?;
    for (kind, status) in [(Kind::Multipart, "no-answer"), (Kind::Form, "busy"), (Kind::Json, "failed")] {
        let request = host.client().dialled(json!({}))?;
        let id = request["id"].as_str().context("no id")?;
        let asked = host.api.asked(PATIENCE)?;
        let url = asked.field("StatusCallback").context("no StatusCallback")?;
        let (address, path) = callback::split(url)?;
        ensure!(address == host.callbacks && path.len() == "/callbacks/".len() + 64, "{url}");
        let other = format!("{}{}", &path[..path.len() - 1], if path.ends_with('0') { '1' } else { '0' });
        let short = &path[..path.len() - 1];
        for wrong in ["/", "/callbacks/", other.as_str(), short, "/v1/calls", "/metrics", &format!("{path}/x")] {
            let answer = http::post(address, wrong, "application/json", b"{\"Status\":\"busy\"}")?;
            ensure!(answer == 404, "{wrong}: {answer}");
        }
        ensure!(http::post(address, &path, "application/json", &[b' '; 20_000])? == 413);
        ensure!(http::post(address, &path, "application/json", b"\xff{")? == 204, "rubbish says nothing");
        ensure!(host.client().outbound(id)?["state"] == "accepted");
        ensure!(call_back(&asked, kind, status)? == 204);
        let ended = host.await_state(id, "ended")?;
        ensure!(ended["trunk_status"] == status && ended["call"].is_null(), "{ended}");
        // Should it come all the same, it is no second leg any more.
        let mut leg = SecondLeg::establish(second_leg(&host, false, &asked)?, PATIENCE)?;
        leg.hang_up(PATIENCE)?;
        ensure!(host.summary(leg.call_id())?["outbound"].is_null());
    }
    host.stop()
}

#[test]
fn a_customer_who_calls_in_meanwhile_is_not_taken_for_the_second_leg() -> Result<()> {
    let host = Host::start("meanwhile")?;
    let request = host.client().dialled(json!({ "who": "dialled" }))?;
    let asked = host.api.asked(PATIENCE)?;
    let mut inbound = SecondLeg::establish(Plan { call_sid: Some("another".into()), ..host.plan(false)? }, PATIENCE)?;
    let mut leg = SecondLeg::establish(second_leg(&host, true, &asked)?, PATIENCE)?;
    inbound.hang_up(PATIENCE)?;
    leg.hang_up(PATIENCE)?;
    ensure!(note(&host.summary(inbound.call_id())?, "outbound").is_none());
    let summary = host.summary(leg.call_id())?;
    ensure!(summary["outbound"] == request["id"] && note(&summary, "context.who") == Some("dialled"), "{summary}");
    host.stop()
}
