//! Descriptors: each call holds two sockets, and the usual soft limit of 1024 is less than a trunk brings.

/// RTP and RTCP.
const PER_CALL: u64 = 2;
/// Listeners, connections, files, the runtime's own.
const BESIDES_CALLS: u64 = 1024;

/// Raises the soft limit to the hard one, and says what to set if that is not enough for `calls`.
pub fn raise_limit(calls: u32) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain calls on a struct of ours; failing leaves the limit as it was.
    let raised = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0
        }
    };
    let needed = u64::from(calls) * PER_CALL + BESIDES_CALLS;
    if !raised || limit.rlim_cur < needed {
        let has = limit.rlim_cur;
        tracing::warn!(
            "{calls} calls need {needed} descriptors and {has} are allowed: set `ulimit -n {needed}` (LimitNOFILE= in a systemd unit)"
        );
    }
}
