//! What the child has left, seen from inside, by a child that tries, and from outside, of the real one while it compiles.

use crate::stage::{bomb, compiler_as, echo, error_of};
use plugin::{CompileError, CompileLimits};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

fn said_by(role: &str) -> String {
    match error_of(&compiler_as(role, CompileLimits::default()), echo()) {
        CompileError::Refused(said) => said,
        other => panic!("{other}"),
    }
}

pub fn the_child_opens_no_file_and_no_socket_and_starts_nothing() {
    let eperm = libc::EPERM;
    let attempts =
        ["read", "self", "write", "tcp", "unix", "exec", "thread", "fork", "kill", "ptrace", "mmap-exec", "raise"];
    let expected: Vec<String> = attempts.iter().map(|what| format!("{what}={eperm}")).collect();
    assert_eq!(said_by("probe"), expected.join(" "));
}

pub fn the_child_has_no_environment_and_three_descriptors() {
    // One that does not close itself on exec, as C libraries leave them.
    let leaked = fs::File::open("/dev/null").unwrap();
    // SAFETY: changes a flag of a descriptor of ours.
    let cleared = unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&leaked), libc::F_SETFD, 0) };
    assert_eq!(cleared, 0);
    assert!(std::env::vars_os().count() > 0, "there is something to inherit");
    assert_eq!(said_by("descriptors"), "variables=0 descriptors=[]");
}

/// The process of this host that compiles a component of this name.
fn child_of(name: &str) -> Option<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes.into_iter().find(|process| {
        let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).nth(3) == Some(name.as_bytes())
    })
}

pub fn the_child_runs_under_its_limits_and_last_of_all() {
    let bytes = bomb(1500, 700);
    let limits = CompileLimits { cpu_seconds: 3, ..CompileLimits::default() };
    let compiler = compiler_as("compile", limits);
    let name = format!("observed-{}", std::process::id());
    std::thread::scope(|scope| {
        let compiling = scope.spawn(|| compiler.compile(&name, &bytes).expect_err("takes too long"));
        let in_filter = || {
            let child = child_of(&name)?;
            let status = fs::read_to_string(child.join("status")).ok()?;
            status.contains("Seccomp:\t2\n").then_some((child, status))
        };
        let (child, status) = loop {
            if let Some(found) = in_filter() {
                break found;
            }
            assert!(!compiling.is_finished(), "was never seen behind its filter");
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(status.contains("NoNewPrivs:\t1\n") && status.contains("Threads:\t1\n"), "{status}");
        let mut descriptors: Vec<_> =
            fs::read_dir(child.join("fd")).unwrap().map(|fd| fd.unwrap().file_name()).collect();
        descriptors.sort();
        assert_eq!(descriptors, ["0", "1", "2"]);
        assert_eq!(fs::read(child.join("environ")).unwrap(), b"");
        assert_eq!(fs::read_to_string(child.join("oom_score_adj")).unwrap(), "1000\n");
        let limits = fs::read_to_string(child.join("limits")).unwrap();
        let soft_and_hard = |of: &str| -> Vec<String> {
            let line = limits.lines().find_map(|line| line.strip_prefix(of)).unwrap();
            line.split_whitespace().take(2).map(str::to_owned).collect()
        };
        assert_eq!(soft_and_hard("Max cpu time"), ["3", "4"]);
        assert_eq!(soft_and_hard("Max address space"), ["2147483648", "2147483648"]);
        for nothing in ["Max file size", "Max open files", "Max processes", "Max core file size", "Max locked memory"] {
            assert_eq!(soft_and_hard(nothing), ["0", "0"], "{nothing}");
        }
        let priority = || -> Option<(String, i32)> {
            let stat = fs::read_to_string(child.join("stat")).ok()?;
            // proc(5), after the name in brackets: state is field 3, nice 19, policy 41.
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            Some((fields[19 - 3].to_owned(), fields[41 - 3].parse().ok()?))
        };
        assert_eq!(priority(), Some(("10".to_owned(), libc::SCHED_IDLE)));
        // In the middle of its three seconds it has waited long enough for a small share, if this user may give it one.
        // SAFETY: cannot fail and touches nothing.
        let later = if unsafe { libc::geteuid() } == 0 { libc::SCHED_OTHER } else { libc::SCHED_IDLE };
        std::thread::sleep(Duration::from_millis(800));
        assert_eq!(priority(), Some(("10".to_owned(), later)));
        let line = format!("{name}: compiling took more than 3 s");
        assert_eq!(compiling.join().unwrap().to_string(), line);
    });
}
