//! Who goes first when the processors are busy: media threads, then frame workers, then the slow lane and starters.
//! Raising a thread needs a privilege that the host may lack; then the order is kept by lowering the others.

/// Nice values. The media plane takes what it gets; everything else makes room.
const MEDIA: i32 = -10;
const FRAME_WORKER: i32 = -5;
const STARTER: i32 = 5;
const SLOW: i32 = 10;

pub fn media() {
    set(MEDIA);
}

pub fn frame_worker() {
    set(FRAME_WORKER);
}

pub fn starter() {
    set(STARTER);
}

pub fn slow_worker() {
    set(SLOW);
}

/// A frame worker whose guest overstayed. Without the privilege to come back up it would stay low for ever, so it stays where it is.
pub fn lower_for_overstay() {
    if may_raise() {
        set(SLOW);
    }
}

fn may_raise() -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain calls that fill a struct of ours or return a number.
    unsafe { libc::geteuid() == 0 || (libc::getrlimit(libc::RLIMIT_NICE, &mut limit) == 0 && limit.rlim_cur >= 25) }
}

fn set(nice: i32) {
    // SAFETY: on Linux PRIO_PROCESS with a thread's id changes that thread only. Failing is an answer: the default stays.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, nice);
    }
}
