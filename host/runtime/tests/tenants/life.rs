//! Two tenants from their making to their end.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::host::{Host, another_build, bot, until};

/// A host with acme's menu on 100 and bravo's echo on 200.
fn two_tenants(name: &str) -> Host {
    let host = Host::start(name);
    host.done("tenant create acme bravo");
    let (menu, echo) = (bot("bots/dtmf-menu"), bot("bots/echo"));
    host.done(&format!("deploy {} --tenant acme --name menu --activate --called 100", menu.display()));
    host.done(&format!("deploy {} --tenant bravo --activate --called 200", echo.display()));
    host
}

fn token(host: &Host, tenant: &str, scope: &str) -> String {
    let text = host.done(&format!("token create --tenant {tenant} --scope {scope} --label test"));
    let file = format!("{tenant}-{scope}.token");
    std::fs::write(host.file(&file), text).unwrap();
    format!("--token-file {file} --url {}", url(host))
}

fn url(host: &Host) -> String {
    let login = std::fs::read(host.file("config/patchbay/login.json")).unwrap();
    serde_json::from_slice::<serde_json::Value>(&login).unwrap()["url"].as_str().unwrap().to_owned()
}

#[test]
fn a_number_is_answered_by_the_bot_of_its_tenant_and_by_nobody_once_it_is_gone() {
    let host = two_tenants("numbers");
    for (called, tenant, plugin) in [("100", "acme", "menu"), ("200", "bravo", "echo")] {
        let test = host.json(&format!("route-test {called}"));
        assert_eq!((&test["outcome"], &test["tenant"]), (&"answered".into(), &tenant.into()), "{test}");
        let report = host.call(called);
        assert_eq!(report["status"], 200, "{report}");
        assert_eq!(test["plugin"], plugin);
    }
    let summaries = host.summaries(2);
    let by: Vec<_> = summaries.iter().map(|s| (s["tenant"].as_str().unwrap(), s["plugin"].as_str().unwrap())).collect();
    assert_eq!(by, [("acme", "menu"), ("bravo", "echo")]);

    assert!(host.refused("plugin delete echo --tenant bravo").contains("(409)"), "a route names it");
    host.done("tenant delete bravo");
    assert_eq!(host.json("route-test 200")["outcome"], "no-route");
    assert_eq!(host.call("200")["status"], 404);
    assert_eq!(host.call("100")["status"], 200, "the other tenant is as before");
    host.stop();
}

#[test]
fn a_tenants_token_sees_and_changes_its_own_things_and_no_others() {
    let host = two_tenants("tokens");
    let (deploy, read) = (token(&host, "acme", "deploy"), token(&host, "acme", "read"));
    // The token says which tenant is meant.
    assert_eq!(host.json(&format!("plugins {read}"))[0]["name"], "menu");
    assert_eq!(host.json(&format!("route list {deploy}"))[0]["called"]["exact"], "100");
    // Another tenant is not there, whether it is or not.
    let [real, none] = ["bravo", "nobody"].map(|name| host.refused(&format!("plugins --tenant {name} {deploy}")));
    assert!(real.contains("(404)"), "{real}");
    assert_eq!(real.replace("bravo", "nobody"), none);
    assert!(host.refused(&format!("rollback --name menu {read}")).contains("(403)"));
    assert!(host.refused(&format!("tenant quotas acme --calls 9 {deploy}")).contains("(403)"));
    assert!(host.refused(&format!("tenant list {deploy}")).contains("(403)"));
    // A number that the other tenant has is not taken from it.
    let told = host.refused(&format!("route put mine --called 200 --plugin menu {deploy}"));
    assert!(told.contains("(409)") && !told.contains("bravo"), "{told}");

    let live = host.calling("200", 30.0);
    let call = host.live_call();
    assert_eq!(host.json(&format!("calls {read}")), serde_json::json!([]));
    let id = call["id"].as_str().unwrap();
    assert!(host.refused(&format!("calls hangup {id} {deploy}")).contains("(404)"));
    host.done(&format!("calls hangup {id}"));
    let report = live.report();
    assert_eq!(report["ended_by"], "callee", "{report}");

    let tokens = host.json("token list --tenant acme");
    let id = tokens.as_array().unwrap().iter().find(|token| token["scope"]["kind"] == "read").unwrap()["id"].clone();
    host.done(&format!("token revoke {}", id.as_str().unwrap()));
    assert!(host.refused(&format!("plugins {read}")).contains("(401)"));
    host.stop();
}

#[test]
fn what_was_changed_is_there_after_the_host_was_killed() {
    let mut host = two_tenants("kept");
    another_build(&bot("bots/dtmf-menu"), &host.file("menu.wasm"), b'2');
    host.done("deploy menu.wasm --tenant acme --canary 10%");
    host.done("tenant quotas acme --calls 7");
    std::fs::write(host.file("value"), "s3cret\n").unwrap();
    host.done("secret put key --tenant acme --file value");
    let things =
        ["tenant show acme", "plugins --tenant acme", "plugins --tenant acme --name menu", "route list --tenant acme"];
    let before = things.map(|thing| host.json(thing));
    assert_eq!(before[0]["quotas"]["calls"], 7);
    assert_eq!(before[0]["quotas"]["calls_per_second"], 10, "as it was");
    assert_eq!(before[1][0]["canary"]["percent"], 10);
    host.kill_and_restart();
    assert_eq!(things.map(|thing| host.json(thing)), before);
    assert_eq!(host.json("secret list --tenant acme")[0]["name"], "key");
    assert!(!host.done("secret list --tenant acme --json").contains("s3cret"));
    assert_eq!(host.call("100")["status"], 200);
    let audit = host.json("audit --tenant acme");
    let actions: Vec<_> = audit.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions[..3], ["put_secret", "set_quotas", "activate"]);
    host.stop();
}

#[test]
fn a_quota_of_calls_is_kept_from_the_moment_it_is_set() {
    let host = two_tenants("quota");
    host.done("tenant quotas acme --calls 1");
    let first = host.calling("100", 20.0);
    let call = host.live_call();
    assert_eq!(host.call("100")["status"], 486);
    assert_eq!(host.call("200")["status"], 200, "the other tenant is not touched");
    host.done(&format!("calls hangup {}", call["id"].as_str().unwrap()));
    first.report();
    host.stop();
}

#[test]
fn what_a_bot_logs_is_heard_as_it_happens() {
    let host = two_tenants("logs");
    let mut tail = host.command("logs --tenant acme --name menu -f --json").stdout(Stdio::piped()).spawn().unwrap();
    let stdout = tail.stdout.take().unwrap();
    // It listens once the host knows of it; whoever calls before is not heard.
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = said.send(line);
        }
    });
    let line = until("a line of the bot", || {
        // 1, then digits, then #: the menu says how many.
        host.calling_with("100", 4.0, ",,1,,,47#").report();
        heard.try_recv().ok()
    });
    tail.kill().unwrap();
    tail.wait().unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["message"], &line["generation"]), (&"2 digits were entered".into(), &1.into()), "{line}");
    assert!(line["call"].as_str().is_some_and(|call| call.starts_with('c')), "{line}");
    host.stop();
}
