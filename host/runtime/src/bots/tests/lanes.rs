//! Who runs a guest, and what becomes of the others when one does not come back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use call::{BotAct, StartFailure};

use super::plane::{self, Line, PROMPT, Plane, until};
use crate::bots::cell::{Place, Turn};
use crate::bots::enlisted::HURRIED_TURNS_MAX;
use crate::bots::lane::{LANE_THREADS, Lane, lock};
use crate::bots::late::OVERSTAY;
use crate::bots::{BotPlaneEvent, Enlisted};

/// The ticks from which on `misbehave` misbehaves in its frames.
const BAD: u64 = 10;

fn lines(plane: &mut Plane, conduct: &str, count: usize) -> Vec<Line> {
    let lines: Vec<Line> = (0..count).map(|_| plane.call(conduct)).collect();
    lines.iter().for_each(|line| plane.answer(line));
    lines
}

fn all_spares_are_back(plane: &Plane) -> bool {
    lock(&plane.bots.lanes()[0].helm).spares.len() == LANE_THREADS - 1
}

#[test]
fn guests_that_loop_cost_their_own_calls_and_the_others_answer() {
    let mut plane = Plane::new();
    let mut loops = lines(&mut plane, "loop-in-frame", 3);
    let mut goods = lines(&mut plane, "good", 12);
    for tick in [BAD, BAD + 1, BAD + 2] {
        goods.iter_mut().chain(&mut loops).for_each(|line| line.frame(tick));
        plane.wake_until("every other bot's answer", || goods.iter().all(|line| line.answered(tick)));
    }
    for line in &loops {
        let why = plane.await_fault(line);
        assert_eq!(why, "used more than 50 ms of CPU in one call");
        assert!(!line.answered(BAD));
    }
    until("the lane's threads to come back", || all_spares_are_back(&plane));
    for line in &goods {
        let stats = plane.end(line);
        assert_eq!((stats.frames, stats.overruns, stats.late_answers), (3, 0, Default::default()));
    }
}

#[test]
fn with_every_thread_of_the_lane_stuck_the_first_that_comes_back_goes_on() {
    let mut plane = Plane::new();
    let mut loops = lines(&mut plane, "loop-in-frame", LANE_THREADS + 3);
    let mut goods = lines(&mut plane, "good", 5);
    loops.iter_mut().chain(&mut goods).for_each(|line| line.frame(BAD));
    // One wake-up for all: whoever loses it loses the others' turn.
    plane.wake_all();
    until("every other bot's answer", || goods.iter().all(|line| line.answered(BAD)));
    loops.iter().for_each(|line| drop(plane.await_fault(line)));
    until("the lane's threads to come back", || all_spares_are_back(&plane));
}

#[test]
fn no_wake_up_is_lost_while_the_lane_changes_hands() {
    let mut plane = Plane::new();
    let mut good = lines(&mut plane, "good", 1).remove(0);
    let mut loops = lines(&mut plane, "loop-in-frame", 6);
    for tick in 0..300 {
        if tick % 50 == 49
            && let Some(mut looping) = loops.pop()
        {
            looping.frame(BAD);
            plane.bots.lanes()[0].wake(looping.ends.phase);
        }
        good.frame(tick);
        // Once each: the answer comes without another wake-up.
        plane.bots.lanes()[0].wake(good.ends.phase);
        until("the answer", || good.answered(tick));
    }
    assert_eq!(plane.end(&good).frames, 300);
}

/// A lane without threads, the bots of so many calls in it; the test runs its batches.
fn idle_lane(plane: &mut Plane, calls: usize) -> (Lane, Vec<Arc<Enlisted>>) {
    let lane = Lane::new(Arc::clone(&plane.bots.slow));
    let lines: Vec<Line> = (0..calls).map(|_| plane.begin("good", "{}")).collect();
    let bots: Vec<Arc<Enlisted>> = lines.iter().map(|line| seat_of(plane, line)).collect();
    bots.iter().for_each(|bot| lane.enlist(Arc::clone(bot)));
    assert!(lane.next_bot().is_none(), "they have come, and nobody is woken");
    (lane, bots)
}

#[test]
fn a_bot_that_leaves_in_the_middle_of_a_batch_costs_nobody_a_turn() {
    let (lane, bots) = idle_lane(&mut Plane::new(), 21);
    let [first, second, third] = [0, 10, 20].map(|at| &bots[at]);
    assert_eq!([first.phase(), second.phase(), third.phase()], [0; 3], "ten phases");
    lane.wake(0);
    let next = || lane.next_bot().map(|(bot, ..)| bot.call);
    assert_eq!(next(), Some(first.call));
    lane.discharge(first);
    assert_eq!(next(), Some(second.call));
    assert_eq!(next(), Some(third.call));
    assert_eq!(next(), None);
}

#[test]
fn a_bot_goes_with_its_leg_to_another_phase_and_is_run_there_only() {
    let (lane, bots) = idle_lane(&mut Plane::new(), 11);
    let run = |phase: usize| {
        lane.wake(phase);
        std::iter::from_fn(|| lane.next_bot()).map(|(bot, ..)| bot.call).collect::<Vec<_>>()
    };
    lane.follow(bots[0].call, &bots[0].phase, 3);
    assert_eq!(run(0), [bots[10].call]);
    assert_eq!(run(3), [bots[3].call, bots[0].call]);
    // One that goes and is discharged at once is nowhere.
    lane.follow(bots[1].call, &bots[1].phase, 4);
    lane.discharge(&bots[1]);
    assert_eq!((run(1), run(4)), (vec![], vec![bots[4].call]));
}

#[test]
fn the_phase_that_has_waited_longest_is_run_first() {
    let (lane, _bots) = idle_lane(&mut Plane::new(), 10);
    let run = |phases: &[usize]| {
        phases.iter().for_each(|phase| lane.wake(*phase));
        let ran = std::iter::from_fn(|| lane.next_bot()).map(|(bot, ..)| bot.phase());
        ran.collect::<Vec<usize>>()
    };
    assert_eq!(run(&[8]), [8]);
    assert_eq!(run(&[0, 1, 9]), [9, 0, 1]);
}

#[test]
fn who_was_told_something_has_a_turn_once_all_who_wait_for_their_tick_have_had_theirs() {
    let (lane, bots) = idle_lane(&mut Plane::new(), 11);
    lane.wake(0);
    let next = || lane.next_bot().map(|(bot, ..)| bot.call);
    assert_eq!(next(), Some(bots[0].call));
    lane.hurry(Arc::clone(&bots[5]));
    assert_eq!(next(), Some(bots[10].call));
    assert_eq!((next(), next()), (Some(bots[5].call), None));
}

#[test]
fn a_bot_has_few_turns_beside_its_ticks_however_much_it_is_told() {
    let mut plane = Plane::new();
    let line = plane.call("good");
    let bot = seat_of(&plane, &line);
    let tell = || {
        bot.hurry();
        until("its turn", || !bot.is_hurried.load(Ordering::Acquire));
    };
    (0..3 * HURRIED_TURNS_MAX).for_each(|_| tell());
    until("the last of them", || bot.hurried_turns.load(Ordering::Acquire) == HURRIED_TURNS_MAX);
    plane.wake_until("the tick", || bot.hurried_turns.load(Ordering::Acquire) == 0);
    tell();
    until("one more", || bot.hurried_turns.load(Ordering::Acquire) == 1);
}

#[test]
fn of_bots_of_one_build_that_overstay_in_one_batch_the_lane_pays_for_the_first() {
    let mut plane = Plane::new();
    let mut loops = lines(&mut plane, "loop-in-frame", 4);
    let suspects = |lane: &Lane| std::iter::from_fn(|| lane.next_bot()).filter(|(.., turn)| turn.suspect).count();
    let lane = Lane::new(Arc::clone(&plane.bots.slow));
    loops.iter().for_each(|line| lane.enlist(seat_of(&plane, line)));
    assert!(lane.next_bot().is_none());
    (0..4).for_each(|phase| lane.wake(phase));
    assert!(lane.next_bot().is_some());
    lane.hand_over(0);
    assert_eq!(suspects(&lane), 3, "the others of this batch run beside the lane");
    (0..4).for_each(|phase| lane.wake(phase));
    assert_eq!(suspects(&lane), 0, "in the next one they are as good as any");
    loops.iter_mut().for_each(|line| line.frame(0));
    plane.wake_until("their answers", || loops.iter().all(|line| line.answered(0)));
}

#[test]
fn what_neighbours_have_used_is_known_to_those_behind_them_and_forgotten_with_the_batch() {
    let mut plane = Plane::new();
    let (lane, _bots) = idle_lane(&mut plane, 11);
    let mut slow = plane.call("never-takes-digits");
    slow.press('1');
    let used = {
        let seat = seat_of(&plane, &slow);
        let mut bot = seat.cell.enter();
        let turn = Turn { woken: Instant::now(), others: Duration::ZERO, patience: Duration::ZERO, suspect: false };
        bot.run(Instant::now(), turn, &mut |_| {})
    };
    assert!(used > Duration::from_millis(1), "{used:?}");
    let others = || lane.next_bot().map(|(.., turn)| turn.others);
    lane.wake(0);
    assert_eq!(others(), Some(Duration::ZERO));
    // It is handed over while the first one is inside.
    lane.hand_over(0);
    assert_eq!(others(), Some(OVERSTAY));
    assert_eq!(others(), None);
    lane.wake(0);
    assert_eq!(others(), Some(Duration::ZERO), "the next batch begins anew");
}

#[test]
fn calls_are_spread_over_the_phases_before_their_bots_have_started() {
    let mut plane = Plane::new();
    let mut phases: Vec<usize> = (0..20).map(|_| plane.begin("good", "{}").ends.phase).collect();
    phases.sort_unstable();
    assert!((0..10).all(|phase| phases[2 * phase..2 * phase + 2] == [phase, phase]), "{phases:?}");
}

#[test]
fn a_generation_proves_itself_on_the_slow_lane_first() {
    let mut plane = Plane::of_newcomers();
    let mut line = plane.call("good");
    let bot = seat_of(&plane, &line);
    assert_eq!(bot.cell.place(), Place::Proving);
    // Ringing proves nothing.
    (0..3).for_each(|_| plane.wake_until("a turn", || true));
    plane.answer(&line);
    for tick in 0..60 {
        line.frame(tick);
        plane.wake_until("the answer", || line.answered(tick));
    }
    plane.wake_until("its place in the lane", || bot.cell.place() == Place::Lane);
    let next = plane.call("good");
    assert_eq!(seat_of(&plane, &next).cell.place(), Place::Lane);
}

#[test]
fn a_generation_that_looped_proves_itself_anew() {
    let mut plane = Plane::new();
    let mut line = lines(&mut plane, "loop-in-frame", 1).remove(0);
    line.frame(BAD);
    plane.await_fault(&line);
    let next = plane.call("good");
    assert_eq!(seat_of(&plane, &next).cell.place(), Place::Proving);
}

#[test]
fn those_that_prove_themselves_do_not_stand_behind_those_that_overstayed() {
    let mut plane = Plane::new();
    // Nobody wakes the lane: they stand in no queue yet.
    let [hog, newcomer] = ["good", "good"].map(|conduct| plane.begin(conduct, "{}"));
    let [hog, newcomer] = [&hog, &newcomer].map(|line| seat_of(&plane, line));
    let slow = crate::bots::slow_lane::SlowLane::new();
    slow.queue(&hog, Place::SetAside);
    slow.queue(&newcomer, Place::Proving);
    slow.queue(&hog, Place::SetAside);
    let next = |proving_only| lock(&slow.queues).take(proving_only).map(|(bot, _)| bot.call);
    assert_eq!(next(false), Some(newcomer.call));
    assert_eq!(next(true), None, "one thread is not for hogs");
    assert_eq!((next(false), next(false)), (Some(hog.call), None), "each stands there once");
}

#[test]
fn a_start_that_loops_does_not_keep_others_from_starting() {
    let mut plane = Plane::new();
    // However many bots a tenant spreads them over.
    let builds: Vec<_> = (0..6).map(|number| plane::named(&format!("tenant/loops-{number}"))).collect();
    let well_behaved = plane::named("another/well-behaved");
    let loops = (0..24).map(|number| {
        plane.generation = builds[number % builds.len()].clone();
        plane.begin("loop-in-start", "{}")
    });
    let loops: Vec<Line> = loops.collect();
    plane.generation = well_behaved;
    let good = plane.begin("good", "{}");
    let seen = plane.await_event(|event| matches!(event, BotPlaneEvent::Started { call, .. } if *call == good.call));
    assert!(matches!(seen.last(), Some(BotPlaneEvent::Started { result: Ok(_), .. })), "{seen:?}");
    let started = seen.iter().filter(|event| matches!(event, BotPlaneEvent::Started { .. })).count();
    assert!(started < loops.len(), "before the last of those that loop: {seen:?}");
}

#[test]
fn what_a_bot_does_in_start_is_told_before_its_word_on_the_call() {
    let mut plane = Plane::new();
    let hanging_up = plane.call("hangup-in-start");
    let told = plane.told(&hanging_up);
    assert!(told[0].starts_with("Hangup") || told[1].starts_with("Hangup"), "{told:?}");
    assert!(told[2].starts_with("Ok(Accept"), "{told:?}");
    let refusing = plane.begin("refuse-486", "{}");
    plane.await_event(|event| matches!(event, BotPlaneEvent::Started { call, .. } if *call == refusing.call));
    let told = plane.told(&refusing);
    let noted = BotAct::Note { key: "conduct".into(), value: "refuse-486".into() };
    let refused = StartFailure::Refused { status: 486, reason: "told to refuse".into() };
    assert_eq!(told, [format!("{noted:?}"), format!("{:?}", Err::<call::Accept, _>(refused))]);
}

#[test]
fn the_fall_back_plays_though_the_guest_of_this_call_is_stuck_and_comes_back_later() {
    let mut plane = Plane::new();
    let mut line = lines(&mut plane, "loop-in-frame", 1).remove(0);
    line.frame(BAD);
    plane.wake_all();
    plane.bots.play_fallback(line.call, PROMPT);
    let mut heard = 0;
    plane.wake_until("the prompt", || {
        heard += line.ends.playout.pull(&mut [0; 160]);
        heard == 400
    });
    plane.await_event(|event| matches!(event, BotPlaneEvent::FallbackPlayed { call } if *call == line.call));
    assert!(!line.ends.shared.wants_frames.load(std::sync::atomic::Ordering::Relaxed));
}

#[test]
fn a_call_that_is_closed_while_its_bot_starts_leaves_nobody_in_the_lane() {
    let mut plane = Plane::new();
    for _ in 0..50 {
        let line = plane.begin("good", "{}");
        plane.end(&line);
    }
    let lane = Arc::clone(&plane.bots.lanes()[0]);
    let began = Instant::now();
    until("an empty lane", || lane.population.iter().all(|bots| bots.load(std::sync::atomic::Ordering::Relaxed) == 0));
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(lane.promised.iter().all(|calls| calls.load(std::sync::atomic::Ordering::Relaxed) == 0));
}

fn seat_of(plane: &Plane, line: &Line) -> Arc<Enlisted> {
    Arc::clone(&plane.bots.seats[&line.call].bot)
}

#[test]
fn five_hundred_and_twelve_starts_wait_and_what_is_over_is_refused_at_once() {
    let mut plane = Plane::new();
    // Four of them are stuck in `start`, the others wait behind these.
    let lines: Vec<_> = (0..600).map(|_| plane.begin("loop-in-start", "{}")).collect();
    assert_eq!(plane.told(&lines[599]), ["Err(TimedOut)"]);
    let refused = lines.iter().filter(|line| !plane.told(line).is_empty()).count();
    assert!((80..=88).contains(&refused), "{refused} of 600 were refused");
}
