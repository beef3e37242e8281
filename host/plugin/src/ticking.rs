//! When epochs pass: every millisecond while some thread has been inside guests for a millisecond, and else not at all.
//!
//! Each thread that enters guests has a timer of its own. It sets it as it goes in and stops it as it comes out, and `Ticker` waits for those
//! that have run out. A thread that enters many guests in a row does so once for all of them, within a `Batch`. Most batches end before
//! their timer does; then nobody was woken. One timer for all would have to be stopped by whoever comes out last, and could then be
//! stopped under somebody who is just going in.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::Engine;

/// What a guest may stay before it is looked at, and how often it is from then on.
const EPOCH: Duration = Duration::from_millis(1);
/// How soon the thread that ticks sees that it is to stop.
const STOP_SEEN_MS: libc::c_int = 1000;

/// Passes the epochs of one engine. From its making on its guests are stopped only while it runs.
pub struct Ticker {
    engine: Engine,
    timers: Arc<OwnedFd>,
}

impl Ticker {
    pub(crate) fn new(engine: Engine) -> io::Result<Self> {
        // SAFETY: a plain call, whose result is judged.
        let timers = Arc::new(owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?);
        engine.set_timers(Arc::clone(&timers));
        Ok(Self { engine, timers })
    }

    /// Until `stop`, seen within a second; how many epochs passed. Belongs on a thread of high priority.
    pub fn run(&self, stop: &AtomicBool) -> u64 {
        let mut ticks = 0;
        while !stop.load(Ordering::Relaxed) {
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            // SAFETY: there is room for the one event that is asked for.
            let expired = unsafe { libc::epoll_wait(self.timers.as_raw_fd(), &raw mut event, 1, STOP_SEEN_MS) };
            // It stays expired until its thread is out again.
            if expired > 0 {
                self.engine.tick();
                ticks += 1;
                std::thread::sleep(EPOCH);
            }
        }
        ticks
    }
}

/// While it lives, the guests that this thread enters share one setting of its timer.
pub struct Batch {
    _of_this_thread: std::marker::PhantomData<*const ()>,
}

impl Batch {
    pub fn begin() -> Self {
        BATCHES.set(BATCHES.get() + 1);
        Self { _of_this_thread: std::marker::PhantomData }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        BATCHES.set(BATCHES.get() - 1);
        stop_unless_in_batch();
    }
}

/// This thread is inside a guest, or inside a batch of them.
pub(crate) struct Inside(());

impl Inside {
    /// Errors: the system has no more timers; the guest must not be entered.
    pub(crate) fn enter(timers: Option<&Arc<OwnedFd>>) -> io::Result<Self> {
        let Some(timers) = timers else { return Ok(Self(())) };
        TIMER.with_borrow_mut(|own| {
            match own {
                Some(timer) if Arc::ptr_eq(&timer.timers, timers) => {
                    if !RUNS.get() {
                        timer.set(EPOCH)?;
                    }
                }
                // This thread's first guest, or the first of this engine.
                _ => own.insert(Timer::new(timers)?).set(EPOCH)?,
            }
            RUNS.set(true);
            Ok(Self(()))
        })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        stop_unless_in_batch();
    }
}

fn stop_unless_in_batch() {
    if BATCHES.get() == 0 && RUNS.replace(false) {
        // Stopping one that exists cannot fail; if it did, epochs would pass for nothing.
        TIMER.with_borrow(|timer| timer.iter().for_each(|timer| drop(timer.set(Duration::ZERO))));
    }
}

thread_local! {
    static BATCHES: Cell<u32> = const { Cell::new(0) };
    static RUNS: Cell<bool> = const { Cell::new(false) };
    static TIMER: RefCell<Option<Timer>> = const { RefCell::new(None) };
}

/// Expires once; closed, and so no longer waited for, with its thread.
struct Timer {
    timer: OwnedFd,
    timers: Arc<OwnedFd>,
}

impl Timer {
    fn new(timers: &Arc<OwnedFd>) -> io::Result<Self> {
        // SAFETY: a plain call, whose result is judged.
        let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        let timer = owned(timer)?;
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        let (set, added) = (timers.as_raw_fd(), timer.as_raw_fd());
        // SAFETY: both descriptors are open, and `event` is read only during the call.
        judged(unsafe { libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, added, &raw mut event) })?;
        Ok(Self { timer, timers: Arc::clone(timers) })
    }

    /// Zero stops it. Cost: a system call.
    fn set(&self, after: Duration) -> io::Result<()> {
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let value = libc::timespec { tv_sec: 0, tv_nsec: after.subsec_nanos().into() };
        let setting = libc::itimerspec { it_interval: never, it_value: value };
        // SAFETY: `setting` is read only during the call, and the old setting is not asked for.
        let status =
            unsafe { libc::timerfd_settime(self.timer.as_raw_fd(), 0, &raw const setting, std::ptr::null_mut()) };
        judged(status).map(drop)
    }
}

fn judged(status: libc::c_int) -> io::Result<libc::c_int> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(status) }
}

fn owned(descriptor: RawFd) -> io::Result<OwnedFd> {
    judged(descriptor)?;
    // SAFETY: just opened, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
