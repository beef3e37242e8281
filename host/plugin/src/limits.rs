//! What a bot may use. Each field has a test, of what is allowed and of what is not, in `tests/plugin`.

use std::time::Duration;

/// Samples in one frame: 20 ms at 8 kHz, mono.
pub const FRAME_SAMPLES: usize = 160;

/// Frames of a wrong length in a row that end an instance.
pub const WRONG_LENGTHS_MAX: u32 = 50;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of an uploaded component. A StarlingMonkey or Python bot has 12 to 19 MB.
    pub component_bytes: usize,
    /// Linear memory of one instance, all its core memories together. Also bounds what one `memory.fill`, which looks at the
    /// epoch only when it begins, can cost.
    pub memory_bytes: usize,
    /// Table elements of one instance, all its tables together: 8 host bytes each. A Python bot needs some 20,000.
    pub table_elements: usize,
    /// Core instances within one component instance. A Python component has some 30.
    pub core_instances: usize,
    /// Handles of WASI resources that one instance may hold, and entries of the host's table behind them.
    pub handles: usize,
    /// Stack of the guest, on the stack of the thread that enters it: leave a worker thread at least 512 KiB more.
    pub stack_bytes: usize,
    /// Guest CPU within one tick: its events and its frame together; also for one `save`.
    pub hard_cpu_ms: u32,
    /// Guest CPU of instantiation, and again of `start`.
    pub start_cpu_ms: u32,
    /// What `save` may return.
    pub save_bytes: usize,
    /// What one call of a host function may hand over, and what an export may return: 1 MiB is 65 s of sound.
    pub payload_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 32 << 20,
            memory_bytes: 16 << 20,
            table_elements: 100_000,
            core_instances: 64,
            handles: 256,
            stack_bytes: 512 << 10,
            hard_cpu_ms: 50,
            start_cpu_ms: 200,
            save_bytes: 64 << 10,
            payload_bytes: 1 << 20,
        }
    }
}

/// Address space reserved for each memory. More than any bot may use, so that a memory never moves;
/// little enough for ten thousand instances (the default of 4 GiB is not).
const MEMORY_RESERVATION_MIN: u64 = 64 << 20;

impl Limits {
    /// Address space that one memory of an instance reserves.
    pub fn reserved_bytes(&self) -> u64 {
        MEMORY_RESERVATION_MIN.max((self.memory_bytes as u64).next_multiple_of(64 << 10))
    }

    pub(crate) fn hard_cpu(&self) -> Duration {
        Duration::from_millis(self.hard_cpu_ms.into())
    }

    pub(crate) fn start_cpu(&self) -> Duration {
        Duration::from_millis(self.start_cpu_ms.into())
    }
}
