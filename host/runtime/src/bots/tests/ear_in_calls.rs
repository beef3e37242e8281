//! The ear in calls of real bots. They have no handlers: what they would be told goes by them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use plugin::{BargeIn, Event, FrameKind};

use super::ear::{BOT, rules, voice};
use super::plane::{Line, Plane, until};
use crate::bots::cell::Turn;
use crate::bots::{FromCaller, LivePolicy};
use crate::media_shard::tests::allocations;

fn watch(plane: &Plane, line: &Line, wanted: bool) {
    let rules = wanted.then(|| rules(BargeIn::ClearAfter { ms: 0 }));
    plane.bots.seats[&line.call].bot.operations.lock().watch_voice(rules).unwrap();
}

fn listens(line: &Line) -> bool {
    line.ends.shared.listens.load(Ordering::Relaxed)
}

/// As a leg hands it over.
fn say(line: &mut Line, tick: u64, samples: [i16; 160]) {
    let due = Instant::now() + Duration::from_secs(3600);
    let frame = FromCaller { tick, due, kind: FrameKind::Audio, budget_ms: 10, delay_ms: 40, samples };
    if line.ends.is_heard() {
        line.ends.hand_over(frame);
    }
}

#[test]
fn a_bot_without_frames_is_cut_off_and_not_entered_for_frames() {
    let mut plane = Plane::new();
    let mut line = plane.call("never-takes-digits");
    plane.answer(&line);
    assert!(!listens(&line));
    watch(&plane, &line, true);
    plane.wake_until("the ear", || listens(&line));
    assert!(!line.ends.shared.wants_frames.load(Ordering::Relaxed));
    let operations = Arc::clone(&plane.bots.seats[&line.call].bot.operations);
    operations.lock().playout_write(&[BOT; 64_000]);
    for (tick, frame) in (0..).zip(voice()) {
        say(&mut line, tick, frame);
        plane.turn_at(&line, Instant::now());
        line.ends.playout.pull(&mut [0; 160]);
    }
    assert!(line.ends.playout.is_empty());
    watch(&plane, &line, false);
    plane.wake_until("the ear to go", || !listens(&line));
    let stats = plane.end(&line);
    assert_eq!((stats.frames, stats.underruns, stats.overruns, stats.late_answers), (0, 0, 0, Default::default()));
    assert_eq!(stats.barge_ins.count, 1);
    assert!(stats.barge_ins.worst.is_some_and(|times| times.jitter_buffer_ms == 40 && times.detector_ms >= 40));
}

#[test]
fn a_bot_with_frames_gets_each_of_them_too() {
    let mut plane = Plane::new();
    let mut line = plane.call("good");
    plane.answer(&line);
    watch(&plane, &line, true);
    plane.wake_until("the ear", || listens(&line));
    let voice = voice();
    let operations = Arc::clone(&plane.bots.seats[&line.call].bot.operations);
    operations.lock().playout_write(&[BOT; 64_000]);
    for (tick, frame) in (0..).zip(&voice) {
        say(&mut line, tick, *frame);
        plane.wake_until("the answer", || line.answered(tick));
        while line.ends.answers.pop().is_ok() {}
        line.ends.playout.act_on_clear();
    }
    let stats = plane.end(&line);
    assert_eq!((stats.frames, stats.barge_ins.count), (voice.len() as u64, 1));
}

#[test]
fn the_ear_stays_when_the_bot_moves_and_when_it_restarts() {
    let mut plane = Plane::new();
    let line = plane.call("trap-on-nine");
    plane.answer(&line);
    watch(&plane, &line, true);
    plane.wake_until("the ear", || listens(&line));
    plane.activate(LivePolicy::Move, None);
    plane.await_moved(&line);
    assert!(listens(&line));
    let mut line = line;
    // It goes on from a save of the time in which it watched.
    plane.turn_at(&line, Instant::now() + Duration::from_secs(3));
    line.press('9');
    plane.await_note(&line, "reason", "restarted");
    plane.wake_all();
    assert!(listens(&line));
    plane.end(&line);
}

#[test]
fn the_ear_goes_with_the_hangup() {
    let mut plane = Plane::new();
    let line = plane.call("linger");
    plane.answer(&line);
    watch(&plane, &line, true);
    plane.wake_until("the ear", || listens(&line));
    plane.bots.event(line.call, Event::Hangup { by: "caller".into(), cause: "bye".into() });
    plane.wake_until("the ear to go", || !listens(&line));
    plane.end(&line);
}

#[test]
fn a_turn_with_an_ear_allocates_no_more_than_one_without() {
    let mut plane = Plane::new();
    let mut line = plane.call("good");
    let bot = Arc::clone(&plane.bots.seats[&line.call].bot);
    let now = Instant::now();
    plane.answer(&line);
    watch(&plane, &line, true);
    until("the ear", || {
        plane.turn_at(&line, now);
        listens(&line)
    });
    let voice = voice();
    let mut turns = |ticks: std::ops::Range<u64>| {
        for tick in ticks {
            say(&mut line, tick, voice[10 + tick as usize % 10]);
            let turn = Turn { woken: now, others: Duration::ZERO, patience: Duration::from_secs(10), suspect: false };
            bot.cell.enter().run(now, turn, &mut |_| {});
            while line.ends.answers.pop().is_ok() {}
        }
    };
    turns(0..50);
    let before = allocations();
    turns(50..100);
    assert_eq!(allocations() - before, 50, "the answers");
    plane.end(&line);
}
