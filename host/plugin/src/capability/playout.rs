//! Sound towards the caller, queued. The port takes what fits; `Limits::payload_bytes` bounds what is handed over at once.

use super::{error, too_long};
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::{playout, types};
use wasmtime::component::{HasSelf, Linker};

const MARK_BYTES_MAX: usize = 128;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    playout::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl playout::Host for HostState {
    fn write(&mut self, samples: Vec<i16>) -> playout::Written {
        let written = self.port.playout_write(&samples);
        playout::Written { accepted: written.accepted, queued_ms: written.queued_ms }
    }

    fn clear(&mut self) -> u64 {
        self.port.playout_clear()
    }

    fn mark(&mut self, name: String) -> Result<u64, types::Error> {
        if name.len() > MARK_BYTES_MAX {
            return Err(too_long("mark", MARK_BYTES_MAX, "bytes"));
        }
        self.port.playout_mark(&name).map_err(error)
    }
}
