//! The bot's log. Lines are cut here; how many a second there may be is for the port, which writes them.

use super::cut;
use crate::LogLevel;
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::log;
use wasmtime::component::{HasSelf, Linker};

pub(super) const LINE_BYTES_MAX: usize = 4096;
const FILE_BYTES_MAX: usize = 256;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl log::Host for HostState {
    fn write(&mut self, level: log::Level, file: String, line: u32, message: String) {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.port.log(level, cut(&file, FILE_BYTES_MAX), line, cut(&message, LINE_BYTES_MAX));
    }
}
