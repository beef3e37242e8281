//! `patchbay call`, many at once.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::host::{Host, is_prompt};

pub struct Caller {
    process: Child,
    pub recording: PathBuf,
}

/// How a call went, as its caller saw it.
#[derive(Debug)]
pub struct Report {
    pub call: Value,
    /// Samples of the fall-back prompt among what was heard.
    pub prompt_samples: usize,
}

impl Caller {
    /// Calls a number and says nothing but `flags`.
    pub fn dial(host: &Host, called: &str, flags: &[&str]) -> Self {
        static CALLS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let recording = host.folder().join(format!("{called}-{number}.wav"));
        let process = Command::new(env!("CARGO_BIN_EXE_patchbay"))
            .args(["call", &host.uri(called), "--json", "--record"])
            .arg(&recording)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process, recording }
    }

    pub fn report(self) -> Report {
        let output = self.process.wait_with_output().unwrap();
        let call = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let heard = hound::WavReader::open(&self.recording)
            .map(|mut wav| wav.samples::<i16>().filter(|sample| sample.as_ref().is_ok_and(|s| is_prompt(*s))).count());
        Report { call, prompt_samples: heard.unwrap_or(0) }
    }
}

/// Calls numbers at once, and waits for the end of all.
pub fn dial_all(host: &Host, calls: &[(&str, &[&str])]) -> Vec<Report> {
    let callers: Vec<Caller> = calls.iter().map(|(called, flags)| Caller::dial(host, called, flags)).collect();
    callers.into_iter().map(Caller::report).collect()
}
