//! `cargo xtask bots`: builds the bots of `plugins/` to `target/bots/<name>.wasm`, each a component of the world
//! `patchbay:bot/telephony`. With `--tests` the misbehaving ones too, to `target/bots-test/`, where no host looks by default.
//!
//! Rust's standard library for Wasm comes from wherever this machine has it; `Toolchain::choose` is the order.
//! Nothing is taken from the host's build, and nothing of it is touched: cargo runs in the workspace of the bots, with
//! a target folder of its own, and rebuilds only what changed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, bail, ensure};

/// What we ship: built always.
const BOTS: [&str; 3] = ["echo", "dtmf-menu", "agent"];
/// Which of them use what is beyond telephony. The others export no handler of it: what others can do must cost a plain bot nothing.
const CONVERSING: [&str; 1] = ["agent"];
/// In the name of every handler that a component exports.
const HANDLER: &[u8] = b"-handler@";
/// What only the tests load.
const TEST_BOTS: [&str; 5] = ["control", "hoarder", "misbehave", "reach", "watcher"];

/// Wasm targets that a bot can be built for, the leaner one first.
const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];
/// rustup may wait for ever on a network that drops packets.
const RUSTUP_TIME_MAX: Duration = Duration::from_secs(90);
/// apt-get has time-outs of its own, generous ones.
const APT_TIME_MAX: Duration = Duration::from_secs(600);
const APT_TRIES: u32 = 3;
/// Debian's second Rust, which comes with the library's source; built along with the bots.
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";

/// A component begins with the Wasm magic, then version 13, layer 1.
const COMPONENT_MAGIC: [u8; 8] = *b"\0asm\x0d\0\x01\0";

#[derive(clap::Args)]
pub struct Bots {
    /// More bots to build: packages of plugins/Cargo.toml.
    pub names: Vec<String>,
    /// Build the bots of the tests as well, to target/bots-test/.
    #[arg(long)]
    pub tests: bool,
    /// Where Rust's standard library for Wasm comes from, instead of whatever this machine has.
    #[arg(long, value_enum)]
    pub toolchain: Option<Source>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// A target that rustup has installed or can install.
    Rustup,
    /// Debian's rustc-web and rust-web-src.
    Debian,
}

/// Builds, and prints the compiler, then each bot's size, and the time.
pub fn build(bots: &Bots) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let toolchain = Toolchain::choose(bots.toolchain)?;
    let began = Instant::now();

    let mut wanted: Vec<(&str, PathBuf)> = BOTS.iter().map(|&bot| (bot, root.join("target/bots"))).collect();
    wanted.extend(bots.names.iter().map(|bot| (bot.as_str(), root.join("target/bots"))));
    if bots.tests {
        wanted.extend(TEST_BOTS.iter().map(|&bot| (bot, root.join("target/bots-test"))));
    }
    // One folder per compiler, or a change of compiler would rebuild everything each time.
    let target_dir = root.join("target/guest").join(toolchain.name());
    let mut cargo = toolchain.cargo_build(&root.join("plugins"), &target_dir)?;
    for (bot, _) in &wanted {
        cargo.args(["--package", bot]);
    }
    let status = cargo.status().context("cannot run cargo")?;
    ensure!(status.success(), "the bots do not build with {}: {status}{}", toolchain.version()?, toolchain.advice());

    let built = target_dir.join(toolchain.target()).join("release");
    for (bot, folder) in &wanted {
        let wasm = built.join(format!("{}.wasm", bot.replace('-', "_")));
        let bytes = fs::read(&wasm).with_context(|| format!("{} was not built", wasm.display()))?;
        ensure!(bytes.starts_with(&COMPONENT_MAGIC), "{} is not a component", wasm.display());
        let has_handlers = bytes.windows(HANDLER.len()).any(|window| window == HANDLER);
        ensure!(
            !has_handlers || CONVERSING.contains(bot) || !BOTS.contains(bot),
            "{bot} exports handlers that it has no use for"
        );
        put(folder, &format!("{bot}.wasm"), &bytes)?;
        println!("bots: {bot:<10} {:>7.1} KiB", bytes.len() as f64 / 1024.0);
    }
    println!("bots: {} in {:.1} s, with {}", wanted.len(), began.elapsed().as_secs_f64(), toolchain.version()?);
    Ok(())
}

/// Renamed into its place, and only if it changed: a running host watches that folder.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let place = folder.join(name);
    if fs::read(&place).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let temporary = folder.join(format!(".{name}.new"));
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, &place).with_context(|| format!("cannot write {}", place.display()))
}

/// A compiler with a standard library for Wasm.
enum Toolchain {
    /// The compiler in use, with this target of rustup's.
    Rustup { target: &'static str },
    /// Debian's compiler, and the library built from Debian's source.
    Debian,
}

impl Toolchain {
    /// What is there already comes before what must be fetched; rustup before Debian, because it is the same
    /// compiler as the host's.
    fn choose(only: Option<Source>) -> Result<Toolchain> {
        let rustup = only != Some(Source::Debian);
        let debian = only != Some(Source::Rustup);
        if rustup && let Some(found) = Toolchain::installed_rustup()? {
            return Ok(found);
        }
        if debian && debian_is_installed() {
            return Ok(Toolchain::Debian);
        }
        if rustup
            && add_target(TARGETS[0])
            && let Some(found) = Toolchain::installed_rustup()?
        {
            return Ok(found);
        }
        if debian && install_debian() && debian_is_installed() {
            return Ok(Toolchain::Debian);
        }
        bail!(
            "no Rust standard library for Wasm on this machine. One of these brings it:\n  \
             rustup target add {}\n  apt-get install -y --no-install-recommends {}",
            TARGETS[0],
            DEBIAN_PACKAGES.join(" "),
        )
    }

    fn installed_rustup() -> Result<Option<Toolchain>> {
        let libraries = sysroot()?.join("lib/rustlib");
        let target = TARGETS.into_iter().find(|target| libraries.join(target).join("lib").is_dir());
        Ok(target.map(|target| Toolchain::Rustup { target }))
    }

    fn name(&self) -> &'static str {
        match self {
            Toolchain::Rustup { .. } => "rustup",
            Toolchain::Debian => "debian",
        }
    }

    fn target(&self) -> &'static str {
        match self {
            Toolchain::Rustup { target } => target,
            Toolchain::Debian => TARGETS[0],
        }
    }

    fn rustc(&self) -> &'static str {
        match self {
            Toolchain::Rustup { .. } => "rustc",
            Toolchain::Debian => DEBIAN_RUSTC,
        }
    }

    /// `rustc 1.95.0 (...), wasm32-unknown-unknown`
    fn version(&self) -> Result<String> {
        Ok(format!("{}, {}", output(self.rustc(), &["--version"])?.trim(), self.target()))
    }

    /// What to try when it does not build.
    fn advice(&self) -> &'static str {
        match self {
            Toolchain::Rustup { .. } => "",
            Toolchain::Debian => {
                "\nIf Debian's compiler is the reason (it must be 1.85 or newer, and its source of the same version): \
                 rustup target add wasm32-unknown-unknown, then again."
            }
        }
    }

    /// `cargo build` in the bots' workspace, which makes components: their linker is wasm-component-ld on either target.
    fn cargo_build(&self, workspace: &Path, target_dir: &Path) -> Result<Command> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(workspace);
        cargo.args(["build", "--release", "--target", self.target(), "--target-dir"]).arg(target_dir);
        // The flags of the host's build mean nothing here.
        for name in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"] {
            cargo.env_remove(name);
        }
        // A bot's log names its source files: as they lie in the repository, not on this machine.
        let root = workspace.parent().context("the bots' workspace lies in the repository")?;
        cargo.env("CARGO_ENCODED_RUSTFLAGS", format!("--remap-path-prefix={}/=", root.display()));
        // The linkers come with the compiler in use, whichever library it links.
        let linkers = sysroot()?.join("lib/rustlib").join(host_triple()?).join("bin");
        let path = env::var_os("PATH").unwrap_or_default();
        cargo.env("PATH", env::join_paths(env::split_paths(&path).chain([linkers]))?);
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-component-ld");
        if let Toolchain::Debian = self {
            // build-std is unstable, but its pieces are all from one Debian release.
            cargo.args(["-Zbuild-std=std,panic_abort"]).env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
        }
        Ok(cargo)
    }
}

fn debian_is_installed() -> bool {
    Path::new(DEBIAN_RUSTC).is_file() && Path::new(DEBIAN_STD).is_file()
}

/// False if rustup is missing, fails, or takes too long.
fn add_target(target: &str) -> bool {
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", target]);
    println!("bots: rustup target add {target}");
    matches!(finish_within(rustup, RUSTUP_TIME_MAX), Ok(true))
}

/// False if this is no Debian, or the packages cannot be had. Each failed try is followed by a new package list.
fn install_debian() -> bool {
    let is_root = output("id", &["-u"]).is_ok_and(|id| id.trim() == "0");
    let apt = |arguments: &[&str]| {
        let mut command = if is_root { Command::new("apt-get") } else { Command::new("sudo") };
        if !is_root {
            command.args(["-n", "apt-get"]);
        }
        command.args(arguments).stdout(Stdio::null());
        matches!(finish_within(command, APT_TIME_MAX), Ok(true))
    };
    let install = [&["install", "-y", "-q", "--no-install-recommends"], &DEBIAN_PACKAGES[..]].concat();
    for attempt in 1..=APT_TRIES {
        println!("bots: apt-get {} (try {attempt} of {APT_TRIES})", install.join(" "));
        if apt(&install) {
            return true;
        }
        apt(&["update", "-q"]);
    }
    false
}

/// Runs to the end and says whether it succeeded; stops it after `limit`.
fn finish_within(mut command: Command, limit: Duration) -> Result<bool> {
    let mut child = command.stdin(Stdio::null()).spawn()?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            println!("bots: stopped after {} s", limit.as_secs());
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn sysroot() -> Result<PathBuf> {
    Ok(PathBuf::from(output("rustc", &["--print", "sysroot"])?.trim()))
}

fn host_triple() -> Result<String> {
    let version = output("rustc", &["-vV"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), output.status);
    Ok(String::from_utf8(output.stdout)?)
}
