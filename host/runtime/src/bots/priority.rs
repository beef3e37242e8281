//! Who goes first when the processors are busy: media threads, then frame workers, then the slow lane and starters.
//! Raising a thread needs a privilege that the host may lack; then the order is kept by lowering the others.

/// The least of the real-time priorities: before every thread that has none, behind whatever the machine itself needs.
const REAL_TIME: libc::c_int = 1;
/// Nice values. The media plane takes what it gets; everything else makes room.
const MEDIA: i32 = -10;
const FRAME_WORKER: i32 = -5;
const STARTER: i32 = 5;
const SLOW: i32 = 10;

/// Real-time, where this user may: a nice value alone lets a thread that wakes wait for the slice of the one that runs, some ms.
/// What a media thread does in a phase is bounded by its legs, and the kernel keeps a share for the others in any case.
pub fn media() {
    let priority = libc::sched_param { sched_priority: REAL_TIME };
    // SAFETY: a plain call about this thread, with a struct of ours. Failing is an answer: the nice value remains.
    let real_time = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &priority) } == 0;
    if !real_time {
        set(MEDIA);
    }
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
