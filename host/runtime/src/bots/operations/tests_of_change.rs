//! What stays of a call's operations when another instance goes on with them.

use plugin::{BargeIn, VoiceEvent, VoiceRules};

use super::tests::{Scene, digit};
use super::*;

fn timer(id: u64) -> Event {
    Event::Timer { id }
}

#[test]
fn what_was_begun_since_the_save_is_cancelled_and_what_was_begun_before_goes_on() {
    let mut scene = Scene::new();
    scene.write(2);
    let (old_timer, old_mark) =
        (scene.operations.timer_set(100).unwrap(), scene.operations.playout_mark("old").unwrap());
    let old_order = scene.operations.send_digits("1").unwrap();
    scene.operations.note_save();
    let new_timer = scene.operations.timer_set(20).unwrap();
    scene.write(2);
    scene.operations.playout_mark("new").unwrap();
    scene.operations.hangup(true);
    let new_order = scene.operations.send_digits("2").unwrap();
    assert!(scene.operations.go_back(Queue::Cleared));
    [old_order, new_order].into_iter().for_each(|id| scene.operations.push(Event::DigitsSent { id }).unwrap());
    let told = scene.tick();
    assert_eq!(told[0], Event::DigitsSent { id: old_order });
    // Its sound is gone, and it was told which of its marks went with it.
    assert!(matches!(&told[1], Event::Cleared { dropped_marks, .. } if dropped_marks == &["old"]), "{told:?}");
    assert_eq!((told.len(), scene.depart()), (2, 0));
    (0..3).for_each(|_| assert_eq!(scene.tick(), []));
    assert_eq!(scene.tick(), [timer(old_timer)]);
    assert!(!scene.acts().contains(&BotAct::Hangup));
    let next = scene.operations.timer_set(0).unwrap();
    assert!(next > new_order && new_order > new_timer && new_timer > old_mark, "no id is given twice");
}

#[test]
fn events_since_the_save_are_delivered_again_in_order_and_first_but_for_the_one_that_trapped() {
    let mut scene = Scene::new();
    let rings = scene.operations.timer_set(20).unwrap();
    scene.operations.note_save();
    scene.operations.timer_set(20).unwrap();
    scene.operations.push(digit('1')).unwrap();
    scene.operations.push(Event::Hold).unwrap();
    assert_eq!(scene.tick().len(), 4);
    scene.operations.push(digit('9')).unwrap();
    assert_eq!(scene.events(), [digit('9')]);
    scene.operations.strike_last_delivered();
    scene.operations.push(digit('4')).unwrap();
    for _ in 0..2 {
        assert!(scene.operations.go_back(Queue::Cleared));
        assert_eq!(scene.events(), [digit('1'), Event::Hold, timer(rings), digit('4')]);
    }
    scene.operations.note_save();
    assert!(scene.operations.go_back(Queue::Cleared));
    assert_eq!(scene.events(), [], "of an older save nothing is left");
}

#[test]
fn digits_that_are_delivered_again_count_among_those_that_wait() {
    let mut scene = Scene::new();
    scene.operations.note_save();
    (0..DIGITS_MAX).for_each(|_| scene.operations.push(digit('1')).unwrap());
    assert_eq!(scene.events().len(), DIGITS_MAX);
    assert!(scene.operations.go_back(Queue::Cleared));
    assert_eq!(scene.operations.push(digit('2')), Err(Overfull));
    assert_eq!(scene.events().len(), DIGITS_MAX);
    assert_eq!(scene.operations.push(digit('2')), Ok(()));
}

#[test]
fn a_save_is_of_no_use_once_more_than_256_events_have_followed_it() {
    let mut scene = Scene::new();
    assert!(!scene.operations.go_back(Queue::Cleared), "never saved");
    scene.operations.note_save();
    let mut deliver = |count| {
        (0..count).for_each(|_| scene.operations.push(Event::Hold).unwrap());
        scene.events();
        scene.operations.go_back(Queue::Kept)
    };
    assert!(deliver(EVENTS_MAX - 1));
    scene.events();
    scene.operations.push(Event::Hold).unwrap();
    scene.operations.push(Event::Hold).unwrap();
    scene.events();
    assert!(!scene.operations.go_back(Queue::Kept));
    scene.operations.note_save();
    assert!(scene.operations.go_back(Queue::Kept));
}

#[test]
fn a_clear_that_was_under_way_at_the_save_is_told_under_its_own_id() {
    let mut scene = Scene::new();
    scene.write(2);
    let clear = scene.operations.playout_clear();
    scene.operations.note_save();
    scene.write(2);
    scene.operations.playout_clear();
    assert!(scene.operations.go_back(Queue::Cleared));
    let told = scene.tick();
    assert!(matches!(told.as_slice(), [Event::Cleared { id, .. }] if *id == clear), "{told:?}");
}

/// Everything that `start` may do, while it is held.
fn do_everything(operations: &mut Operations, cancelled: [u64; 2]) {
    assert_eq!(operations.playout_write(&[2; 160]), Written { accepted: 160, queued_ms: 60 });
    operations.playout_mark("held").unwrap();
    cancelled.into_iter().for_each(|id| assert!(operations.timer_cancel(id)));
    operations.timer_set(40).unwrap();
    operations.send_digits("5").unwrap();
    operations.note("key", "held").unwrap();
    operations.hangup(true);
    operations.answer();
    operations.want_frames(false);
    operations.write_log(LogLevel::Info, "f", 1, "held");
}

/// With two packets queued, a mark, two timers of which one is due, a note.
fn before_the_move() -> (Scene, [u64; 2]) {
    let mut scene = Scene::new();
    let due = scene.operations.timer_set(0).unwrap();
    scene.write(3);
    scene.operations.playout_mark("before").unwrap();
    let waits = scene.operations.timer_set(60).unwrap();
    scene.operations.note("key", "before").unwrap();
    scene.acts();
    scene.pass(20);
    scene.depart();
    scene.operations.advance(scene.now);
    scene.operations.begin_trial();
    (scene, [due, waits])
}

#[test]
fn a_trial_that_is_aborted_has_changed_nothing() {
    let (mut scene, [due, waits]) = before_the_move();
    let mut control = [0; 8];
    scene.operations.random(&mut control);
    do_everything(&mut scene.operations, [due, waits]);
    // What comes from elsewhere meanwhile stays.
    scene.operations.push(digit('7')).unwrap();
    scene.operations.abort_trial();
    let mut random = [0; 8];
    scene.operations.random(&mut random);
    assert_eq!(random, control);
    assert!(scene.operations.wants_frames());
    assert_eq!((scene.acts(), scene.operations.log.dropped()), (vec![], 0));
    assert_eq!(scene.events(), [timer(due), digit('7')]);
    assert_eq!(scene.operations.playout_write(&[]).queued_ms, 40);
    assert_eq!(scene.tick(), []);
    let told = scene.tick();
    assert!(matches!(&told[0], Event::Mark { name, .. } if name == "before"), "{told:?}");
    assert_eq!(told[1..], [timer(waits)]);
    assert_eq!(scene.operations.timer_set(1), Ok(4), "ids go on where they were");
    assert_eq!((scene.depart(), scene.acts()), (0, vec![]));
}

#[test]
fn a_trial_that_is_committed_happens_then_and_in_its_order() {
    let (mut scene, cancelled) = before_the_move();
    do_everything(&mut scene.operations, cancelled);
    let (mark, set) = (4, 5);
    assert_eq!(scene.operations.playout().queued_ms(), 40, "not before the swap");
    scene.operations.commit_trial(2);
    assert!(!scene.operations.wants_frames());
    let acts = scene.acts();
    assert_eq!(acts.len(), 3, "{acts:?}");
    assert_eq!(acts[0], BotAct::Note { key: "key".into(), value: "held".into() });
    assert_eq!(scene.operations.playout_write(&[]).queued_ms, 60);
    let told: Vec<Event> = (0..3).flat_map(|_| scene.tick()).collect();
    let [Event::Mark { name: first, .. }, Event::Timer { id }, Event::Mark { id: last, .. }] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((first.as_str(), *id, *last), ("before", set, mark));
    assert_eq!(scene.acts(), [BotAct::Hangup], "once all has left");
}

#[test]
fn a_clear_in_a_trial_cuts_what_was_there_and_what_the_trial_wrote_before_it() {
    let mut scene = Scene::new();
    scene.write(2);
    scene.operations.playout_mark("before").unwrap();
    scene.operations.begin_trial();
    scene.write(1);
    scene.operations.playout_mark("held").unwrap();
    let clear = scene.operations.playout_clear();
    assert_eq!(scene.operations.playout_write(&[3; 160]).queued_ms, 20);
    assert_eq!(scene.depart(), 160, "the call goes on");
    scene.operations.commit_trial(2);
    let told = scene.tick();
    let dropped_marks = vec!["before".to_owned(), "held".to_owned()];
    assert_eq!(told, [Event::Cleared { id: clear, played_ms: 20, dropped_marks }]);
}

#[test]
fn a_trial_takes_what_the_queue_has_room_for_and_no_more() {
    let mut scene = Scene::new();
    scene.write(10);
    scene.operations.begin_trial();
    assert_eq!(scene.operations.playout_write(&[1; 10_000]).accepted, 8_000 - 1_600);
    assert_eq!(scene.operations.playout_write(&[1]).accepted, 0);
    scene.operations.commit_trial(2);
    assert_eq!(scene.operations.playout_write(&[]).queued_ms, 1_000);
    assert_eq!(scene.operations.playout_write(&[1]).accepted, 0);
}

#[test]
fn a_trial_with_writes_and_clears_without_end_is_bounded() {
    let mut scene = Scene::new();
    scene.operations.begin_trial();
    let taken: u32 = (0..5_000)
        .map(|_| {
            scene.operations.playout_clear();
            scene.operations.playout_write(&[1]).accepted
        })
        .sum();
    assert!((100..=256).contains(&taken), "{taken}");
    scene.operations.commit_trial(2);
}

#[test]
fn going_back_to_a_swap_cancels_what_the_new_start_began() {
    let (mut scene, cancelled) = before_the_move();
    do_everything(&mut scene.operations, cancelled);
    scene.operations.commit_trial(2);
    scene.acts();
    scene.operations.push(digit('1')).unwrap();
    assert_eq!(scene.events(), [digit('1')]);
    assert!(scene.operations.go_back(Queue::Kept));
    assert_eq!(scene.events(), [digit('1')]);
    // The queue stays, sound of the new one included; its mark, its timer and its hangup do not.
    let told: Vec<Event> = (0..4).flat_map(|_| scene.tick()).collect();
    assert!(matches!(told.as_slice(), [Event::Mark { name, .. }] if name == "before"), "{told:?}");
    assert_eq!(scene.acts(), []);
}

#[test]
fn that_the_caller_cut_the_bot_off_is_told_whoever_speaks_for_the_call_by_then() {
    for queue in [Queue::Kept, Queue::Cleared] {
        let mut scene = Scene::new();
        scene.operations.note_save();
        scene.write(2);
        scene.operations.barge_in();
        assert!(scene.operations.go_back(queue));
        let barged_in = VoiceEvent::BargedIn { played_ms: 0, dropped_marks: vec![] };
        assert_eq!(scene.tick()[0], Event::Voice(barged_in), "{queue:?}");
    }
}

#[test]
fn what_the_voice_told_is_not_delivered_again_to_one_who_did_not_watch_then() {
    let rules = VoiceRules { strictness: 1, start_ms: 60, hang_over_ms: 400, barge_in: BargeIn::Off };
    for watched in [true, false] {
        let mut scene = Scene::new();
        scene.operations.watch_voice(watched.then_some(rules)).unwrap();
        scene.operations.note_save();
        scene.operations.watch_voice(Some(rules)).unwrap();
        scene.operations.push(Event::Voice(VoiceEvent::Paused)).unwrap();
        assert_eq!(scene.events().len(), 1);
        assert!(scene.operations.go_back(Queue::Kept));
        assert_eq!(scene.events().len(), usize::from(watched));
    }
}
