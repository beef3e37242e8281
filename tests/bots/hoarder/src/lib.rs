//! Takes memory, looks whether anything is in it, and leaves it full of its tenant's pattern. For `cargo xtask bench hosting`:
//! whatever it finds, another call left there.

use patchbay_sdk::{Accept, Bot, Call, Refusal, Start};

/// 2 MiB, in words.
const WORDS: usize = (2 << 20) / 8;

#[derive(Default)]
struct Hoarder;

impl Bot for Hoarder {
    /// The route's `pattern` is the byte that is left. Notes: how many bytes were found, and how many left.
    fn start(&mut self, call: &Call, _start: Start) -> Result<Accept, Refusal> {
        let pattern: u8 = call.config("pattern").and_then(|pattern| pattern.parse().ok()).unwrap_or(0xff);
        let memory = new_memory();
        let found: usize = memory.iter().map(|word| word.to_ne_bytes().iter().filter(|byte| **byte != 0).count()).sum();
        memory.fill(u64::from_ne_bytes([pattern; 8]));
        call.note("found", &found.to_string());
        call.note("left", &(8 * memory.iter().filter(|word| **word != 0).count()).to_string());
        Ok(Accept::events_only())
    }
}

/// Straight from the host: no allocator has had it before.
#[cfg(target_arch = "wasm32")]
fn new_memory() -> &'static mut [u64] {
    const PAGE_BYTES: usize = 64 << 10;
    let before = core::arch::wasm32::memory_grow::<0>(WORDS * 8 / PAGE_BYTES);
    if before == usize::MAX {
        return &mut [];
    }
    // SAFETY: these pages are new, nobody else knows of them, and whatever is in them is a number.
    unsafe { core::slice::from_raw_parts_mut((before * PAGE_BYTES) as *mut u64, WORDS) }
}

/// On this machine itself there is no such memory.
#[cfg(not(target_arch = "wasm32"))]
fn new_memory() -> &'static mut [u64] {
    vec![0; WORDS].leak()
}

patchbay_sdk::export!(Hoarder);
