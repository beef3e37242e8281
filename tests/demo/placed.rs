//! One call: what is asked of the bot, what the caller reports, what the host reports, and what was heard.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use patchbay_tests::repository;
use patchbay_tests::running;
use patchbay_tests::sound::{self, Likeness};
use serde::Deserialize;
use serde_json::Value;

use crate::host::Host;

/// The longest that either call may take: it is hung up then.
const CALL_SECONDS_MAX: u64 = 40;
const CALL_TIME_MAX: Duration = Duration::from_secs(CALL_SECONDS_MAX + 35);
/// A number, `4 7 #`, is entered when the menu and the question have been heard for three seconds; a comma is half a second.
const KEYS: &str = ",,,,,,1,,,,,,47#,,,,,,,9";
/// What must be heard meanwhile, in this order, and at most how much of it: a key cuts the rest off. Units: ms.
const PROMPTS: [(&str, usize); 6] = [
    ("menu", 2400),
    ("enter", 2400),
    ("you-entered", usize::MAX),
    ("4", usize::MAX),
    ("7", usize::MAX),
    ("goodbye", usize::MAX),
];
/// Keys pressed, pauses left out.
pub const KEYS_PRESSED: u64 = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Says the recording and hangs up.
    Echo,
    /// Walks the menu with keys until the bot says goodbye and hangs up.
    Menu,
}

impl Ask {
    pub fn title(self) -> &'static str {
        match self {
            Ask::Echo => "A voice to the echo bot",
            Ask::Menu => "Keys to the menu",
        }
    }

    pub fn bot(self) -> &'static str {
        match self {
            Ask::Echo => "echo",
            Ask::Menu => "dtmf-menu",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Tls,
    Udp,
}

impl Transport {
    pub fn named(scheme: &str) -> Option<Transport> {
        [Transport::Tcp, Transport::Tls, Transport::Udp].into_iter().find(|transport| transport.scheme() == scheme)
    }

    pub fn scheme(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Udp => "udp",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Transport::Tcp => "TCP, RTP",
            Transport::Tls => "TLS, SRTP",
            Transport::Udp => "UDP, RTP",
        }
    }
}

/// As `patchbay call --json` prints it.
#[derive(Debug, Deserialize)]
pub struct Report {
    pub status: u16,
    pub setup_ms: Option<f64>,
    pub codec: Option<String>,
    pub srtp: bool,
    pub packets_sent: u64,
    pub packets_received: u64,
    pub packets_lost: u64,
    pub ended_by: String,
    pub seconds: f64,
}

pub struct Placed {
    pub ask: Ask,
    pub transport: Transport,
    pub report: Report,
    /// The host's own record of the call.
    pub summary: Value,
    pub ladder: String,
    pub recording: PathBuf,
    /// The voice that came back, or each prompt by its name.
    pub heard: Vec<(&'static str, Likeness)>,
}

/// Errors: the call was refused or broke, or one of the two sides has no record of it.
pub fn place(patchbay: &Path, host: &Host, folder: &Path, ask: Ask, transport: Transport) -> Result<Placed> {
    let name = format!("{}-{}", ask.bot(), transport.scheme());
    let recording = folder.join(format!("{name}.wav"));
    let voice = repository().join("examples/quickstart/voice.wav");
    let mut command = Command::new(patchbay);
    command.arg("call").arg(host.uri(ask.bot(), transport)).args(["--json", "--ladder", "--record"]).arg(&recording);
    match ask {
        Ask::Echo => command.arg("--play").arg(&voice),
        Ask::Menu => command.args(["--digits", KEYS, "--duration", &CALL_SECONDS_MAX.to_string()]),
    };
    if transport == Transport::Tls {
        command.arg("--srtp").arg("--tls-ca").arg(&host.certificates.authority);
    }
    let log = folder.join(format!("{name}.ladder"));
    let output = running::run(command, &log, CALL_TIME_MAX)?;
    let report = serde_json::from_str(&output).with_context(|| format!("not a report: {output}"))?;
    let samples = sound::read_wav(&recording)?;
    let heard = match ask {
        Ask::Echo => vec![("voice", sound::likeness(&sound::read_wav(&voice)?, &samples))],
        Ask::Menu => prompts_in(&samples)?,
    };
    let summary = host.summary(ask.bot(), transport)?;
    Ok(Placed { ask, transport, report, summary, ladder: std::fs::read_to_string(&log)?, recording, heard })
}

fn prompts_in(samples: &[i16]) -> Result<Vec<(&'static str, Likeness)>> {
    let mut heard = Vec::new();
    for (name, ms_max) in PROMPTS {
        let path = repository().join("plugins/prompts").join(format!("{name}.wav"));
        let mut prompt = sound::read_a_law_wav(&path)?;
        prompt.truncate(ms_max.saturating_mul(sound::SAMPLES_PER_MS));
        heard.push((name, sound::likeness(&prompt, samples)));
    }
    Ok(heard)
}

impl Placed {
    pub fn report_line(&self) -> String {
        let Report { status, setup_ms, codec, packets_sent, packets_received, packets_lost, ended_by, seconds, .. } =
            &self.report;
        let (setup, codec) = (setup_ms.unwrap_or_default(), codec.as_deref().unwrap_or("no codec"));
        format!(
            "{status} after {setup:.1} ms, {codec}; {packets_sent} packets sent, {packets_received} received, \
             {packets_lost} lost; {seconds:.1} s, ended by the {ended_by}"
        )
    }

    /// All that should be heard was heard, one after the other.
    pub fn was_heard(&self) -> bool {
        self.heard.iter().all(|(_, likeness)| likeness.is_the_same())
            && self.heard.windows(2).all(|two| two[0].1.delay_ms < two[1].1.delay_ms)
    }

    /// A count in the host's record; 0 if it is not there.
    pub fn counted(&self, path: &str) -> u64 {
        self.summary.pointer(path).and_then(Value::as_u64).unwrap_or(0)
    }
}
