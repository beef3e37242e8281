//! Tenants that are kept in files.

use std::fs;
use std::path::Path;

use crate::host::{Host, another_build, bot, folder, until};

const GOOD: &str =
    "[quotas]\ncalls = 7\n[[routes]]\nname = \"main\"\ncalled = { exact = \"300\" }\nplugin = \"menu\"\n";

/// A host with the tenant carol in a folder.
fn carol(name: &str) -> Host {
    let folder = folder(name);
    let carol = folder.join("tenants/carol");
    fs::create_dir_all(carol.join("bots")).unwrap();
    fs::copy(bot("bots/dtmf-menu"), carol.join("bots/menu.wasm")).unwrap();
    fs::write(carol.join("tenant.toml"), GOOD).unwrap();
    Host::start_in(folder)
}

/// As an editor saves: whole, by a rename.
fn save(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn a_tenant_in_a_folder_serves_and_its_last_good_file_goes_on_when_it_is_broken() {
    let mut host = carol("broken");
    let file = host.file("tenants/carol/tenant.toml");
    assert_eq!(host.call("300")["status"], 200);
    save(&file, &GOOD.replace("plugin = \"menu\"", "plugin = \"mneu\""));
    until("word of the mistake", || host.log().contains("did you mean `menu`?").then_some(()));
    assert_eq!(host.json("route-test 300")["outcome"], "answered");
    assert_eq!(host.call("300")["status"], 200);
    // Also for a host that never saw the good one on the disk.
    host.kill_and_restart();
    assert_eq!(host.call("300")["status"], 200);
    save(&file, &GOOD.replace("300", "301"));
    until("the new route", || (host.json("route-test 301")["outcome"] == "answered").then_some(()));
    assert_eq!(host.json("route-test 300")["outcome"], "no-route");
    host.stop();
}

#[test]
fn the_api_changes_nothing_of_a_folders_tenant_and_names_the_file() {
    let host = carol("409");
    fs::copy(bot("bots/echo"), host.file("echo.wasm")).unwrap();
    for line in [
        "deploy echo.wasm --tenant carol --activate",
        "tenant quotas carol --calls 9",
        "route put other --tenant carol --called 1 --plugin menu",
        "route delete main --tenant carol",
        "rollback --tenant carol --name menu",
        "plugin delete menu --tenant carol",
        "tenant delete carol",
    ] {
        let told = host.refused(line);
        assert!(told.contains("(409)") && told.contains("tenants/carol/tenant.toml"), "{line}: {told}");
    }
    assert_eq!(host.json("tenant show carol")["quotas"]["calls"], 7);
    assert_eq!(host.json("route list --tenant carol").as_array().unwrap().len(), 1);
    assert!(host.done("tenant list").contains("tenants/carol/tenant.toml"));
    // A token is the API's for every tenant.
    host.done("token create --tenant carol --scope read --label reader");
    host.stop();
}

#[test]
fn a_bot_saved_in_the_folder_answers_the_next_call() {
    let host = carol("saved");
    assert_eq!(host.json("plugins --tenant carol")[0]["current"]["number"], 1);
    let bots = host.file("tenants/carol/bots");
    another_build(&bot("bots/dtmf-menu"), &bots.join("menu.new"), b'2');
    fs::rename(bots.join("menu.new"), bots.join("menu.wasm")).unwrap();
    until("the new build", || (host.json("plugins --tenant carol")[0]["current"]["number"] == 2).then_some(()));
    host.call("300");
    assert_eq!(host.summaries(1)[0]["generation"], 2);
    host.stop();
}
