//! What the kernel says of the process that is measured.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// A process at one moment.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// User and system time so far. Units: ms.
    pub cpu_ms: f64,
    /// The same for each name of a thread, its number left off.
    pub threads_ms: BTreeMap<String, f64>,
}

/// Source: proc(5), /proc/PID/stat fields 14 and 15; /proc/PID/task/TID/schedstat.
pub fn look(pid: u32) -> Result<Moment> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the measured process is gone")?;
    // The name in parentheses may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).context("/proc/PID/stat is shorter than it should be")?;
    // SAFETY: a plain call.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let mut threads_ms = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let read = |name: &str| fs::read_to_string(entry.path().join(name));
        // A thread may end meanwhile.
        let (Ok(name), Ok(stat)) = (read("comm"), read("schedstat")) else { continue };
        let ran_ns = stat.split(' ').next().and_then(|ran| ran.parse::<f64>().ok()).unwrap_or(0.0);
        let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
        *threads_ms.entry(name).or_default() += ran_ns / 1e6;
    }
    Ok(Moment { cpu_ms: (user + system) * 1000.0 / per_second, threads_ms })
}

/// Resident memory. Units: KiB. Source: proc(5), VmRSS.
pub fn rss_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the measured process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    line.trim().trim_end_matches(" kB").parse().context("VmRSS")
}

/// Sockets are descriptors: as many as we may have.
pub fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain calls on a struct of ours; failing leaves the limit as it was.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
