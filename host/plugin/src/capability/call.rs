//! The call itself: what the host knows of it, and what the bot may do with it.

use super::{error, too_long};
use crate::HostError;
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::{call, types};
use wasmtime::component::{HasSelf, Linker};

/// Longest name of a header or attribute that is looked up at all.
const NAME_BYTES_MAX: usize = 256;
/// Keys that one `send-digits` may press.
const KEYS_MAX: usize = 64;
const NOTE_KEY_BYTES_MAX: usize = 64;
const NOTE_VALUE_BYTES_MAX: usize = 1024;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    call::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl call::Host for HostState {
    fn header(&mut self, name: String) -> Vec<String> {
        if name.len() > NAME_BYTES_MAX { Vec::new() } else { self.port.header(&name) }
    }

    fn attribute(&mut self, name: String) -> Option<String> {
        if name.len() > NAME_BYTES_MAX { None } else { self.port.attribute(&name) }
    }

    fn answer(&mut self) {
        self.port.answer();
    }

    fn hangup(&mut self, after_playout: bool) {
        self.port.hangup(after_playout);
    }

    fn send_digits(&mut self, keys: String) -> Result<u64, types::Error> {
        if keys.len() > KEYS_MAX {
            return Err(error(HostError { code: "too-many", message: format!("at most {KEYS_MAX} keys") }));
        }
        if let Some(other) = keys.chars().find(|key| !matches!(key, '0'..='9' | '*' | '#' | 'A'..='D' | ',')) {
            return Err(error(HostError { code: "not-a-digit", message: format!("{other:?} is not a key") }));
        }
        self.port.send_digits(&keys).map_err(error)
    }

    fn note(&mut self, key: String, value: String) -> Result<(), types::Error> {
        if key.len() > NOTE_KEY_BYTES_MAX {
            return Err(too_long("key", NOTE_KEY_BYTES_MAX, "bytes"));
        }
        if value.len() > NOTE_VALUE_BYTES_MAX {
            return Err(too_long("value", NOTE_VALUE_BYTES_MAX, "bytes"));
        }
        self.port.note(&key, &value).map_err(error)
    }

    fn want_frames(&mut self, wanted: bool) {
        self.port.want_frames(wanted);
    }

    fn done(&mut self) {
        self.port.done();
    }
}
