//! Programs that are measured, or that measure: each ends with us, and each of its lines is waited for with a deadline.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// Compiling the bots on a busy machine.
const READY_TIME_MAX: Duration = Duration::from_secs(60);

/// A process that ends with this.
pub struct Running(pub Child);

impl Running {
    /// Waits for the line that begins with `ready`, and returns those before it. Its stderr goes to `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<(Running, Vec<String>)> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(log)?);
        let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
        let stdout = child.stdout.take().context("its stdout is piped")?;
        let (running, said) = (Running(child), lines_of(stdout));
        let deadline = Instant::now() + READY_TIME_MAX;
        let mut lines = Vec::new();
        loop {
            let line = said.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.with_context(|| format!("{name} is not ready; see {}", log.display()))?;
            if line.starts_with("ready") {
                return Ok((running, lines));
            }
            lines.push(line);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a program that measures says when it is done: its figures, as one line.
pub fn said_by(mut command: Command, time_max: Duration) -> Result<Map<String, Value>> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("the load generator")?;
    let said = lines_of(child.stdout.take().context("its stdout is piped")?);
    let _ends_with_this = Running(child);
    let line = said.recv_timeout(time_max).context("the load generator measured nothing")?;
    match serde_json::from_str(&line)? {
        Value::Object(figures) => Ok(figures),
        _ => bail!("the load generator said {line}"),
    }
}

/// Read on a thread, so that whoever waits for a line has a deadline.
fn lines_of(stdout: ChildStdout) -> std::sync::mpsc::Receiver<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
