//! The 20 ms tick, cut into phases: one sleep for all legs of a phase, none for a packet.

use std::thread::sleep;
use std::time::{Duration, Instant};

pub const PHASES: u64 = 10;
pub const TICK: Duration = Duration::from_millis(20);
const PHASE: Duration = Duration::from_millis(20 / PHASES);

pub struct Phases {
    epoch: Instant,
    next: u64,
}

impl Phases {
    pub fn new() -> Phases {
        prefer_this_thread();
        Phases { epoch: Instant::now(), next: 0 }
    }

    /// Waits for the next phase. Returns its number since the beginning, and when it was due. None is ever left out: a generator
    /// that was held up makes up for it, as a sender's sound card would.
    pub fn wait(&mut self) -> (u64, Instant) {
        let number = self.next;
        self.next += 1;
        let due = self.epoch + PHASE * number as u32;
        let now = Instant::now();
        if now < due {
            sleep(due - now);
        }
        (number, due)
    }
}

/// As high a priority as the host's media threads ask for, where that is allowed; and timers to the microsecond.
fn prefer_this_thread() {
    // SAFETY: plain calls about this thread; refused, they change nothing.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, -10);
        libc::prctl(libc::PR_SET_TIMERSLACK, 1_000);
    }
}
