//! Live calls that go from one generation of their bot to the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::plane::{self, Line, Plane, until};
use crate::bots::errands::MOVES_AT_ONCE_MAX;
use crate::bots::{BotPlaneEvent, LivePolicy};

fn up(plane: &mut Plane, conduct: &str) -> Line {
    let line = plane.call(conduct);
    plane.answer(&line);
    line
}

fn answer_frames(plane: &mut Plane, line: &mut Line, ticks: std::ops::Range<u64>) {
    for tick in ticks {
        line.frame(tick);
        plane.wake_until("an answer", || line.answered(tick));
    }
}

fn pulled(line: &mut Line) -> usize {
    std::iter::from_fn(|| Some(line.ends.playout.pull(&mut [0; 160])).filter(|pulled| *pulled > 0)).sum()
}

#[test]
fn a_moved_call_keeps_its_queue_its_timers_its_marks_and_their_ids() {
    let mut plane = Plane::new();
    let mut line = up(&mut plane, "busy");
    line.press('1');
    // Timer and mark, after those timers that `busy` sets at the answer.
    plane.await_note(&line, "began", "2 3");
    let generation = plane.activate(LivePolicy::Move, None);
    plane.await_moved(&line);
    assert_eq!(plane.noted(&line, "reason").as_deref(), Some("moved"));
    assert_eq!(plane.noted(&line, "mark"), None, "nothing has left yet");
    assert_eq!(pulled(&mut line), 800);
    plane.await_note(&line, "mark", "3");
    plane.await_note(&line, "timer", "1");
    answer_frames(&mut plane, &mut line, 0..3);
    line.press('2');
    plane.await_note(&line, "began", "5 6");
    let stats = plane.end(&line);
    assert_eq!((stats.generation, stats.moves, stats.frames, stats.restarts), (generation, 1, 3, 0));
}

#[test]
fn what_the_new_start_asks_for_happens_with_the_swap() {
    let mut plane = Plane::new();
    let mut line = up(&mut plane, "when-moved-busy");
    plane.activate(LivePolicy::Move, None);
    plane.await_moved(&line);
    plane.await_event(|event| format!("{event:?}").contains("SendDigits { id: 4, keys: \"1\" }"));
    assert_eq!(plane.noted(&line, "began").as_deref(), Some("2 3"));
    assert_eq!(pulled(&mut line), 800);
}

#[test]
fn of_a_move_that_is_refused_nothing_is_heard_or_seen() {
    let mut plane = Plane::new();
    let mut line = up(&mut plane, "when-moved-busy-and-refuse");
    answer_frames(&mut plane, &mut line, 0..1);
    plane.forget();
    plane.activate(LivePolicy::Move, None);
    let why = plane.await_not_moved(&line);
    assert_eq!(why, "the new instance refused: told to refuse the move");
    assert_eq!(plane.told(&line), Vec::<String>::new());
    assert_eq!(pulled(&mut line), 0);
    line.press('1');
    plane.await_note(&line, "digits", "1");
    answer_frames(&mut plane, &mut line, 1..5);
    let stats = plane.end(&line);
    assert_eq!((stats.generation, stats.moves, stats.frames), (1, 0, 5));
}

#[test]
fn whatever_goes_wrong_in_a_move_the_old_instance_goes_on_and_has_lost_nothing() {
    let mut plane = Plane::new();
    for (conduct, reason) in [
        ("when-moved-refuse", "the new instance refused"),
        ("when-moved-trap", "the new instance failed in start: trapped"),
        ("when-moved-loop", "the new instance failed in start: used more than"),
        ("save-nothing", "the old instance saves nothing here"),
        ("save-huge", "the old instance saves nothing here"),
    ] {
        plane.generation = plane::named("misbehave");
        plane.bots.proving.of(&plane.generation).store(true, Ordering::Relaxed);
        let mut line = up(&mut plane, conduct);
        answer_frames(&mut plane, &mut line, 0..2);
        plane.activate(LivePolicy::Move, None);
        // All through its tries, a frame and a key at every tick.
        let mut tick = 2;
        while !plane.told_not_moved(&line) {
            line.press('1');
            answer_frames(&mut plane, &mut line, tick..tick + 1);
            tick += 1;
        }
        let why = plane.await_not_moved(&line);
        assert!(why.contains(reason), "{conduct}: {why}");
        plane.await_note(&line, "digits", &(tick - 2).min(255).to_string());
        let stats = plane.end(&line);
        let expected = (1, 0, tick, 0, 0);
        assert_eq!(
            (stats.generation, stats.moves, stats.frames, stats.overruns, stats.restarts),
            expected,
            "{conduct}"
        );
    }
}

#[test]
fn an_old_instance_that_traps_in_save_goes_on_from_its_save_or_not_at_all() {
    let mut plane = Plane::new();
    let line = up(&mut plane, "trap-in-save");
    plane.activate(LivePolicy::Move, None);
    assert!(plane.await_fault(&line).contains("trapped"));
    plane.end(&line);
}

#[test]
fn a_new_instance_that_traps_within_a_second_gives_its_place_back_with_the_events_since() {
    let mut plane = Plane::new();
    let mut line = up(&mut plane, "trap-on-nine");
    line.press('1');
    plane.await_note(&line, "digits", "1");
    plane.activate(LivePolicy::Move, None);
    plane.await_moved(&line);
    line.press('2');
    plane.await_note(&line, "digits", "2");
    plane.forget();
    line.press('9');
    let why = plane.await_not_moved(&line);
    assert!(why.contains("within a second") && why.contains("trapped"), "{why}");
    plane.await_note(&line, "digits", "2");
    line.press('3');
    plane.await_note(&line, "digits", "3");
    assert_eq!(plane.noted(&line, "reason"), None, "the old instance was not started again");
    answer_frames(&mut plane, &mut line, 0..3);
    let stats = plane.end(&line);
    assert_eq!((stats.generation, stats.moves, stats.restarts, stats.frames), (1, 1, 0, 3));
}

#[test]
fn after_that_second_the_old_generation_is_gone_and_its_code_freed() {
    let mut plane = Plane::new();
    plane.generation.plugin = plane::load("misbehave");
    let old = plane.generation.plugin.watch();
    let lines: Vec<Line> = (0..3).map(|_| up(&mut plane, "good")).collect();
    plane.activate(LivePolicy::Move, None);
    let moved = Instant::now();
    lines.iter().for_each(|line| plane.await_moved(line));
    if moved.elapsed() < Duration::from_millis(900) {
        assert!(!old.is_dropped(), "they could be put back");
    }
    plane.wake_until("the old code to be freed", || old.is_dropped());
    assert!(lines.iter().all(|line| plane.end(line).generation == 2));
}

#[test]
fn a_generation_that_drains_is_freed_with_its_last_call() {
    let mut plane = Plane::new();
    plane.generation.plugin = plane::load("misbehave");
    let old = plane.generation.plugin.watch();
    let [first, last] = ["good", "good"].map(|conduct| up(&mut plane, conduct));
    plane.activate(LivePolicy::Drain, None);
    assert_eq!(plane.end(&first).generation, 1);
    assert!(!old.is_dropped());
    assert_eq!(plane.end(&last).generation, 1);
    until("the old code to be freed", || old.is_dropped());
}

#[test]
fn of_many_calls_that_move_together_none_loses_a_frame() {
    let mut plane = Plane::new();
    let mut lines: Vec<Line> = (0..40).map(|_| up(&mut plane, "good")).collect();
    let mut ticks = 0;
    let mut all_answer = |plane: &mut Plane, lines: &mut Vec<Line>| {
        lines.iter_mut().for_each(|line| line.frame(ticks));
        plane.wake_until("all answers", || lines.iter().all(|line| line.answered(ticks)));
        ticks += 1;
        ticks
    };
    for _ in 0..3 {
        plane.activate(LivePolicy::Move, None);
        for _ in 0..5 {
            all_answer(&mut plane, &mut lines);
        }
    }
    let generation = plane.generation.number;
    let is_there =
        |plane: &Plane, line: &Line| plane.bots.seats[&line.call].bot.generation.load(Ordering::Acquire) == generation;
    while !lines.iter().all(|line| is_there(&plane, line)) {
        all_answer(&mut plane, &mut lines);
    }
    let ticks = all_answer(&mut plane, &mut lines);
    for line in &lines {
        let stats = plane.end(line);
        assert_eq!((stats.frames, stats.overruns, stats.generation), (ticks, 0, generation));
    }
}

#[test]
fn a_call_whose_bot_is_still_starting_moves_once_it_runs() {
    let mut plane = Plane::new();
    for _ in 0..10 {
        let line = plane.begin("good", "{}");
        let generation = plane.activate(LivePolicy::Move, None);
        plane.await_moved(&line);
        assert_eq!(plane.end(&line).generation, generation);
    }
}

#[test]
fn calls_that_end_in_the_middle_of_their_move_keep_nobody_else_from_moving() {
    let mut plane = Plane::new();
    let lines: Vec<Line> = (0..5 * MOVES_AT_ONCE_MAX).map(|_| up(&mut plane, "good")).collect();
    plane.activate(LivePolicy::Move, None);
    lines.iter().for_each(|line| drop(plane.end(line)));
    let line = up(&mut plane, "good");
    let generation = plane.activate(LivePolicy::Move, None);
    plane.await_moved(&line);
    assert_eq!(plane.end(&line).generation, generation);
}

#[test]
fn while_a_generation_is_new_four_calls_move_and_the_others_wait_for_its_proof() {
    let mut plane = Plane::new();
    let lines: Vec<Line> = (0..10).map(|_| up(&mut plane, "good")).collect();
    plane.generation = plugin::Generation { number: 2, plugin: plane::load("misbehave") };
    plane.bots.replace("misbehave", &plane.generation, LivePolicy::Move, None, Instant::now());
    let moved = |plane: &Plane| {
        let there = |line: &&Line| plane.bots.seats[&line.call].bot.generation.load(Ordering::Acquire) == 2;
        lines.iter().filter(there).count()
    };
    let proved = Arc::clone(&plane.bots.proving.of(&plane.generation));
    // Not one turn beyond what the moves need: nothing can be proved by then.
    plane.wake_until("the first four", || {
        std::thread::sleep(Duration::from_millis(5));
        moved(&plane) == MOVES_AT_ONCE_MAX
    });
    if !proved.load(Ordering::Relaxed) {
        assert_eq!(moved(&plane), MOVES_AT_ONCE_MAX);
    }
    plane.wake_until("all", || moved(&plane) == lines.len());
    assert!(proved.load(Ordering::Relaxed));
}

#[test]
fn calls_on_an_old_generation_are_named_once_when_their_limit_is_over() {
    let mut plane = Plane::new();
    let [drains, moves] = ["save-nothing", "good"].map(|conduct| up(&mut plane, conduct));
    let limit = Duration::from_secs(60);
    plane.activate(LivePolicy::Move, Some(limit));
    plane.await_moved(&moves);
    plane.await_not_moved(&drains);
    // A later activation without a limit takes nothing back.
    let after = up(&mut plane, "good");
    plane.activate(LivePolicy::Drain, None);
    assert_eq!(plane.bots.overdue(Instant::now()), []);
    let then = Instant::now() + limit;
    assert_eq!(plane.bots.overdue(then), [drains.call]);
    assert_eq!(plane.bots.overdue(then), []);
    assert_eq!(plane.end(&after).generation, 2);
}

#[test]
fn a_bot_of_another_key_is_left_alone() {
    let mut plane = Plane::new();
    let line = up(&mut plane, "good");
    let other = plugin::Generation { number: 7, plugin: plane::load("other") };
    plane.bots.replace("other", &other, LivePolicy::Move, Some(Duration::ZERO), Instant::now());
    assert_eq!(plane.bots.overdue(Instant::now()), []);
    plane.activate(LivePolicy::Move, None);
    let seen = plane.await_event(|event| matches!(event, BotPlaneEvent::Moved { .. }));
    assert!(matches!(seen.last(), Some(BotPlaneEvent::Moved { generation: 2, .. })));
    plane.end(&line);
}
