//! pjsua2 as a caller: `pjsua/call.py` places one call and tells what happens.

use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::clients;
use crate::host::Transport;
use crate::running::Running;
use crate::sound::{read_wav, write_wav};
use crate::stage::{Stage, free_ports};

const CALL_SECONDS_MAX: u64 = 40;

pub struct Plan<'a> {
    pub bot: &'a str,
    pub transport: Transport,
    /// Offers RTP/SAVP and nothing else.
    pub srtp: bool,
    pub says: &'a [i16],
    /// At once after the confirmation.
    pub reinvite: bool,
    /// As call.py has them.
    pub steps: Value,
    /// What a REFER is answered; 202: whom it names is called.
    pub referred: u16,
    /// Whom it trusts.
    pub authority: PathBuf,
}

/// What came of a call.
#[derive(Debug)]
pub struct Told {
    events: Vec<Value>,
    heard: PathBuf,
    /// By the call that a REFER has made.
    heard_referred: PathBuf,
    pub succeeded: bool,
    log: PathBuf,
}

impl<'a> Plan<'a> {
    /// Calls echo and says nothing; over TLS its media are encrypted.
    pub fn new(stage: &Stage, transport: Transport, steps: Value) -> Plan<'a> {
        let authority = stage.certificates.authority.clone();
        let srtp = transport == Transport::Tls;
        Plan { bot: "echo", transport, srtp, says: &[], reinvite: false, steps, referred: 603, authority }
    }

    pub fn run(&self, stage: &Stage) -> Result<Told> {
        let folder = stage.folder.join("pjsua");
        std::fs::create_dir_all(&folder)?;
        let (says, heard, log) = (folder.join("says.wav"), folder.join("heard.wav"), folder.join("pjsua.log"));
        let heard_referred = folder.join("heard-referred.wav");
        write_wav(&says, self.says)?;
        let plan = json!({
            "uri": stage.host.uri(self.bot, self.transport),
            "transport": self.transport.name(),
            "ca": self.authority,
            "srtp": self.srtp,
            "play": says,
            "record": heard,
            "referred": self.referred,
            "record_referred": heard_referred,
            "reinvite": self.reinvite,
            "steps": self.steps,
            "deadline": CALL_SECONDS_MAX,
            "rtp_port": free_ports(8)?,
            "log": log,
        });
        let mut command = Command::new(clients::python());
        command.arg(folder_of_script().join("call.py")).arg(plan.to_string());
        let (mut process, lines) = Running::start_read(command, &folder.join("stderr.log"))?;
        let status = process.wait(Duration::from_secs(CALL_SECONDS_MAX + 10))?;
        let events = read(&lines);
        if events.is_empty() {
            bail!("pjsua2 tells nothing: {status}\n{}", process.output());
        }
        Ok(Told { events, heard, heard_referred, succeeded: status.success(), log })
    }
}

impl Told {
    /// Errors: the call did not go by the plan.
    pub fn expect_success(self) -> Result<Told> {
        if !self.succeeded {
            bail!("pjsua2 failed, see {}: {:#?}", self.log.display(), self.events);
        }
        Ok(self)
    }

    pub fn of<'a>(&'a self, event: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |told| told["event"] == event)
    }

    /// The keys that it was sent.
    pub fn keys(&self) -> String {
        self.of("digit").filter_map(|told| told["key"].as_str()).collect()
    }

    pub fn heard(&self) -> Result<Vec<i16>> {
        read_wav(&self.heard)
    }

    /// By the call that a REFER has made.
    pub fn heard_referred(&self) -> Result<Vec<i16>> {
        read_wav(&self.heard_referred)
    }

    /// Its own count of what it lost, in all streams.
    pub fn lost(&self) -> Result<u64> {
        let counts: Option<Vec<u64>> = self.of("stream-over").map(|told| told["lost"].as_u64()).collect();
        let counts = counts.filter(|counts| !counts.is_empty()).context("no stream ended")?;
        Ok(counts.iter().sum())
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn folder_of_script() -> PathBuf {
    patchbay_tests::repository().join("tests/interop/pjsua")
}

/// pjsua2 writes a few lines of its own before it is told where to.
fn read(lines: &Receiver<String>) -> Vec<Value> {
    // The sender ends with the process.
    lines.iter().filter_map(|line| serde_json::from_str(&line).ok()).collect()
}
