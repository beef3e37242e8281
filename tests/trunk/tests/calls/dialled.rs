//! Calls that the host asks the trunk for: each second leg finds its own context, and no other.

use std::collections::{HashMap, VecDeque};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use trunk::callback::{self, Kind, call_back};
use trunk::{Asked, Conduct, Plan, SecondLeg, connection, http};

use crate::host::{CUSTOMER, Host, OURS, PATIENCE, Setting, note};

const LEGS_AT_A_TIME: usize = 8;

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
        ensure!(call_back(&asked, Kind::Multipart, "completed", None)? == 204);
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
    // A token that was never used is taken for a wrong one by so many at once.
    host.client().outbound("nobody")?;
    let dials: Vec<_> = (0..50)
        .map(|number| {
            let client = host.client();
            thread::spawn(move || -> Result<(String, String)> {
                let who = format!("customer {number}");
                let request = client.dialled(json!({ "who": who })).with_context(|| who.clone())?;
                Ok((request["id"].as_str().context("no id")?.to_owned(), who))
            })
        })
        .collect();
    let (mut legs, mut before) = (VecDeque::new(), 0);
    let mut found = HashMap::new();
    for _ in 0..50 {
        let mut asked = host.api.asked(PATIENCE)?;
        let plan = second_leg(&host, false, &asked)?;
        before += usize::from(asked.is_held());
        legs.push_back(thread::spawn(move || -> Result<(String, String)> {
            // Those that are held have their INVITE sent before the API answers.
            let mut leg = SecondLeg::invite(plan)?;
            asked.release();
            leg.accepted(PATIENCE)?;
            leg.acknowledge()?;
            leg.hang_up(PATIENCE)?;
            Ok((asked.field("CustomField").context("no request")?.to_owned(), leg.call_id().to_owned()))
        }));
        // A busy machine could not start fifty bots in their 200 ms.
        if legs.len() >= LEGS_AT_A_TIME
            && let Some(leg) = legs.pop_front()
        {
            found.extend([leg.join().expect("a call that panicked")?]);
        }
    }
    ensure!(before == 25, "{before} came before their answer");
    for leg in legs {
        found.extend([leg.join().expect("a call that panicked")?]);
    }
    let whose: HashMap<String, String> =
        dials.into_iter().map(|dial| dial.join().expect("a dial that panicked")).collect::<Result<_>>()?;
    ensure!(found.len() == 50 && whose.len() == 50);
    for (request, call_id) in &found {
        let summary = host.summary(call_id)?;
        ensure!(summary["outbound"] == request.as_str(), "of {request}: {summary}");
        ensure!(note(&summary, "context.who") == whose.get(request).map(String::as_str), "of {request}: {summary}");
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
    let host = Host::with("refused", &Setting { calls_per_minute: 1, ..Setting::default() })?;
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
fn beyond_our_own_calls_a_minute_the_trunk_is_not_asked_and_the_caller_is_told() -> Result<()> {
    let host = Host::with("own-throttle", &Setting { outbound: "calls_per_minute = 2", ..Setting::default() })?;
    for who in ["first", "second"] {
        host.client().dialled(json!({ "who": who }))?;
        host.api.asked(PATIENCE)?;
    }
    // Whom the trunk would take: the host does not ask it.
    let (status, wait, problem) = host.client().dial(json!({}))?;
    let wait: u64 = wait.context("no Retry-After")?.parse()?;
    ensure!(status == 429 && (1..=60).contains(&wait), "{wait}: {problem}");
    ensure!(problem["detail"].as_str().is_some_and(|text| text.contains("2 calls a minute at most")), "{problem}");
    let line = ["dial", "--tenant", "default", "--trunk", "exotel", "--to", CUSTOMER, "--from", OURS];
    let said = host.command(&line).err().context("a third call was made")?.to_string();
    ensure!(said.contains("2 calls a minute at most"), "{said}");
    ensure!(host.api.asked(Duration::ZERO).is_err(), "the trunk was asked");
    host.stop()
}

#[test]
fn who_asked_which_trunk_for_a_call_and_when_is_in_the_audit_log_without_the_number() -> Result<()> {
    let host = Host::with("audit", &Setting { outbound: "calls_per_minute = 2", ..Setting::default() })?;
    host.api.next(Conduct::Answer);
    host.api.next(Conduct::Refuse("403 Forbidden", "Account is suspended"));
    let made = host.client().dialled(json!({ "who": "first" }))?;
    // What the trunk refused it was asked for, and what was never asked for is not there.
    ensure!(host.client().dial(json!({}))?.0 == 502);
    ensure!(host.client().dial(json!({}))?.0 == 429);
    let said = host.command(&["audit", "--json"])?;
    let entries: Vec<Value> = serde_json::from_str(&said)?;
    let dials: Vec<&Value> = entries.iter().filter(|entry| entry["action"] == "dial").collect();
    ensure!(dials.len() == 2, "{said}");
    let first = dials[1];
    ensure!(first["subject"] == "exotel" && first["tenant"] == "default", "{first}");
    ensure!(first["detail"]["request"] == made["id"] && first["detail"]["to"] == "\u{2026}99", "{first}");
    ensure!(first["by"].as_str().is_some_and(|by| by.starts_with("token ")), "{first}");
    ensure!(first["at_ms"].as_u64() >= made["created_at_ms"].as_u64() && made["created_at_ms"].is_u64(), "{first}");
    ensure!(!said.contains(&CUSTOMER[5..]), "the number: {said}");
    host.stop()
}

#[test]
fn over_tls_the_api_is_asked_and_calls_back_and_another_authority_is_not_believed() -> Result<()> {
    let host = Host::with("dialled-tls", &Setting { tls_ca: Some("ca.pem"), ..Setting::default() })?;
    let trust = connection::trusting(&host.certificates.authority)?;
    let request = host.client().dialled(json!({ "who": "over TLS" }))?;
    let id = request["id"].as_str().context("no id")?;
    let asked = host.api.asked(PATIENCE)?;
    ensure!(asked.field("StatusCallback").is_some_and(|url| url.starts_with("https://")), "{asked:?}");
    let mut leg = SecondLeg::establish(second_leg(&host, true, &asked)?, PATIENCE)?;
    leg.hang_up(PATIENCE)?;
    ensure!(note(&host.summary(leg.call_id())?, "context.who") == Some("over TLS"));
    ensure!(call_back(&asked, Kind::Multipart, "completed", Some(&trust))? == 204);
    ensure!(host.await_state(id, "ended")?["trunk_status"] == "completed");
    // The trunk believes no stranger either.
    let stranger = connection::trusting(&host.certificates.stranger)?;
    ensure!(call_back(&asked, Kind::Multipart, "busy", Some(&stranger)).is_err());
    host.stop()?;

    let host = Host::with("dialled-stranger", &Setting { tls_ca: Some("stranger.pem"), ..Setting::default() })?;
    let (status, _, problem) = host.client().dial(json!({}))?;
    let detail = problem["detail"].as_str().unwrap_or_default();
    ensure!(status == 502 && detail.contains("not reached") && detail.contains("nobody is called"), "{problem}");
    ensure!(host.api.asked(Duration::ZERO).is_err(), "key and token went to whom nobody vouches for");
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
            let answer = http::post(address, None, wrong, "application/json", b"{\"Status\":\"busy\"}")?;
            ensure!(answer == 404, "{wrong}: {answer}");
        }
        ensure!(http::post(address, None, &path, "application/json", &[b' '; 20_000])? == 413);
        ensure!(http::post(address, None, &path, "application/json", b"\xff{")? == 204, "rubbish says nothing");
        ensure!(host.client().outbound(id)?["state"] == "accepted");
        ensure!(call_back(&asked, kind, status, None)? == 204);
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
