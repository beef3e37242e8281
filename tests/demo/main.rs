//! The demo: a host on this machine with examples/quickstart, real calls to it, and the trunk's own testing checklist.
//! `cargo xtask demo` builds what it needs and runs it: `demo <patchbay> [--stay]`.
//!
//! The caller is `patchbay call`, a process of its own that shares nothing with the host but the wire. What it heard is
//! compared with what was said, sample by sample; what the host counted stands in its log, as for any call.

mod checklist;
mod host;
mod placed;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result};
use patchbay_tests::repository;

use host::Host;
use placed::{Ask, Placed, Transport};

/// Echo on each transport; the menu where keys travel in plain RTP and where they travel encrypted.
const CALLS: [(Ask, Transport); 5] = [
    (Ask::Echo, Transport::Tcp),
    (Ask::Echo, Transport::Tls),
    (Ask::Echo, Transport::Udp),
    (Ask::Menu, Transport::Tcp),
    (Ask::Menu, Transport::Tls),
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True: every row of the checklist holds.
fn run() -> Result<bool> {
    let mut arguments = env::args().skip(1);
    let patchbay = PathBuf::from(arguments.next().context("usage: demo <patchbay> [--stay]")?);
    let stay = arguments.next().is_some_and(|argument| argument == "--stay");
    let folder = repository().join("target/demo");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;

    let mut host = Host::start(&patchbay, &folder, stay)?;
    let mut calls = Vec::new();
    for (ask, transport) in CALLS {
        println!("\n{} by {}:", ask.title(), transport.title());
        match placed::place(&patchbay, &host, &folder, ask, transport) {
            Ok(call) => {
                println!("{}\n  {}", indented(&call.ladder), call.report_line());
                calls.push(call);
            }
            Err(error) => println!("  failed: {error:#}"),
        }
    }
    let all_well = judge(&calls, &folder);
    if stay {
        invite(&host);
        host.wait();
    }
    host.stop()?;
    Ok(all_well)
}

fn judge(calls: &[Placed], folder: &Path) -> bool {
    let rows = checklist::rows(calls);
    println!("\n{}", checklist::table(&rows));
    for call in calls {
        println!("recording: {}", call.recording.display());
    }
    println!("the host's log: {}", folder.join("host.log").display());
    let failed = rows.iter().filter(|row| !row.holds).count();
    println!(
        "{}",
        if failed == 0 { "every row holds".to_owned() } else { format!("{failed} of {} rows fail", rows.len()) }
    );
    failed == 0
}

/// What somebody may dial now.
fn invite(host: &Host) {
    println!(
        "\nThe host goes on until you press Ctrl-C. Dial from this machine, with a softphone or with patchbay call:"
    );
    for transport in [Transport::Tcp, Transport::Udp, Transport::Tls] {
        for bot in ["echo", "dtmf-menu"] {
            println!("  {}", host.uri(bot, transport));
        }
    }
    println!("TLS: trust {}, and use SRTP.", host.certificates.authority.display());
    println!("A bot saved again to target/bots serves the next call: change plugins/echo, then run cargo xtask bots.");
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// Looks until there is something to see. None: not within `limit`.
fn seen_within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Some(seen) => return Some(seen),
            None if Instant::now() >= deadline => return None,
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}
