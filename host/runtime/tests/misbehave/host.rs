//! The host under test, with one bot that echoes and one that misbehaves as its called number says.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::barge_in::PROMPTER;
use crate::bots::{ECHO, Source};
use crate::conducts::{CONDUCTS, EXCESSES};

/// Only a hang takes as long.
const PATIENCE: Duration = Duration::from_secs(60);
pub const PROMPT_SAMPLES: usize = 4_000;
const PROMPT_LEVEL: i16 = 12_000;

/// Routes without a fall-back, and what their bot is told to do.
const BARE: [&str; 2] = ["trap-in-start", "trap-in-frame"];

pub struct Host {
    process: Child,
    folder: PathBuf,
    uri_end: String,
}

impl Host {
    /// Returns once it is ready; `name` tells the folders of tests apart.
    pub fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("patchbay-misbehave-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let bots = folder.join("bots");
        std::fs::create_dir_all(&bots).unwrap();
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
        for (from, name) in [("bots/echo.wasm", "echo.wasm"), ("bots-test/misbehave.wasm", "misbehave.wasm")] {
            std::fs::copy(built.join(from), bots.join(name))
                .unwrap_or_else(|error| panic!("target/{from}: {error}; run `cargo xtask bots --tests`"));
        }
        for (name, bot) in text_bots() {
            std::fs::write(bots.join(format!("{name}.wasm")), bot.component()).unwrap();
        }
        write_prompt(&folder.join("sorry.wav"));
        std::fs::write(folder.join("patchbay.toml"), configuration()).unwrap();
        let log = std::fs::File::create(folder.join("host.log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_patchbay"))
            .args(["serve", "--config"])
            .arg(folder.join("patchbay.toml"))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut host = Self { process, folder, uri_end: String::new() };
        host.await_ready();
        host
    }

    fn await_ready(&mut self) {
        for line in BufReader::new(self.process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(address) = line.strip_prefix("listening tcp://") {
                self.uri_end = format!("@{address};transport=tcp");
            }
            if let Some(bots) = line.strip_prefix("ready bots=") {
                return assert_eq!(bots, "echo,grow-table,misbehave,prompter,save-1-gib");
            }
        }
        panic!("it never was ready: {}", self.log());
    }

    pub fn uri(&self, called: &str) -> String {
        format!("sip:{called}{}", self.uri_end)
    }

    /// Where it listens for SIP.
    pub fn sip(&self) -> SocketAddr {
        self.uri_end.trim_start_matches('@').split(';').next().and_then(|address| address.parse().ok()).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join("host.log")).unwrap()).into_owned()
    }

    /// Of all calls that are over, in the order of their ends, once there are so many.
    pub fn summaries(&self, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let summaries = summaries(&self.log());
            if summaries.len() >= count {
                return summaries;
            }
            assert!(Instant::now() < deadline, "{} of {count} summaries\n{}", summaries.len(), self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// By SIGTERM. Its log tells of no panic, and it ends well.
    pub fn stop(mut self) {
        let pid = self.process.id() as libc::pid_t;
        // SAFETY: a plain system call; the process is our child and not reaped yet.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
        let status = self.process.wait().unwrap();
        let log = self.log();
        assert!(status.success(), "{status}\n{log}");
        assert!(!log.contains("panicked at"), "{log}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Of a test that failed: the host does not outlive it. The log stays then.
        if std::thread::panicking() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        } else {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// What no Rust says: bots in WebAssembly text. They too behave while the host tries them out, in the call `dry-run`.
fn text_bots() -> [(&'static str, Source<'static>); 3] {
    let items = "(table $t 0 funcref) (global $real (mut i32) (i32.const 0))";
    let bot = Source { items, start: "(global.set $real (i32.ne (local.get 1) (i32.const 7)))", ..ECHO };
    // Beyond its limit the host gives no more, and this one does not take that well.
    let grows = "(if (global.get $real) (then (if
        (i32.eq (table.grow $t (ref.null func) (i32.const 10000)) (i32.const -1)) (then unreachable))))";
    let claims = "(if (global.get $real) (then (i32.store (i32.const 24) (i32.const 0x40000000))))";
    [
        ("grow-table", Source { on_frame: grows, ..bot }),
        ("save-1-gib", Source { save: claims, ..bot }),
        ("prompter", PROMPTER),
    ]
}

fn configuration() -> String {
    let mut text = r#"
        bots = "bots"
        drain_seconds = 1
        [[listeners]]
        listen = "tcp://127.0.0.1:0"
        [rtp]
        ports = "14000-14998"
        [[trunks]]
        name = "callers"
        networks = ["127.0.0.0/8"]
        [log]
        level = "info"
        personal = true
        [[routes]]
        called = "echo"
        plugin = "echo"
        tenant = "neighbours"
    "#
    .to_owned();
    // A tenant for each, or the quota of CPU that one uses up would be the others' too.
    let excesses = EXCESSES.iter().copied().chain(CONDUCTS.iter().map(|(called, ..)| *called));
    for called in excesses.chain(["good", "prompter"]) {
        let plugin = text_bots().iter().find(|(name, _)| *name == called).map_or("misbehave", |(name, _)| name);
        text += &format!(
            "[[routes]]\ncalled = \"{called}\"\nplugin = \"{plugin}\"\ntenant = \"{called}\"\nfallback_prompt = \"sorry.wav\"\n"
        );
    }
    for conduct in BARE {
        text += &format!(
            "[[routes]]\ncalled = \"bare-{conduct}\"\nplugin = \"misbehave\"\nconfig = {{ conduct = \"{conduct}\" }}\n"
        );
    }
    text
}

/// Loud and square: nothing else that is heard in these tests is like it.
fn write_prompt(path: &Path) {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut wav = hound::WavWriter::create(path, spec).unwrap();
    (0..PROMPT_SAMPLES).for_each(|at| {
        wav.write_sample(if at / 10 % 2 == 0 { PROMPT_LEVEL } else { -PROMPT_LEVEL }).unwrap();
    });
    wav.finalize().unwrap();
}

pub fn is_prompt(sample: i16) -> bool {
    sample.unsigned_abs() > PROMPT_LEVEL.unsigned_abs() / 2
}

/// From the lines of the target `summary`.
fn summaries(log: &str) -> Vec<Value> {
    log.lines()
        .filter_map(|line| line.split_once(" summary: {"))
        .filter_map(|(_, rest)| serde_json::from_str(&format!("{{{rest}")).ok())
        .collect()
}
