//! The tenant's own keys and values.

use super::{bounded, refused, too_long};
use crate::host_state::HostState;
use crate::wit::v0_1_0::patchbay::bot::{store, types};
use crate::{Request, StoreRequest};
use wasmtime::component::{HasSelf, Linker};

const KEY_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 64 << 10;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    store::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

fn check_key(key: &str) -> Result<(), types::Error> {
    if key.is_empty() {
        return Err(refused("bad-key", "a key is not empty"));
    }
    bounded("key", key, KEY_BYTES_MAX)
}

fn check_value(value: &[u8]) -> Result<(), types::Error> {
    if value.len() > VALUE_BYTES_MAX { Err(too_long("value", VALUE_BYTES_MAX, "bytes")) } else { Ok(()) }
}

impl store::Host for HostState {
    fn get(&mut self, key: String) -> Result<u64, types::Error> {
        check_key(&key)?;
        self.begin(Request::Store(StoreRequest::Get { key }))
    }

    fn put(&mut self, key: String, value: Vec<u8>, expires_ms: u64) -> Result<u64, types::Error> {
        check_key(&key)?;
        check_value(&value)?;
        self.begin(Request::Store(StoreRequest::Put { key, value, expires_ms }))
    }

    fn swap(&mut self, key: String, expected: Option<Vec<u8>>, value: Vec<u8>) -> Result<u64, types::Error> {
        check_key(&key)?;
        check_value(&value)?;
        check_value(expected.as_deref().unwrap_or_default())?;
        self.begin(Request::Store(StoreRequest::Swap { key, expected, value }))
    }

    fn delete(&mut self, key: String) -> Result<u64, types::Error> {
        check_key(&key)?;
        self.begin(Request::Store(StoreRequest::Delete { key }))
    }

    fn list(&mut self, prefix: String, after: String) -> Result<u64, types::Error> {
        bounded("prefix", &prefix, KEY_BYTES_MAX)?;
        bounded("after", &after, KEY_BYTES_MAX)?;
        self.begin(Request::Store(StoreRequest::List { prefix, after }))
    }
}
