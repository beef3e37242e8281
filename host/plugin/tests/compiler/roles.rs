//! What this binary does as a child: compile, as the host's own does, or misbehave.

use plugin::{compile_child, confine};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// By which a child refuses a component; what it says then reaches the test.
const REFUSED: u8 = 65;

pub fn play(role: &str, rest: &[OsString]) -> ExitCode {
    let long = Duration::from_secs(600);
    match role {
        "compile" => return compile_child(rest),
        "probe" => eprintln!("{}", probe()),
        "descriptors" => eprintln!("{}", descriptors()),
        // Alone, as long as nobody else holds the folder that the role is followed by.
        "alone" => eprintln!("{}", alone(&rest[0])),
        "silent" => std::thread::sleep(long),
        "closes" => {
            for descriptor in 0..3 {
                // SAFETY: nothing here uses them any more.
                drop(unsafe { File::from_raw_fd(descriptor) });
            }
            std::thread::sleep(long);
        }
        "floods" => {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            while io::stdout().write_all(&[7; 4096]).is_ok() {}
        }
        "crashes" => std::process::abort(),
        other => panic!("no role is called {other}"),
    }
    ExitCode::from(REFUSED)
}

fn confined() {
    let warnings = confine(5, 1 << 30).expect("can be confined");
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// What each attempt came to.
fn probe() -> String {
    let own = std::env::current_exe().expect("this binary");
    confined();
    let mut said = String::new();
    let mut note = |what: &str, tried: io::Result<()>| {
        let shown = tried.map_or_else(|error| error.raw_os_error().unwrap_or_default().to_string(), |()| "done".into());
        let _ = write!(said, "{what}={shown} ");
    };
    note("read", File::open("/etc/passwd").map(drop));
    note("self", File::open(own).map(drop));
    note("write", OpenOptions::new().write(true).create(true).truncate(true).open("/tmp/patchbay-probe").map(drop));
    note("tcp", TcpListener::bind("127.0.0.1:0").map(drop));
    note("unix", UnixDatagram::unbound().map(drop));
    note("exec", Command::new("/bin/true").status().map(drop));
    note("thread", std::thread::Builder::new().spawn(|| ()).map(drop));
    // SAFETY: none of these touches memory that is in use; each is to fail.
    unsafe {
        let returned = |value: i64| if value < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        note("fork", returned(libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)));
        note("kill", returned(libc::kill(libc::getppid(), 0).into()));
        note("ptrace", returned(libc::syscall(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0)));
        let exec = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let mapped = libc::mmap(std::ptr::null_mut(), 4096, exec, anonymous, -1, 0);
        note("mmap-exec", returned(if mapped == libc::MAP_FAILED { -1 } else { 0 }));
        let all = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        note("raise", returned(libc::setrlimit(libc::RLIMIT_AS, &all).into()));
    }
    said.trim_end().to_owned()
}

fn descriptors() -> String {
    let variables = std::env::vars_os().count();
    confined();
    // A read of nothing says whether a descriptor is open.
    // SAFETY: no byte is written.
    let open = |descriptor: &i32| unsafe { libc::read(*descriptor, std::ptr::null_mut(), 0) } >= 0;
    let others: Vec<i32> = (3..20_000).filter(open).collect();
    format!("variables={variables} descriptors={others:?}")
}

fn alone(folder: &OsString) -> &'static str {
    let taken = std::path::Path::new(folder).join("taken");
    if std::fs::create_dir(&taken).is_err() {
        return "not alone";
    }
    std::thread::sleep(Duration::from_millis(100));
    std::fs::remove_dir(&taken).expect("still there");
    "alone"
}
