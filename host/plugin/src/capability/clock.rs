//! Time, as the port gives it: it stands still while the bot runs.

use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::clock;
use wasmtime::component::{HasSelf, Linker};

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    clock::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl clock::Host for HostState {
    fn now_ms(&mut self) -> u64 {
        self.port.now_ms()
    }

    fn wall_ms(&mut self) -> u64 {
        self.port.wall_ms()
    }
}
