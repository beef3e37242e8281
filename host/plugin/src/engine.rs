//! The compiler and its settings, and the way from bytes to a checked `Plugin`.

use crate::capability::{link_v0_1_0, wasi};
use crate::host_state::HostState;
use crate::load_error::one_line;
use crate::ticking::Ticker;
use crate::wit::v0_1_0;
use crate::{Artefact, Digest, Limits, LoadError, Plugin};
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, OptLevel, WasmBacktraceDetails};

/// Compiles and links bots. One for the process; a clone is the same engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    engine: wasmtime::Engine,
    linker_v0_1_0: Linker<HostState>,
    limits: Limits,
    settings: Digest,
    /// Where threads that enter guests leave their timers, once there is a `Ticker`.
    timers: OnceLock<Arc<OwnedFd>>,
}

impl Engine {
    /// Errors: only if the settings contradict each other or the machine cannot run them.
    pub fn new(limits: Limits) -> wasmtime::Result<Self> {
        let engine = wasmtime::Engine::new(&settings(&limits))?;
        let mut linker_v0_1_0 = Linker::new(&engine);
        link_v0_1_0(&mut linker_v0_1_0)?;
        let settings = Digest::of_hash(&engine.precompile_compatibility_hash());
        Ok(Self { inner: Arc::new(Inner { engine, linker_v0_1_0, limits, settings, timers: OnceLock::new() }) })
    }

    /// What ticks from now on, while guests run. Once for an engine. Errors: the system has no descriptors left.
    pub fn ticker(&self) -> std::io::Result<Ticker> {
        Ticker::new(self.clone())
    }

    pub(crate) fn set_timers(&self, timers: Arc<OwnedFd>) {
        // A second ticker would wait for nobody.
        let first = self.inner.timers.set(timers).is_ok();
        debug_assert!(first, "one ticker");
    }

    pub(crate) fn timers(&self) -> Option<&Arc<OwnedFd>> {
        self.inner.timers.get()
    }

    /// One epoch, where there is no `Ticker`: to be called every millisecond, by a thread of its own that runs as long as any guest may.
    /// Without either no guest is ever stopped. Cost: one atomic addition.
    pub fn tick(&self) {
        self.inner.engine.increment_epoch();
    }

    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.engine
    }

    /// Everything that compiled code depends on: the settings below, this machine's processor, the version of wasmtime with its patch
    /// level, since a mended compiler must not go on running what the broken one made.
    pub fn settings(&self) -> &Digest {
        &self.inner.settings
    }

    /// Compiles a component here and now and checks it against the contract; nothing of it runs yet. For bots of people that are
    /// trusted with this process: a function made for the purpose compiles for minutes. What strangers upload goes through `Compiler`.
    /// Cost: 0.05 s of one thread for a compiled bot, ten seconds for one that brings a language runtime.
    pub fn load(&self, name: &str, bytes: &[u8]) -> Result<Plugin, LoadError> {
        self.check_bytes(name, bytes)?;
        let component = Component::from_binary(self.wasmtime(), bytes)
            .map_err(|error| LoadError::NotCompiled { name: name.to_owned(), reason: one_line(&error) })?;
        self.link(name, &Digest::of(bytes), &component)
    }

    /// The same from code that was compiled before, with the same checks of its world. Cost: 0.04 to 2 ms.
    /// Errors: as for `load`; `NotCompiled` if it was compiled for another engine.
    pub fn load_artefact(&self, name: &str, artefact: &Artefact) -> Result<Plugin, LoadError> {
        let unfit = |reason| LoadError::NotCompiled { name: name.to_owned(), reason };
        if artefact.settings() != self.settings() {
            return Err(unfit("compiled for another engine".to_owned()));
        }
        // SAFETY: deserialising trusts its input completely. An `Artefact` exists only as the output of this host's compiling child, or of
        // a cache entry whose HMAC under the host's key was verified, and neither can be changed since; it was made with these settings.
        let component = unsafe { Component::deserialize(self.wasmtime(), artefact.code()) };
        self.link(name, artefact.component(), &component.map_err(|error| unfit(one_line(&error)))?)
    }

    fn link(&self, name: &str, digest: &Digest, component: &Component) -> Result<Plugin, LoadError> {
        let ty = component.component_type();
        let imports = ty.imports(self.wasmtime()).map(|(import, _)| import);
        let exports = ty.exports(self.wasmtime()).map(|(export, _)| export);
        check_names(name, imports, exports)?;
        let linked = self
            .inner
            .linker_v0_1_0
            .instantiate_pre(component)
            .map_err(|error| LoadError::WrongImport { name: name.to_owned(), reason: one_line(&error) })?;
        let bot = v0_1_0::BotPre::new(linked)
            .map_err(|error| LoadError::WrongExport { name: name.to_owned(), reason: one_line(&error) })?;
        Ok(Plugin::new(self.clone(), name, digest, bot))
    }

    /// What can be said without reading beyond the first bytes.
    pub(crate) fn check_bytes(&self, name: &str, bytes: &[u8]) -> Result<(), LoadError> {
        let limit = self.inner.limits.component_bytes;
        if bytes.len() > limit {
            return Err(LoadError::TooBig { name: name.to_owned(), bytes: bytes.len(), limit });
        }
        match other_than_a_component(bytes) {
            Some(found) => Err(LoadError::NotAComponent { name: name.to_owned(), found }),
            None => Ok(()),
        }
    }
}

/// Whether a component exports the contract and imports nothing beyond it, by name.
pub(crate) fn check_names<'a>(
    name: &str,
    imports: impl Iterator<Item = &'a str>,
    exports: impl Iterator<Item = &'a str>,
) -> Result<(), LoadError> {
    let exports: Vec<&str> = exports.collect();
    if !exports.contains(&v0_1_0::EXPORT) {
        // Built against another version of the contract, most likely.
        let interface = v0_1_0::EXPORT.trim_end_matches(v0_1_0::VERSION);
        let instead = exports.iter().find(|export| export.starts_with(interface));
        let instead = instead.map_or_else(String::new, |export| {
            let shown: String = export.chars().take(80).collect();
            format!(" but {shown}")
        });
        return Err(LoadError::NotABot { name: name.to_owned(), wanted: v0_1_0::EXPORT, instead });
    }
    let imports: Vec<String> = imports.filter(|import| !is_given(import)).map(str::to_owned).collect();
    if imports.is_empty() { Ok(()) } else { Err(LoadError::ForeignImports { name: name.to_owned(), imports }) }
}

/// Whether an import, by its name, is one of the contract's or one of the WASI interfaces that are linked.
/// Whether it has the right type is then seen by linking.
fn is_given(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    let of_contract = interface.starts_with(v0_1_0::PACKAGE) && version == v0_1_0::VERSION;
    let of_wasi = wasi::PACKAGES.iter().any(|package| interface.starts_with(package));
    of_contract || (of_wasi && semver::Version::parse(version).is_ok_and(|v| (v.major, v.minor) == (0, 2)))
}

/// By the first eight bytes: magic, version, layer (component-model binary format).
fn other_than_a_component(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [] => Some("an empty file"),
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => None,
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Some("a core module (wrap it with wasm-component-ld or wasm-tools)"),
        [0, b'a', b's', b'm', ..] => Some("WebAssembly of an unknown version"),
        // Machine code: running it would be trusting whoever made it with the host.
        [0x7f, b'E', b'L', b'F', ..] => Some("compiled code (.cwasm): upload the component that it was made from"),
        _ => Some("something other than WebAssembly"),
    }
}

fn settings(limits: &Limits) -> Config {
    let mut config = Config::new();
    // Stopping a guest: epochs cost nothing measurable, fuel would buy a determinism that nobody asked for.
    config.epoch_interruption(true);
    // The same input gives the same output on every machine, so that a call can be replayed.
    config.cranelift_nan_canonicalization(true);
    config.relaxed_simd_deterministic(true);
    // No component-model async: a frame call costs 0.56 us instead of 0.9 (and frames through streams 11 us and more).
    config.concurrency_support(false);
    // Bots are compiled once and run for hours.
    config.cranelift_opt_level(OptLevel::Speed);
    // A reload must not take every core away from the calls in progress: compile on the calling thread alone.
    config.parallel_compilation(false);
    // On-demand instances with hard limits per store (`MemoryUse`), not the pool: measured, the pool brings compiled bots no speed,
    // and it would have to reserve for the largest bot in every slot. Fewer mappings instead: one reservation that never moves.
    config.memory_reservation(limits.reserved_bytes());
    config.memory_may_move(false);
    config.memory_reservation_for_growth(0);
    // Bounds are checked in any case when the reservation is below 4 GiB; a guard of one Wasm page still merges neighbouring checks.
    config.memory_guard_size(64 << 10);
    // A new instance maps its data segments from the compiled image instead of copying them.
    config.memory_init_cow(true);
    config.max_wasm_stack(limits.stack_bytes);
    // A trap is reported with the function it happened in; reading DWARF at that moment would take milliseconds.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    // Not needed by any bot toolchain, and each is surface: several memories only as the component's own, 32-bit addresses only.
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config
}
