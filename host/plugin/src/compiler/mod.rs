//! Compiling what strangers upload: in a child process that has nothing and can be killed, because wasmtime's promises do not cover
//! the compiler (one big function can take for ever). The host itself never parses a component that was not compiled.

mod child;
mod confine;
mod order;

use crate::load_error::one_line_of;
use crate::{Artefact, Cache, Digest, Engine, LoadError, Plugin};
pub use child::compile_child;
use child::{EXIT_FAILED, EXIT_REFUSED, WARNING};
pub use confine::confine;
pub use order::CompileLimits;
use order::Order;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

/// What of the child's stderr is read. Its own lines are far shorter.
const STDERR_BYTES_MAX: u64 = 16 << 10;
const REASON_CHARS_MAX: usize = 1000;
/// How long a child runs only when nobody else wants the processor.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why there is no compiled code: one line each, for the uploader unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// What the child says of a component that cannot be a bot; begins with its name, as every `LoadError` does.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{name}: compiling took more than {seconds} s")]
    TookTooLong { name: String, seconds: u32 },
    #[error("{name}: compiling needed more than {}", size(*bytes))]
    TookTooMuch { name: String, bytes: u64 },
    #[error("{name}: compiled it is larger than {}", size(*bytes as u64))]
    TooBig { name: String, bytes: usize },
    /// The host's: its processors were busy with calls.
    #[error("{name}: not compiled within {seconds} s, because the host was busy: try again later")]
    Starved { name: String, seconds: u64 },
    /// The host's: as many uploads wait as may.
    #[error("{name}: {waiting} other uploads wait to be compiled: try again later")]
    Busy { name: String, waiting: usize },
    /// The host's, and not of load.
    #[error("{name}: the host could not compile it: {reason}")]
    Failed { name: String, reason: String },
}

impl CompileError {
    /// Whether the component is at fault, so that trying again is of no use.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Starved { .. } | Self::Busy { .. } | Self::Failed { .. })
    }
}

fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units.iter().find(|(shift, _)| bytes >> shift << shift == bytes && bytes >> shift > 0);
    whole.map_or_else(|| format!("{bytes} bytes"), |(shift, unit)| format!("{} {unit}", bytes >> shift))
}

/// What came of it, and what the operator should hear once: where this kernel does not confine the child, or the cache took nothing.
#[derive(Debug)]
pub struct Compiled<T> {
    pub made: T,
    pub warnings: Vec<String>,
}

/// Starts children that compile, one at a time. Blocking: for a thread of its own, never for one that serves calls.
pub struct Compiler {
    engine: Engine,
    program: PathBuf,
    args: Vec<OsString>,
    limits: CompileLimits,
    one_at_a_time: Mutex<()>,
    /// Compilations that were asked for and have not ended, the running one included.
    asked: AtomicUsize,
}

/// What a child left behind.
struct Ended {
    status: ExitStatus,
    out_of_time: bool,
    stdout: Vec<u8>,
    stderr: String,
}

impl Compiler {
    /// `program` with `args` must call `compile_child` with the arguments that follow these.
    pub fn new(engine: Engine, program: PathBuf, args: Vec<OsString>, limits: CompileLimits) -> Self {
        Self { engine, program, args, limits, one_at_a_time: Mutex::new(()), asked: AtomicUsize::new(0) }
    }

    /// A checked plugin of these bytes: from the cache, or compiled and put there.
    /// Cost: 0.1 s for a Rust bot that is new on a quiet machine, `CompileLimits::wall` at most when its turn has come; ms from the cache.
    pub fn load(
        &self,
        cache: &Cache,
        name: &str,
        bytes: &[u8],
        now: SystemTime,
    ) -> Result<Compiled<Plugin>, CompileError> {
        self.engine.check_bytes(name, bytes)?;
        if let Some(artefact) = cache.get(&Digest::of(bytes), now) {
            match self.engine.load_artefact(name, &artefact) {
                Ok(made) => return Ok(Compiled { made, warnings: Vec::new() }),
                // Ours, and of these settings, and the engine will not have it: compile again.
                Err(LoadError::NotCompiled { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let Compiled { made: artefact, mut warnings } = self.compile(name, bytes)?;
        let made = self.engine.load_artefact(name, &artefact)?;
        if let Err(error) = cache.put(&artefact, now) {
            warnings.push(format!("the compiled {name} is not kept: {error}"));
        }
        Ok(Compiled { made, warnings })
    }

    /// A checked plugin of these bytes, compiled anew: where nothing is kept between runs.
    pub fn load_uncached(&self, name: &str, bytes: &[u8]) -> Result<Compiled<Plugin>, CompileError> {
        let Compiled { made, warnings } = self.compile(name, bytes)?;
        Ok(Compiled { made: self.engine.load_artefact(name, &made)?, warnings })
    }

    /// What can be said without compiling: size, and whether it is a component at all. Cost: none.
    pub fn check(&self, name: &str, bytes: &[u8]) -> Result<(), LoadError> {
        self.engine.check_bytes(name, bytes)
    }

    /// Compiles in a child, when those that asked before have ended.
    pub fn compile(&self, name: &str, bytes: &[u8]) -> Result<Compiled<Artefact>, CompileError> {
        self.engine.check_bytes(name, bytes)?;
        let _asked = Asked::new(self, name)?;
        // Nothing is left half done by a panic in here: the lock guards no data.
        let _turn = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error: io::Error| CompileError::Failed { name: name.to_owned(), reason: error.to_string() };
        let ended = self.run(name, bytes).map_err(failed)?;
        let mut warnings: Vec<String> = ended
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix(WARNING))
            .map(|line| one_line_of(line, REASON_CHARS_MAX))
            .collect();
        warnings.truncate(8);
        let code = self.judge(name, ended)?;
        let made = Artefact::new(Digest::of(bytes), *self.engine.settings(), code);
        Ok(Compiled { made, warnings })
    }

    fn run(&self, name: &str, bytes: &[u8]) -> io::Result<Ended> {
        let order = Order::new(name, self.engine.settings(), self.engine.limits(), &self.limits);
        let mut command = Command::new(&self.program);
        command.args(&self.args).args(order.to_args()).env_clear();
        // No hook before exec: see `confine`.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("the child has no pipes"));
        };
        let running = Running(Mutex::new(child));
        std::thread::scope(|scope| {
            // Whatever the child does with its pipes, at the deadline it ends and with it every read and write below.
            let (ended, waiting) = mpsc::channel::<()>();
            let (wall, running) = (self.limits.wall, &running);
            let deadline = move || {
                let passes = |time| waiting.recv_timeout(time) == Err(mpsc::RecvTimeoutError::Timeout);
                let out_of_time = passes(PATIENCE.min(wall)) && {
                    running.step_up();
                    passes(wall.saturating_sub(PATIENCE))
                };
                if out_of_time {
                    running.kill();
                }
                out_of_time
            };
            let watch =
                std::thread::Builder::new().name("compile deadline".to_owned()).spawn_scoped(scope, deadline)?;
            // A child that has ended does not read to the end; how it ended says why.
            let _ = stdin.write_all(bytes);
            drop(stdin);
            let (mut code, mut said) = (Vec::new(), Vec::new());
            let most = self.limits.artefact_bytes as u64 + 1;
            // An error here is the end of what can be read, like the end itself.
            let _ = stdout.take(most).read_to_end(&mut code);
            let _ = stderr.take(STDERR_BYTES_MAX).read_to_end(&mut said);
            // It closed both, so it has ended, or it wrote too much, or it only pretends.
            running.kill();
            drop(ended);
            let out_of_time = watch.join().unwrap_or(true);
            let stderr = String::from_utf8_lossy(&said).into_owned();
            Ok(Ended { status: running.wait()?, out_of_time, stdout: code, stderr })
        })
    }

    fn judge(&self, name: &str, ended: Ended) -> Result<Vec<u8>, CompileError> {
        let name = name.to_owned();
        let Ended { status, out_of_time, stdout, stderr } = ended;
        let last = stderr.lines().rfind(|line| !line.starts_with(WARNING)).unwrap_or_default();
        let reason = one_line_of(last, REASON_CHARS_MAX);
        let limits = &self.limits;
        if out_of_time {
            return Err(CompileError::Starved { name, seconds: limits.wall.as_secs() });
        }
        if stdout.len() > limits.artefact_bytes {
            return Err(CompileError::TooBig { name, bytes: limits.artefact_bytes });
        }
        match (status.code().map(|code| code as u8), status.signal()) {
            (Some(0), _) => Ok(stdout),
            (Some(EXIT_REFUSED), _) => Err(CompileError::Refused(reason)),
            (Some(EXIT_FAILED), _) => Err(CompileError::Failed { name, reason }),
            (_, Some(libc::SIGXCPU)) => Err(CompileError::TookTooLong { name, seconds: limits.cpu_seconds }),
            // What Rust says before it aborts for want of memory.
            (_, Some(libc::SIGABRT)) if stderr.contains("memory allocation of") => {
                Err(CompileError::TookTooMuch { name, bytes: limits.memory_bytes })
            }
            _ => Err(CompileError::Failed { name, reason: format!("the compiler ended with {status}: {reason}") }),
        }
    }
}

/// A place in the queue.
struct Asked<'a>(&'a Compiler);

impl<'a> Asked<'a> {
    fn new(compiler: &'a Compiler, name: &str) -> Result<Self, CompileError> {
        let before = compiler.asked.fetch_add(1, Ordering::Relaxed);
        let asked = Self(compiler);
        let waiting = compiler.limits.waiting;
        if before > waiting { Err(CompileError::Busy { name: name.to_owned(), waiting }) } else { Ok(asked) }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A child that does not outlive this.
struct Running(Mutex<Child>);

impl Running {
    /// By its handle, so never another process that got its number. Failing means that it has ended.
    fn kill(&self) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }

    /// Not permitted: it goes on as it is.
    fn step_up(&self) {
        let child = self.0.lock().unwrap_or_else(PoisonError::into_inner).id();
        let _ = confine::step_up(child);
    }

    fn wait(&self) -> io::Result<ExitStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let _ = self.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_in_the_unit_that_fits() {
        let cases =
            [(2 << 30, "2 GiB"), (1536 << 20, "1536 MiB"), (4096, "4 KiB"), (1000, "1000 bytes"), (0, "0 bytes")];
        for (bytes, shown) in cases {
            assert_eq!(size(bytes), shown);
        }
    }
}
