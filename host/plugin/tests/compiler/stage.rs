//! What the tests are made of: an engine, a compiler whose child is this binary, a folder, bombs.

use crate::bots::{ECHO, Source};
use plugin::{Cache, CompileError, CompileLimits, Compiler, Engine, Limits};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

pub fn engine() -> Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(Limits::default()).expect("an engine"));
    ENGINE.clone()
}

pub fn echo() -> &'static [u8] {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| ECHO.component());
    &BYTES
}

/// A compiler whose child is this binary, in one of the roles of `roles::play`.
pub fn compiler_as(role: &str, limits: CompileLimits) -> Compiler {
    let program = std::env::current_exe().expect("this binary");
    Compiler::new(engine(), program, vec!["child".into(), role.into()], limits)
}

pub fn compiler() -> Compiler {
    compiler_as("compile", CompileLimits::default())
}

/// What a compiler says of a component that it does not compile.
pub fn error_of(compiler: &Compiler, bytes: &[u8]) -> CompileError {
    compiler.compile("greeter", bytes).expect_err("is not compiled")
}

/// A function whose every loop must carry every local: some twenty bytes of WebAssembly for each, and Cranelift makes `loops` * `locals`
/// values of them.
pub fn bomb(loops: usize, locals: usize) -> Vec<u8> {
    let sums: String = (1..=locals)
        .map(|at| format!("(local.set {at} (i32.add (local.get {at}) (local.get {})))\n", at - 1))
        .collect();
    let ends: String = (0..loops).map(|_| "local.get 0 br_if 0 end\n".to_owned()).collect();
    let function = format!(
        "(func $bomb (param i32) (result i32) (local {}) {} {sums} {ends} local.get {locals})",
        "i32 ".repeat(locals),
        "loop ".repeat(loops),
    );
    Source { items: &function, ..ECHO }.component()
}

/// A bot of its own, by a number in it.
pub fn numbered(number: u32) -> Vec<u8> {
    Source { items: &format!("(global i32 (i32.const {number}))"), ..ECHO }.component()
}

/// A folder that goes with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("patchbay-compiler-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn key(&self) -> PathBuf {
        self.0.join("host.key")
    }

    pub fn cache(&self, engine: &Engine) -> Cache {
        self.cache_of(engine, 64 << 20)
    }

    pub fn cache_of(&self, engine: &Engine, bytes_max: u64) -> Cache {
        Cache::open(engine, &self.0.join("cache"), &self.key(), bytes_max).expect("a cache")
    }

    /// The files in the cache.
    pub fn entries(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.0.join("cache")).expect("the cache's folder");
        let mut entries: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
        entries.sort();
        entries
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// So many seconds after some day.
pub fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}
