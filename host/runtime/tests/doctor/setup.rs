//! What shows before a host runs: configuration, room, ports, names, addresses, routes.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use crate::folder::Folder;

#[test]
fn a_good_set_up_without_a_host_has_nothing_wrong() {
    let folder = Folder::new("offline").with_bots();
    let said = folder.doctor(&folder.good(), &["--called", "echo"]);
    assert_eq!((said.code, said.of("wrong")), (Some(0), vec![]));
    let unknown = said.of("unknown");
    assert!(unknown.len() == 2 && unknown.iter().all(|line| line.contains("no patchbay runs")), "{unknown:#?}");
}

#[test]
fn a_mistake_of_the_configuration_is_named() {
    let folder = Folder::new("mistake").with_bots();
    let said = folder.doctor(&folder.good().replace("plugin =", "pulgin = 1\nplugin ="), &[]);
    said.expect_wrong("configuration routes[0].pulgin", "unknown key");
}

#[test]
fn an_address_that_is_not_ours_and_a_port_that_another_holds_are_named() {
    let folder = Folder::new("listen").with_bots();
    let port = folder.ports[0];
    let elsewhere = folder.good().replace(&format!("127.0.0.1:{port}"), &format!("192.0.2.1:{port}"));
    folder.doctor(&elsewhere, &[]).expect_wrong("listener tcp://192.0.2.1", "is no address of this machine");
    let holds = TcpListener::bind(("127.0.0.1", port)).unwrap();
    folder.doctor(&folder.good(), &[]).expect_wrong("listener tcp://127.0.0.1", "is bound by another program");
    drop(holds);
}

#[test]
fn too_few_rtp_ports_or_too_few_that_are_free_are_named() {
    let folder = Folder::new("rtp").with_bots();
    let few = folder.good().replace("calls = 10", "calls = 11");
    folder.doctor(&few, &[]).expect_wrong("rtp ports", "10 pairs, and `limits.calls` is 11");
    let holds = UdpSocket::bind(("0.0.0.0", folder.rtp + 3)).unwrap();
    folder.doctor(&folder.good(), &[]).expect_wrong("rtp ports", "9 of 10 pairs are free");
    drop(holds);
}

#[test]
fn a_system_that_does_not_let_the_calls_be_held_is_named() {
    let folder = Folder::new("capacity").with_bots();
    let file = folder.write(&folder.good());
    let script = "ulimit -n 1024 && exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_patchbay"), "doctor", "--json", "--config"]).arg(file);
    folder.told(&mut command).expect_wrong("capacity", "1044 descriptors are needed and 1024 are allowed");
}

#[test]
fn a_name_that_leads_nowhere_or_elsewhere_is_named() {
    let folder = Folder::new("names").with_bots();
    let told = |name: &str, address: &str| {
        let config = folder.good().replace("\n[[trunks]]", &format!("\nadvertised = \"{name}\"\n[[trunks]]"));
        folder.doctor(&config.replace("[rtp]\n", &format!("[rtp]\nadvertised = \"{address}\"\n")), &[])
    };
    told("nowhere.invalid", "127.0.0.1").expect_wrong("name nowhere.invalid", "does not resolve");
    told("localhost", "203.0.113.9").expect_wrong("name localhost", "and rtp.advertised is 203.0.113.9");
    assert_eq!(told("localhost", "127.0.0.1").of("wrong"), Vec::<String>::new());
}

#[test]
fn a_private_address_told_to_a_public_trunk_is_named_and_one_behind_nat_is_not_to_be_seen() {
    let folder = Folder::new("nat").with_bots();
    let public = folder.good().replace("127.0.0.0/8", "203.0.113.0/24");
    let said = folder.doctor(&public, &[]);
    said.expect_wrong("advertised tcp://127.0.0.1", "127.0.0.1 is told, which nobody at 203.0.113.0/24 can reach");
    let nat = folder.doctor(&public.replace("[rtp]\n", "[rtp]\nadvertised = \"198.51.100.7\"\n"), &[]);
    assert_eq!(nat.of("wrong"), Vec::<String>::new());
    assert!(
        nat.of("unknown").iter().any(|line| line.contains("198.51.100.7 is told, which is not this machine's: NAT"))
    );
    let local = public.replace("[rtp]\n", "[rtp]\nlocalnet = [\"203.0.113.0/24\"]\n");
    assert_eq!(folder.doctor(&local, &[]).of("wrong"), Vec::<String>::new());
}

#[test]
fn a_number_without_a_route_or_whose_bot_is_not_there_is_named() {
    let folder = Folder::new("routes").with_bots();
    let of = |route: &str| folder.good().replace("plugin = \"echo\"", route);
    let to_100 = of("called = \"100\"\nplugin = \"echo\"");
    let said = folder.doctor(&to_100, &["--called", "100", "--called", "200"]);
    said.expect_wrong("route 200 by trunk local", "no route fits: 404");
    assert!(said.of("well").contains(&"route 100 by trunk local: routes[0] names `echo`".to_owned()));
    let said = folder.doctor(&of("called = \"100\"\nplugin = \"menu\""), &["--called", "100"]);
    said.expect_wrong("route 100 by trunk local", "names `menu`, which has no file: 480");
    let other =
        of("trunk = \"other\"\nplugin = \"echo\"") + "[[trunks]]\nname = \"other\"\nnetworks = [\"10.0.0.0/8\"]\n";
    folder.doctor(&other, &[]).expect_wrong("route of trunk local", "every call gets 404");
}

#[test]
fn without_a_configuration_it_is_64_and_text_has_a_line_each_and_no_colours() {
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_patchbay")).arg("doctor").args(args).output().unwrap();
    for args in [&[][..], &["--config", "/nowhere/patchbay.toml"], &["--frobnicate"]] {
        assert_eq!(run(args).status.code(), Some(64), "{args:?}");
    }
    let help = run(&["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Examples:"));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Not checked: firewalls"));
    let folder = Folder::new("text").with_bots();
    let file = folder.write(&folder.good().replace("calls = 10", "calls = 11"));
    let output = run(&["--config", file.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("well     configuration: "), "{text}");
    assert!(text.contains("WRONG    rtp ports ") && text.contains("\n         -> widen `rtp.ports`"), "{text}");
    assert!(text.ends_with("\n1 wrong\n") && !text.contains('\x1b'), "{text}");
}
