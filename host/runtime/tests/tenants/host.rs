//! The host under test, and whoever types at its command line.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Only a hang takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Host {
    process: Child,
    folder: PathBuf,
    admin: SocketAddr,
    sip: SocketAddr,
}

impl Host {
    /// Ready, with an empty store and its operator logged in. `name` tells the folders of tests apart.
    pub fn start(name: &str) -> Self {
        let folder = folder(name);
        Self::start_in(folder)
    }

    /// As `start`, with what lies in the folder `tenants` already.
    pub fn start_in(folder: PathBuf) -> Self {
        let (process, admin, sip) = serve(&folder);
        let host = Self { process, folder, admin, sip };
        host.login();
        host
    }

    fn login(&self) {
        let token = self.file("data/operator.token");
        self.done(&format!("login http://{} --token-file {}", self.admin, token.display()));
    }

    /// Kills it as a power cut would, and starts it again on the same data.
    pub fn kill_and_restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        (self.process, self.admin, self.sip) = serve(&self.folder);
        // The port is another one.
        self.login();
    }

    /// What /metrics says.
    pub fn metrics(&self) -> String {
        let mut stream = std::net::TcpStream::connect(self.admin).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay"));
        command.args(line.split_whitespace()).current_dir(&self.folder).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.folder.join("config")).env_remove("PATCHBAY_URL");
        command.env_remove("PATCHBAY_TOKEN");
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// What a command that must be done says on stdout.
    pub fn done(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}\n{}", error(&output), self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn json(&self, line: &str) -> Value {
        let text = self.done(&format!("{line} --json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }

    /// Exit code and words of a command that the host refuses.
    pub fn refused(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(1), "{line}: {}", error(&output));
        error(&output)
    }

    fn uri(&self, called: &str) -> String {
        format!("sip:{called}@{};transport=tcp", self.sip)
    }

    /// A call that lasts so many seconds, in the background.
    pub fn calling(&self, called: &str, seconds: f64) -> Calling {
        self.calling_with(called, seconds, "")
    }

    /// The same, that presses these keys.
    pub fn calling_with(&self, called: &str, seconds: f64, keys: &str) -> Calling {
        let mut command = self.command("call --json");
        if !keys.is_empty() {
            command.args(["--digits", keys]);
        }
        self.calling_by(&mut command, called, seconds)
    }

    fn calling_by(&self, command: &mut Command, called: &str, seconds: f64) -> Calling {
        command.arg(self.uri(called)).args(["--duration", &seconds.to_string()]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Calling(Some(child))
    }

    /// The same, that speaks with this sound.
    pub fn playing(&self, called: &str, seconds: f64, sound: &str) -> Calling {
        self.calling_by(self.command("call --json --play").arg(sound), called, seconds)
    }

    /// A call of a moment: what `patchbay call` reports.
    pub fn call(&self, called: &str) -> Value {
        self.calling(called, 0.3).report()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.file("host.log")).unwrap()).into_owned()
    }

    /// Of the calls that are over, in the order of their ends, once there are so many.
    pub fn summaries(&self, count: usize) -> Vec<Value> {
        until("summaries of calls", || {
            let log = self.log();
            let lines = log.lines().filter_map(|line| line.split_once("summary: "));
            let read: Vec<Value> = lines.filter_map(|(_, json)| serde_json::from_str(json).ok()).collect();
            (read.len() >= count).then_some(read)
        })
    }

    /// The one live call, once its bot is talked to.
    pub fn live_call(&self) -> Value {
        until("a live call", || {
            let calls = self.json("calls");
            calls.as_array()?.iter().find(|call| call["stage"] == "talking").cloned()
        })
    }

    /// By SIGTERM. Its log tells of no panic, and it ends well.
    pub fn stop(mut self) {
        // SAFETY: a plain system call; the process is our child and not reaped yet.
        assert_eq!(unsafe { libc::kill(self.process.id() as libc::pid_t, libc::SIGTERM) }, 0);
        let status = self.process.wait().unwrap();
        let log = self.log();
        assert!(status.success(), "{status}\n{log}");
        assert!(!log.contains("panicked at"), "{log}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // That of a test that failed stays.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A folder for one test, with a place for tenants.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("patchbay-tenants-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("tenants")).unwrap();
    folder
}

fn serve(folder: &Path) -> (Child, SocketAddr, SocketAddr) {
    let log = File::options().create(true).append(true).open(folder.join("host.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay"));
    if folder.join("patchbay.toml").exists() {
        command.args(["serve", "--config", "patchbay.toml"]);
    } else {
        command.args(["serve", "--data", "data", "--tenants-dir", "tenants", "--admin", "127.0.0.1:0"]).args([
            "--listen",
            "tcp://127.0.0.1:0",
            "--rtp-ports",
            "17000-17398",
            "--drain-seconds",
            "1",
            "--personal",
        ]);
    }
    let mut process = command.current_dir(folder).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let (mut admin, mut sip) = (None, None);
    for line in BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let address = line.split("://").nth(1).and_then(|address| address.parse().ok());
        match address {
            Some(address) if line.starts_with("listening http") => admin = Some(address),
            Some(address) => sip = Some(address),
            None if line.starts_with("ready") => break,
            None => {}
        }
    }
    match (admin, sip) {
        (Some(admin), Some(sip)) => (process, admin, sip),
        _ => panic!("it never was ready: {}", fs::read_to_string(folder.join("host.log")).unwrap_or_default()),
    }
}

/// A call in a process of its own.
pub struct Calling(Option<Child>);

impl Calling {
    /// Once it has ended.
    pub fn report(mut self) -> Value {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {}", error(&output)))
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a command said went wrong.
pub fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Looks until there is something to see.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "no {what} in {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A bot that is built: `bots/echo`, `bots-test/misbehave`.
pub fn bot(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target").join(name).with_extension("wasm");
    assert!(path.exists(), "target/{name}.wasm is not there: run `cargo xtask bots --tests`");
    path.canonicalize().unwrap()
}

/// The same bot as another build: a custom section more, which changes its digest and nothing it does.
/// Source: WebAssembly core specification 5.5.3.
pub fn another_build(of: &Path, to: &Path, number: u8) {
    let mut component = fs::read(of).unwrap();
    component.extend([0, 7, 5]);
    component.extend(b"build");
    component.push(number);
    fs::write(to, component).unwrap();
}
