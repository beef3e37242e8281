//! What a call takes of the system is what start-up counts with.

use std::fs;
use std::process::Command;
use std::time::Duration;

use bench::crowd::Crowd;
use runtime::capacity::Room;

use crate::alone;
use crate::host::Host;

const CALLS: u64 = 50;
/// Over which the crowd signals.
const CONNECTIONS: u64 = 8;

/// Descriptors, mappings, and address space of that process. A timer is a thread's, which makes it when it enters its first guest, and no call's.
fn taken(pid: u32) -> Room {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let pages: u64 = read("statm").split(' ').next().unwrap().parse().unwrap();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let descriptors =
        descriptors.map(|entry| fs::read_link(entry.unwrap().path()).unwrap_or_default().into_os_string());
    Room {
        descriptors: descriptors.filter(|place| place != "anon_inode:[timerfd]").count() as u64,
        maps: read("maps").lines().count() as u64,
        address_bytes: pages * 4096,
    }
}

#[test]
fn a_call_takes_no_more_of_the_system_than_start_up_counts_with() {
    let _alone = alone();
    let host = Host::start("capacity");
    // What comes with the first calls and stays: heaps of threads, the bot's code.
    let first = Crowd::come(host.sip(), "echo", 10, Duration::from_millis(500)).unwrap();
    let before = taken(host.pid());
    let crowd = Crowd::come(host.sip(), "echo", CALLS as usize, Duration::from_millis(500)).unwrap();
    let during = taken(host.pid());
    crowd.leave().unwrap();
    first.leave().unwrap();
    let reserved = plugin::Limits::default().reserved_bytes();
    let (none, counted) = (Room::needed(0, reserved), Room::needed(CALLS as u32, reserved));
    let check = |what: &str, before: u64, during: u64, counted: u64| {
        let took = during - before;
        assert!(took <= counted, "{CALLS} calls took {took} {what}, {counted} were counted with");
        assert!(took * 2 >= counted, "{CALLS} calls took only {took} {what}: {counted} is far too much");
    };
    check("descriptors", before.descriptors + CONNECTIONS, during.descriptors, counted.descriptors - none.descriptors);
    check("maps", before.maps, during.maps, counted.maps - none.maps);
    check("bytes of addresses", before.address_bytes, during.address_bytes, counted.address_bytes - none.address_bytes);
    host.stop();
}

#[test]
fn a_host_that_could_not_hold_its_calls_says_what_to_set_and_does_not_start() {
    let serve = "ulimit -n 1500 && exec \"$0\" serve --listen tcp://127.0.0.1:0 --bots .";
    let output = Command::new("sh").args(["-c", serve, env!("CARGO_BIN_EXE_patchbay")]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("7024 descriptors are needed and 1500 are allowed"), "{said}");
    assert!(said.contains("LimitNOFILE=7024") && output.stdout.is_empty(), "{said}");
}
