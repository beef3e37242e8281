//! A bot that reaches outside, from its first call to its tenant's last byte: a real component on a real host.

use std::fs;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use crate::host::{Host, bot, folder};

const SECRET: &str = "s3cret-of-acme";

/// A server of HTTPS for the name `localhost`.
struct Server {
    port: u16,
    /// Heads of requests, as they came.
    seen: Arc<Mutex<Vec<String>>>,
    certificate: String,
    _runtime: Runtime,
}

impl Server {
    fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::default());
        runtime.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&seen)));
        Self { port, seen, certificate: made.cert.pem(), _runtime: runtime }
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, seen: Arc<Mutex<Vec<String>>>) {
    let port = listener.local_addr().unwrap().port();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, seen) = (tls.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            let Ok(mut stream) = tls.accept(stream).await else { return };
            loop {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap();
                let away = format!("302 Found\r\nlocation: https://127.0.0.1:{port}/hello");
                let (status, body) = match head.split(' ').nth(1) {
                    Some("/hello") => ("200 OK", "hi"),
                    Some("/away") => (away.as_str(), ""),
                    _ => ("404 Not Found", "none"),
                };
                seen.lock().unwrap().push(head);
                let length = body.len();
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

fn configuration(port: u16) -> String {
    format!(
        r#"
        data = "data"
        tenants_dir = "tenants"
        drain_seconds = 1
        rtp.ports = "17400-17498"
        log.personal = true
        admin.listen = "127.0.0.1:0"
        [egress]
        ca = "ca.pem"
        [[egress.private]]
        name = "local"
        hosts = ["localhost:{port}"]
        networks = ["127.0.0.0/8"]
        [[listeners]]
        listen = "tcp://127.0.0.1:0"
        [[trunks]]
        name = "local"
        networks = ["127.0.0.0/8"]
        "#
    )
}

fn route(called: &str, steps: &[String]) -> String {
    let steps = serde_json::to_string(&steps.join("\n")).unwrap();
    format!(
        "[[routes]]\nname = \"r{called}\"\ncalled = {{ exact = \"{called}\" }}\nplugin = \"reach\"\nconfig = {{ steps = {steps} }}\n"
    )
}

/// The notes of the last of so many calls, in the order of the steps.
pub fn notes(host: &Host, calls: usize) -> Vec<String> {
    let summary = host.summaries(calls).remove(calls - 1);
    let note = |number: usize| {
        let (key, notes) = (number.to_string(), summary["notes"].as_array()?);
        let note = notes.iter().find(|note| note[0] == key.as_str())?;
        note[1].as_str().map(str::to_owned)
    };
    (1..).map_while(note).collect()
}

/// Of the first call and of the second.
fn steps(at: &str) -> (Vec<String>, Vec<String>) {
    let first = vec![
        format!("get https://{at}/hello Authorization: Bearer {{{{secret:key}}}}"),
        format!("get https://{at}/away"),
        "get https://elsewhere.example/".into(),
        "get https://allowed.example/".into(),
        format!("get https://{at}/hello X-Key: {{{{secret:key}}}}"),
        format!("get https://{at}/{{{{secret:key}}}}"),
        format!("talk wss://{at}/hello hello"),
        "put greeting one".into(),
        "swap greeting one two".into(),
        "swap greeting one three".into(),
    ];
    let second = vec!["get-key greeting".into(), "list ".into(), "fill big 60000".into(), "get-key big".into()];
    (first, second)
}

/// Of the steps above.
fn check_what_is_counted(page: &str) {
    for line in [
        "patchbay_outside_requests_total{tenant=\"acme\"} 6",
        "patchbay_outside_websockets_total{tenant=\"acme\"} 1",
        "patchbay_outside_failures_total{tenant=\"acme\",code=\"egress-denied\"} 3",
        // The redirect and the host that it does not name; the host that the operator does not.
        "patchbay_outside_refused_total{tenant=\"acme\",by=\"tenants-list\"} 2",
        "patchbay_outside_refused_total{tenant=\"acme\",by=\"operators-list\"} 1",
        "patchbay_outside_connections_total{tenant=\"acme\"} 2",
        "patchbay_store_requests_total{tenant=\"acme\"} 7",
        "patchbay_store_failures_total{tenant=\"acme\",code=\"quota\"} 1",
        "patchbay_store_keys{tenant=\"acme\"} 1",
        // `greeting`, `two`, and 64 for the pair.
        "patchbay_store_bytes{tenant=\"acme\"} 75",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    for counted in ["patchbay_outside_bytes_in_total", "patchbay_outside_bytes_out_total"] {
        let line = format!("{counted}{{tenant=\"acme\"}} ");
        let bytes = page.lines().find_map(|shown| shown.strip_prefix(&line)?.parse::<u64>().ok());
        assert!(bytes > Some(500), "{line}{bytes:?}\n{page}");
    }
}

#[test]
fn a_bot_reaches_what_both_lists_allow_with_a_secret_it_never_sees_and_keeps_what_its_quota_holds() {
    let server = Server::start();
    let at = format!("localhost:{}", server.port);
    let folder = folder("outside");
    let acme = folder.join("tenants/acme");
    fs::create_dir_all(acme.join("bots")).unwrap();
    fs::create_dir_all(acme.join("secrets")).unwrap();
    fs::copy(bot("bots-test/reach"), acme.join("bots/reach.wasm")).unwrap();
    fs::write(acme.join("secrets/key"), format!("{SECRET}\n")).unwrap();
    fs::write(folder.join("ca.pem"), &server.certificate).unwrap();
    fs::write(folder.join("patchbay.toml"), configuration(server.port)).unwrap();
    let (first, second) = steps(&at);
    let quota = fs::metadata(acme.join("bots/reach.wasm")).unwrap().len() + 10_000;
    let tenant = format!(
        "egress = [\"{at}\", \"allowed.example:443\"]\nquotas.storage_bytes = {quota}\n[secrets.key]\nhosts = [\"{at}\"]\nheader = \"Authorization\"\n"
    );
    fs::write(acme.join("tenant.toml"), tenant + &route("100", &first) + &route("200", &second)).unwrap();

    let mut host = Host::start_in(folder);
    assert_eq!(host.calling("100", 30.0).report()["status"], 200);
    let told = notes(&host, 1);
    let expected = [
        "200 hi",
        "egress-denied: the tenant's egress list does not allow 127.0.0.1",
        "egress-denied: the tenant's egress list does not allow",
        "egress-denied: the operator's egress list does not allow",
        "secret-denied: the secret `key` goes into the header",
        "secret-denied: ",
        "protocol: ",
        "stored",
        "true",
        "false",
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}\n{}", host.log());
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
    let seen = server.seen.lock().unwrap().clone();
    let bearers = seen.iter().filter(|head| head.to_lowercase().contains(&format!("authorization: bearer {SECRET}")));
    assert_eq!((bearers.count(), seen.len()), (1, 3), "{seen:?}");

    assert_eq!(host.calling("200", 30.0).report()["status"], 200);
    let told = notes(&host, 2);
    assert_eq!((&*told[0], &*told[1], &*told[3]), ("two", "greeting", "nothing"), "{told:?}");
    assert!(told[2].starts_with("quota: "), "{told:?}");

    let page = host.metrics();
    check_what_is_counted(&page);
    let shown =
        host.log() + &page + &host.done("audit --tenant acme --json") + &host.done("secret list --tenant acme --json");
    assert!(!shown.contains(SECRET), "{shown}");
    // What is kept is known from the start.
    host.kill_and_restart();
    assert!(host.metrics().contains("patchbay_store_keys{tenant=\"acme\"} 1"), "{}", host.metrics());
    host.stop();
}
