//! Whole calls to the binary that no client of the interop tests makes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

struct Host {
    process: Child,
    admin: SocketAddr,
    listeners: Vec<SocketAddr>,
}

impl Host {
    fn start(flags: &[&str]) -> Self {
        Self::run(&[&["--admin", "127.0.0.1:0", "--bots", bots().to_str().unwrap()], flags].concat(), Stdio::null())
    }

    fn run(flags: &[&str], log: Stdio) -> Self {
        let host = Command::new(env!("CARGO_BIN_EXE_patchbay"))
            .arg("serve")
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn();
        let mut process = host.unwrap();
        let (mut admin, mut listeners) = (None, Vec::new());
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let address = line.split("://").nth(1).and_then(|address| address.parse().ok());
            match address {
                Some(address) if line.starts_with("listening http") => admin = Some(address),
                Some(address) => listeners.push(address),
                None => break,
            }
        }
        Self { process, admin: admin.unwrap(), listeners }
    }

    fn metric(&self, name: &str) -> i64 {
        let mut http = TcpStream::connect(self.admin).unwrap();
        http.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        http.read_to_string(&mut text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn bots() -> PathBuf {
    let bots = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bots");
    assert!(bots.join("echo.wasm").exists(), "run `cargo xtask bots`");
    bots
}

fn session(address: &str) -> String {
    format!("v=0\r\no=- 1 1 IN {address}\r\ns=-\r\nc=IN {address}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n")
}

fn request(method: &str, number: usize, host: SocketAddr, body: &str) -> String {
    format!(
        "{method} sip:echo@{host} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{number}\r\n\
         From: <sip:caller@127.0.0.1>;tag={number}\r\nTo: <sip:echo@{host}>\r\nCall-ID: {number}@caller\r\n\
         CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContact: <sip:caller@127.0.0.1:5999;transport=tcp>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends and reads until `wanted` has come.
fn answers(host: SocketAddr, text: &str, wanted: &str) -> String {
    let mut caller = TcpStream::connect(host).unwrap();
    caller.set_read_timeout(Some(PATIENCE)).unwrap();
    caller.write_all(text.as_bytes()).unwrap();
    let (mut answers, mut part) = (String::new(), [0; 4096]);
    while !answers.contains(wanted) {
        let read = caller.read(&mut part).unwrap();
        assert!(read > 0, "closed after {answers}");
        answers += &String::from_utf8_lossy(&part[..read]);
    }
    answers
}

#[test]
fn invites_taken_back_in_the_same_segment_give_their_ports_back() {
    let host = Host::start(&["--listen", "tcp://127.0.0.1:0", "--rtp-ports", "13000-13009"]);
    // More calls than there are ports, one after the other.
    for number in 0..12 {
        let to = host.listeners[0];
        let text = request("INVITE", number, to, &session("IP4 127.0.0.1")) + &request("CANCEL", number, to, "");
        answers(to, &text, "487 Request Terminated");
    }
    let deadline = Instant::now() + PATIENCE;
    // The gauge is renewed each second.
    while host.metric("patchbay_rtp_port_pairs_free") != 5 {
        assert!(Instant::now() < deadline, "{} of 5 pairs are free", host.metric("patchbay_rtp_port_pairs_free"));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn calls_are_answered_over_ipv6_from_signalling_to_sound() {
    let host = Host::start(&["--listen", "tcp://[::1]:0", "--listen", "udp://[::1]:0", "--rtp-ports", "13010-13029"]);
    for (listener, transport) in host.listeners.iter().zip(["tcp", "udp"]) {
        let uri = format!("sip:echo@{listener};transport={transport}");
        let output = Command::new(env!("CARGO_BIN_EXE_patchbay"))
            .args(["call", &uri, "--duration", "1", "--json"])
            .output()
            .unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["status"], 200, "{report}");
        assert!(report["packets_received"].as_u64() > Some(0), "{report}");
        assert_eq!(report["packets_lost"], 0, "{report}");
    }
}

#[test]
fn an_offer_over_ipv6_to_an_ipv4_listener_is_488() {
    let host = Host::start(&["--listen", "tcp://127.0.0.1:0", "--rtp-ports", "13030-13049"]);
    let to = host.listeners[0];
    let answers = answers(to, &request("INVITE", 1, to, &session("IP6 ::1")), "SIP/2.0 488");
    assert!(!answers.contains("503"), "{answers}");
}

#[test]
fn sigusr1_traces_messages_and_sigusr2_captures_the_calls_that_begin_from_then_on() {
    let folder = std::env::temp_dir().join(format!("patchbay-signals-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = format!(
        "bots = {:?}\n[[listeners]]\nlisten = \"tcp://127.0.0.1:0\"\n[[trunks]]\nname = \"callers\"\nnetworks = [\"127.0.0.0/8\"]\n\
         [[routes]]\nplugin = \"{{called}}\"\n[rtp]\nports = \"13050-13069\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[pcap]\ndir = \"captures\"\n",
        bots()
    );
    std::fs::write(folder.join("patchbay.toml"), config).unwrap();
    let log = folder.join("host.log");
    let flags = ["--config", folder.join("patchbay.toml").to_str().unwrap()].map(str::to_owned);
    let host = Host::run(&flags.each_ref().map(String::as_str), std::fs::File::create(&log).unwrap().into());
    let call = || {
        let uri = format!("sip:echo@{};transport=tcp", host.listeners[0]);
        let called =
            Command::new(env!("CARGO_BIN_EXE_patchbay")).args(["call", &uri, "--duration", "0.3", "--json"]).output();
        assert!(called.unwrap().status.success());
    };
    let captures = || std::fs::read_dir(folder.join("captures")).map_or(0, Iterator::count);
    let until = |what: &str, so: &dyn Fn() -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !so() {
            assert!(Instant::now() < deadline, "{what}: {}", std::fs::read_to_string(&log).unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let logged = |text: &str| std::fs::read_to_string(&log).unwrap().contains(text);
    call();
    assert!(captures() == 0 && !logged("INVITE sip:echo"));
    for (signal, told) in [(libc::SIGUSR1, "SIP trace"), (libc::SIGUSR2, "captures of new calls")] {
        // SAFETY: a signal to the child that this test started and has not waited for.
        assert_eq!(unsafe { libc::kill(host.process.id() as i32, signal) }, 0);
        until(told, &|| logged(told));
    }
    call();
    until("the trace", &|| logged("INVITE sip:echo"));
    until("the capture", &|| captures() == 1);
    drop(host);
    std::fs::remove_dir_all(&folder).unwrap();
}
