//! What the compiling child takes from itself before it reads the first byte that a stranger wrote.
//!
//! The child does it, not the host between fork and exec: a host with a hook there has to fork, which copies its page tables and makes
//! each of its threads fault on its next write. Without one the child is started by vfork, and the media threads notice nothing.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::io;

/// Like the slow lane's: a tenth of what a program of normal priority gets beside it.
const NICE: libc::c_int = 10;

/// Confines this process for the rest of its life: descriptors 0, 1 and 2 only, lowest priority, hard limits of processor time and
/// address space, no files, no sockets, no further processes, no executable memory. Once, from its only thread.
/// Returns what this kernel does not support, a line each. Errors: a limit could not be set; nothing must be compiled then.
pub fn confine(cpu_seconds: u32, memory_bytes: u64) -> io::Result<Vec<String>> {
    let mut warnings = Vec::new();
    let mut lacking = |what: &str, error: &dyn std::fmt::Display| {
        warnings.push(format!("this kernel does not let the compiling child {what}: {error}"));
    };
    if let Err(error) = close_descriptors() {
        lacking("close what it inherited", &error);
    }
    // If memory runs out all the same, it is this process that goes.
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "1000") {
        lacking("offer itself to the out-of-memory killer", &error);
    }
    if let Err(error) = step_back() {
        lacking("take the lowest priority", &error);
    }
    limit_resources(cpu_seconds, memory_bytes)?;
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)?;
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    if let Err(error) = filter_system_calls() {
        lacking("give up files, sockets and processes (seccomp)", &error);
    }
    Ok(warnings)
}

fn close_descriptors() -> io::Result<()> {
    // SAFETY: nothing in this process owns a descriptor above 2: it is freshly started and has opened none.
    result(unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) })
}

/// Behind all that serves calls, and SCHED_IDLE: it runs when nobody else wants the processor, until [`step_up`].
fn step_back() -> io::Result<()> {
    // SAFETY: plain calls about this process, with a struct of ours.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
        let none = libc::sched_param { sched_priority: 0 };
        result(libc::sched_setscheduler(0, libc::SCHED_IDLE, &none).into())
    }
}

/// A child that has waited long enough gets a small share of a busy processor: without one an upload would wait until the host is idle.
/// Errors: this user may not; then it goes on waiting.
pub(super) fn step_up(child: u32) -> io::Result<()> {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: a plain call with a struct of ours.
    result(unsafe { libc::sched_setscheduler(child as libc::pid_t, libc::SCHED_OTHER, &none) }.into())
}

fn limit_resources(cpu_seconds: u32, memory_bytes: u64) -> io::Result<()> {
    let limits = [
        (libc::RLIMIT_AS, memory_bytes),
        (libc::RLIMIT_DATA, memory_bytes),
        (libc::RLIMIT_FSIZE, 0),
        (libc::RLIMIT_NOFILE, 0),
        (libc::RLIMIT_NPROC, 0),
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_MEMLOCK, 0),
    ];
    for (resource, most) in limits {
        set_limit(resource as _, most, most)?;
    }
    // SIGXCPU, which is how the host knows; SIGKILL a second later.
    set_limit(libc::RLIMIT_CPU as _, cpu_seconds.into(), u64::from(cpu_seconds) + 1)
}

fn set_limit(resource: libc::c_int, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: reads a struct of ours.
    result(unsafe { libc::setrlimit(resource as _, &limit) }.into())
}

fn prctl(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the options used here take a number and touch no memory.
    result(unsafe { libc::prctl(option, value, 0, 0, 0) }.into())
}

fn result(returned: libc::c_long) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What a compiler does: read, write, allocate, end. Whatever is not here answers EPERM, so that a library which would merely like to look
/// at some file goes on without it.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

fn filter_system_calls() -> Result<(), Box<dyn std::error::Error>> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    // Memory that can be executed is for whoever runs the code, not for whoever makes it.
    let exec = libc::PROT_EXEC as u64;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let not_exec = SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(exec), 0)?;
        rules.insert(call, vec![SeccompRule::new(vec![not_exec])?]);
    }
    // `abort` is a signal to oneself; to others none.
    let own = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, std::process::id().into())?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![own])?]);
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow, arch)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter(&program)?)
}
