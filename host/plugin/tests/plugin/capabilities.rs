//! Every import: it reaches the port, its answer reaches the bot, and what is out of bounds does not reach the port.

use crate::bots::{ECHO, RESULT, Source, TEXT};
use crate::phone::{answered, engine, frame, load};
use plugin::{Event, Fault, FrameAnswer};

/// Calls one import from `on-event` and leaves what it returned in the next frame's first samples, as raw bytes.
struct Import {
    name: (&'static str, &'static str),
    signature: &'static str,
    /// Arguments, as WebAssembly text. An import that returns by memory gets `RESULT` as its last.
    arguments: String,
}

impl Import {
    fn new(interface: &'static str, function: &'static str, signature: &'static str, arguments: &[i64]) -> Self {
        let types = signature.trim_start_matches("(param ").split([')', ' ']);
        let arguments: Vec<String> =
            arguments.iter().zip(types).map(|(value, ty)| format!("({ty}.const {value})")).collect();
        Self { name: (interface, function), signature, arguments: arguments.join(" ") }
    }

    /// What the port saw, and the 16 bytes at `RESULT` (or the value returned directly).
    fn call(&self) -> Result<(Vec<String>, [u8; 16]), Fault> {
        let Self { name: (interface, function), signature, arguments } = self;
        let imports = format!(r#"(import "patchbay:bot/{interface}@0.1.0" "{function}" (func $import {signature}))"#);
        let call = format!("(call $import {arguments})");
        let on_event = if signature.contains("(result i64)") {
            format!("(i64.store (i32.const {RESULT}) {call})")
        } else if signature.contains("(result i32)") {
            format!("(i32.store (i32.const {RESULT}) {call})")
        } else {
            call
        };
        let copies = format!("(memory.copy (local.get $samples) (i32.const {RESULT}) (i32.const 16))");
        let source = Source { imports: &imports, on_event: &on_event, on_frame: &copies, pages: 40, ..ECHO };
        let (mut bot, journal) = answered(&load(&source.component()));
        bot.on_event(Event::Hold)?;
        let seen = journal.take();
        let mut answer = [0; 160];
        let kind = bot.on_frame(0, &[0; 160], plugin::FrameKind::Audio, &mut answer)?;
        assert_eq!(kind, FrameAnswer::Frame);
        let mut result = [0; 16];
        for (bytes, sample) in result.chunks_mut(2).zip(answer) {
            bytes.copy_from_slice(&sample.to_le_bytes());
        }
        Ok((seen, result))
    }

    fn seen(&self) -> Vec<String> {
        self.call().expect("no fault").0
    }

    fn result(&self) -> [u8; 16] {
        self.call().expect("no fault").1
    }
}

fn word(bytes: &[u8; 16], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn long(bytes: &[u8; 16], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

const AT: i64 = TEXT as i64;
const TO: i64 = RESULT as i64;
const TEXT_TO_RESULT: &str = "(param i32 i32 i32)";

#[test]
fn header_and_attribute_give_what_the_port_has() {
    let header = Import::new("call", "header", TEXT_TO_RESULT, &[AT, 5, TO]);
    assert_eq!(header.seen(), ["header 5 bytes"]);
    assert_eq!(word(&header.result(), 4), 2, "a list of two");
    let attribute = Import::new("call", "attribute", TEXT_TO_RESULT, &[AT, 256, TO]);
    assert_eq!(attribute.seen(), ["attribute 256 bytes"]);
    assert_eq!((word(&attribute.result(), 0), word(&attribute.result(), 8)), (1, 4), "some, of four bytes");
}

#[test]
fn names_beyond_256_bytes_are_of_nothing() {
    for (interface, function) in [("call", "header"), ("call", "attribute"), ("config", "get")] {
        let import = Import::new(interface, function, TEXT_TO_RESULT, &[AT, 257, TO]);
        assert!(import.seen().is_empty(), "{function}");
    }
    assert_eq!(Import::new("config", "get", TEXT_TO_RESULT, &[AT, 256, TO]).seen(), ["config 256 bytes"]);
}

#[test]
fn the_simple_requests_reach_the_port() {
    assert_eq!(Import::new("call", "answer", "", &[]).seen(), ["answer"]);
    assert_eq!(Import::new("call", "hangup", "(param i32)", &[1]).seen(), ["hangup true"]);
    assert_eq!(Import::new("call", "want-frames", "(param i32)", &[0]).seen(), ["want-frames false"]);
    assert_eq!(Import::new("call", "done", "", &[]).seen(), ["done"]);
}

/// `send-digits` with these keys: what the port saw, and the code of the error if it was one.
fn send_digits(keys: &str) -> (Vec<String>, Option<String>) {
    let source = Source {
        imports: r#"(import "patchbay:bot/call@0.1.0" "send-digits" (func $send (param i32 i32 i32)))
                    (import "patchbay:bot/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32 i32)))"#,
        items: &format!(r#"(data (i32.const {TEXT}) "{keys}")"#),
        // Logs the error's code, or nothing.
        on_event: &format!(
            "(call $send (i32.const {TEXT}) (i32.const {}) (i32.const {RESULT}))
             (if (i32.load8_u (i32.const {RESULT})) (then
                (call $log (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.load offset=8 (i32.const {RESULT})) (i32.load offset=12 (i32.const {RESULT})))))",
            keys.len()
        ),
        ..ECHO
    };
    let (mut bot, journal) = answered(&load(&source.component()));
    bot.on_event(Event::Hold).unwrap();
    let (errors, seen): (Vec<_>, Vec<_>) = journal.take().into_iter().partition(|line| line.starts_with("log "));
    (seen, errors.first().map(|line| line.trim_start_matches("log Error :0 ").to_owned()))
}

#[test]
fn keys_that_a_telephone_has_are_sent_and_others_are_not() {
    assert_eq!(send_digits("0123456789*#ABCD,"), (vec!["send-digits 0123456789*#ABCD,".to_owned()], None));
    for wrong in ["12a", "E", "1 2", "+49"] {
        assert_eq!(send_digits(wrong), (vec![], Some("not-a-digit".to_owned())), "{wrong}");
    }
}

#[test]
fn sixty_four_keys_are_sent_and_sixty_five_are_too_many() {
    assert_eq!(send_digits(&"7".repeat(64)).1, None);
    assert_eq!(send_digits(&"7".repeat(65)), (vec![], Some("too-many".to_owned())));
}

#[test]
fn notes_are_bounded_in_key_and_value() {
    let note = |key, value| Import::new("call", "note", "(param i32 i32 i32 i32 i32)", &[AT, key, AT, value, TO]);
    assert_eq!(note(64, 1024).seen(), ["note 64 1024 bytes"]);
    assert_eq!(word(&note(64, 1024).result(), 0), 0);
    for (key, value) in [(65, 1), (1, 1025)] {
        assert!(note(key, value).seen().is_empty());
        assert_eq!(word(&note(key, value).result(), 0), 1, "an error");
    }
}

#[test]
fn playout_write_hands_over_samples_and_tells_what_fitted() {
    let write = Import::new("playout", "write", TEXT_TO_RESULT, &[AT, 160, TO]);
    assert_eq!(write.seen(), ["write 160"]);
    assert_eq!((word(&write.result(), 0), word(&write.result(), 4)), (5, 6));
}

#[test]
fn a_minute_of_sound_at_once_is_taken_and_more_than_a_payload_is_a_fault() {
    let payload = engine().limits().payload_bytes as i64;
    let write = |samples| Import::new("playout", "write", TEXT_TO_RESULT, &[4096, samples, TO]);
    assert!(60 * 8000 * 2 <= payload);
    assert_eq!(write(payload / 2).seen(), [format!("write {}", payload / 2)]);
    let fault = write(payload / 2 + 1).call().unwrap_err();
    assert!(matches!(fault, Fault::Trapped(reason) if reason.contains("too much data")));
}

#[test]
fn clear_gives_the_id_of_its_event() {
    let clear = Import::new("playout", "clear", "(result i64)", &[]);
    assert_eq!(clear.seen(), ["clear"]);
    assert_eq!(long(&clear.result(), 0), 78);
}

#[test]
fn marks_are_bounded_in_their_names() {
    let mark = |bytes| Import::new("playout", "mark", TEXT_TO_RESULT, &[AT, bytes, TO]);
    assert_eq!(mark(128).seen(), ["mark 128 bytes"]);
    assert_eq!((mark(128).result()[0], long(&mark(128).result(), 8)), (0, 79));
    assert!(mark(129).seen().is_empty());
    assert_eq!(mark(129).result()[0], 1);
}

#[test]
fn a_timer_of_24_hours_is_asked_for_and_a_longer_one_is_not() {
    let set = |ms| Import::new("timer", "set", "(param i64 i32)", &[ms, TO]);
    const DAY_MS: i64 = 24 * 3600 * 1000;
    assert_eq!(set(DAY_MS).seen(), [format!("timer {DAY_MS}")]);
    assert_eq!(set(DAY_MS).result()[0], 1, "the port's own error is passed on");
    assert!(set(DAY_MS + 1).seen().is_empty());
    assert_eq!(set(DAY_MS + 1).result()[0], 1);
    assert_eq!(Import::new("timer", "cancel", "(param i64) (result i32)", &[9]).seen(), ["cancel 9"]);
}

#[test]
fn the_clocks_are_the_ports() {
    assert_eq!(long(&Import::new("clock", "now-ms", "(result i64)", &[]).result(), 0), 0);
    assert_eq!(long(&Import::new("clock", "wall-ms", "(result i64)", &[]).result(), 0), 1_234_567);
}

#[test]
fn randomness_is_the_ports_and_at_most_4096_bytes_at_once() {
    assert_eq!(Import::new("random", "number", "(result i64)", &[]).result()[..8], [4; 8]);
    let bytes = |len| Import::new("random", "bytes", "(param i32 i32)", &[len, TO]);
    assert_eq!(bytes(4096).seen(), ["random 4096"]);
    // -1 as a u32: four billion.
    assert_eq!(bytes(-1).seen(), ["random 4096"]);
    assert_eq!(word(&bytes(-1).result(), 4), 4096, "the bot is told how many it got");
}

#[test]
fn log_lines_are_cut_and_never_inside_a_character() {
    let write = |file, message| {
        Import::new("log", "write", "(param i32 i32 i32 i32 i32 i32)", &[2, 8192, file, 12, 8192, message])
    };
    assert_eq!(write(0, 40).seen(), [format!("log Warn :12 {}", "\0".repeat(40))]);
    assert_eq!(write(256, 4096).seen(), ["log Warn 256 bytes:12 4096 bytes"]);
    assert_eq!(write(257, 4097).seen(), ["log Warn 256 bytes:12 4096 bytes"]);
    // 4095 zeroes, then a character of two bytes.
    let source = Source {
        imports: r#"(import "patchbay:bot/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32 i32)))"#,
        items: r#"(data (i32.const 12287) "\c3\a4")"#,
        on_event: "(call $log (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8192) (i32.const 4097))",
        ..ECHO
    };
    let (mut bot, journal) = answered(&load(&source.component()));
    bot.on_event(Event::Hold).unwrap();
    assert_eq!(journal.take(), ["log Debug :1 4095 bytes"]);
}

#[test]
fn text_that_is_not_utf_8_is_a_fault_of_the_bot() {
    let source = Source {
        imports: r#"(import "patchbay:bot/playout@0.1.0" "mark" (func $mark (param i32 i32 i32)))"#,
        items: r#"(data (i32.const 2048) "\ff\fe")"#,
        on_event: "(call $mark (i32.const 2048) (i32.const 2) (i32.const 3072))",
        ..ECHO
    };
    let (mut bot, journal) = answered(&load(&source.component()));
    assert!(matches!(bot.on_event(Event::Hold), Err(Fault::Trapped(reason)) if reason.contains("utf-8")));
    assert!(journal.take().is_empty());
    assert!(frame(&mut bot, 0, 0).is_err());
}
