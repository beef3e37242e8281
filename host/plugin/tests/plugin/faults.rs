//! Bots that trap, loop, hog or lie: each ends in its own fault, stays dead, and harms no other.

use crate::bots::{ECHO, Source};
use crate::contract::busy;
use crate::phone::{Phone, answered, engine, frame, load, start, ticking};
use plugin::{Batch, Engine, Event, Fault, FrameAnswer, Limits};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LOOP: &str = "(loop $for_ever (br $for_ever))";

fn trapped(fault: &Fault) -> &str {
    let Fault::Trapped(reason) = fault else { panic!("{fault}") };
    reason
}

#[test]
fn a_trap_says_what_and_where_and_the_instance_stays_dead() {
    let items = "(func $divides_by_nothing (drop (i32.div_u (i32.const 1) (i32.const 0))))";
    let (mut bot, _) = answered(&load(&Source { items, on_frame: "(call $divides_by_nothing)", ..ECHO }.component()));
    let fault = frame(&mut bot, 0, 0).unwrap_err();
    assert!(trapped(&fault).contains("divide by zero"), "{fault}");
    assert!(trapped(&fault).contains("divides_by_nothing"), "{fault}");
    assert_eq!(bot.on_event(Event::Hold), Err(fault.clone()));
    assert_eq!(bot.save(), Err(fault.clone()));
    assert_eq!(bot.fault(), Some(&fault));
}

#[test]
fn a_bot_that_recurses_for_ever_traps() {
    let items = "(func $again (param i64 i64) (result i64)
        (i64.add (call $again (local.get 1) (local.get 0)) (local.get 0)))";
    let recurses = Source { items, on_frame: "(drop (call $again (i64.const 1) (i64.const 2)))", ..ECHO };
    let (mut bot, _) = answered(&load(&recurses.component()));
    let fault = frame(&mut bot, 0, 0).unwrap_err();
    assert!(trapped(&fault).contains("call stack exhausted"), "{fault}");
}

#[test]
fn a_trap_in_one_instance_leaves_the_others_of_its_plugin_alone() {
    let plugin = load(&Source { on_event: "unreachable", ..ECHO }.component());
    let (mut one, _) = answered(&plugin);
    let (mut other, _) = answered(&plugin);
    assert!(one.on_event(Event::Hold).is_err());
    assert_eq!(frame(&mut other, 0, 5), Ok((FrameAnswer::Frame, 5)));
}

#[test]
fn a_frame_that_never_returns_is_stopped_and_was_reported_before() {
    let (mut bot, journal) = answered(&load(&Source { on_frame: LOOP, ..ECHO }.component()));
    let before = journal.overstayed();
    assert_eq!(frame(&mut bot, 0, 0), Err(Fault::TooLong { limit_ms: 50 }));
    assert_eq!(journal.overstayed() - before, 1, "once, at the first epoch inside the call");
}

#[test]
fn events_save_start_and_instantiation_are_stopped_too() {
    let (mut bot, _) = answered(&load(&Source { on_event: LOOP, save: LOOP, ..ECHO }.component()));
    assert_eq!(bot.on_event(Event::Hold), Err(Fault::TooLong { limit_ms: 50 }));
    let (mut bot, _) = answered(&load(&Source { save: LOOP, ..ECHO }.component()));
    assert_eq!(bot.save(), Err(Fault::TooLong { limit_ms: 50 }));
    let mut bot =
        load(&Source { start: LOOP, ..ECHO }.component()).instantiate(Box::new(Phone::default()), usize::MAX).unwrap();
    assert_eq!(start(&mut bot), Err(Fault::TooLong { limit_ms: 200 }));
    let items = "(func $begin (loop $for_ever (br $for_ever))) (start $begin)";
    let made = load(&Source { items, ..ECHO }.component()).instantiate(Box::new(Phone::default()), usize::MAX);
    assert_eq!(made.err(), Some(Fault::TooLong { limit_ms: 200 }));
}

#[test]
fn the_frame_gets_what_the_events_of_its_tick_have_left() {
    let limits = Limits { hard_cpu_ms: 60, ..Limits::default() };
    let engine = ticking(limits);
    // Each event is far below the limit; enough of them in one tick are not.
    let plugin = engine.load("busy", &Source { on_event: &busy(30_000_000), ..ECHO }.component()).unwrap();
    let phone = Phone::default();
    let clock = phone.now_ms.clone();
    let mut bot = plugin.instantiate(Box::new(phone), usize::MAX).unwrap();
    start(&mut bot).unwrap();
    for _ in 0..10 {
        *clock.lock().unwrap() += 20;
        assert_eq!(bot.on_event(Event::Hold), Ok(()), "one a tick is fine");
    }
    let fault = (0..1000).find_map(|_| bot.on_event(Event::Hold).err());
    assert_eq!(fault, Some(Fault::TooLong { limit_ms: 60 }));
}

#[test]
fn memory_up_to_the_limit_is_given_and_more_is_a_fault() {
    let grows =
        |pages: u32| format!("(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then unreachable))");
    let limit_pages = (engine().limits().memory_bytes >> 16) as u32;
    let (mut bot, _) = answered(&load(&Source { on_frame: &grows(limit_pages - 1), ..ECHO }.component()));
    assert_eq!(frame(&mut bot, 0, 3), Ok((FrameAnswer::Frame, 3)));
    assert_eq!(bot.memory_bytes(), engine().limits().memory_bytes);
    let (mut bot, _) = answered(&load(&Source { on_frame: &grows(limit_pages), ..ECHO }.component()));
    assert_eq!(frame(&mut bot, 0, 3), Err(Fault::TooMuchMemory { limit_mib: 16 }));
}

#[test]
fn a_bot_that_can_do_without_more_memory_lives_on() {
    let asks = "(drop (memory.grow (i32.const 60000)))";
    let (mut bot, _) = answered(&load(&Source { on_frame: asks, ..ECHO }.component()));
    assert_eq!(frame(&mut bot, 0, 3), Ok((FrameAnswer::Frame, 3)));
}

#[test]
fn a_bot_that_begins_too_big_is_not_instantiated() {
    let made = load(&Source { pages: 300, ..ECHO }.component()).instantiate(Box::new(Phone::default()), usize::MAX);
    assert_eq!(made.err(), Some(Fault::TooMuchMemory { limit_mib: 16 }));
}

#[test]
fn tables_are_bounded() {
    let grows = |elements: usize| {
        format!(
            "(if (i32.eq (table.grow $t (ref.null func) (i32.const {elements})) (i32.const -1)) (then unreachable))"
        )
    };
    let items = "(table $t 0 funcref)";
    let limit = engine().limits().table_elements;
    // wit-component's own shim may bring a small table, hence not quite the limit.
    let (mut bot, _) = answered(&load(&Source { items, on_frame: &grows(limit - 100), ..ECHO }.component()));
    assert_eq!(frame(&mut bot, 0, 3), Ok((FrameAnswer::Frame, 3)));
    let (mut bot, _) = answered(&load(&Source { items, on_frame: &grows(limit + 1), ..ECHO }.component()));
    assert_eq!(frame(&mut bot, 0, 3), Err(Fault::TooMuchMemory { limit_mib: 16 }));
}

#[test]
fn a_bot_that_traps_while_it_is_made_is_not_instantiated() {
    let items = "(func $begin unreachable) (start $begin)";
    let made = load(&Source { items, ..ECHO }.component()).instantiate(Box::new(Phone::default()), usize::MAX);
    assert!(matches!(made.err(), Some(Fault::NotInstantiated(reason)) if reason.contains("unreachable")));
}

/// With imports, wit-component makes four core instances of the module: the module itself, and shims for the imports.
#[test]
fn core_instances_within_a_component_are_bounded() {
    let imports = r#"(import "patchbay:bot/call@0.1.0" "attribute" (func $attribute (param i32 i32 i32)))"#;
    let on_event = "(call $attribute (i32.const 2048) (i32.const 5) (i32.const 3072))";
    let component = Source { imports, on_event, ..ECHO }.component();
    let made = |core_instances| {
        let engine = ticking(Limits { core_instances, ..Limits::default() });
        engine.load("test", &component).unwrap().instantiate(Box::new(Phone::default()), usize::MAX).err()
    };
    assert_eq!(made(8), None);
    assert!(matches!(made(1), Some(Fault::NotInstantiated(_))));
}

/// Answers `count` samples.
fn answers(count: u32) -> String {
    format!("(i32.store (i32.const 24) (i32.const {count}))")
}

#[test]
fn the_fiftieth_wrong_length_in_a_row_ends_the_bot() {
    for count in [0, 159, 161, 2000] {
        let (mut bot, _) = answered(&load(&Source { on_frame: &answers(count), ..ECHO }.component()));
        for tick in 0..49 {
            assert_eq!(frame(&mut bot, tick, 3), Ok((FrameAnswer::WrongLength, 0)));
        }
        assert_eq!(frame(&mut bot, 49, 3), Err(Fault::WrongLengths));
        assert_eq!(bot.wrong_lengths(), 50);
        assert_eq!(bot.on_event(Event::Hold), Err(Fault::WrongLengths));
    }
}

#[test]
fn a_right_frame_in_between_forgives_the_wrong_ones() {
    let on_frame = "(if (i64.ne (i64.rem_u (local.get $tick) (i64.const 40)) (i64.const 0))
        (then (i32.store (i32.const 24) (i32.const 7))))";
    let (mut bot, _) = answered(&load(&Source { on_frame, ..ECHO }.component()));
    for tick in 0..200 {
        assert!(frame(&mut bot, tick, 3).is_ok());
    }
    assert_eq!(bot.wrong_lengths(), 195);
}

#[test]
fn a_list_that_points_outside_of_memory_is_a_fault() {
    let lies = "(i32.store (i32.const 20) (i32.const 0x7ffffff0)) (i32.store (i32.const 24) (i32.const 160))";
    let (mut bot, _) = answered(&load(&Source { on_frame: lies, ..ECHO }.component()));
    assert!(trapped(&frame(&mut bot, 0, 0).unwrap_err()).contains("out of bounds"));
}

#[test]
fn an_answer_larger_than_any_payload_is_a_fault_before_it_is_copied() {
    let samples = engine().limits().payload_bytes as u32 / 2 + 1;
    let lies = format!("(i32.store (i32.const 20) (i32.const 0)) {}", answers(samples));
    let (mut bot, _) = answered(&load(&Source { on_frame: &lies, pages: 40, ..ECHO }.component()));
    assert!(trapped(&frame(&mut bot, 0, 0).unwrap_err()).contains("too much data"));
}

#[test]
fn a_panic_in_the_host_ends_the_instance_and_not_the_thread() {
    let source = Source {
        imports: r#"(import "patchbay:bot/call@0.1.0" "answer" (func $answer))"#,
        on_event: "(call $answer)",
        ..ECHO
    };
    let phone = Phone { panics_in_answer: true, ..Phone::default() };
    let mut bot = load(&source.component()).instantiate(Box::new(phone), usize::MAX).unwrap();
    start(&mut bot).unwrap();
    assert_eq!(bot.on_event(Event::Hold), Err(Fault::Trapped("a host function panicked".to_owned())));
    assert!(frame(&mut bot, 0, 0).is_err());
}

#[test]
fn an_instance_may_be_given_less_memory_than_the_engine_allows_and_never_more() {
    let grow = |pages| format!("(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then (unreachable)))");
    let made = |pages, memory_bytes| {
        let grow = grow(pages);
        let plugin = load(&Source { start: &grow, ..ECHO }.component());
        let mut bot = plugin.instantiate(Box::new(Phone::default()), memory_bytes).unwrap();
        start(&mut bot).map(drop)
    };
    assert_eq!(made(31, 2 << 20), Ok(()), "one page was there");
    assert_eq!(made(32, 2 << 20), Err(Fault::TooMuchMemory { limit_mib: 2 }));
    assert_eq!(made(256, usize::MAX), Err(Fault::TooMuchMemory { limit_mib: 16 }));
}

#[test]
fn epochs_pass_while_a_guest_stays_inside_and_not_when_none_does() {
    let engine = Engine::new(Limits::default()).unwrap();
    let ticker = engine.ticker().unwrap();
    let (mut bot, _) = answered(&engine.load("loops", &Source { on_event: LOOP, ..ECHO }.component()).unwrap());
    let ticks_while = |doing: &mut dyn FnMut()| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let ticking = scope.spawn(|| ticker.run(&stop));
            doing();
            stop.store(true, Ordering::Relaxed);
            ticking.join().unwrap()
        })
    };
    let ticks = ticks_while(&mut || {
        let _batch = Batch::begin();
        assert_eq!(bot.on_event(Event::Hold), Err(Fault::TooLong { limit_ms: 50 }));
    });
    assert!(ticks > 2, "{ticks}");
    assert_eq!(ticks_while(&mut || std::thread::sleep(Duration::from_millis(100))), 0);
}
