//! The configuration of the route that the call came by.

use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::config;
use wasmtime::component::{HasSelf, Linker};

/// A longer key is no key of any configuration.
const KEY_BYTES_MAX: usize = 256;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    config::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl config::Host for HostState {
    fn get(&mut self, key: String) -> Option<String> {
        if key.len() > KEY_BYTES_MAX { None } else { self.port.config(&key) }
    }
}
