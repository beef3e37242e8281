//! How often, and how many at a time: counted, not timed.

use std::time::Duration;

use runtime::admin::{Bounds, Rate};
use runtime::hosting::LogLine;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Host, NO_RATES, ask, parse, unchunked};

/// What is used up does not come back while a test runs.
const THREE: Rate = Rate { per_second: 1e-6, burst: 3.0 };
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn wrong_tokens_from_an_address_are_counted_and_then_429_and_valid_ones_in_use_still_pass() {
    let host = Host::with(Bounds { failures: THREE, requests: NO_RATES, ..Bounds::default() }).await;
    assert_eq!(host.get(&host.read, "/v1/whoami").await.status, 200);
    for _ in 0..3 {
        assert_eq!(host.get("patchbay_wrong", "/v1/whoami").await.problem().0, 401);
    }
    for _ in 0..3 {
        let answer = host.get("patchbay_other", "/v1/whoami").await;
        assert_eq!(answer.problem(), (429, "/problems/rate".into()));
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    }
    assert_eq!(host.get(&host.read, "/v1/whoami").await.status, 200, "it was in use before");
    assert_eq!(host.get(&host.deploy, "/v1/whoami").await.status, 429, "it was not, and is not looked up");
    assert_eq!(ask(host.address, "GET", "/health", "", b"").await.status, 200);
}

#[tokio::test]
async fn valid_tokens_are_no_failures_however_many_there_are() {
    let host = Host::with(Bounds { failures: THREE, requests: NO_RATES, ..Bounds::default() }).await;
    for number in 0..10 {
        let made =
            host.ask(&host.operator, "POST", "/v1/tokens", Some(json!({ "label": number.to_string() }))).await.json();
        assert_eq!(host.get(made["text"].as_str().unwrap(), "/v1/whoami").await.status, 200);
    }
}

#[tokio::test]
async fn a_token_has_its_rate_and_others_have_their_own() {
    let host = Host::with(Bounds { requests: THREE, failures: NO_RATES, ..Bounds::default() }).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(host.get(&host.read, "/v1/whoami").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let over = host.get(&host.read, "/v1/tenants/acme").await;
    assert!(over.problem().1 == "/problems/rate" && over.header("retry-after").is_some());
    assert_eq!(host.get(&host.deploy, "/v1/whoami").await.status, 200);
}

/// An upload whose body does not come; its place is taken once the host says go on.
async fn begin_upload(host: &Host, token: &str, tenant: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let head = format!(
        "POST /v1/tenants/{tenant}/plugins/menu/versions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/wasm\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
    bytes.truncate(read);
    (stream, String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn one_upload_of_a_tenant_runs_at_a_time_and_so_many_of_all() {
    let host = Host::with(Bounds { uploads: 2, requests: NO_RATES, failures: NO_RATES, ..Bounds::default() }).await;
    let (first, go_on) = begin_upload(&host, &host.deploy, "acme").await;
    assert!(go_on.starts_with("HTTP/1.1 100"), "{go_on}");
    let (_, second) = begin_upload(&host, &host.deploy, "acme").await;
    let second = parse(second.as_bytes());
    assert_eq!(second.problem(), (429, "/problems/crowded".into()));
    assert!(second.header("retry-after").is_some());
    let (_theirs, go_on) = begin_upload(&host, &host.rival, "rival").await;
    assert!(go_on.starts_with("HTTP/1.1 100"), "{go_on}");
    host.ask(&host.operator, "POST", "/v1/tenants", Some(json!({ "name": "third" }))).await;
    let (_, third) = begin_upload(&host, &host.operator, "third").await;
    assert_eq!(parse(third.as_bytes()).problem().0, 429, "the host takes two");
    drop(first);
    let mut again = String::new();
    for _ in 0..200 {
        again = begin_upload(&host, &host.deploy, "acme").await.1;
        if again.starts_with("HTTP/1.1 100") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a place is given back when its upload breaks off: {again}");
}

/// The tail of a log, and what it says until `wanted` came or the stream ended.
struct Tail(TcpStream, Vec<u8>);

impl Tail {
    async fn open(host: &Host, token: &str, tenant: &str) -> Self {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        let head = format!(
            "GET /v1/tenants/{tenant}/plugins/menu/log HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut tail = Self(stream, Vec::new());
        tail.read_until(b"\r\n\r\n").await;
        tail
    }

    /// False: the end came first.
    async fn read_until(&mut self, wanted: &[u8]) -> bool {
        while !self.1.windows(wanted.len()).any(|window| window == wanted) {
            let read = tokio::time::timeout(PATIENCE, self.0.read_buf(&mut self.1)).await.expect("it says so").unwrap();
            if read == 0 {
                return false;
            }
        }
        true
    }

    fn status(&self) -> u16 {
        parse(&self.1).status
    }

    fn lines(&self) -> Vec<Value> {
        let head = self.1.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let body = String::from_utf8(unchunked(&self.1[head + 4..])).unwrap();
        body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn said(message: &str) -> LogLine {
    LogLine {
        at_ms: 1,
        call: "c1".into(),
        generation: 1,
        level: "info",
        file: "a.rs".into(),
        line: 7,
        message: message.into(),
    }
}

#[tokio::test]
async fn a_tail_says_what_the_bots_of_its_plugin_say_and_of_no_other() {
    let host = Host::start().await;
    let mut tail = Tail::open(&host, &host.read, "acme").await;
    let theirs = Tail::open(&host, &host.rival, "rival").await;
    assert_eq!((tail.status(), theirs.status()), (200, 200));
    host.shared.tails.tap("rival/menu").say(|| said("theirs"));
    host.shared.tails.tap("acme/menu").say(|| said("first"));
    host.shared.tails.tap("acme/menu").say(|| said("second"));
    assert!(tail.read_until(b"second").await);
    let lines = tail.lines();
    assert_eq!(lines.iter().map(|line| line["message"].as_str().unwrap()).collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(lines[0]["line"], 7);
}

#[tokio::test]
async fn a_reader_that_lags_is_told_how_many_lines_it_did_not_get() {
    let host = Host::start().await;
    let mut tail = Tail::open(&host, &host.read, "acme").await;
    // All at once: this test's one thread serves the tail too.
    let tap = host.shared.tails.tap("acme/menu");
    (0..1000).for_each(|_| tap.say(|| said("x")));
    tap.say(|| said("last"));
    assert!(tail.read_until(b"\"last\"").await);
    let lines = tail.lines();
    let dropped = lines[0]["dropped"].as_u64().unwrap();
    assert_eq!(dropped as usize + lines.len() - 1, 1001);
}

#[tokio::test]
async fn so_many_tails_of_a_tenant_and_of_all_are_open_and_a_closed_one_makes_room() {
    let host =
        Host::with(Bounds { tails_of_one: 2, tails: 3, requests: NO_RATES, failures: NO_RATES, ..Bounds::default() })
            .await;
    let first = Tail::open(&host, &host.read, "acme").await;
    let _second = Tail::open(&host, &host.deploy, "acme").await;
    let third = Tail::open(&host, &host.read, "acme").await;
    assert_eq!((first.status(), third.status()), (200, 429));
    let _theirs = Tail::open(&host, &host.rival, "rival").await;
    assert_eq!(Tail::open(&host, &host.rival, "rival").await.status(), 429, "three are the host's");
    drop(first);
    for _ in 0..200 {
        if Tail::open(&host, &host.rival, "rival").await.status() == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the place was not given back");
}

#[tokio::test]
async fn a_tail_ends_when_its_token_is_revoked() {
    let bounds =
        Bounds { tail_check: Duration::from_millis(50), requests: NO_RATES, failures: NO_RATES, ..Bounds::default() };
    let host = Host::with(bounds).await;
    let mut tail = Tail::open(&host, &host.read, "acme").await;
    let id = host.get(&host.read, "/v1/whoami").await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(host.ask(&host.operator, "DELETE", &format!("/v1/tokens/{id}"), None).await.status, 204);
    // The last chunk, of no bytes.
    assert!(tail.read_until(b"0\r\n\r\n").await);
    assert!(tail.lines().is_empty());
}
