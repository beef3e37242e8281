//! What cannot be loaded is named in one line.

use crate::bots::{ECHO, Source, component_of};
use crate::phone::{engine, load};
use plugin::{Engine, Fault, Limits, LoadError};

/// The one line that is shown to whoever uploaded these bytes.
fn refusal(bytes: &[u8]) -> String {
    let line = engine().load("greeter", bytes).err().expect("cannot be loaded").to_string();
    assert!(!line.contains('\n') && line.starts_with("greeter: "), "{line}");
    line
}

#[test]
fn what_is_not_a_component_is_called_by_its_name() {
    let core = wat::parse_str("(module)").unwrap();
    let cases: [(&[u8], &str); 4] = [
        (b"", "greeter: not a component but an empty file"),
        (b"#!/bin/sh\n", "greeter: not a component but something other than WebAssembly"),
        (&core, "greeter: not a component but a core module (wrap it with wasm-component-ld or wasm-tools)"),
        (b"\0asm\x09\0\x01\0", "greeter: not a component but WebAssembly of an unknown version"),
    ];
    for (bytes, line) in cases {
        assert_eq!(refusal(bytes), line);
    }
}

#[test]
fn a_component_cut_short_or_damaged_is_an_error_and_never_a_panic() {
    let good = ECHO.component();
    for length in (0..good.len()).step_by(7) {
        // Near its end there are only names, which a bot can do without.
        let loaded = engine().load("cut", &good[..length]);
        assert!(loaded.is_err() || length > good.len() / 2, "cut at {length}");
    }
    for at in (8..good.len()).step_by(23) {
        let mut damaged = good.clone();
        damaged[at] ^= 0xff;
        // Damage to a name or a constant may leave a valid bot.
        let _ = engine().load("damaged", &damaged);
    }
    assert!(refusal(&good[..good.len() - 5]).starts_with("greeter: cannot be compiled: "));
}

#[test]
fn a_component_up_to_the_size_limit_is_read_and_a_larger_one_is_not() {
    let good = ECHO.component();
    let limited = |component_bytes| Engine::new(Limits { component_bytes, ..Limits::default() }).unwrap();
    assert!(limited(good.len()).load("echo", &good).is_ok());
    let error = limited(good.len() - 1).load("echo", &good).err();
    assert_eq!(error, Some(LoadError::TooBig { name: "echo".to_owned(), bytes: good.len(), limit: good.len() - 1 }));
}

#[test]
fn a_component_without_the_world_is_told_what_it_lacks() {
    let other = component_of("package a:b; world w { export run: func(); }", r#"(module (func (export "run")))"#);
    assert_eq!(refusal(&other), "greeter: does not export patchbay:bot/bot@0.1.0");
}

#[test]
fn a_component_of_another_version_is_told_which() {
    let wit = "package patchbay:bot@0.2.0; interface bot { save: func(); } world w { export bot; }";
    let newer = component_of(wit, r#"(module (func (export "patchbay:bot/bot@0.2.0#save")))"#);
    assert_eq!(refusal(&newer), "greeter: does not export patchbay:bot/bot@0.1.0 but patchbay:bot/bot@0.2.0");
}

#[test]
fn a_missing_or_different_export_is_named() {
    let wit = "package patchbay:bot@0.1.0; interface bot { save: func(); } world w { export bot; }";
    let lacks = component_of(wit, r#"(module (func (export "patchbay:bot/bot@0.1.0#save")))"#);
    let line = refusal(&lacks);
    assert!(line.starts_with("greeter: export does not fit the contract: "), "{line}");
    assert!(line.contains("start") || line.contains("save") || line.contains("on-"), "{line}");
}

#[test]
fn foreign_imports_are_named_and_wasi_http_is_one() {
    let http = Source {
        imports: r#"(import "wasi:http/outgoing-handler@0.2.3" "handle" (func))
                    (import "elsewhere:tools/anything@1.0.0" "run" (func))"#,
        ..ECHO
    };
    let line = refusal(&http.component());
    assert!(line.starts_with("greeter: wants imports that no bot is given: "), "{line}");
    assert!(line.contains("wasi:http/outgoing-handler@0.2.3"), "{line}");
    assert!(line.contains("elsewhere:tools/anything@1.0.0"), "{line}");
}

#[test]
fn an_import_of_the_contract_with_another_type_is_named() {
    let wit = "package patchbay:bot@0.1.0;
        interface timer { cancel: func(id: string) -> bool; }
        interface bot { save: func(); }
        world w { import timer; export bot; }";
    let core = r#"(module
        (import "patchbay:bot/timer@0.1.0" "cancel" (func (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "patchbay:bot/bot@0.1.0#save")))"#;
    let line = refusal(&component_of(wit, core));
    assert!(line.starts_with("greeter: import does not fit the contract: "), "{line}");
    assert!(line.contains("cancel"), "{line}");
}

#[test]
fn a_good_bot_passes_its_dry_run() {
    assert_eq!(load(&ECHO.component()).try_out(), Ok(()));
}

#[test]
fn a_refusal_in_the_dry_run_is_an_answer_like_any_other() {
    let refuses = "(i32.store (i32.const 16) (i32.const 1)) (i32.store16 (i32.const 20) (i32.const 486))";
    assert_eq!(load(&Source { start: refuses, ..ECHO }.component()).try_out(), Ok(()));
}

#[test]
fn a_fault_in_the_dry_run_names_the_step() {
    let moved_start = "(if (i32.eq (local.get 12) (i32.const 1)) (then unreachable))";
    let at_tick = |tick| format!("(if (i64.ge_u (local.get $tick) (i64.const {tick})) (then unreachable))");
    let (last_frame, moved_frame) = (at_tick(49), at_tick(99));
    let steps: [(Source<'_>, &str); 7] = [
        (Source { start: "unreachable", ..ECHO }, "start"),
        (Source { on_frame: "unreachable", ..ECHO }, "on-frame"),
        (Source { on_event: "unreachable", ..ECHO }, "on-event"),
        (Source { save: "unreachable", ..ECHO }, "save"),
        (Source { on_frame: &last_frame, ..ECHO }, "on-frame"),
        (Source { start: moved_start, ..ECHO }, "start, moved"),
        (Source { on_frame: &moved_frame, ..ECHO }, "on-frame, moved"),
    ];
    for (source, step) in steps {
        let line = load(&source.component()).try_out().expect_err("faults").to_string();
        assert!(line.starts_with(&format!("test: failed its dry run in {step}: trapped: ")), "{line}");
    }
}

/// On an engine that nobody ticks: a dry run must end by itself.
#[test]
fn a_bot_that_never_comes_back_fails_its_dry_run() {
    let engine = Engine::new(Limits::default()).unwrap();
    let plugin = engine.load("loop", &Source { start: "(loop $for_ever (br $for_ever))", ..ECHO }.component()).unwrap();
    let error = plugin.try_out().expect_err("never comes back");
    assert!(matches!(error, LoadError::DryRun { during: "start", fault: Fault::TooLong { limit_ms: 200 }, .. }));
}
