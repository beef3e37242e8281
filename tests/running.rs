//! A process that a test started: in a group of its own, ended with the test whatever happens, and never waited for without end.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Running {
    pub name: String,
    child: Child,
    /// What it wrote to stderr, and to stdout if nobody reads that.
    pub log: PathBuf,
}

impl Running {
    /// Starts it with all its output in `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Running> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        command.stdout(file.try_clone()?).stderr(file);
        Self::spawn(command, log)
    }

    /// Starts it with its stdout in the channel, a line at a time, and its stderr in `log`.
    pub fn start_read(mut command: Command, log: &Path) -> Result<(Running, Receiver<String>)> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        command.stdout(Stdio::piped()).stderr(file);
        let mut running = Self::spawn(command, log)?;
        let stdout = running.child.stdout.take().context("its stdout is piped")?;
        let (lines, read) = channel();
        // Ends with the process, which ends with the test.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Ok((running, read))
    }

    fn spawn(mut command: Command, log: &Path) -> Result<Running> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child =
            command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Running { name, child, log: log.to_owned() })
    }

    /// Nothing happens if it is over.
    pub fn signal(&mut self, signal: libc::c_int) {
        if let Ok(None) = self.child.try_wait() {
            // SAFETY: a call without pointers. The child is not reaped yet, so the pid is its own.
            unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
        }
    }

    /// Errors: it did not end in time. Then it goes on, until dropped.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        until(limit, || child.try_wait().ok().flatten())
            .with_context(|| format!("{} goes on after {} s", self.name, limit.as_secs()))
    }

    pub fn output(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // SAFETY: a call without pointers. The child leads its group and is not reaped yet, so the group is ours.
            unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
            let _ = self.child.wait();
        }
    }
}

/// Runs it to its end. Returns its stdout; stderr goes to `log`. Errors: it failed, or took longer than `limit`.
pub fn run(mut command: Command, log: &Path, limit: Duration) -> Result<String> {
    // A file, for a pipe that nobody reads meanwhile would fill up.
    let stdout = log.with_extension("stdout");
    command.stdout(File::create(&stdout)?).stderr(File::create(log)?);
    let mut running = Running::spawn(command, log)?;
    let status = running.wait(limit)?;
    if !status.success() {
        bail!("{}: {status}\n{}", running.name, running.output());
    }
    std::fs::read_to_string(&stdout).with_context(|| stdout.display().to_string())
}

/// Looks again and again. Errors: nothing was seen within `limit`.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            bail!("not seen within {:.1} s", limit.as_secs_f64());
        }
        thread::sleep(LOOK_EVERY);
    }
}
