//! What one turn of a bot is, and how a bot that does not keep to it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use call::BotAct;

use super::plane::{Line, Plane};
use crate::bots::Enlisted;
use crate::bots::cell::{OVERFULL, Report, Turn};
use crate::bots::operations::DIGITS_MAX;
use crate::media_shard::tests::allocations;

fn enter(plane: &Plane, line: &Line, report: &mut dyn FnMut(Report)) {
    enter_at(Instant::now(), &plane.bots.seats[&line.call].bot, report);
}

fn enter_at(now: Instant, bot: &Enlisted, report: &mut dyn FnMut(Report)) {
    let turn = Turn { woken: now, others: Duration::ZERO, patience: Duration::from_secs(10), suspect: false };
    bot.cell.enter().run(now, turn, report);
}

/// A bot that has been answered and has nothing under way. It is entered at the moment before its start, so that no save is due.
fn answered(plane: &mut Plane) -> (Line, Arc<Enlisted>, Instant) {
    let now = Instant::now();
    let line = plane.call("good");
    let bot = Arc::clone(&plane.bots.seats[&line.call].bot);
    plane.answer(&line);
    enter_at(now, &bot, &mut |_| {});
    (line, bot, now)
}

#[test]
fn a_turn_in_which_nothing_happens_but_a_frame_takes_no_lock_of_the_operations() {
    let mut plane = Plane::new();
    let (mut line, bot, now) = answered(&mut plane);
    let (done, came) = std::sync::mpsc::channel();
    for tick in 0..3 {
        line.frame(tick);
        let (bot, done) = (Arc::clone(&bot), done.clone());
        let held = plane.bots.seats[&line.call].bot.operations.look();
        std::thread::spawn(move || {
            enter_at(now, &bot, &mut |_| {});
            let _ = done.send(());
        });
        assert_eq!(came.recv_timeout(Duration::from_secs(30)), Ok(()), "it waits for the lock");
        drop(held);
        assert!(line.answered(tick));
    }
    // What happens next is not missed.
    line.press('1');
    enter_at(now, &bot, &mut |_| {});
    plane.bots.event(line.call, plugin::Event::Hold);
    enter_at(now, &bot, &mut |_| {});
    assert_eq!(plane.end(&line).events, 3, "answered, the digit, the hold");
}

#[test]
fn of_a_turn_with_a_frame_the_host_allocates_the_answer_and_nothing_else() {
    let mut plane = Plane::new();
    let (mut line, bot, now) = answered(&mut plane);
    let mut turns = |ticks: std::ops::Range<u64>| {
        for tick in ticks {
            line.frame(tick);
            enter_at(now, &bot, &mut |_| {});
            assert!(line.ends.answers.pop().is_ok_and(|answer| answer.tick == tick));
        }
    };
    turns(0..50);
    let before = allocations();
    turns(50..100);
    assert_eq!(allocations() - before, 50, "one a frame: see docs/decisions/frame-answer-vec.md");
}

#[test]
fn frames_begin_with_the_answer_and_up_to_500_ms_from_before_it_are_kept() {
    let mut plane = Plane::new();
    let mut line = plane.call("good");
    (0..40).for_each(|tick| line.frame(tick));
    enter(&plane, &line, &mut |_| {});
    assert!(!line.answered(0));
    plane.answer(&line);
    plane.wake_until("the newest frame's answer", || line.answered(39));
    let stats = plane.end(&line);
    assert_eq!((stats.frames, stats.overruns), (25, 15));
}

#[test]
fn frames_that_have_waited_are_each_a_tick_of_their_own() {
    let mut plane = Plane::new();
    // Each of its frames takes some ms: together more than the 50 that one tick may take.
    let mut line = plane.call_with("slow-20ms", r#"{"spin": "4000000"}"#);
    plane.answer(&line);
    (10..35).for_each(|tick| line.frame(tick));
    plane.wake_until("the newest frame's answer", || line.answered(34));
    let stats = plane.end(&line);
    assert_eq!(stats.frames, 25);
    assert!(stats.guest_time > Duration::from_millis(50), "{stats:?}");
}

#[test]
fn a_bot_without_frames_is_entered_for_events_only() {
    let mut plane = Plane::new();
    let mut line = plane.call("never-takes-digits");
    plane.answer(&line);
    assert!(!line.ends.shared.wants_frames.load(Ordering::Relaxed));
    line.frame(20);
    line.press('1');
    plane.await_event(|event| format!("{event:?}").contains("key: \"digits\""));
    let stats = plane.end(&line);
    assert_eq!(stats.frames, 0);
    assert!(stats.events >= 2, "{stats:?}");
}

#[test]
fn no_frame_follows_the_hangup() {
    let mut plane = Plane::new();
    let mut line = plane.call("linger");
    plane.answer(&line);
    line.frame(0);
    plane.wake_until("the answer", || line.answered(0));
    line.frame(1);
    plane.bots.event(line.call, plugin::Event::Hangup { by: "caller".into(), cause: "bye".into() });
    let told = line.ends.shared.wants_frames.load(Ordering::Relaxed);
    assert!(told);
    plane.wake_until("the hangup to be told", || !line.ends.shared.wants_frames.load(Ordering::Relaxed));
    assert!(!line.answered(1));
    assert_eq!(plane.end(&line).frames, 1);
}

#[test]
fn timers_run_while_it_rings_before_there_is_a_leg() {
    let mut plane = Plane::new();
    let line = plane.call("ring");
    let answered = format!("{:?}", BotAct::Answer);
    plane.await_event(|event| format!("{event:?}").contains(&answered));
    assert!(plane.told(&line).contains(&answered));
}

#[test]
fn a_bot_that_does_not_take_its_digits_counts_as_trapped() {
    let mut plane = Plane::new();
    let mut line = plane.call("good");
    (0..DIGITS_MAX).for_each(|_| line.press('1'));
    enter(&plane, &line, &mut |report| assert!(!matches!(report, Report::Faulted(_)), "{report:?}"));
    // Taken by now. This time one too many.
    (0..=DIGITS_MAX).for_each(|_| line.press('1'));
    assert_eq!(plane.await_fault(&line), OVERFULL);
    assert!(!line.ends.shared.wants_frames.load(Ordering::Relaxed));
}

#[test]
fn a_panic_of_the_hosts_own_ends_that_call_and_no_other() {
    let mut plane = Plane::new();
    let [line, mut other] = ["huge-note", "good"].map(|conduct| plane.call(conduct));
    plane.answer(&line);
    let mut reports = Vec::new();
    enter(&plane, &line, &mut |report| {
        reports.push(format!("{report:?}"));
        assert!(reports.len() > 1, "told to fail");
    });
    assert_eq!(reports.last().unwrap(), r#"Faulted("the host itself failed while it ran")"#);
    enter(&plane, &line, &mut |report| panic!("it is gone: {report:?}"));
    plane.answer(&other);
    other.frame(0);
    plane.wake_until("the other's answer", || other.answered(0));
    plane.end(&line);
}

#[test]
fn every_fault_in_frames_ends_the_bot_with_its_reason() {
    let mut plane = Plane::new();
    for (conduct, frames, reason) in [
        ("trap-in-frame", 1, "trapped"),
        ("loop-in-frame", 1, "50 ms of CPU"),
        ("memory-fill", 1, "50 ms of CPU"),
        ("grow-memory", 20, "16 MiB of memory"),
        ("recurse", 1, "in _ZN9misbehave6excess7recurse"),
        ("wrong-length", 50, "50 frames in a row with a wrong length"),
        ("huge-frame", 1, "trapped"),
        ("wait", 1, "a bot may not wait"),
    ] {
        let mut line = plane.call(conduct);
        plane.answer(&line);
        for tick in 10..10 + frames {
            line.frame(tick);
            plane.wake_all();
            if frames > 20 {
                plane.wake_until("a turn", || line.answered(tick) || tick == 9 + frames);
            }
        }
        let why = plane.await_fault(&line);
        assert!(why.contains(reason), "{conduct}: {why}");
        let stats = plane.end(&line);
        assert_eq!(stats.wrong_lengths, if conduct == "wrong-length" { 49 } else { 0 }, "{conduct}");
    }
}

#[cfg(feature = "native-bot")]
#[test]
fn the_bot_without_wasm_gives_each_frame_back() {
    let mut plane = Plane::new();
    plane.generation = super::plane::named(crate::bots::native::NAME);
    let mut line = plane.call("nobody");
    plane.answer(&line);
    for tick in 0..3 {
        line.frame(tick);
        plane.wake_until("the answer", || line.answered(tick));
        assert_eq!(line.ends.answers.pop().unwrap().samples, [tick as i16; 160]);
    }
    plane.bots.event(line.call, plugin::Event::Hangup { by: "caller".into(), cause: "bye".into() });
    plane.wake_all();
    plane.await_event(|event| format!("{event:?}").contains("Done"));
    assert_eq!(plane.end(&line).frames, 3);
}
