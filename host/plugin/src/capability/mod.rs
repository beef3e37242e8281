//! What a bot may ask of the host, one file each: its functions, their bounds, and how they enter the linker.
//!
//! Every function returns at once. What a bot hands over is bounded twice: `Limits::payload_bytes` in all, before the
//! host copies anything, and the contract's own bound for each item, here. The port behind them sees only what is within bounds.

mod call;
mod clock;
mod config;
mod log;
mod playout;
mod random;
mod timer;
pub(crate) mod wasi;

use crate::HostError;
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::types;
use wasmtime::component::Linker;

/// Everything that a component of `patchbay:bot@0.1.0` may import.
pub(crate) fn link_v0_1_0(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    call::link(linker)?;
    playout::link(linker)?;
    timer::link(linker)?;
    clock::link(linker)?;
    random::link(linker)?;
    log::link(linker)?;
    config::link(linker)?;
    wasi::link(linker)
}

impl types::Host for HostState {}

fn error(HostError { code, message }: HostError) -> types::Error {
    types::Error { code: code.to_owned(), message }
}

fn too_long(what: &str, limit: usize, unit: &str) -> types::Error {
    error(HostError { code: "too-long", message: format!("{what}: at most {limit} {unit}") })
}

/// The start of `text`, at most `max` bytes and never half a character.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
