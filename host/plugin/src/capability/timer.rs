//! Timers: the only way for a bot to wait.

use super::{error, too_long};
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::{timer, types};
use wasmtime::component::{HasSelf, Linker};

const AFTER_MS_MAX: u64 = 24 * 60 * 60 * 1000;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    timer::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl timer::Host for HostState {
    fn set(&mut self, after_ms: u64) -> Result<u64, types::Error> {
        if after_ms > AFTER_MS_MAX {
            return Err(too_long("timer", 24, "hours"));
        }
        self.port.timer_set(after_ms).map_err(error)
    }

    fn cancel(&mut self, id: u64) -> bool {
        self.port.timer_cancel(id)
    }
}
