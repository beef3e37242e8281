//! The command line against hosts that answer as they like: what is sent, what is said, and which exit code. Hosts of our own making
//! are in `tests/tenants`.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const TOKEN: &str = "patchbay_fKf2nJ0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0";
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Answers one connection after the other with what it was given, and tells what it was sent.
struct Scripted {
    address: SocketAddr,
    requests: Receiver<String>,
}

impl Scripted {
    fn start(answers: &[&str]) -> Self {
        Self::start_with(answers, |stream| Box::new(stream))
    }

    fn start_with(answers: &[&str], wrap: impl Fn(TcpStream) -> Box<dyn ReadWrite> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Vec<String> = answers.iter().map(|answer| answer.to_string()).collect();
        let (sent, requests) = channel();
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((stream, _)) = listener.accept() else { return };
                stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
                let socket = stream.try_clone().unwrap();
                let mut stream = wrap(stream);
                let is_hasty = answer.starts_with("HTTP/1.1 413");
                let mut request = read_request(&mut *stream, !is_hasty);
                let _ = stream.write_all(answer.as_bytes());
                if is_hasty {
                    // Whatever comes all the same.
                    socket.shutdown(Shutdown::Write).unwrap();
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest);
                    request.push_str(&String::from_utf8_lossy(&rest));
                }
                let _ = sent.send(request);
            }
        });
        Self { address, requests }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn request(&self) -> String {
        self.requests.recv_timeout(WAIT_MAX).expect("nothing was sent")
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// The head, and as much body as it announces, unless the answer comes before.
fn read_request(stream: &mut dyn ReadWrite, takes_body: bool) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        read.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&read).to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    if takes_body && let Some(length) = length {
        if head.contains("expect: 100-continue") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        read.extend(body);
    }
    String::from_utf8_lossy(&read).into_owned()
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// Somebody's machine: a home of its own, and files.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("patchbay-operate-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("token"), format!("{TOKEN}\n")).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay"));
        command.args(line.split_whitespace()).current_dir(&self.0).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.0.join("config")).env_remove("PATCHBAY_URL").env_remove("PATCHBAY_TOKEN");
        command
    }

    fn run(&self, line: &str) -> Said {
        Said::of(self.command(line).output().unwrap())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        assert!(!said.stdout.contains(TOKEN) && !said.stderr.contains(TOKEN), "the token is in what was said");
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
        said
    }
}

const OPERATOR: &str = r#"{"id":"5f0c","label":"first","scope":{"kind":"operator"}}"#;

#[test]
fn a_login_is_tried_then_kept_and_used_and_forgotten() {
    let desk = Desk::new("login");
    let host = Scripted::start(&[&answer("200 OK", OPERATOR), &answer("200 OK", "[]")]);
    let said = desk.run(&format!("login {} --token-file token", host.url()));
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "token 5f0c (first): operator\n"), "{}", said.stderr);
    let request = host.request();
    assert!(request.starts_with("GET /v1/whoami HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("authorization: Bearer {TOKEN}\r\n")), "{request}");
    let kept = desk.file("config/patchbay/login.json");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let said = desk.run("tenant list");
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "no tenants: `patchbay tenant create T`\n"));
    assert!(host.request().contains(&format!("authorization: Bearer {TOKEN}\r\n")));
    // Another host is not sent what was kept for this one.
    let said = desk.run("tenant list --url http://127.0.0.1:1");
    assert_eq!(said.code, Some(64), "{}", said.stderr);

    assert_eq!(desk.run("logout").code, Some(0));
    assert!(!kept.exists());
    let said = desk.run("tenant list");
    assert!(said.code == Some(64) && said.stderr.contains("patchbay login"), "{}", said.stderr);
}

#[test]
fn nothing_is_kept_of_a_token_that_the_host_does_not_know() {
    let desk = Desk::new("refused");
    let problem = r#"{"title":"No valid token","status":401,"detail":"ask your operator for one"}"#;
    let host = Scripted::start(&[&answer("401 Unauthorized", problem)]);
    let said = desk.run(&format!("login {} --token-file token", host.url()));
    assert_eq!(said.code, Some(1));
    assert_eq!(said.stderr, "patchbay: No valid token (401): ask your operator for one\n");
    assert!(!desk.file("config").exists());
}

#[test]
fn a_token_is_never_an_argument_nor_sent_in_the_clear() {
    let desk = Desk::new("clear");
    for line in [
        format!("login http://127.0.0.1:1 --token {TOKEN}"),
        "login http://192.0.2.1:8080 --token-file token".to_owned(),
        "tenant list --url http://patchbay.example.com --token-file token".to_owned(),
    ] {
        let said = desk.run(&line);
        assert_eq!(said.code, Some(64), "{line}: {}", said.stderr);
    }
}

#[test]
fn a_proxy_of_the_environment_is_not_given_what_is_for_loopback() {
    let desk = Desk::new("proxy");
    let (host, proxy) = (Scripted::start(&[&answer("200 OK", "[]")]), Scripted::start(&[&answer("200 OK", "[]")]));
    let mut command = desk.command(&format!("tenant list --url {} --token-file token", host.url()));
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"] {
        command.env(name, proxy.url());
    }
    assert_eq!(Said::of(command.output().unwrap()).code, Some(0));
    host.request();
    assert!(proxy.requests.try_recv().is_err(), "the proxy was asked");
}

#[test]
fn a_host_that_sends_elsewhere_is_not_followed() {
    let desk = Desk::new("redirect");
    let other = Scripted::start(&[&answer("200 OK", "[]")]);
    let redirect =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/v1/tenants\r\ncontent-length: 0\r\n\r\n", other.url());
    let host = Scripted::start(&[&redirect]);
    let said = desk.run(&format!("tenant list --url {} --token-file token", host.url()));
    assert!(said.code == Some(1) && said.stderr.contains("not as the admin API"), "{:?} {}", said.code, said.stderr);
    assert!(other.requests.try_recv().is_err());
}

#[test]
fn who_is_not_there_and_who_is_no_host_are_told_apart() {
    let desk = Desk::new("absent");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = desk.run(&format!("calls --url http://{nobody} --token-file token"));
    assert!(said.code == Some(69) && said.stderr.contains("is not reached"), "{:?} {}", said.code, said.stderr);
    let page = "<html>hello</html>";
    let host = Scripted::start(&[&answer("200 OK", page), &answer("404 Not Found", page)]);
    for _ in 0..2 {
        let said = desk.run(&format!("calls --url {} --token-file token", host.url()));
        assert!(said.code == Some(1) && said.stderr.contains("is the URL right?"), "{:?} {}", said.code, said.stderr);
    }
}

#[test]
fn json_is_what_the_host_said_and_one_document() {
    let desk = Desk::new("json");
    let problem = r#"{"detail":"d","status":404,"title":"t"}"#;
    let answers =
        [answer("200 OK", "[{\"name\":\"a\"}]"), answer("204 No Content", ""), answer("404 Not Found", problem)];
    let host = Scripted::start(&answers.each_ref().map(String::as_str));
    let rest = format!("--url {} --token-file token --json", host.url());
    let said = ["tenant list", "tenant delete a", "tenant show b"].map(|line| desk.run(&format!("{line} {rest}")));
    let told = said.each_ref().map(|said| (said.code, said.stdout.as_str(), said.stderr.as_str()));
    let problem_line = format!("{problem}\n");
    assert_eq!(
        told,
        [(Some(0), "[{\"name\":\"a\"}]\n", ""), (Some(0), "{}\n", ""), (Some(1), problem_line.as_str(), "")]
    );
}

#[test]
fn a_new_token_is_alone_on_stdout() {
    let desk = Desk::new("token");
    let created = r#"{"token":{"id":"77","label":"ci","scope":{"kind":"deploy","tenant":"a"}},"text":"patchbay_new"}"#;
    let host = Scripted::start(&[&answer("201 Created", created)]);
    let said =
        desk.run(&format!("token create --tenant a --scope deploy --label ci --url {} --token-file token", host.url()));
    assert_eq!((said.stdout.as_str(), said.code), ("patchbay_new\n", Some(0)));
    assert_eq!(said.stderr, "token 77 (ci): deploy a, shown this once:\n");
}

#[test]
fn a_secret_comes_on_stdin_and_goes_in_the_body() {
    let desk = Desk::new("secret");
    let host = Scripted::start(&[&answer("204 No Content", "")]);
    let mut command = desk.command(&format!("secret put key --tenant a --url {} --token-file token", host.url()));
    std::fs::write(desk.file("value"), "s3cret \"x\"\n").unwrap();
    let said = Said::of(command.stdin(std::fs::File::open(desk.file("value")).unwrap()).output().unwrap());
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "secret key of a is set\n"), "{}", said.stderr);
    assert!(host.request().ends_with(r#"{"value":"s3cret \"x\""}"#));
}

#[test]
fn an_upload_tells_its_stages_then_what_answers() {
    let desk = Desk::new("deploy");
    std::fs::write(desk.file("menu.wasm"), "a component").unwrap();
    let digest = "b".repeat(64);
    let result = format!(
        "{{\"result\":{{\"version\":{{\"digest\":\"{digest}\"}},\"plugin\":{{\"tenant\":\"a\",\"name\":\"menu\",\"current\":{{\"number\":4,\"digest\":\"{digest}\"}}}}}}}}"
    );
    let stages = r#"{"stage":"received"}\n\n{"stage":"compiled"}\n"#.replace("\\n", "\n");
    let refused = "{\"stage\":\"received\"}\n{\"problem\":{\"title\":\"The component was refused\",\"status\":422,\"detail\":\"it imports wasi:http\"}}\n";
    let host = Scripted::start(&[
        &answer("200 OK", &format!("{stages}{result}\n")),
        &answer("200 OK", refused),
        // Ends between two stages.
        &answer("200 OK", &stages),
    ]);
    let line = format!("deploy menu.wasm --tenant a --activate --url {} --token-file token", host.url());
    let said = desk.run(&line);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), "received\ncompiled\n"));
    assert_eq!(said.stdout, "a/menu: generation 4 (bbbbbbbbbbbb) answers all new calls, live calls end on their own\n");
    let request = host.request();
    assert!(request.starts_with("POST /v1/tenants/a/plugins/menu/versions?activate=true HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("content-type: application/wasm\r\n") && request.ends_with("\r\n\r\na component"),
        "{request}"
    );

    let said = desk.run(&line);
    let told = "received\npatchbay: The component was refused (422): it imports wasi:http\n";
    assert_eq!((said.code, said.stderr.as_str(), said.stdout.as_str()), (Some(1), told, ""));
    let said = desk.run(&line);
    assert!(said.code == Some(69) && said.stderr.contains("before it said what came of the upload"), "{}", said.stderr);
}

#[test]
fn a_number_is_bound_along_with_a_deployment_unless_that_would_take_it_from_another_route() {
    let desk = Desk::new("bind");
    std::fs::write(desk.file("menu.wasm"), "a component").unwrap();
    let result = "{\"result\":{\"version\":{},\"plugin\":{}}}\n";
    let route = |name: &str, called: &str| {
        format!("[{{\"name\":\"{name}\",\"called\":{{\"exact\":\"{called}\"}},\"plugin\":\"menu\"}}]")
    };
    let host = Scripted::start(&[
        &answer("200 OK", "[]"),
        &answer("200 OK", result),
        &answer("200 OK", "{}"),
        &answer("200 OK", &route("main", "100")),
        &answer("200 OK", result),
        &answer("200 OK", &route("menu", "200")),
    ]);
    let line = format!("deploy menu.wasm --tenant a --activate --called 100 --url {} --token-file token", host.url());
    assert_eq!(desk.run(&line).code, Some(0));
    let requests = [host.request(), host.request(), host.request()];
    assert!(requests[2].starts_with("PUT /v1/tenants/a/routes/menu "), "{}", requests[2]);
    assert!(requests[2].ends_with(r#"{"called":{"exact":"100"},"plugin":"menu"}"#), "{}", requests[2]);
    assert_eq!(desk.run(&line).code, Some(0), "it is bound already, by a route of another name");
    let said = desk.run(&line);
    assert!(said.code == Some(64) && said.stderr.contains("takes other calls"), "{}", said.stderr);
    let sent: Vec<_> =
        host.requests.try_iter().map(|request| request.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        sent,
        [
            "GET /v1/tenants/a/routes",
            "POST /v1/tenants/a/plugins/menu/versions?activate=true",
            "GET /v1/tenants/a/routes"
        ]
    );
}

#[test]
fn several_tenants_are_made_by_one_command() {
    let desk = Desk::new("several");
    let answers = ["a", "b", "c"].map(|name| answer("201 Created", &format!("{{\"name\":\"{name}\"}}")));
    let host = Scripted::start(&answers.each_ref().map(String::as_str));
    let rest = format!("--url {} --token-file token", host.url());
    let said = desk.run(&format!("tenant create a b --calls 5 {rest}"));
    assert_eq!(said.stdout, "tenant a is there\ntenant b is there\n");
    assert!(host.request().ends_with(r#"{"name":"a","quotas":{"calls":5}}"#));
    assert_eq!(desk.run(&format!("tenant create c --json {rest}")).stdout, "{\"name\":\"c\"}\n");
}

#[test]
fn engines_come_of_a_file_or_stdin_and_what_cannot_be_read_is_not_sent() {
    let desk = Desk::new("engines");
    let set = r#"{"engines":{"chat":{"model":"m","url":"https://e.example/v1"}},"name":"a"}"#;
    let host = Scripted::start(&[answer("200 OK", set), answer("200 OK", set)].each_ref().map(String::as_str));
    let rest = format!("--url {} --token-file token", host.url());
    std::fs::write(desk.file("toml"), "[chat]\nurl = \"https://e.example/v1\"\nmodel = \"m\"\n").unwrap();
    std::fs::write(desk.file("json"), r#" {"chat": {"url": "https://e.example/v1", "model": "m"}}"#).unwrap();
    let told = "ENGINE     URL                   MODEL  KEY\nconverses  https://e.example/v1  m      -\n";
    let said = desk.run(&format!("tenant engines a --file toml {rest}"));
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), told), "{}", said.stderr);
    let mut command = desk.command(&format!("tenant engines a --file - --json {rest}"));
    let said = Said::of(command.stdin(std::fs::File::open(desk.file("json")).unwrap()).output().unwrap());
    assert_eq!((said.code, said.stdout), (Some(0), format!("{set}\n")), "{}", said.stderr);
    for _ in 0..2 {
        let request = host.request();
        assert!(request.starts_with("PUT /v1/tenants/a/engines "), "{request}");
        assert!(request.ends_with(r#"{"engines":{"chat":{"model":"m","url":"https://e.example/v1"}}}"#), "{request}");
    }
    for (name, text, place) in [
        ("t", "[chat]\nurl = sk-1234\n", "t: line 2: "),
        ("j", "{\n\"url\": sk-1234}", "j: line 2: "),
        ("gone", "", "gone: "),
    ] {
        if !text.is_empty() {
            std::fs::write(desk.file(name), text).unwrap();
        }
        let said = desk.run(&format!("tenant engines a --file {name} {rest}"));
        assert!(said.code == Some(64) && said.stderr.contains(place), "{name}: {:?} {}", said.code, said.stderr);
        assert!(!said.stderr.contains("sk-1234"), "{}", said.stderr);
    }
}

#[test]
fn a_component_that_is_refused_by_its_size_is_not_sent() {
    let desk = Desk::new("large");
    std::fs::write(desk.file("large.wasm"), vec![b'x'; 8 << 20]).unwrap();
    let problem = r#"{"title":"The body is too large","status":413,"detail":"make it smaller"}"#;
    let host = Scripted::start(&[&answer("413 Payload Too Large", problem)]);
    let said = desk.run(&format!("deploy large.wasm --tenant a --url {} --token-file token", host.url()));
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (Some(1), "patchbay: The body is too large (413): make it smaller\n")
    );
    let request = host.request();
    assert!(request.starts_with("POST ") && !request.contains("xxx"), "{} bytes were sent", request.len());
}

#[test]
fn logs_are_a_line_each_and_followed_beyond_a_lost_connection() {
    let desk = Desk::new("logs");
    let line = |text: &str| {
        format!("{{\"at_ms\":0,\"call\":\"c1\",\"generation\":1,\"level\":\"info\",\"message\":\"{text}\"}}\n")
    };
    let gone = answer("404 Not Found", r#"{"title":"There is no such thing","status":404}"#);
    let host = Scripted::start(&[
        &answer("200 OK", &line("one")),
        // Cut off within its body.
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
        &answer("200 OK", &line("two")),
        &gone,
    ]);
    let said = desk.run(&format!("logs --tenant a --name p -f --url {} --token-file token", host.url()));
    let told = "00:00:00.000 info  call c1 generation 1: one\n00:00:00.000 info  call c1 generation 1: two\n";
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), told), "{}", said.stderr);
    assert!(said.stderr.contains("was lost") && said.stderr.contains("There is no such thing"), "{}", said.stderr);
}

#[test]
fn https_is_trusted_by_its_authority_and_not_without() {
    let desk = Desk::new("tls");
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(desk.file("ca.pem"), certificate.cert.pem()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let ok = answer("200 OK", OPERATOR);
    let host = Scripted::start_with(&[&ok, &ok, &ok, &ok], move |stream| {
        let session = rustls::ServerConnection::new(config.clone()).unwrap();
        Box::new(rustls::StreamOwned::new(session, stream))
    });
    let url = format!("https://localhost:{}", host.address.port());
    let untrusted = desk.run(&format!("login {url} --token-file token"));
    assert!(
        untrusted.code == Some(69) && untrusted.stderr.contains("--ca"),
        "{:?} {}",
        untrusted.code,
        untrusted.stderr
    );
    assert!(!host.request().contains(TOKEN));
    let said = desk.run(&format!("login {url} --token-file token --ca ca.pem"));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    // The authority is kept, wherever the next command runs.
    let mut elsewhere = desk.command("audit");
    let said = Said::of(elsewhere.current_dir(Path::new("/")).output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}
