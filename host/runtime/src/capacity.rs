//! Whether the system lets this process hold the calls that it is configured for: descriptors, mappings of memory, address space.
//! Asked at start-up, because each of them gives out in the middle of a call otherwise.

use std::fmt::Write;

/// RTP and RTCP.
const DESCRIPTORS_PER_CALL: u64 = 2;
/// Listeners, connections, files, the runtime's own.
const DESCRIPTORS_BESIDES: u64 = 1024;
/// An instance of a bot with one memory has four: the image of its data, what else it uses, what it may grow into, its guard.
/// Two to spare, for bots with more tables, and calls that move and have two instances for a second.
pub const MAPS_PER_CALL: u64 = 6;
/// Threads, libraries, compiled bots, the heap.
const MAPS_BESIDES: u64 = 4096;
/// Above what an instance's memory reserves: guards, tables, the heap.
const ADDRESS_BYTES_ABOVE_RESERVATION: u64 = 4 << 20;
const ADDRESS_BYTES_BESIDES: u64 = 4 << 30;

/// What so many calls need, or what the system allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub descriptors: u64,
    pub maps: u64,
    pub address_bytes: u64,
}

impl Room {
    /// `reserved_bytes`: address space of one instance's memory.
    pub fn needed(calls: u32, reserved_bytes: u64) -> Self {
        let calls = u64::from(calls);
        Self {
            descriptors: calls * DESCRIPTORS_PER_CALL + DESCRIPTORS_BESIDES,
            maps: calls * MAPS_PER_CALL + MAPS_BESIDES,
            address_bytes: calls * (reserved_bytes + ADDRESS_BYTES_ABOVE_RESERVATION) + ADDRESS_BYTES_BESIDES,
        }
    }

    /// Raises the soft limit of descriptors to the hard one first: the usual soft one of 1024 is less than a trunk brings.
    pub fn allowed() -> Self {
        let maps = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
        Self {
            descriptors: raised_descriptors(),
            // Not to be read is not too few.
            maps: maps.and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX),
            address_bytes: limit_of(libc::RLIMIT_AS).map_or(u64::MAX, |limit| limit.rlim_cur),
        }
    }

    /// Errors: each limit that is too low, and how to raise it, a line each.
    pub fn suffice_for(&self, calls: u32, reserved_bytes: u64) -> Result<(), String> {
        let needed = Room::needed(calls, reserved_bytes);
        let mut lacks = String::new();
        let mut lack = |what: &str, needed: u64, allowed: u64, mend: String| {
            if allowed < needed {
                let _ = write!(lacks, "\n  {needed} {what} are needed and {allowed} are allowed: {mend}");
            }
        };
        let Room { descriptors, maps, .. } = needed;
        let mend = format!("`ulimit -Hn {descriptors}` (LimitNOFILE={descriptors} in a systemd unit)");
        lack("descriptors", descriptors, self.descriptors, mend);
        lack("memory mappings", maps, self.maps, format!("`sysctl -w vm.max_map_count={maps}`"));
        let [needs_kib, has_kib] = [needed.address_bytes, self.address_bytes].map(|bytes| bytes.div_ceil(1024));
        lack(
            "KiB of address space",
            needs_kib,
            has_kib,
            "`ulimit -v unlimited` (LimitAS=infinity in a systemd unit)".into(),
        );
        match lacks.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "this system does not let {calls} calls be held (`limits.calls`); raise what is too low, or lower that:{lacks}"
            )),
        }
    }
}

fn limit_of(resource: libc::__rlimit_resource_t) -> Option<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain call on a struct of ours.
    (unsafe { libc::getrlimit(resource, &mut limit) } == 0).then_some(limit)
}

fn raised_descriptors() -> u64 {
    let Some(limit) = limit_of(libc::RLIMIT_NOFILE) else { return u64::MAX };
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: a plain call on a struct of ours; failing leaves the limit as it was.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } {
        0 => raised.rlim_cur,
        _ => limit.rlim_cur,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVED: u64 = 64 << 20;

    #[test]
    fn a_limit_that_is_too_low_is_named_with_what_to_set_it_to() {
        let enough = Room::needed(3000, RESERVED);
        assert_eq!(enough.suffice_for(3000, RESERVED), Ok(()));
        for (room, names) in [
            (
                Room { descriptors: 4096, ..enough },
                "7024 descriptors are needed and 4096 are allowed: `ulimit -Hn 7024`",
            ),
            (Room { maps: 20_000, ..enough }, "`sysctl -w vm.max_map_count=22096`"),
            (Room { address_bytes: 64 << 30, ..enough }, "`ulimit -v unlimited`"),
        ] {
            let error = room.suffice_for(3000, RESERVED).unwrap_err();
            assert!(error.contains(names) && error.contains("`limits.calls`"), "{error}");
            assert_eq!(error.lines().count(), 2, "{error}");
        }
        let error = Room { descriptors: 0, maps: 0, address_bytes: 0 }.suffice_for(3000, RESERVED).unwrap_err();
        assert_eq!(error.lines().count(), 4, "{error}");
        assert_eq!(enough.suffice_for(3001, RESERVED).unwrap_err().lines().count(), 4);
    }

    #[test]
    fn the_usual_limits_hold_three_thousand_calls() {
        let usual = Room { descriptors: 20_000, maps: 65_530, address_bytes: u64::MAX };
        assert_eq!(usual.suffice_for(3000, RESERVED), Ok(()));
        assert!(usual.suffice_for(12_000, RESERVED).is_err());
    }
}
