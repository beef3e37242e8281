//! Builds that come and go while callers talk.

use serde_json::Value;

use crate::host::{Host, another_build, bot, until};

/// Acme's menu on 100.
fn menu(name: &str) -> Host {
    let host = Host::start(name);
    host.done("tenant create acme");
    host.done(&format!("deploy {} --tenant acme --name menu --activate --called 100", bot("bots/dtmf-menu").display()));
    another_build(&bot("bots/dtmf-menu"), &host.file("menu.wasm"), b'2');
    host
}

fn generation_of(call: &Value, host: &Host) -> Value {
    host.json(&format!("calls show {}", call["id"].as_str().unwrap()))["generation"].clone()
}

#[test]
fn a_live_call_moves_to_the_new_build_and_back_and_loses_nothing() {
    let host = menu("move");
    let live = host.calling("100", 30.0);
    let call = host.live_call();
    assert_eq!(generation_of(&call, &host), 1);
    host.done("deploy menu.wasm --tenant acme --activate --live move");
    until("move to the new build", || (generation_of(&call, &host) == 2).then_some(()));
    host.done("rollback --tenant acme --name menu --live move");
    until("move back", || (generation_of(&call, &host) == 3).then_some(()));
    host.done(&format!("calls hangup {}", call["id"].as_str().unwrap()));
    let report = live.report();
    assert_eq!((&report["status"], &report["packets_lost"]), (&200.into(), &0.into()), "{report}");
    let summary = &host.summaries(1)[0];
    assert_eq!(summary["bot"]["moves"], 2, "{summary}");
    assert_eq!(summary["bot"]["restarts"], 0, "{summary}");
    host.stop();
}

#[test]
fn a_live_call_that_drains_stays_on_its_build_and_the_next_one_gets_the_new_one() {
    let host = menu("drain");
    let live = host.calling("100", 30.0);
    let call = host.live_call();
    let said = host.done("deploy menu.wasm --tenant acme --activate");
    assert!(said.contains("generation 2") && said.contains("live calls end on their own"), "{said}");
    assert_eq!(host.call("100")["status"], 200);
    assert_eq!(host.summaries(1)[0]["generation"], 2);
    assert_eq!(generation_of(&call, &host), 1);
    host.done(&format!("calls hangup {}", call["id"].as_str().unwrap()));
    live.report();
    assert_eq!(host.summaries(2)[1]["generation"], 1);
    host.stop();
}

#[test]
fn a_call_on_an_old_build_ends_at_the_limit_that_the_activation_named() {
    let host = menu("limit");
    let live = host.calling("100", 60.0);
    host.live_call();
    host.done("deploy menu.wasm --tenant acme --activate --live drain --limit 1");
    let report = live.report();
    assert_eq!((&report["status"], &report["ended_by"]), (&200.into(), &"callee".into()), "{report}");
    // Not the bot, which hangs up by itself some time.
    let summary = &host.summaries(1)[0];
    assert_eq!(summary["ended_by"], "host", "{summary}");
    host.stop();
}

#[test]
fn a_version_is_activated_by_the_beginning_of_its_digest_and_deleted_when_it_is_out_of_use() {
    let host = menu("versions");
    host.done("deploy menu.wasm --tenant acme");
    let listed = host.json("plugins --tenant acme --name menu");
    assert_eq!(listed["plugin"]["current"]["number"], 1, "stored, and not activated: {listed}");
    let digests = listed["versions"].as_array().unwrap().iter().map(|version| version["digest"].as_str().unwrap());
    let [new, old]: [String; 2] = digests.map(|digest| digest[..8].to_owned()).collect::<Vec<_>>().try_into().unwrap();

    let told = host.refused(&format!("plugin delete menu --tenant acme --version {old}"));
    assert!(told.contains("(409)"), "{told}");
    host.done(&format!("activate {new} --tenant acme --name menu --if-last-generation 1"));
    let told = host.refused(&format!("activate {old} --tenant acme --name menu --if-last-generation 1"));
    assert!(told.contains("(412)"), "{told}");
    host.done("rollback --tenant acme --name menu --reason slower");
    assert_eq!(host.json("plugins --tenant acme")[0]["current"]["digest"].as_str().unwrap()[..8], *old);
    let audit = host.json("audit --tenant acme --limit 1");
    assert_eq!(
        (&audit[0]["action"], &audit[0]["detail"]["reason"]),
        (&"roll_back".into(), &"slower".into()),
        "{audit}"
    );
    host.done("route delete menu --tenant acme");
    host.done("plugin delete menu --tenant acme");
    assert_eq!(host.json("plugins --tenant acme"), serde_json::json!([]));
    host.stop();
}

#[test]
fn a_component_that_is_none_is_refused_in_one_line_and_changes_nothing() {
    let host = menu("refused");
    let before = host.json("plugins --tenant acme --name menu");
    std::fs::write(host.file("none.wasm"), "not a component").unwrap();
    let told = host.refused("deploy none.wasm --tenant acme --name menu --activate");
    let why = told.lines().last().unwrap();
    assert!(why.starts_with("patchbay: The component was refused (422): "), "{told}");
    // A byte more than the host takes: it is not even sent.
    std::fs::File::create(host.file("large.wasm")).unwrap().set_len((64 << 20) + 1).unwrap();
    let told = host.refused("deploy large.wasm --tenant acme --name menu --activate");
    assert!(told.starts_with("patchbay: The body is too large (413): "), "{told}");
    assert_eq!(host.json("plugins --tenant acme --name menu"), before);
    assert_eq!(host.call("100")["status"], 200);
    host.stop();
}

#[test]
fn a_canary_takes_its_share_of_new_calls_and_goes_when_it_is_told_to() {
    let host = menu("canary");
    let said = host.done("deploy menu.wasm --tenant acme --canary 50%");
    assert!(said.contains("at 50% of new calls"), "{said}");
    // One call after the other, until each build had one.
    let mut seen = std::collections::BTreeSet::new();
    for count in 1.. {
        assert!(count < 40, "one build had no call of 40: {seen:?}");
        host.call("100");
        seen.insert(host.summaries(count)[count - 1]["generation"].as_u64().unwrap());
        if seen.len() == 2 {
            break;
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 2]);
    host.done("rollback --tenant acme --name menu");
    let plugin = &host.json("plugins --tenant acme")[0];
    assert_eq!((&plugin["canary"], &plugin["current"]["number"]), (&Value::Null, &1.into()), "{plugin}");
    host.stop();
}

#[test]
fn a_canary_that_traps_three_times_is_rolled_back_and_the_audit_log_says_why() {
    let host = Host::start("trap");
    host.done("tenant create acme");
    host.done(&format!("deploy {} --tenant acme --name bot --activate", bot("bots/echo").display()));
    host.done(r#"route put all --tenant acme --called 100 --plugin bot --config {"conduct":"trap-in-start"}"#);
    host.done(&format!("deploy {} --tenant acme --name bot --canary 99%", bot("bots-test/misbehave").display()));
    until("roll-back", || {
        host.call("100");
        host.json("plugins --tenant acme")[0]["canary"].is_null().then_some(())
    });
    let audit = host.json("audit --tenant acme");
    let entry = audit.as_array().unwrap().iter().find(|entry| entry["action"] == "roll_back").unwrap();
    assert_eq!(entry["by"], "canary", "{entry}");
    assert!(entry["detail"]["reason"].as_str().unwrap().starts_with("3 traps or refusals"), "{entry}");
    assert_eq!(host.call("100")["status"], 200, "by the build from before");
    host.stop();
}
