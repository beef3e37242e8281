//! What shows only with a host that runs: OPTIONS and a call.

use std::net::TcpListener;

use crate::folder::Folder;

#[test]
fn a_good_set_up_that_runs_is_all_well() {
    let mut folder = Folder::new("running").with_bots();
    folder.certificate("own", &["localhost"], (-1, 90));
    let [_, udp, tls, _] = folder.ports[..] else { panic!("ports") };
    let listeners = format!(
        "[[listeners]]\nlisten = \"udp://127.0.0.1:{udp}\"\n[[listeners]]\nlisten = \"tls://127.0.0.1:{tls}\"\n\
         advertised = \"localhost\"\ncertificates = [{{ cert = \"own.pem\", key = {{ file = \"own.key\" }} }}]\n[[trunks]]"
    );
    let config = folder.good().replace("[[trunks]]", &listeners).replace("srtp = \"off\"", "srtp = \"require\"");
    let config = config.replace("[rtp]\n", "[rtp]\nadvertised = \"127.0.0.1\"\n");
    folder.serve(&config);
    let said = folder.doctor(&config, &["--called", "100"]);
    assert_eq!((said.of("wrong"), said.of("unknown")), (vec![], vec![]));
    let well = said.of("well");
    for what in
        ["configuration", "capacity", "rtp ports", "admin", "name localhost", "route 100", "call sip:100@127.0.0.1"]
    {
        assert_eq!(well.iter().filter(|line| line.starts_with(what)).count(), 1, "{what}: {well:#?}");
    }
    assert_eq!(well.iter().filter(|line| line.ends_with("is answered 200")).count(), 3, "{well:#?}");
    assert!(well.iter().any(|line| line.contains(" with SRTP: its sound comes back")), "{well:#?}");
}

#[test]
fn sound_that_does_not_reach_the_host_is_named() {
    let mut folder = Folder::new("one-way").with_bots();
    // What comes from elsewhere is not of this trunk, and is dropped.
    let config = folder.good().replace("srtp = \"off\"\n", "srtp = \"off\"\nmedia_networks = [\"127.0.0.9\"]\n");
    folder.serve(&config);
    folder.doctor(&config, &[]).expect_wrong("call sip:echo@127.0.0.1", "ours do not reach the host");
}

#[test]
fn a_call_that_is_refused_is_named_with_its_answer() {
    let mut folder = Folder::new("refused");
    std::fs::write(folder.path.join("bots/echo.wasm"), b"no component").unwrap();
    let config = folder.good();
    folder.serve(&config);
    folder.doctor(&config, &[]).expect_wrong("call sip:echo@127.0.0.1", "is answered 480");
}

#[test]
fn a_listener_that_is_another_programs_and_does_not_answer_is_named() {
    let folder = Folder::new("silent").with_bots();
    let silent = TcpListener::bind(("127.0.0.1", folder.ports[0])).unwrap();
    let config = folder.good();
    // Nobody to ask whose it is.
    let config = &config[..config.find("[admin]").unwrap()];
    let routeless = config.replace("plugin = \"echo\"", "called = \"1\"\nplugin = \"echo\"");
    folder.doctor(&routeless, &[]).expect_wrong("options tcp://127.0.0.1", "nothing is answered");
    drop(silent);
}

#[test]
fn a_host_that_runs_with_an_older_configuration_is_named() {
    let mut folder = Folder::new("older").with_bots();
    let config = folder.good();
    folder.serve(&config);
    let moved = config.replace(&format!(":{}\"", folder.ports[0]), &format!(":{}\"", folder.ports[1]));
    let wrong = folder.doctor(&moved, &[]).of("wrong");
    assert!(wrong.iter().any(|line| line.contains("is free, though a patchbay runs")), "{wrong:#?}");
    assert!(wrong.iter().any(|line| line.starts_with("options") && line.contains("no connection")), "{wrong:#?}");
}
