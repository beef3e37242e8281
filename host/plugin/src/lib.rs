//! Bots: WebAssembly components, one instance per call. wasmtime lives here and nowhere else in the host.
//!
//! `Engine` compiles a component and checks it against the contract (`wit/`), giving a `Plugin`; `Registry` names the generation
//! that new calls get; `Plugin::instantiate` gives an `Instance`, which the bot workers enter for frames and events and which
//! reaches its call only through a `CallPort`.
//!
//! What strangers upload is compiled by `Compiler` in a confined child process, and kept in `Cache`: the only IO in this crate.
//!
//! Never: a socket, a thread of its own that outlives a call of this crate, a host function that waits, SIP or RTP. A bot that
//! traps, loops, hogs or lies ends in a `Fault` and harms nothing but its own call.
//! Start reading at `instance`, then `engine`; what a bot may ask for is in `capability`, one file each.

mod artefact;
mod cache;
mod capability;
mod compiler;
mod contract;
mod engine;
mod host_state;
mod inert;
mod instance;
mod limits;
mod load_error;
mod meter;
mod plugin;
mod port;
mod registry;
mod ticking;
mod wit;

pub use artefact::{Artefact, Digest};
pub use cache::{Cache, CacheCounts};
pub use compiler::{CompileError, CompileLimits, Compiled, Compiler, compile_child, confine};
pub use contract::*;
pub use engine::Engine;
pub use inert::InertPort;
pub use instance::Instance;
pub use limits::Limits;
pub use load_error::LoadError;
pub use plugin::{Plugin, PluginWatch};
pub use port::*;
pub use registry::{CANARY_CALLS_WATCHED, CANARY_FAILURES_MAX, CanaryCounts, Chosen, Generation, Registry, Reloaded};
pub use ticking::{Batch, Ticker};
