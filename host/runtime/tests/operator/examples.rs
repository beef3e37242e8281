//! The configurations in examples/ are ones that an operator can start from.

use std::path::Path;

use runtime::check;
use runtime::config::{Codec, read_file};

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).join("patchbay.toml")
}

#[test]
fn every_example_is_without_mistakes() {
    // Certificates and bots are the operator's: only what stands in the file is checked.
    for name in ["quickstart", "exotel", "two-tenants"] {
        let report = check::check(&example(name), true);
        assert_eq!(report.problems, [], "{name}");
    }
}

#[test]
fn the_readme_shows_the_two_tenants_in_under_ten_commands_and_just_those_that_are_run() {
    let text = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let (readme, run) = (text("README.md"), text("examples/two-tenants/run"));
    let section = readme.split("## Host bots for several tenants").nth(1).and_then(|rest| rest.split("\n## ").next());
    let shown = section.unwrap().lines().filter_map(|line| line.strip_prefix("    patchbay "));
    let shown: Vec<String> = shown.map(|line| line.split("  #").next().unwrap().trim().replace('\'', "")).collect();
    // Ports and the places of output are the script's own.
    let run = run.replace("$admin", "127.0.0.1:8080").replace("$sip", "127.0.0.1:5070").replace(['"', '\''], "");
    let commands = run.lines().filter_map(|line| line.strip_prefix("patchbay "));
    let commands: Vec<&str> =
        commands.map(|line| line.split(" >").next().unwrap()).filter(|line| !line.starts_with("() ")).collect();
    assert!((1..10).contains(&shown.len()), "{shown:?}");
    // What comes after is beyond the README.
    assert_eq!(commands[..shown.len()], shown, "README.md and examples/two-tenants/run");
}

#[test]
fn the_exotel_example_says_what_the_trunks_guide_asks_for() {
    let (config, _) = read_file(&example("exotel")).unwrap();
    let listeners: Vec<_> = config.listeners.iter().map(|listener| listener.listen.to_string()).collect();
    assert_eq!(listeners, ["tcp://0.0.0.0:5070", "tls://0.0.0.0:443"]);
    assert_eq!(config.rtp.ports.to_string(), "10000-20000");
    let trunk = &config.trunks[0];
    assert_eq!(trunk.codecs, [Codec::Pcma, Codec::Pcmu]);
    assert!(trunk.trusted);
    for address in
        ["182.76.143.61", "122.15.8.184", "14.194.10.247", "61.246.82.75", "18.142.150.245", "122.248.223.73"]
    {
        assert!(config.trunk_of(address.parse().unwrap()).is_some(), "{address}");
    }
    assert!(config.trunk_of("127.0.0.1".parse().unwrap()).is_none(), "nobody else");
}
