//! Engines of a tenant, from its command line to /metrics: a real component on a real host, and engines whose answers are known.

use std::fs;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::host::{Host, bot, folder, until};
use crate::outside::notes;

/// Transcribes, speaks and answers by OpenAI's protocols, over plain HTTP.
struct Engines {
    port: u16,
    /// Paths, as they were asked for.
    asked: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl Engines {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::default());
        let for_all = Arc::clone(&asked);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&for_all)));
            }
        });
        Self { port, asked, _runtime: runtime }
    }
}

/// One request on each connection. None: the host has given it up.
async fn answer(mut stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    asked.lock().unwrap().push(path.to_owned());
    let (status, body) = match path {
        "/v1/audio/transcriptions" => ("200 OK", br#"{"text": "how are you"}"#.to_vec()),
        // A fifth of a second at 24 kHz.
        "/v1/audio/speech" => ("200 OK", vec![0; 9600]),
        _ if String::from_utf8_lossy(&body).contains("rubbish") => ("200 OK", b"data: rubbish\n\n".to_vec()),
        _ => {
            let chunk = |choice: &str| format!("data: {{\"choices\": [{choice}]}}\n\n");
            let text = chunk(r#"{"index": 0, "delta": {"content": "Fine."}}"#);
            let end = chunk(r#"{"index": 0, "delta": {}, "finish_reason": "stop"}"#);
            ("200 OK", (text + &end + "data: [DONE]\n\n").into_bytes())
        }
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(&[head.into_bytes(), body].concat()).await.ok()
}

fn configuration(port: u16) -> String {
    format!(
        r#"
        data = "data"
        drain_seconds = 1
        rtp.ports = "17500-17598"
        log.personal = true
        admin.listen = "127.0.0.1:0"
        [[egress.private]]
        name = "own engines"
        hosts = ["127.0.0.1:{port}"]
        networks = ["127.0.0.0/8"]
        plain = true
        [[listeners]]
        listen = "tcp://127.0.0.1:0"
        [[trunks]]
        name = "local"
        networks = ["127.0.0.0/8"]
        "#
    )
}

#[test]
fn a_tenants_engines_are_set_shown_used_and_counted() {
    let engines = Engines::start();
    let url = format!("http://127.0.0.1:{}/v1", engines.port);
    let folder = folder("engines");
    fs::write(folder.join("patchbay.toml"), configuration(engines.port)).unwrap();
    let host = Host::start_in(folder);
    host.done("tenant create acme");
    assert_eq!(host.done("tenant engines acme"), "acme has no engines of its own: its bots use the host's\n");

    // What is wrong is told with its place, and nothing is changed.
    fs::write(host.file("engines.toml"), "[chat]\nurl = \"https://a.example/v1\"\nmodel = \"m\"\napi_key = \"none\"\n")
        .unwrap();
    let told = host.refused("tenant engines acme --file engines.toml");
    assert!(told.contains("(422)") && told.contains("chat.api_key"), "{told}");
    fs::write(host.file("engines.toml"), format!(
        "[speech.stt]\nurl = \"{url}\"\nmodel = \"small\"\n[speech.tts]\nurl = \"{url}\"\nmodel = \"joe\"\nvoice = \"joe\"\n[chat]\nurl = \"{url}\"\nmodel = \"m\"\n"
    )).unwrap();
    let set = host.done("tenant engines acme --file engines.toml");
    assert!(set.contains("converses") && set.contains(&url), "{set}");
    assert_eq!(host.done("tenant engines acme"), set);
    assert_eq!(host.json("tenant engines acme")["engines"]["speech"]["tts"]["voice"], "joe");
    let at = format!("127.0.0.1:{}", engines.port);
    assert_eq!(
        host.done(&format!("tenant egress acme {at}")),
        format!("bots of acme may connect to {at}, where the operator allows it\n")
    );
    assert_eq!(host.json("tenant egress acme")["egress"], serde_json::json!([at]));

    host.done(&format!("deploy {} --tenant acme --name reach --activate", bot("bots-test/reach").display()));
    let steps = ["listen", "ask How are you?", "say Fine.", "ask rubbish"].map(str::to_owned);
    let config = serde_json::json!({ "steps": steps.join("\n") }).to_string();
    let mut put = host.command("route put main --tenant acme --called 100 --plugin reach --config");
    assert!(put.arg(config).output().unwrap().status.success());
    until("the route", || (host.json("route-test 100")["outcome"] == "answered").then_some(()));
    let voice = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/quickstart/voice.wav");
    assert_eq!(host.playing("100", 60.0, voice).report()["status"], 200);
    let told = notes(&host, 1);
    assert_eq!(told[..3], ["how are you", "Fine.", "played"], "{}", host.log());
    assert!(told[3].starts_with("protocol: "), "{told:?}");
    assert!(engines.asked.lock().unwrap().contains(&"/v1/audio/transcriptions".to_owned()));

    let page = host.metrics();
    for engine in ["stt", "tts", "chat"] {
        let line = format!("patchbay_engine_seconds_count{{tenant=\"acme\",engine=\"{engine}\"}} ");
        let count = page.lines().find_map(|shown| shown.strip_prefix(&line)?.parse::<u64>().ok());
        // The caller may have gone on speaking.
        assert!(count == Some(1) || engine == "stt" && count > Some(1), "{line}\n{page}");
    }
    assert!(
        page.contains("patchbay_engine_faults_total{tenant=\"acme\",engine=\"chat\",code=\"protocol\"} 1"),
        "{page}"
    );

    host.done("tenant engines acme --none");
    assert!(host.done("tenant engines acme").contains("the host's"));
    assert!(host.done("tenant egress acme --none").contains("nobody"));
    host.stop();
}
