//! The host under test: started as an operator does, known only by what it prints and answers.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::certificates::Certificates;
use crate::running::{Running, until};
use crate::stage::built;

/// Compiling four bots on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(60);
const SUMMARY_TIME_MAX: Duration = Duration::from_secs(20);
const DRAIN_SECONDS: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Srtp {
    Require,
    Prefer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Tcp,
    Tls,
    Udp,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Udp => "udp",
        }
    }
}

pub struct HostPlan<'a> {
    pub certificates: &'a Certificates,
    pub listeners: Listeners,
    pub srtp: Srtp,
    pub rtp_ports: RangeInclusive<u16>,
    /// TOML, beside the one that leads every bot's name to that bot.
    pub routes: &'a str,
}

/// Where a host answers: three ports in a row.
#[derive(Clone, Copy, Debug)]
pub struct Listeners {
    pub first_port: u16,
}

impl Listeners {
    pub const COUNT: u16 = 3;

    pub fn address(self, transport: Transport) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.first_port + transport as u16).into()
    }

    pub fn uri(self, user: &str, transport: Transport) -> String {
        format!("sip:{user}@{};transport={}", self.address(transport), transport.name())
    }
}

pub struct Host {
    process: Running,
    listeners: Listeners,
    pub rtp_ports: RangeInclusive<u16>,
    /// Its own captures, one per call.
    pub captures: PathBuf,
    /// Summaries that a test has asked for.
    told: usize,
}

impl Host {
    /// With the bots of `folder`/bots. Waits until it is ready.
    pub fn start(folder: &Path, plan: &HostPlan) -> Result<Host> {
        let captures = folder.join("captures");
        fs::create_dir_all(&captures)?;
        let file = folder.join("patchbay.toml");
        fs::write(&file, configuration(plan))?;
        let mut command = Command::new(built("PATCHBAY_BIN", "debug/patchbay")?);
        command.arg("serve").arg("--config").arg(file);
        let (process, lines) = Running::start_read(command, &folder.join("host.log"))?;
        let host = Host { process, listeners: plan.listeners, rtp_ports: plan.rtp_ports.clone(), captures, told: 0 };
        host.await_ready(&lines).with_context(|| format!("the host does not start:\n{}", host.log()))?;
        Ok(host)
    }

    fn await_ready(&self, lines: &Receiver<String>) -> Result<()> {
        let deadline = Instant::now() + START_TIME_MAX;
        loop {
            let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))?;
            if let Some(bots) = line.strip_prefix("ready bots=") {
                ensure!(bots == "control,dtmf-menu,echo,press-back", "other bots: {bots}");
                return Ok(());
            }
            ensure!(line.starts_with("listening "), "unknown line: {line}");
        }
    }

    pub fn address(&self, transport: Transport) -> SocketAddr {
        self.listeners.address(transport)
    }

    pub fn uri(&self, bot: &str, transport: Transport) -> String {
        self.listeners.uri(bot, transport)
    }

    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Of the next call that ended, in the order of their ends. Errors: none within 20 s.
    pub fn next_summary(&mut self) -> Result<Summary> {
        let nth = self.told;
        self.told += 1;
        let summary = until(SUMMARY_TIME_MAX, || summaries(&self.log()).into_iter().nth(nth));
        Ok(Summary(summary.with_context(|| format!("no summary of call {}:\n{}", nth + 1, self.log()))?))
    }

    /// By SIGTERM. Errors: it is not over in time, not with success, or told of more calls than the test asked for.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(libc::SIGTERM);
        let status = self.process.wait(Duration::from_secs(DRAIN_SECONDS + 10))?;
        let log = self.log();
        ensure!(status.success(), "the host ended with {status}:\n{log}");
        ensure!(!log.contains("panicked at"), "a thread of the host panicked:\n{log}");
        ensure!(
            summaries(&log).len() == self.told,
            "the host knows of {} calls, the test of {}",
            summaries(&log).len(),
            self.told
        );
        Ok(())
    }
}

fn configuration(plan: &HostPlan) -> String {
    let listeners = [Transport::Tcp, Transport::Tls, Transport::Udp].map(|transport| {
        let Certificates { server, server_key, .. } = plan.certificates;
        let (cert, key) = (server.display(), server_key.display());
        let certificates = match transport {
            Transport::Tls => format!("certificates = [{{ cert = \"{cert}\", key = {{ file = \"{key}\" }} }}]\n"),
            Transport::Tcp | Transport::Udp => String::new(),
        };
        let address = plan.listeners.address(transport);
        format!("[[listeners]]\nlisten = \"{}://{address}\"\n{certificates}", transport.name())
    });
    let (first, last) = (plan.rtp_ports.start(), plan.rtp_ports.end());
    let srtp = if plan.srtp == Srtp::Require { "require" } else { "prefer" };
    format!(
        "bots = \"bots\"\ndrain_seconds = {DRAIN_SECONDS}\nsip_trace = true\nlog.personal = true\nrtp.ports = \"{first}-{last}\"\n\
         pcap = {{ enabled = true, dir = \"captures\" }}\n{}\
         [[trunks]]\nname = \"local\"\nnetworks = [\"127.0.0.0/8\"]\ntrusted = true\nsrtp = \"{srtp}\"\n\
         [[routes]]\nplugin = \"{{called}}\"\n{}",
        listeners.concat(),
        plan.routes
    )
}

/// From the lines of the target `summary`.
fn summaries(log: &str) -> Vec<Value> {
    log.lines()
        .filter_map(|line| line.split_once(" summary: {"))
        .filter_map(|(_, rest)| serde_json::from_str(&format!("{{{rest}")).ok())
        .collect()
}

/// What the host says of one call.
#[derive(Debug)]
pub struct Summary(Value);

impl Summary {
    /// The value at a path, `media.packets_lost`. Errors: there is none.
    pub fn get(&self, path: &str) -> Result<&Value> {
        self.0.pointer(&format!("/{}", path.replace('.', "/"))).with_context(|| format!("no {path} in {}", self.0))
    }

    pub fn text(&self, path: &str) -> Result<&str> {
        self.get(path)?.as_str().with_context(|| format!("{path} is no text in {}", self.0))
    }

    pub fn number(&self, path: &str) -> Result<u64> {
        self.get(path)?.as_u64().with_context(|| format!("{path} is no number in {}", self.0))
    }

    /// What the bot noted under a key.
    pub fn note(&self, key: &str) -> Option<&str> {
        let notes = self.0.get("notes")?.as_array()?;
        notes.iter().find(|note| note[0] == key)?.get(1)?.as_str()
    }

    /// Errors: all that is not as said. `expected` lists paths and values.
    pub fn expect(&self, expected: &[(&str, Value)]) -> Result<()> {
        let wrong: Vec<String> = expected
            .iter()
            .filter_map(|(path, value)| match self.get(path) {
                Ok(found) if found == value => None,
                Ok(found) => Some(format!("{path} is {found}, not {value}")),
                Err(error) => Some(error.to_string()),
            })
            .collect();
        if !wrong.is_empty() {
            bail!("{}\nin {}", wrong.join("\n"), self.0);
        }
        Ok(())
    }

    /// A call that was answered, lost nothing, and ended as said.
    pub fn expect_good(&self, transport: Transport, srtp: bool, ended_by: &str) -> Result<()> {
        self.expect(&[
            ("status", 200.into()),
            ("transport", transport.name().into()),
            ("codec", "PCMA".into()),
            ("srtp", srtp.into()),
            ("ended_by", ended_by.into()),
            ("cause", "bye".into()),
            ("fallback", false.into()),
            ("media.packets_lost", 0.into()),
            ("dropped", 0.into()),
        ])?;
        ensure!(self.number("media.packets_sent")? > 0, "nothing was sent: {}", self.0);
        ensure!(self.number("media.packets_received")? > 0, "nothing was received: {}", self.0);
        Ok(())
    }
}
