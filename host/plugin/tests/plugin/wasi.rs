//! WASI 0.2: linked, empty, and nothing in it waits.

use crate::bots::{ECHO, RESULT, Source, TEXT};
use crate::phone::{answered, load};
use plugin::{Event, Fault};

/// Runs this code once, in `on-event`: what the port saw, or the fault.
fn run(imports: &str, code: &str) -> Result<Vec<String>, Fault> {
    let items = format!(r#"(data (i32.const {TEXT}) "one\ntwo\nthr")"#);
    let log = r#"(import "patchbay:bot/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32 i32)))"#;
    let number = "(func $tell (param i32)
        (call $log (i32.const 0) (i32.const 0) (i32.const 0) (local.get 0) (i32.const 0) (i32.const 0)))";
    let source = Source {
        imports: &format!("{log} {imports}"),
        items: &format!("{items} {number}"),
        on_event: code,
        pages: 4,
        ..ECHO
    };
    let (mut bot, journal) = answered(&load(&source.component()));
    bot.on_event(Event::Hold)?;
    Ok(journal.take())
}

/// What `$tell` logs for a number.
fn told(number: u32) -> String {
    format!("log Debug :{number} ")
}

const CLOCK: &str = r#"
    (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-duration" (func $duration (param i64) (result i32)))
    (import "wasi:clocks/monotonic-clock@0.2.3" "subscribe-instant" (func $instant (param i64) (result i32)))
    (import "wasi:io/poll@0.2.3" "[method]pollable.block" (func $block (param i32)))
    (import "wasi:io/poll@0.2.3" "[method]pollable.ready" (func $ready (param i32) (result i32)))
    (import "wasi:io/poll@0.2.3" "[resource-drop]pollable" (func $drop_pollable (param i32)))
    (import "wasi:io/poll@0.2.3" "poll" (func $poll (param i32 i32 i32)))"#;

#[test]
fn waiting_for_a_time_to_come_is_a_fault_that_names_the_function() {
    let waits = [
        ("(call $block (call $duration (i64.const 1000000)))", "wasi:clocks/monotonic-clock.subscribe-duration"),
        ("(call $block (call $instant (i64.const 5)))", "wasi:clocks/monotonic-clock.subscribe-instant"),
        ("(call $poll (i32.const 0) (i32.const 0) (i32.const 3072))", "wasi:io/poll.poll"),
    ];
    for (code, function) in waits {
        let fault = run(CLOCK, code).unwrap_err();
        assert_eq!(fault, Fault::Waited(function.to_owned()));
        assert!(fault.to_string().contains("a bot may not wait, use a timer"));
    }
}

#[test]
fn a_time_that_has_come_is_ready_at_once() {
    let code = "(local $p i32) (local.set $p (call $duration (i64.const 0)))
        (call $tell (call $ready (local.get $p)))
        (call $block (local.get $p))
        (i32.store (i32.const 2040) (local.get $p))
        (call $poll (i32.const 2040) (i32.const 1) (i32.const 3072))
        (call $tell (i32.load offset=4 (i32.const 3072)))
        (call $drop_pollable (local.get $p))
        (call $block (call $instant (i64.const 0)))";
    assert_eq!(run(CLOCK, code), Ok(vec![told(1), told(1)]));
}

#[test]
fn pollables_that_are_dropped_leave_nothing_behind_and_hoarding_them_is_a_fault() {
    let rounds = |body: &str| {
        format!(
            "(local $n i32) (local.set $n (i32.const 5000))
             (loop $again {body} (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $again (local.get $n)))"
        )
    };
    assert_eq!(run(CLOCK, &rounds("(call $drop_pollable (call $duration (i64.const 0)))")), Ok(vec![]));
    assert!(matches!(run(CLOCK, &rounds("(drop (call $duration (i64.const 0)))")), Err(Fault::Trapped(_))));
}

const STDIO: &str = r#"
    (import "wasi:cli/stdout@0.2.3" "get-stdout" (func $stdout (result i32)))
    (import "wasi:cli/stderr@0.2.3" "get-stderr" (func $stderr (result i32)))
    (import "wasi:cli/stdin@0.2.3" "get-stdin" (func $stdin (result i32)))
    (import "wasi:io/streams@0.2.3" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
    (import "wasi:io/streams@0.2.3" "[method]output-stream.check-write" (func $check (param i32 i32)))
    (import "wasi:io/streams@0.2.3" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
    (import "wasi:io/streams@0.2.3" "[method]output-stream.blocking-write-and-flush"
        (func $write_all (param i32 i32 i32 i32)))"#;

#[test]
fn stdout_and_stderr_go_to_the_log_line_by_line() {
    let code = format!(
        "(call $write_all (call $stdout) (i32.const {TEXT}) (i32.const 11) (i32.const {RESULT}))
         (call $write (call $stderr) (i32.const {TEXT}) (i32.const 4) (i32.const {RESULT}))
         (call $write (call $stdout) (i32.const {}) (i32.const 1) (i32.const {RESULT}))",
        TEXT + 3
    );
    let lines = ["log Info stdout:0 one", "log Info stdout:0 two", "log Warn stderr:0 one", "log Info stdout:0 thr"];
    assert_eq!(run(STDIO, &code), Ok(lines.map(str::to_owned).to_vec()));
}

#[test]
fn a_line_that_never_ends_is_cut() {
    let code = format!(
        "(local $n i32) (local.set $n (i32.const 100))
         (loop $again
            (call $write (call $stdout) (i32.const 8192) (i32.const 1000) (i32.const {RESULT}))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if $again (local.get $n)))
         (call $write (call $stdout) (i32.const {}) (i32.const 1) (i32.const {RESULT}))",
        TEXT + 3
    );
    assert_eq!(run(STDIO, &code), Ok(vec!["log Info stdout:0 4096 bytes".to_owned()]));
}

#[test]
fn stdin_is_at_its_end_and_reading_it_does_not_wait() {
    let code = format!(
        "(call $read (call $stdin) (i64.const 10) (i32.const {RESULT}))
         (call $tell (i32.load8_u (i32.const {RESULT})))
         (call $tell (i32.load8_u offset=4 (i32.const {RESULT})))"
    );
    assert_eq!(run(STDIO, &code), Ok(vec![told(1), told(1)]), "an error, and it is `closed`");
}

#[test]
fn there_is_no_environment_no_argument_and_no_directory() {
    let imports = r#"(import "wasi:cli/environment@0.2.3" "get-environment" (func $a (param i32)))
        (import "wasi:cli/environment@0.2.3" "get-arguments" (func $b (param i32)))
        (import "wasi:filesystem/preopens@0.2.3" "get-directories" (func $c (param i32)))"#;
    for function in ["$a", "$b", "$c"] {
        let code =
            format!("(call {function} (i32.const {RESULT})) (call $tell (i32.load offset=4 (i32.const {RESULT})))");
        assert_eq!(run(imports, &code), Ok(vec![told(0)]), "{function}");
    }
}

#[test]
fn no_socket_is_made() {
    let imports = r#"(import "wasi:sockets/tcp-create-socket@0.2.3" "create-tcp-socket" (func $tcp (param i32 i32)))
        (import "wasi:sockets/udp-create-socket@0.2.3" "create-udp-socket" (func $udp (param i32 i32)))"#;
    for function in ["$tcp", "$udp"] {
        let code = format!(
            "(call {function} (i32.const 0) (i32.const {RESULT}))
             (call $tell (i32.load8_u (i32.const {RESULT}))) (call $tell (i32.load8_u offset=4 (i32.const {RESULT})))"
        );
        assert_eq!(run(imports, &code), Ok(vec![told(1), told(1)]), "{function}: access-denied");
    }
}

#[test]
fn clocks_and_randomness_are_the_ports() {
    let imports = r#"(import "wasi:clocks/wall-clock@0.2.3" "now" (func $wall (param i32)))
        (import "wasi:clocks/monotonic-clock@0.2.3" "now" (func $now (result i64)))
        (import "wasi:random/random@0.2.3" "get-random-u64" (func $number (result i64)))
        (import "wasi:random/random@0.2.3" "get-random-bytes" (func $bytes (param i64 i32)))"#;
    let code = format!(
        "(call $wall (i32.const {RESULT})) (call $tell (i32.load (i32.const {RESULT})))
         (call $tell (i32.load offset=8 (i32.const {RESULT})))
         (call $tell (i32.wrap_i64 (call $now)))
         (call $tell (i32.wrap_i64 (call $number)))"
    );
    let random = "random 8".to_owned();
    assert_eq!(run(imports, &code), Ok(vec![told(1234), told(567_000_000), told(0), random, told(0x0404_0404)]));
    let bytes = |len: u64| run(imports, &format!("(call $bytes (i64.const {len}) (i32.const {RESULT}))"));
    assert_eq!(bytes(65536), Ok(vec!["random 65536".to_owned()]));
    assert!(matches!(bytes(65537), Err(Fault::Trapped(reason)) if reason.contains("65537 random bytes")));
}

#[test]
fn exit_ends_the_instance_and_nothing_else() {
    let imports = r#"(import "wasi:cli/exit@0.2.3" "exit" (func $exit (param i32)))"#;
    assert!(matches!(run(imports, "(call $exit (i32.const 0))"), Err(Fault::Trapped(_))));
}
