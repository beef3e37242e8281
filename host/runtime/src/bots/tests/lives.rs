//! What becomes of a call whose bot fails, and of one whose bot uses too much.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::plane::{Line, Plane};
use crate::bots::BotPlaneEvent;
use crate::bots::cell::Place;
use crate::bots::lives::{BACK_OFF, SAVE_EVERY};

/// A call that is up, its bot saved after these keys.
fn saved(plane: &mut Plane, conduct: &str, keys: &str) -> Line {
    let mut line = plane.call(conduct);
    plane.answer(&line);
    keys.chars().for_each(|key| line.press(key));
    plane.turn_at(&line, Instant::now() + SAVE_EVERY);
    line
}

fn await_restart(plane: &mut Plane, line: &Line) -> String {
    let seen = plane.await_event(|event| matches!(event, BotPlaneEvent::Restarted { call, .. } if *call == line.call));
    match seen.last() {
        Some(BotPlaneEvent::Restarted { why, .. }) => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bot_that_traps_goes_on_from_its_last_save_with_the_digits_since() {
    let mut plane = Plane::new();
    let mut line = saved(&mut plane, "trap-on-nine", "12");
    line.press('3');
    plane.await_note(&line, "digits", "3");
    plane.forget();
    line.press('9');
    line.press('4');
    let why = await_restart(&mut plane, &line);
    assert!(why.contains("trapped"), "{why}");
    assert_eq!(plane.noted(&line, "reason").as_deref(), Some("restarted"));
    // Two of the save, the 3 again, the 4 that came while it was down; the 9 is given to nobody again.
    plane.await_note(&line, "digits", "4");
    line.frame(0);
    plane.wake_until("an answer", || line.answered(0));
    let stats = plane.end(&line);
    assert_eq!((stats.restarts, stats.frames), (1, 1));
}

#[test]
fn the_caller_hears_nothing_while_its_bot_is_down_and_its_frames_do_not_wait() {
    let mut plane = Plane::new();
    let mut line = saved(&mut plane, "trap-on-nine", "");
    line.press('9');
    plane.turn_at(&line, Instant::now() + SAVE_EVERY);
    assert!(!line.ends.shared.wants_frames.load(Ordering::Relaxed));
    line.frame(0);
    plane.turn_at(&line, Instant::now() + SAVE_EVERY);
    assert!(line.ends.answers.peek().is_err() && line.ends.playout.is_empty());
    await_restart(&mut plane, &line);
    assert!(line.ends.shared.wants_frames.load(Ordering::Relaxed));
    assert_eq!(plane.end(&line).overruns, 0);
}

#[test]
fn a_bot_that_fails_again_and_again_is_restarted_three_times_and_no_more() {
    let mut plane = Plane::new();
    let mut line = saved(&mut plane, "trap-in-frame", "");
    for _ in BACK_OFF {
        line.frame(10);
        await_restart(&mut plane, &line);
        plane.forget();
    }
    line.frame(10);
    assert!(plane.await_fault(&line).contains("trapped"));
    assert_eq!(plane.end(&line).restarts, 3);
}

#[test]
fn a_restart_that_is_refused_is_the_end_of_the_bot() {
    let mut plane = Plane::new();
    let mut line = saved(&mut plane, "when-restarted-refuse", "");
    line.press('9');
    let why = plane.await_fault(&line);
    assert!(why.contains("trapped") && why.ends_with("refused to go on: told to refuse"), "{why}");
    assert_eq!(plane.end(&line).restarts, 0);
}

#[test]
fn a_bot_that_saves_nothing_or_not_yet_is_not_restarted() {
    let mut plane = Plane::new();
    let mut line = plane.call("trap-on-nine");
    plane.answer(&line);
    line.press('9');
    assert!(plane.await_fault(&line).contains("trapped"));
    assert_eq!(plane.end(&line).restarts, 0);
}

#[test]
fn a_save_that_traps_or_loops_costs_the_bot_that_was_never_saved() {
    let mut plane = Plane::new();
    for (conduct, reason) in [("trap-in-save", "trapped"), ("loop-in-save", "50 ms of CPU")] {
        let line = saved(&mut plane, conduct, "");
        let why = plane.await_fault(&line);
        assert!(why.contains(reason), "{conduct}: {why}");
        plane.end(&line);
    }
}

#[test]
fn after_the_hangup_nobody_is_restarted() {
    let mut plane = Plane::new();
    let line = saved(&mut plane, "trap-in-hangup", "");
    plane.bots.event(line.call, plugin::Event::Hangup { by: "caller".into(), cause: "bye".into() });
    assert!(plane.await_fault(&line).contains("trapped"));
    assert_eq!(plane.end(&line).restarts, 0);
}

#[test]
fn a_bot_that_uses_more_than_its_quota_runs_on_the_slow_lane_and_its_tenant_is_told_of_once() {
    let mut plane = Plane::new();
    let mut line = plane.call("slow-20ms");
    plane.answer(&line);
    let bot = Arc::clone(&plane.bots.seats[&line.call].bot);
    // The first ones are good, the others take some 20 ms each: more than the burst of 50 ms.
    for tick in 0..20 {
        line.frame(tick);
        plane.wake_until("an answer", || line.answered(tick));
    }
    assert_eq!(bot.cell.place(), Place::SetAside);
    let told = |plane: &mut Plane| {
        plane.bots.keep_house(Instant::now());
        let seen = plane.await_event(|event| matches!(event, BotPlaneEvent::GuestCpu { .. }));
        let told = format!("{:?}", seen.last().unwrap());
        plane.forget();
        told
    };
    assert_eq!(told(&mut plane), r#"GuestCpu { tenant: "t", over: true }"#);
    assert_eq!(plane.end(&line).cpu_quota_breaches, 1);
    assert_eq!(told(&mut plane), r#"GuestCpu { tenant: "t", over: false }"#, "it has no calls any more");
}

#[test]
fn a_bot_that_is_quick_breaks_no_quota() {
    let mut plane = Plane::new();
    let mut line = plane.call("good");
    plane.answer(&line);
    let began = Instant::now();
    for tick in 0..500 {
        line.frame(tick);
        plane.turn_at(&line, began + Duration::from_millis(20) * tick as u32);
    }
    let stats = plane.end(&line);
    assert_eq!((stats.frames, stats.cpu_quota_breaches), (500, 0));
}
