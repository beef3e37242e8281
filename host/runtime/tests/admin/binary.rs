//! The binary with a data folder: uploads that are really compiled and tried, calls that are really up.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::schema::mismatches;
use crate::support::{Answer, ask, exchange};

const PATIENCE: Duration = Duration::from_secs(60);
const VERSIONS: &str = "/v1/tenants/acme/plugins/menu/versions";

struct Binary {
    process: Child,
    folder: PathBuf,
    admin: SocketAddr,
    sip: SocketAddr,
    operator: String,
}

impl Binary {
    /// With a tenant acme that has nothing yet.
    async fn start(name: &str, rtp_ports: &str) -> Self {
        let host = Self::run(name, rtp_ports, "");
        assert_eq!(host.ask("POST", "/v1/tenants", Some(json!({ "name": "acme" }))).await.status, 201);
        host
    }

    /// `admin`: more of that section.
    fn run(name: &str, rtp_ports: &str, admin: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("patchbay-admin-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let config = format!(
            "data = \"data\"\n[[listeners]]\nlisten = \"tcp://127.0.0.1:0\"\n[[trunks]]\nname = \"callers\"\n\
             networks = [\"127.0.0.0/8\"]\n[rtp]\nports = \"{rtp_ports}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n{admin}"
        );
        fs::write(folder.join("patchbay.toml"), config).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_patchbay"))
            .args(["serve", "--config"])
            .arg(folder.join("patchbay.toml"))
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut addresses = Vec::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            match line.split("://").nth(1) {
                Some(address) => addresses.push(address.parse().unwrap()),
                None => break,
            }
        }
        let [admin, sip] = addresses[..] else { panic!("{}", fs::read_to_string(folder.join("log")).unwrap()) };
        let operator = fs::read_to_string(folder.join("data/operator.token")).unwrap().trim().to_owned();
        Self { process, folder, admin, sip, operator }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", self.operator);
        ask(self.admin, method, path, &headers, body.map_or(String::new(), |body| body.to_string()).as_bytes()).await
    }

    async fn upload(&self, query: &str, accept: &str, bytes: &[u8]) -> Answer {
        let headers = format!(
            "Authorization: Bearer {}\r\nContent-Type: application/wasm\r\nAccept: {accept}\r\n",
            self.operator
        );
        ask(self.admin, "POST", &format!("{VERSIONS}{query}"), &headers, bytes).await
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn with_certificates_in_its_configuration_the_api_is_served_over_tls() {
    let certificates = std::env::temp_dir().join(format!("patchbay-admin-certificates-{}", std::process::id()));
    fs::create_dir_all(&certificates).unwrap();
    let (cert, key) = (certificates.join("cert.pem"), certificates.join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let host = Binary::run(
        "tls",
        "13280-13299",
        &format!("certificates = [{{ cert = {cert:?}, key = {{ file = {key:?} }} }}]\n"),
    );
    let client = crate::connections::client(made.cert.der().clone());
    let stream = tokio::net::TcpStream::connect(host.admin).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(client).connect(name, stream).await.unwrap();
    let whoami = format!(
        "GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        host.operator
    );
    let answer = exchange(stream, whoami.as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["scope"]["kind"]), (200, &json!("operator")));
    fs::remove_dir_all(&certificates).unwrap();
}

fn echo() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bots/echo.wasm");
    fs::read(path).expect("run `cargo xtask bots`")
}

#[tokio::test]
async fn an_upload_tells_its_steps_and_is_active_at_the_end() {
    let host = Binary::start("steps", "13200-13219").await;
    let answer = host.upload("?activate=true&live=move&limit_s=60", "application/x-ndjson", &echo()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    let document = host.ask("GET", "/v1/openapi.json", None).await.json();
    let described = document.pointer("/components/schemas/UploadLine").unwrap();
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert_eq!(mismatches(&document, described, line), Vec::<String>::new(), "{line}");
    }
    let steps: Vec<_> = lines.iter().filter_map(|line| line["stage"].as_str()).collect();
    assert_eq!(steps, ["received", "checked", "compiled", "tried", "stored", "activated"], "{}", answer.text());
    let result = &lines.last().unwrap()["result"];
    let digest = store::Digest::of(&echo()).to_string();
    assert_eq!(
        (&result["version"]["digest"], &result["plugin"]["current"]["digest"]),
        (&json!(digest), &json!(digest))
    );
    // Again and without steps: the same version, and nothing is activated twice.
    let again = host.upload("?activate=true", "*/*", &echo()).await;
    assert_eq!((again.status, &again.json()["plugin"]["last_generation"]), (201, &json!(1)), "{}", again.text());
    assert_eq!(host.ask("GET", VERSIONS, None).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_no_bot_is_refused_in_one_line_that_names_what_is_wrong_and_nothing_changes() {
    let host = Binary::start("refused", "13220-13239").await;
    let component = |text: &str| wat::parse_str(text).unwrap();
    for (bytes, says) in [
        (b"hello".to_vec(), "component"),
        (component("(module)"), "component"),
        (component("(component)"), "patchbay:bot"),
    ] {
        let answer = host.upload("?activate=true", "*/*", &bytes).await;
        assert_eq!(answer.problem(), (422, "/problems/component".into()), "{says}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says) && !detail.contains('\n'), "{detail}");
        let told = host.upload("", "application/x-ndjson", &bytes).await;
        let last: Value = serde_json::from_str(told.text().lines().last().unwrap()).unwrap();
        assert_eq!(
            (told.status, &last["problem"]["status"], &last["problem"]["detail"]),
            (200, &json!(422), &json!(detail))
        );
    }
    assert_eq!(host.ask("GET", VERSIONS, None).await.status, 404, "there is no such plugin");
    assert_eq!(host.ask("GET", "/v1/tenants/acme/audit", None).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_upload_beyond_the_storage_quota_is_507_and_changes_nothing() {
    let host = Binary::start("quota", "13240-13259").await;
    let quotas = Some(json!({ "storage_bytes": 1000 }));
    assert_eq!(host.ask("PUT", "/v1/tenants/acme/quotas", quotas).await.status, 200);
    let answer = host.upload("?activate=true", "*/*", &echo()).await;
    assert_eq!(answer.problem(), (507, "/problems/storage-quota".into()));
    assert_eq!(host.ask("GET", VERSIONS, None).await.status, 404);
}

fn request(method: &str, host: SocketAddr, to_tag: &str, body: &str) -> String {
    format!(
        "{method} sip:+912261234567@{host} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{method}\r\n\
         From: <sip:caller@127.0.0.1>;tag=1\r\nTo: <sip:+912261234567@{host}>{to_tag}\r\nCall-ID: 1@caller\r\n\
         CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContact: <sip:caller@127.0.0.1:5999;transport=tcp>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads until `wanted` has come.
fn expect(caller: &mut std::net::TcpStream, wanted: &str) -> String {
    let (mut said, mut part) = (String::new(), [0; 4096]);
    while !said.contains(wanted) {
        let read = caller.read(&mut part).unwrap();
        assert!(read > 0, "closed after {said}");
        said += &String::from_utf8_lossy(&part[..read]);
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_call_is_listed_for_its_tenant_and_hung_up_by_whoever_may() {
    let host = Binary::start("calls", "13260-13279").await;
    assert_eq!(host.upload("?activate=true", "*/*", &echo()).await.status, 201);
    assert_eq!(host.ask("PUT", "/v1/tenants/acme/routes/desk", Some(crate::support::desk())).await.status, 200);
    assert_eq!(host.ask("POST", "/v1/tenants", Some(json!({ "name": "rival" }))).await.status, 201);
    let mut tokens = Vec::new();
    for (tenant, scope) in [("acme", "deploy"), ("acme", "read"), ("rival", "deploy")] {
        let made = host.ask("POST", &format!("/v1/tenants/{tenant}/tokens"), Some(json!({ "scope": scope }))).await;
        tokens.push(made.json()["text"].as_str().unwrap().to_owned());
    }
    let as_of = |token: usize, method: &'static str, path: String| {
        let bearer = format!("Authorization: Bearer {}\r\n", tokens[token]);
        async move { ask(host.admin, method, &path, &bearer, b"").await }
    };
    let sip = host.sip;
    let mut caller = tokio::task::spawn_blocking(move || {
        let mut caller = std::net::TcpStream::connect(sip).unwrap();
        caller.set_read_timeout(Some(PATIENCE)).unwrap();
        let session =
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n";
        caller.write_all(request("INVITE", sip, "", session).as_bytes()).unwrap();
        let said = expect(&mut caller, "SIP/2.0 200");
        let said = if said.contains("\r\n\r\n") { said } else { said + &expect(&mut caller, "\r\n\r\n") };
        let tag = said.rsplit("\r\nTo: ").next().unwrap().split("\r\n").next().unwrap().rsplit_once(";tag=").unwrap().1;
        caller.write_all(request("ACK", sip, &format!(";tag={tag}"), "").as_bytes()).unwrap();
        caller
    })
    .await
    .unwrap();
    let document = host.ask("GET", "/v1/openapi.json", None).await.json();
    let calls = as_of(1, "GET", "/v1/calls".into()).await.json();
    let described = document.pointer("/paths/~1v1~1calls/get/responses/200/content/application~1json/schema").unwrap();
    assert_eq!(mismatches(&document, described, &calls), Vec::<String>::new());
    let call = &calls[0];
    assert_eq!(
        (&call["tenant"], &call["plugin"], &call["generation"]),
        (&json!("acme"), &json!("menu"), &json!(1)),
        "{calls}"
    );
    let path = format!("/v1/calls/{}", call["id"].as_str().unwrap());
    assert_eq!(as_of(2, "GET", "/v1/calls".into()).await.json(), json!([]), "another tenant sees none");
    assert_eq!(as_of(2, "GET", path.clone()).await.problem().0, 404);
    assert_eq!(as_of(2, "DELETE", path.clone()).await.problem().0, 404);
    assert_eq!(as_of(1, "GET", path.clone()).await.json()["id"], call["id"]);
    assert_eq!(as_of(1, "DELETE", path.clone()).await.problem().0, 403);
    assert_eq!(as_of(0, "DELETE", path.clone()).await.status, 204);
    tokio::task::spawn_blocking(move || expect(&mut caller, "BYE ")).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while as_of(0, "GET", path.clone()).await.status != 404 {
        assert!(Instant::now() < deadline, "the call does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
