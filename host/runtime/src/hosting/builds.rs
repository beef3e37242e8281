//! From a component's bytes to a plugin that calls may get: compiled in a confined child or found in the cache, and tried.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use plugin::{Cache, CompileError, CompileLimits, Compiler, Engine, LoadError, Plugin};
use serde::Serialize;
use store::Digest;

use crate::bots::{GUEST_STACK_BYTES, priority};
use crate::compile_child;

/// Compiled code on disk: some thousand Rust bots.
const CACHE_BYTES_MAX: u64 = 4 << 30;
/// Plugins kept from their upload to their activation.
const RECENT_MAX: usize = 16;

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A component, and not too big.
    Checked,
    Compiled,
    /// It answered a call with nobody on the line.
    Tried,
    Stored,
}

/// Why bytes are not a plugin of this host.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the host could not try it: {0}")]
    Thread(std::io::Error),
}

/// Compiles, keeps and tries. Blocking: for threads of their own, never for one that serves calls.
pub struct Builds {
    compiler: Compiler,
    /// None: nothing outlives the process.
    cache: Option<Cache>,
    recent: Mutex<Vec<(String, Digest, Plugin)>>,
}

impl Builds {
    /// Errors: the folder of the cache cannot be used.
    pub fn new(engine: &Engine, data: Option<&Path>) -> std::io::Result<Self> {
        let open = |data: &Path| Cache::open(engine, &data.join("cache"), &data.join("cache.key"), CACHE_BYTES_MAX);
        let compiler = compile_child::compiler(engine.clone(), CompileLimits::default());
        Ok(Self { compiler, cache: data.map(open).transpose()?, recent: Mutex::default() })
    }

    /// A plugin of bytes that nobody vouches for. `key`: what registry and bots know it by.
    pub fn try_new(&self, key: &str, bytes: &[u8], reached: &mut dyn FnMut(Stage)) -> Result<Plugin, BuildError> {
        self.compiler.check(key, bytes)?;
        reached(Stage::Checked);
        let plugin = self.load(key, bytes)?;
        reached(Stage::Compiled);
        try_out(&plugin)?;
        reached(Stage::Tried);
        Ok(plugin)
    }

    /// A plugin of bytes that were found good before.
    pub fn load(&self, key: &str, bytes: &[u8]) -> Result<Plugin, BuildError> {
        let compiled = match &self.cache {
            Some(cache) => self.compiler.load(cache, key, bytes, SystemTime::now())?,
            None => self.compiler.load_uncached(key, bytes)?,
        };
        for warning in compiled.warnings {
            tracing::warn!(plugin = key, "{warning}");
        }
        Ok(compiled.made)
    }

    /// Keeps a plugin until it is activated, so that the activation need not read it again.
    pub fn remember(&self, key: &str, digest: Digest, plugin: Plugin) {
        let mut recent = self.recent();
        recent.retain(|(known, of, _)| (known.as_str(), *of) != (key, digest));
        if recent.len() == RECENT_MAX {
            recent.remove(0);
        }
        recent.push((key.to_owned(), digest, plugin));
    }

    pub fn take_recent(&self, key: &str, digest: Digest) -> Option<Plugin> {
        let mut recent = self.recent();
        let index = recent.iter().position(|(known, of, _)| (known.as_str(), *of) == (key, digest))?;
        Some(recent.remove(index).2)
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Vec<(String, Digest, Plugin)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The dry run, on a thread that steps back for every other.
fn try_out(plugin: &Plugin) -> Result<(), BuildError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("bot-trial".into()).stack_size(GUEST_STACK_BYTES);
        let trial = thread.spawn_scoped(scope, || {
            priority::slow_worker();
            plugin.try_out()
        });
        match trial.map_err(BuildError::Thread)?.join() {
            Ok(tried) => Ok(tried?),
            Err(_) => Err(BuildError::Thread(std::io::Error::other("the trial broke off"))),
        }
    })
}
