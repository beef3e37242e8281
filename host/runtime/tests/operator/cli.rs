//! The binary: exit codes and where its words go.

use std::process::{Command, Output};

fn patchbay(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_patchbay")).args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_usage_ends_with_64_and_help_with_0() {
    for args in [
        &["serve", "--listen", "tpc://x"][..],
        &["serve", "--listen", "tls://127.0.0.1:0"],
        &["serve", "--tls-cert", "only-half.pem"],
        &["serve", "--config", "/nowhere/patchbay.toml"],
        &["serve", "--config", "a.toml", "--drain-seconds", "3"],
        &["serve", "--config", "a.toml", "--egress", "a.example:443"],
        &["serve", "--egress", "a.example"],
        &["serve", "--admin", "0.0.0.0:8080"],
        &["serve", "--bots", "/nowhere/bots"],
        &["call", "sip:a@b", "--digits", "12x"],
        &["frobnicate"],
        &[],
    ] {
        let output = patchbay(args);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {}", stderr(&output));
        assert!(!output.stderr.is_empty(), "{args:?} says why");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    let help = patchbay(&["serve", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"));
}

#[test]
fn check_tells_all_mistakes_and_ends_with_64_and_a_good_file_with_0() {
    let folder = std::env::temp_dir().join(format!("patchbay-check-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("bots")).unwrap();
    let file = folder.join("patchbay.toml");
    let path = file.to_str().unwrap();
    let good = "[[listeners]]\nlisten = \"tls://127.0.0.1:0\"\ncertificates = [{ cert = \"c.pem\", key = { file = \"k.pem\" } }]\n\
        [[trunks]]\nname = \"t\"\nnetworks = [\"127.0.0.1\"]\n[[routes]]\nplugin = \"echo\"\n";
    std::fs::write(&file, format!("{good}pulgin = 1\n")).unwrap();
    let output = patchbay(&["check", "--config", path]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(64));
    assert!(text.contains("error: routes[0].pulgin: unknown key (did you mean `plugin`?)"), "{text}");
    assert!(text.contains("error: listeners[0].certificates[0]: ") && text.contains("2 mistakes"), "{text}");

    let output = patchbay(&["check", "--config", path, "--no-files", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["ok"], &json["problems"][0]["path"]), (&false.into(), &"routes[0].pulgin".into()));

    std::fs::write(&file, good).unwrap();
    let output = patchbay(&["check", "--config", path, "--no-files"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let printed = patchbay(&["print-config", "--config", path]);
    assert!(String::from_utf8_lossy(&printed.stdout).contains("drain_seconds = 60"));
}

#[test]
fn serve_tells_its_listeners_on_stdout_then_ready_and_sigterm_ends_it_with_0() {
    use std::io::{BufRead, BufReader};
    let folder = std::env::temp_dir().join(format!("patchbay-serve-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("broken.wasm"), "not a component").unwrap();
    let mut host = Command::new(env!("CARGO_BIN_EXE_patchbay"))
        .args(["serve", "--listen", "tcp://127.0.0.1:0", "--listen", "udp://[::1]:0", "--bots"])
        .arg(&folder)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(host.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told: Vec<_> = lines.take(3).collect();
    // SAFETY: a signal to the child that this test started and has not waited for.
    assert_eq!(unsafe { libc::kill(host.id() as i32, libc::SIGTERM) }, 0);
    let output = host.wait_with_output().unwrap();
    let port = |line: &str, start: &str| line.strip_prefix(start).and_then(|port| port.parse::<u16>().ok());
    assert!(port(&told[0], "listening tcp://127.0.0.1:").is_some_and(|port| port > 0), "{told:?}");
    assert!(port(&told[1], "listening udp://[::1]:").is_some_and(|port| port > 0), "{told:?}");
    assert_eq!(told[2], "ready bots=");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("broken"), "a bot that is none is named: {}", stderr(&output));
}

#[test]
fn a_reader_that_has_gone_away_is_no_panic() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/quickstart/patchbay.toml");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let told =
        Command::new(env!("CARGO_BIN_EXE_patchbay")).args(["print-config", "--config", config]).stdout(writer).output();
    let told = told.unwrap();
    assert_eq!((told.status.code(), stderr(&told)), (Some(0), String::new()));
}
