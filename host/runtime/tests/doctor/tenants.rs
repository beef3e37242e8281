//! Tenants' routes, of which the host that runs is asked.

use std::fs;
use std::process::Command;

use crate::folder::Folder;

const ROUTES: &str = "[[routes]]\nname = \"main\"\ncalled = { exact = \"300\" }\nplugin = \"echo\"\n";

/// A set-up whose only routes are a tenant's.
fn with_tenant(name: &str) -> (Folder, String) {
    let folder = Folder::new(name).with_bots();
    let acme = folder.path.join("tenants/acme/bots");
    fs::create_dir_all(&acme).unwrap();
    fs::copy(folder.path.join("bots/echo.wasm"), acme.join("echo.wasm")).unwrap();
    fs::write(folder.path.join("tenants/acme/tenant.toml"), ROUTES).unwrap();
    let config = folder.good().replace("bots = \"bots\"\n", "data = \"data\"\ntenants_dir = \"tenants\"\n");
    (folder, config.replace("[[routes]]\nplugin = \"echo\"\n", ""))
}

/// Of a host that runs with `config`, as its operator.
fn operate(folder: &Folder, arguments: &[&str]) {
    let [.., admin] = folder.ports[..] else { panic!("ports") };
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay"));
    command.args(arguments).args(["--url", &format!("http://127.0.0.1:{admin}")]);
    let output = command.arg("--token-file").arg(folder.path.join("data/operator.token")).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_tenants_route_is_asked_of_the_host_and_its_echo_is_called() {
    let (mut folder, config) = with_tenant("tenant");
    folder.serve(&config);
    let said = folder.doctor(&config, &["--called", "300"]);
    assert_eq!((said.of("wrong"), said.of("unknown")), (vec![], vec![]));
    let well = said.of("well");
    for line in ["route 300 by trunk local: route `main` of tenant `acme` names `echo`", "tenant acme: 1 routes"] {
        assert!(well.iter().any(|said| said.starts_with(line)), "{line}: {well:#?}");
    }
    assert!(well.iter().any(|line| line.starts_with("call sip:300@127.0.0.1")), "{well:#?}");
    folder.doctor(&config, &["--called", "301"]).expect_wrong("route 301 by trunk local", "no route takes this number");
}

#[test]
fn a_route_to_a_plugin_that_is_not_active_and_a_trunk_that_nobody_has_a_route_for_are_named() {
    let (mut folder, config) = with_tenant("inactive");
    let config = config + "[[trunks]]\nname = \"other\"\nnetworks = [\"10.0.0.0/8\"]\n";
    let main = ROUTES.replace("name = \"main\"\n", "name = \"main\"\ntrunk = \"local\"\n");
    fs::write(folder.path.join("tenants/acme/tenant.toml"), main).unwrap();
    folder.serve(&config);
    folder.doctor(&config, &[]).expect_wrong("tenant of trunk other", "no route of anybody: every call gets 404");
    let echo = folder.path.join("bots/echo.wasm");
    operate(&folder, &["tenant", "create", "bravo"]);
    operate(&folder, &["deploy", echo.to_str().unwrap(), "--tenant", "bravo", "--name", "echo"]);
    operate(&folder, &["route", "put", "rest", "--tenant", "bravo", "--called-prefix", "4", "--plugin", "echo"]);
    // That route is for every trunk.
    folder
        .doctor(&config, &[])
        .expect_wrong("tenant bravo: route `rest`", "names `echo`, of which no version is active");
}

#[test]
fn tenants_routes_are_not_known_while_no_host_runs_or_its_token_is_not_to_be_read() {
    let (mut folder, config) = with_tenant("untold");
    let unknown = |folder: &Folder| folder.doctor(&config, &["--called", "300"]).of("unknown");
    let is_untold = |lines: &[String], why: &str| {
        let of = |start: &str| lines.iter().any(|line| line.starts_with(start) && line.contains(why));
        assert!(of("route 300 by trunk local") && of("tenant"), "{why}: {lines:#?}");
    };
    is_untold(&unknown(&folder), "no patchbay runs that could tell");
    folder.serve(&config);
    fs::write(folder.path.join("data/operator.token"), "patchbay_wrong").unwrap();
    is_untold(&unknown(&folder), "the host answers 401");
    fs::remove_file(folder.path.join("data/operator.token")).unwrap();
    is_untold(&unknown(&folder), "operator.token: ");
}
