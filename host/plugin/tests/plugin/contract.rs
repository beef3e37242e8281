//! What goes in and out of a bot that behaves.

use crate::bots::{ECHO, Source};
use crate::phone::{Phone, answered, engine, frame, load, start};
use plugin::{CallInfo, Event, FrameAnswer, FrameKind, StartReason, Started};

#[test]
fn a_frame_comes_back_as_the_bot_answered_it() {
    let (mut bot, _) = answered(&load(&ECHO.component()));
    for tick in 0..100 {
        assert_eq!(frame(&mut bot, tick, tick as i16), Ok((FrameAnswer::Frame, tick as i16)));
    }
}

#[test]
fn no_answer_lets_the_queue_play() {
    let silent = Source { on_frame: "(i32.store (i32.const 16) (i32.const 0))", ..ECHO };
    let (mut bot, _) = answered(&load(&silent.component()));
    assert_eq!(frame(&mut bot, 0, 9), Ok((FrameAnswer::Nothing, 0)));
}

/// The bot's clean-up of its result overwrites the samples: what the caller hears must have been taken before.
#[test]
fn the_answer_is_read_before_the_bot_cleans_up() {
    let frees = Source {
        items: r#"(func (export "cabi_post_patchbay:bot/bot@0.1.0#on-frame") (param i32)
            (memory.fill (i32.load (i32.const 20)) (i32.const 0x55) (i32.const 320)))"#,
        ..ECHO
    };
    let (mut bot, _) = answered(&load(&frees.component()));
    assert_eq!(frame(&mut bot, 0, 1234), Ok((FrameAnswer::Frame, 1234)));
}

#[test]
fn tick_kind_and_samples_arrive() {
    // Answers with the tick, the kind and the count in place of samples 0, 1 and 2.
    let reports = Source {
        on_frame: "(i32.store16 (local.get $samples) (i32.wrap_i64 (local.get $tick)))
            (i32.store16 offset=2 (local.get $samples) (local.get $kind))
            (i32.store16 offset=4 (local.get $samples) (local.get $count))",
        ..ECHO
    };
    let (mut bot, _) = answered(&load(&reports.component()));
    let kinds = [FrameKind::Audio, FrameKind::Concealed, FrameKind::Absent, FrameKind::Held];
    for (case, kind) in kinds.into_iter().enumerate() {
        let mut answer = [0; 160];
        assert_eq!(bot.on_frame(500, &[7; 160], kind, &mut answer), Ok(FrameAnswer::Frame));
        assert_eq!(answer[..4], [500, case as i16, 160, 7]);
    }
}

/// A bot that logs the flattened event: its case, then the first word of the payload as the line.
const EVENT_LOGGER: Source<'static> = Source {
    imports: r#"(import "patchbay:bot/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32 i32)))"#,
    items: r#"(data (i32.const 2048) "0123456789")"#,
    on_event: "(call $log (i32.const 1) (i32.add (i32.const 2048) (local.get $case)) (i32.const 1)
        (i32.wrap_i64 (local.get $a)) (i32.const 0) (i32.const 0))",
    ..ECHO
};

#[test]
fn every_event_arrives_as_what_it_is() {
    let (mut bot, journal) = answered(&load(&EVENT_LOGGER.component()));
    let name = || "m".to_owned();
    let events = [
        Event::Answered,
        Event::Digit { key: '#', tick: 9 },
        Event::Mark { id: 21, name: name() },
        Event::Cleared { id: 22, played_ms: 40, dropped_marks: vec![name()] },
        Event::Timer { id: 23 },
        Event::DigitsSent { id: 24 },
        Event::Hold,
        Event::Resume,
        Event::Hangup { by: "caller".to_owned(), cause: "bye".to_owned() },
    ];
    for event in events {
        assert_eq!(bot.on_event(event), Ok(()));
    }
    let cases: Vec<String> = journal.take();
    let seen: Vec<&str> = cases.iter().map(|line| line.trim_end()).collect();
    let expected = ["0:0", "1:35", "2:21", "3:22", "4:23", "5:24", "6:0", "7:0"].map(|case| format!("log Info {case}"));
    assert_eq!(seen[..8], expected);
    assert!(seen[8].starts_with("log Info 8:"), "{}", seen[8]);
}

#[test]
fn start_hands_over_call_configuration_and_reason() {
    // Refuses with a reason that is the text found at the given string: here the caller, then the state of `moved`.
    let tells = |string: u32, status: u32| {
        format!(
            "(i32.store (i32.const 16) (i32.const 1)) (i32.store16 (i32.const 20) (i32.const {status}))
             (i32.store (i32.const 24) (local.get {string})) (i32.store (i32.const 28) (local.get {}))",
            string + 1
        )
    };
    let call = CallInfo {
        id: "the id".to_owned(),
        caller: "+4930".to_owned(),
        called: "echo".to_owned(),
        trunk: "a trunk".to_owned(),
        tenant: "a tenant".to_owned(),
    };
    let cases =
        [(0, "the id"), (2, "+4930"), (4, "echo"), (6, "a trunk"), (8, "a tenant"), (10, "{\"a\":1}"), (13, "old")];
    for (string, expected) in cases {
        let plugin = load(&Source { start: &tells(string, 486), ..ECHO }.component());
        let mut bot = plugin.instantiate(Box::new(Phone::default()), usize::MAX).unwrap();
        let started = bot.start(&call, "{\"a\":1}", StartReason::Moved(b"old".to_vec()));
        assert_eq!(started, Ok(Started::Refused { status: 486, reason: expected.to_owned() }));
    }
}

#[test]
fn a_refusal_outside_the_failures_of_sip_is_480_and_its_reason_is_one_line() {
    for (status, sent) in [(399, 480), (400, 400), (699, 699), (700, 480), (200, 480)] {
        let refuses = format!(
            "(i32.store (i32.const 16) (i32.const 1)) (i32.store16 (i32.const 20) (i32.const {status}))
             (i32.store (i32.const 24) (i32.const 2048)) (i32.store (i32.const 28) (i32.const 900))"
        );
        let items = r#"(data (i32.const 2048) "busy\0d\0aVia: forged")"#;
        let plugin = load(&Source { start: &refuses, items, ..ECHO }.component());
        let mut bot = plugin.instantiate(Box::new(Phone::default()), usize::MAX).unwrap();
        let Ok(Started::Refused { status, reason }) = start(&mut bot) else { panic!("refuses") };
        assert_eq!((status, reason.as_str()), (sent, "busyVia: forged"));
    }
}

#[test]
fn start_says_whether_it_wants_frames_and_lets_the_caller_ring() {
    let rings = "(i32.store8 (i32.const 20) (i32.const 1)) (i32.store8 (i32.const 21) (i32.const 1))";
    let plugin = load(&Source { start: rings, ..ECHO }.component());
    let mut bot = plugin.instantiate(Box::new(Phone::default()), usize::MAX).unwrap();
    assert_eq!(start(&mut bot), Ok(Started::Accepted { frames: false, ring: true }));
}

#[test]
fn what_save_returns_is_what_the_bot_saved() {
    let (mut bot, _) = answered(&load(&ECHO.component()));
    assert_eq!(bot.save(), Ok(Some(b"state".to_vec())));
    let (mut bot, _) =
        answered(&load(&Source { save: "(i32.store (i32.const 16) (i32.const 0))", ..ECHO }.component()));
    assert_eq!(bot.save(), Ok(None));
}

#[test]
fn a_state_of_64_kib_is_kept_and_a_longer_one_is_not_used() {
    let saves = |bytes: u32| format!("(i32.store (i32.const 24) (i32.const {bytes}))");
    let limit = engine().limits().save_bytes;
    let (mut bot, _) = answered(&load(&Source { save: &saves(limit as u32), pages: 2, ..ECHO }.component()));
    assert_eq!(bot.save().unwrap().map(|state| state.len()), Some(limit));
    let (mut bot, journal) = answered(&load(&Source { save: &saves(limit as u32 + 1), pages: 2, ..ECHO }.component()));
    assert_eq!(bot.save(), Ok(None));
    assert_eq!(journal.take(), ["log Warn save:0 52 bytes"]);
    assert_eq!(bot.fault(), None, "the bot lives on");
}

/// Counts its frames in memory and answers with the count.
const COUNTER: Source<'static> = Source {
    items: "(global $count (mut i32) (i32.const 0))",
    on_frame: "(global.set $count (i32.add (global.get $count) (i32.const 1)))
        (i32.store16 offset=318 (local.get $samples) (global.get $count))",
    ..ECHO
};

#[test]
fn two_instances_of_a_plugin_share_nothing() {
    let plugin = load(&COUNTER.component());
    let (mut one, _) = answered(&plugin);
    let (mut other, _) = answered(&plugin);
    for tick in 0..3 {
        frame(&mut one, tick, 0).unwrap();
    }
    assert_eq!(frame(&mut one, 3, 0), Ok((FrameAnswer::Frame, 4)));
    assert_eq!(frame(&mut other, 0, 0), Ok((FrameAnswer::Frame, 1)));
}

#[test]
fn an_instance_goes_on_where_it_stood_when_another_thread_takes_it_over() {
    let (mut bot, _) = answered(&load(&COUNTER.component()));
    for tick in 0..8 {
        bot = std::thread::spawn(move || {
            assert_eq!(frame(&mut bot, tick, 0), Ok((FrameAnswer::Frame, tick as i16 + 1)));
            bot
        })
        .join()
        .unwrap();
    }
}

#[test]
fn guest_time_and_memory_are_told() {
    let plugin = load(&Source { on_event: &busy(2_000_000), ..ECHO }.component());
    let (mut bot, _) = answered(&plugin);
    let before = bot.guest_time();
    bot.on_event(Event::Hold).unwrap();
    assert!(bot.guest_time() > before);
    assert_eq!(bot.memory_bytes(), 65536);
}

/// A loop of so many rounds.
pub fn busy(rounds: u32) -> String {
    format!(
        "(global.set $heap (i32.const {rounds}))
         (loop $again
            (global.set $heap (i32.sub (global.get $heap) (i32.const 1)))
            (br_if $again (global.get $heap)))"
    )
}
