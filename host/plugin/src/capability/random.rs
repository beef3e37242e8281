//! Randomness, as the port gives it, so that a call can be replayed.

use crate::CallPort;
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::random;
use wasmtime::component::{HasSelf, Linker};

/// More than this is cut.
const BYTES_MAX: usize = 4096;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    random::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl random::Host for HostState {
    fn bytes(&mut self, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; BYTES_MAX.min(len as usize)];
        self.port.random(&mut bytes);
        bytes
    }

    fn number(&mut self) -> u64 {
        number(&mut *self.port)
    }
}

pub(super) fn number(port: &mut dyn CallPort) -> u64 {
    let mut bytes = [0; 8];
    port.random(&mut bytes);
    u64::from_le_bytes(bytes)
}
