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
    for what in ["configuration", "capacity", "rtp ports", "admin", "name localhost", "route 100"] {
        assert_eq!(well.iter().filter(|line| line.starts_with(what)).count(), 1, "{what}: {well:#?}");
    }
    assert_eq!(well.iter().filter(|line| line.ends_with("is answered 200")).count(), 3, "{well:#?}");
    for how in [" with SRTP: its sound comes back", " with SRTP with RTP from 127.0.0.2: its sound comes back"] {
        assert_eq!(well.iter().filter(|line| line.contains(how)).count(), 1, "{how}: {well:#?}");
    }
}

#[test]
fn where_there_is_tls_alone_it_is_called_by_tls_whoever_has_signed_its_certificate() {
    let mut folder = Folder::new("tls-only").with_bots();
    folder.certificate("own", &["sip.example.com"], (-1, 90));
    let tls = "tls://127.0.0.1:{port}\"\ncertificates = [{ cert = \"own.pem\", key = { file = \"own.key\" } }]\n";
    let port = folder.ports[0];
    let tls = tls.replace("{port}", &port.to_string());
    let config = folder.good().replace(&format!("tcp://127.0.0.1:{port}\"\n"), &tls);
    let config = config.replace("srtp = \"off\"", "srtp = \"prefer\"");
    folder.serve(&config);
    let said = folder.doctor(&config, &[]);
    assert_eq!((said.of("wrong"), said.of("unknown")), (vec![], vec![]));
    let well = said.of("well");
    let calls: Vec<_> = well.iter().filter(|line| line.starts_with("call sip:echo@127.0.0.1")).collect();
    assert!(calls.len() == 3 && calls.iter().all(|line| line.contains("transport=tls")), "{well:#?}");
    assert!(calls.iter().any(|line| line.contains(" with SRTP: its sound comes back")), "{well:#?}");
    // Another certificate than the host presents: it is not called.
    let other = config.replace("own.", "other.");
    folder.certificate("other", &["sip.example.com"], (-1, 90));
    let said = folder.doctor(&other, &[]);
    assert!(said.of("well").iter().all(|line| !line.starts_with("call")), "{:#?}", said.of("well"));
    assert!(said.of("wrong").iter().any(|line| line.starts_with("options tls://127.0.0.1")), "{:#?}", said.of("wrong"));
}

#[test]
fn rtp_comes_from_where_the_trunks_comes_from_and_where_that_is_not_taken_it_is_named() {
    let mut folder = Folder::new("elsewhere").with_bots();
    let with = |networks: &str| {
        let media = format!("srtp = \"off\"\nmedia_networks = {networks}\n");
        folder.good().replace("srtp = \"off\"\n", &media)
    };
    let (one, both) = (with("[\"127.0.0.9\"]"), with("[\"127.0.0.1\", \"10.255.255.0/24\"]"));
    folder.serve(&one);
    let said = folder.doctor(&one, &[]);
    assert_eq!((said.of("wrong"), said.of("unknown")), (vec![], vec![]));
    let well = said.of("well");
    let calls: Vec<_> = well.iter().filter(|line| line.starts_with("call")).collect();
    assert!(calls.len() == 1 && calls[0].contains(" with RTP from 127.0.0.9: its sound comes back"), "{well:#?}");
    // The host that runs takes it from 127.0.0.9 alone.
    let said = folder.doctor(&both, &[]);
    said.expect_wrong("call sip:echo@127.0.0.1", "ours do not reach the host");
    assert!(said.of("unknown").iter().any(|line| line.contains("RTP from elsewhere than signalling is not tried")));
}

#[test]
fn sound_that_does_not_reach_the_host_is_named() {
    let mut folder = Folder::new("one-way").with_bots();
    // What comes from elsewhere is not of this trunk, and is dropped.
    let config = folder.good().replace("srtp = \"off\"\n", "srtp = \"off\"\nmedia_networks = [\"10.255.255.9\"]\n");
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
