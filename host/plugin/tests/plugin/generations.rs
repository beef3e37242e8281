//! New builds go live for new calls; live calls keep theirs; old code is freed.

use crate::bots::{ECHO, Source};
use crate::phone::{answered, engine, frame};
use plugin::{CANARY_CALLS_WATCHED, FrameAnswer, Generation, LoadError, Registry, Reloaded};

/// Answers every frame with one sample value.
fn says(value: i32) -> Vec<u8> {
    let on_frame = format!("(i32.store16 offset=318 (local.get $samples) (i32.const {value}))");
    Source { on_frame: &on_frame, ..ECHO }.component()
}

#[test]
fn a_live_call_keeps_its_generation_and_the_next_gets_the_new_one() {
    let registry = Registry::default();
    assert_eq!(registry.reload(engine(), "bot", &says(1)), Ok(Reloaded::Activated { generation: 1 }));
    let (mut live, _) = answered(&registry.current("bot").unwrap().plugin);
    assert_eq!(registry.reload(engine(), "bot", &says(2)), Ok(Reloaded::Activated { generation: 2 }));
    let (mut next, _) = answered(&registry.current("bot").unwrap().plugin);
    assert_eq!(frame(&mut live, 0, 0), Ok((FrameAnswer::Frame, 1)));
    assert_eq!(frame(&mut next, 0, 0), Ok((FrameAnswer::Frame, 2)));
}

#[test]
fn the_old_code_is_freed_with_its_last_instance() {
    let registry = Registry::default();
    registry.reload(engine(), "bot", &says(1)).unwrap();
    let (live, _) = answered(&registry.current("bot").unwrap().plugin);
    let old = live.plugin().watch();
    registry.reload(engine(), "bot", &says(2)).unwrap();
    assert!(!old.is_dropped(), "a call still runs it");
    drop(live);
    assert!(old.is_dropped());
}

#[test]
fn a_broken_build_leaves_the_old_one_in_place() {
    let registry = Registry::default();
    registry.reload(engine(), "bot", &says(1)).unwrap();
    let digest = registry.current("bot").unwrap().plugin.digest().to_owned();
    let not_a_bot = registry.reload(engine(), "bot", b"half a file").unwrap_err();
    assert!(matches!(not_a_bot, LoadError::NotAComponent { .. }));
    let traps = Source { on_frame: "unreachable", ..ECHO }.component();
    assert!(matches!(registry.reload(engine(), "bot", &traps), Err(LoadError::DryRun { .. })));
    let current = registry.current("bot").unwrap();
    assert_eq!((current.number, current.plugin.digest()), (1, digest.as_str()));
}

#[test]
fn the_same_bytes_again_change_nothing() {
    let registry = Registry::default();
    registry.reload(engine(), "bot", &says(1)).unwrap();
    assert_eq!(registry.reload(engine(), "bot", &says(1)), Ok(Reloaded::Unchanged { generation: 1 }));
}

#[test]
fn a_withdrawn_bot_takes_no_calls_and_its_numbers_go_on() {
    let registry = Registry::default();
    registry.reload(engine(), "bot", &says(1)).unwrap();
    registry.reload(engine(), "other", &says(1)).unwrap();
    assert_eq!(registry.names(), ["bot", "other"]);
    assert!(registry.withdraw("bot"));
    assert!(!registry.withdraw("bot"), "already withdrawn");
    assert!(registry.current("bot").is_none());
    assert_eq!(registry.names(), ["other"]);
    assert_eq!(registry.reload(engine(), "bot", &says(1)), Ok(Reloaded::Activated { generation: 2 }));
}

#[test]
fn calls_that_begin_during_a_swap_get_one_generation_or_the_other() {
    let registry = Registry::default();
    registry.reload(engine(), "bot", &says(1)).unwrap();
    let plugins = [says(1), says(2)].map(|bytes| engine().load("bot", &bytes).unwrap());
    std::thread::scope(|scope| {
        let swaps = scope.spawn(|| {
            for round in 0..200 {
                registry.activate(plugins[round % 2].clone());
            }
        });
        let mut last = 0;
        while !swaps.is_finished() {
            let current = registry.current("bot").expect("never none");
            assert!(current.number >= last, "numbers only rise");
            last = current.number;
            let (mut bot, _) = answered(&current.plugin);
            let Ok((FrameAnswer::Frame, 1 | 2)) = frame(&mut bot, 0, 0) else { panic!("neither") };
        }
        swaps.join().unwrap();
    });
    assert_eq!(registry.current("bot").unwrap().number, 201);
}

fn generation(number: u64, says_what: i32) -> Generation {
    Generation { number, plugin: engine().load("bot", &says(says_what)).unwrap() }
}

#[test]
fn a_canary_gets_its_share_of_new_calls_exactly() {
    let registry = Registry::default();
    assert!(registry.choose("bot").is_none());
    registry.set("bot", Some(generation(1, 1)), Some((generation(2, 2), 30)));
    let chosen: Vec<_> = (0..100).map(|_| registry.choose("bot").unwrap()).collect();
    let canary: Vec<u32> = chosen.iter().filter_map(|chosen| chosen.canary_call).collect();
    assert_eq!(canary, (1..=30).collect::<Vec<_>>());
    assert!(chosen.iter().all(|chosen| chosen.generation.number == 1 + u64::from(chosen.canary_call.is_some())));
}

#[test]
fn the_third_failure_in_a_canarys_first_fifty_calls_is_told_once() {
    let registry = Registry::default();
    let canary = generation(2, 2);
    registry.set("bot", Some(generation(1, 1)), Some((canary.clone(), 50)));
    assert!(!registry.canary_failed("bot", 2, 50));
    assert!(!registry.canary_failed("bot", 2, CANARY_CALLS_WATCHED + 1), "too late to decide");
    assert!(!registry.canary_failed("bot", 1, 1), "not the canary");
    // A wider share is the same canary.
    registry.set("bot", Some(generation(1, 1)), Some((canary, 90)));
    assert!(!registry.canary_failed("bot", 2, 3));
    assert!(registry.canary_failed("bot", 2, 4));
    assert!(!registry.canary_failed("bot", 2, 5), "told once");
    assert_eq!(registry.canary("bot").unwrap().failures, 4);
    registry.set("bot", Some(generation(1, 1)), None);
    assert!(!registry.canary_failed("bot", 2, 1));
}
