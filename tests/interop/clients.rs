//! Which clients this machine has, and what to run for those it lacks.

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail};

use crate::stage::interop_folder;

/// One per line: a kind (`apt`, `pip`) and a name.
const NEEDED: &str = include_str!("clients.txt");

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// With raw sockets, by which it plays recordings of packets.
    Sipp,
    Baresip,
    Pjsua,
    /// With the right to capture on loopback.
    Tshark,
}

impl Client {
    /// None: it can be used. Else what is missing, and the line to run.
    fn missing(self) -> Option<String> {
        match self {
            Client::Sipp if !on_path("sipp") => Some(apt("sip-tester")),
            Client::Sipp if !raw_sockets() => Some("sipp plays recordings by raw sockets: run as root".into()),
            Client::Baresip if !on_path("baresip") => Some(apt("baresip-core")),
            Client::Tshark if !on_path("tshark") || !on_path("dumpcap") => Some(apt("tshark")),
            Client::Tshark if !captures_loopback() => Some("dumpcap may not capture on lo: run as root".into()),
            Client::Pjsua if !imports_pjsua() => Some(pip()),
            _ => None,
        }
    }
}

/// Whether the test can run. False: it was said loudly that it is skipped. Errors: something is missing, and nothing may be.
pub fn all_there(test: &str, clients: &[Client]) -> Result<bool> {
    let missing: Vec<String> = clients.iter().filter_map(|client| client.missing()).collect();
    if missing.is_empty() {
        return Ok(true);
    }
    let missing = missing.join("; ");
    if env::var("CI").is_ok_and(|ci| ci == "true") {
        bail!("{test} needs what this machine lacks: {missing}");
    }
    let skipped = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    // Not by eprintln, which the test harness swallows when a test succeeds; in one piece, for it writes between.
    let skip = format!("\n*** interop: SKIPPED {test} ({skipped} skipped so far): {missing}\n\n");
    std::io::stderr().write_all(skip.as_bytes())?;
    Ok(false)
}

pub fn python() -> PathBuf {
    interop_folder().join("venv/bin/python")
}

fn apt(package: &str) -> String {
    debug_assert!(NEEDED.lines().any(|line| line == format!("apt {package}")));
    format!("apt-get install -y --no-install-recommends {package}")
}

fn pip() -> String {
    let wanted: Vec<&str> = NEEDED.lines().filter_map(|line| line.strip_prefix("pip ")).collect();
    let venv = interop_folder().join("venv");
    let venv = venv.display();
    format!("python3 -m venv {venv} && {venv}/bin/pip install --no-deps {}", wanted.join(" "))
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn imports_pjsua() -> bool {
    succeeds(Command::new(python()).args(["-c", "import pjsua2"]))
}

fn captures_loopback() -> bool {
    succeeds(Command::new("dumpcap").args(["-i", "lo", "-d"]))
}

fn raw_sockets() -> bool {
    // SAFETY: calls without pointers; the descriptor is closed here and used nowhere else.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_UDP);
        socket >= 0 && libc::close(socket) == 0
    }
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
