//! The host: examples/quickstart/patchbay.toml with its TLS listener turned on, and a certificate made for this run.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use patchbay_tests::certificates::{self, Certificates};
use patchbay_tests::repository;
use patchbay_tests::running::Running;
use serde_json::Value;

use crate::placed::Transport;
use crate::seen_within;

/// Compiling the bots on a busy machine.
const READY_TIME_MAX: Duration = Duration::from_secs(60);
const STOP_TIME_MAX: Duration = Duration::from_secs(20);
const SUMMARY_TIME_MAX: Duration = Duration::from_secs(10);
const STAY_TIME_MAX: Duration = Duration::from_secs(30 * 86_400);

pub struct Host {
    process: Running,
    listeners: Vec<(Transport, SocketAddr)>,
    pub certificates: Certificates,
}

impl Host {
    /// Waits until it is ready. `usual_ports`: those that the example names, instead of whichever are free.
    pub fn start(patchbay: &Path, folder: &Path, usual_ports: bool) -> Result<Host> {
        let certificates = certificates::make(folder)?;
        let config = configuration(folder, usual_ports)?;
        let mut command = Command::new(patchbay);
        command.args(["serve", "--config"]).arg(&config);
        // Whatever ends this process, the host drains and ends too.
        // SAFETY: between fork and exec, one system call without pointers.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let began = Instant::now();
        let (process, lines) = Running::start_read(command, &folder.join("host.log"))?;
        let mut host = Host { process, listeners: Vec::new(), certificates };
        let bots = host.await_ready(&lines).with_context(|| format!("the host does not start:\n{}", host.log()))?;
        println!("host ready after {} ms, bots {bots}", began.elapsed().as_millis());
        Ok(host)
    }

    fn await_ready(&mut self, lines: &Receiver<String>) -> Result<String> {
        let deadline = Instant::now() + READY_TIME_MAX;
        loop {
            let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))?;
            println!("{line}");
            if let Some(bots) = line.strip_prefix("ready bots=") {
                return Ok(bots.to_owned());
            }
            let Some((scheme, address)) = line.strip_prefix("listening ").and_then(|l| l.split_once("://")) else {
                continue;
            };
            if let Some(transport) = Transport::named(scheme) {
                self.listeners.push((transport, address.parse()?));
            }
        }
    }

    pub fn uri(&self, bot: &str, transport: Transport) -> String {
        let address = self.listeners.iter().find(|(listens, _)| *listens == transport).map(|(_, address)| address);
        let address = address.map_or_else(|| "no listener".to_owned(), SocketAddr::to_string);
        format!("sip:{bot}@{address};transport={}", transport.scheme())
    }

    fn log(&self) -> String {
        self.process.output()
    }

    /// What the host itself says of the call that had this plugin and transport.
    pub fn summary(&self, plugin: &str, transport: Transport) -> Result<Value> {
        let wanted = |summary: &Value| summary["plugin"] == plugin && summary["transport"] == transport.scheme();
        let look = || summaries(&self.log()).into_iter().find(wanted);
        seen_within(SUMMARY_TIME_MAX, look)
            .with_context(|| format!("the host's log has no summary of a call to {plugin}"))
    }

    /// Until it ends by itself.
    pub fn wait(&mut self) {
        // Its end is judged by `stop`.
        let _ = self.process.wait(STAY_TIME_MAX);
    }

    /// Errors: it does not drain, ends with an error, or a thread of it panicked.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(libc::SIGTERM);
        let status = self.process.wait(STOP_TIME_MAX)?;
        ensure!(status.success(), "the host ended with {status}:\n{}", self.log());
        ensure!(!self.log().contains("panicked at"), "a thread of the host panicked:\n{}", self.log());
        Ok(())
    }
}

/// Writes the example's configuration, with TLS, into `folder`, where the certificates are.
fn configuration(folder: &Path, usual_ports: bool) -> Result<PathBuf> {
    let example = repository().join("examples/quickstart/patchbay.toml");
    let text = fs::read_to_string(&example).with_context(|| example.display().to_string())?;
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let commented_out = ["# [[listeners]]", "# listen =", "# certificates ="];
        let line = if commented_out.iter().any(|start| line.starts_with(start)) { &line[2..] } else { line };
        lines.push(line.replace("../../target/bots", "../bots"));
    }
    let mut text = lines.join("\n");
    ensure!(text.contains("\nlisten = \"tls://"), "{} has no TLS listener to turn on", example.display());
    if !usual_ports {
        for port in [":5070\"", ":5061\"", ":8080\""] {
            text = text.replace(port, ":0\"");
        }
    }
    let path = folder.join("patchbay.toml");
    fs::write(&path, text)?;
    Ok(path)
}

/// One JSON object a call, after the target's name.
fn summaries(log: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| line.split_once(" summary: "));
    lines.filter_map(|(_, summary)| serde_json::from_str(summary).ok()).collect()
}
