//! What a bot may ask of the host, one file each: its functions, their bounds, and how they enter the linker.
//!
//! Every function returns at once. What a bot hands over is bounded twice: `Limits::payload_bytes` in all, before the
//! host copies anything, and the contract's own bound for each item, here. The port behind them sees only what is within bounds.

mod call;
mod chat;
mod clock;
mod config;
mod control;
mod fields;
mod http;
mod log;
mod playout;
mod random;
mod speech;
mod store;
mod timer;
mod voice;
pub(crate) mod wasi;
mod websocket;

use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::types;
use crate::{HostError, Pair, Request};
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
    http::link(linker)?;
    websocket::link(linker)?;
    store::link(linker)?;
    voice::link(linker)?;
    speech::link(linker)?;
    chat::link(linker)?;
    control::link(linker)?;
    wasi::link(linker)
}

impl types::Host for HostState {}

impl HostState {
    /// A component uses what it has the handler of.
    fn refuse_without_handler(&self, pair: Pair) -> Result<(), types::Error> {
        if self.handled.has(pair) {
            return Ok(());
        }
        Err(refused("not-there", format!("the component exports no {}-handler", pair.name())))
    }

    fn begin(&mut self, request: Request) -> Result<u64, types::Error> {
        self.refuse_without_handler(request.pair())?;
        self.port.begin(request).map_err(error)
    }
}

fn error(HostError { code, message }: HostError) -> types::Error {
    types::Error { code: code.to_owned(), message }
}

fn refused(code: &'static str, message: impl Into<String>) -> types::Error {
    error(HostError { code, message: message.into() })
}

fn bounded(what: &str, text: &str, bytes_max: usize) -> Result<(), types::Error> {
    if text.len() > bytes_max { Err(too_long(what, bytes_max, "bytes")) } else { Ok(()) }
}

fn too_long(what: &str, limit: usize, unit: &str) -> types::Error {
    error(HostError { code: "too-long", message: format!("{what}: at most {limit} {unit}") })
}

/// The start of `text`, at most `max` bytes and never half a character.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
