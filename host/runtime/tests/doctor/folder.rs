//! A set-up in a folder of its own: configuration, certificates, perhaps a host that runs; and what the doctor says of it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

pub struct Folder {
    pub path: PathBuf,
    /// Ports that nobody listens on.
    pub ports: Vec<u16>,
    /// The first of ten RTP pairs.
    pub rtp: u16,
    host: Option<Child>,
}

/// What the doctor said.
pub struct Said {
    pub code: Option<i32>,
    pub findings: Vec<Value>,
}

/// Above those of other tests, below the ephemeral ones.
static NEXT_RTP: AtomicU16 = AtomicU16::new(16_000);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("patchbay-doctor-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("bots")).unwrap();
        let sockets: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        Self { path, ports, rtp: NEXT_RTP.fetch_add(20, Ordering::Relaxed), host: None }
    }

    /// The bots that are built, as the routes know them.
    pub fn with_bots(self) -> Self {
        let echo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bots/echo.wasm");
        std::fs::copy(echo, self.path.join("bots/echo.wasm")).expect("run `cargo xtask bots`");
        self
    }

    /// For these names, from and until so many days from now.
    pub fn certificate(&self, file: &str, names: &[&str], days: (i64, i64)) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let day = |days: i64| {
            let shift = Duration::from_secs(days.unsigned_abs() * 86_400);
            rcgen::date_time_ymd(1970, 1, 1) + if days < 0 { now - shift } else { now + shift }
        };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (day(days.0), day(days.1));
        let key = KeyPair::generate().unwrap();
        std::fs::write(self.path.join(format!("{file}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(self.path.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// TCP on the first port, the admin's on the last, ten calls, one trunk on loopback, all calls to `echo`.
    pub fn good(&self) -> String {
        let [port, .., admin] = self.ports[..] else { panic!("ports") };
        let (first, last) = (self.rtp, self.rtp + 19);
        format!(
            "bots = \"bots\"\n[[listeners]]\nlisten = \"tcp://127.0.0.1:{port}\"\n\
             [[trunks]]\nname = \"local\"\nnetworks = [\"127.0.0.0/8\"]\nsrtp = \"off\"\n\
             [[routes]]\nplugin = \"echo\"\n[rtp]\nports = \"{first}-{last}\"\n[limits]\ncalls = 10\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n"
        )
    }

    pub fn write(&self, config: &str) -> PathBuf {
        let file = self.path.join("patchbay.toml");
        std::fs::write(&file, config).unwrap();
        file
    }

    /// Runs a host with this configuration until the folder goes.
    pub fn serve(&mut self, config: &str) {
        let file = self.write(config);
        let host = Command::new(env!("CARGO_BIN_EXE_patchbay"))
            .args(["serve", "--config", file.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let host = self.host.insert(host.unwrap());
        let mut lines = BufReader::new(host.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("ready")), "the host starts");
    }

    pub fn doctor(&self, config: &str, args: &[&str]) -> Said {
        let file = self.write(config);
        self.told(
            Command::new(env!("CARGO_BIN_EXE_patchbay")).args(["doctor", "--json", "--config"]).arg(file).args(args),
        )
    }

    pub fn told(&self, command: &mut Command) -> Said {
        let output = command.output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{} {}", output.status, String::from_utf8_lossy(&output.stderr)));
        let findings = said["findings"].as_array().unwrap().clone();
        let wrong = findings.iter().any(|finding| finding["verdict"] == "wrong");
        assert_eq!((said["ok"] == true, output.status.code()), (!wrong, Some(i32::from(wrong))), "{said:#}");
        Said { code: output.status.code(), findings }
    }
}

impl Said {
    /// The findings of this verdict, a line each.
    pub fn of(&self, verdict: &str) -> Vec<String> {
        let these = self.findings.iter().filter(|finding| finding["verdict"] == verdict);
        these.map(|finding| format!("{}: {}", text(finding, "what"), text(finding, "why"))).collect()
    }

    /// One thing is wrong: it begins so, says why so, and what mends it.
    #[track_caller]
    pub fn expect_wrong(&self, what: &str, why: &str) {
        let wrong = self.of("wrong");
        assert!(wrong.len() == 1 && wrong[0].starts_with(what) && wrong[0].contains(why), "{what}: {why}\n{wrong:#?}");
        let mends =
            self.findings.iter().filter(|finding| finding["verdict"] == "wrong").map(|finding| text(finding, "mend"));
        assert!(mends.into_iter().all(|mend| !mend.is_empty()), "{what} says what mends it");
    }
}

fn text<'a>(finding: &'a Value, key: &str) -> &'a str {
    finding[key].as_str().unwrap_or_default()
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(host) = &mut self.host {
            let _ = host.kill();
            let _ = host.wait();
        }
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
