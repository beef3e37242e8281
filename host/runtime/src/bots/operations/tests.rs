//! What wit/0.1.0/bot.wit promises of operations, one sentence each.

use media::PlayoutReader;

use super::super::bot_log::Voice;
use super::*;

const FRAME_MS: u64 = 20;

/// One call's operations, and the media thread's end of its queue.
pub(super) struct Scene {
    pub operations: Operations,
    reader: PlayoutReader,
    pub now: Instant,
}

impl Scene {
    pub fn new() -> Self {
        let now = Instant::now();
        let (writer, reader) = media::playout(1000);
        let facts = CallFacts {
            headers: [("X-Tag", "one"), ("Via", "v"), ("x-tag", "two")]
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .into(),
            attributes: vec![("codec".into(), "PCMA".to_owned())],
            config: serde_json::from_str(r#"{"name": "a \"b\"", "number": 5, "list": [1, "x"]}"#).unwrap(),
        };
        let log = BotLog::new(Voice::none(), 1, now);
        let operations =
            Operations::new(Arc::new(facts), (writer, 1000), log, [7; 32], WallClock { at: now, unix_ms: 1_000 });
        Self { operations, reader, now }
    }

    /// A tick passes: one packet leaves, the bot's worker looks at what is due. Returns the events.
    pub fn tick(&mut self) -> Vec<Event> {
        self.pass(FRAME_MS);
        self.depart();
        self.events()
    }

    pub fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    pub fn depart(&mut self) -> usize {
        self.reader.pull(&mut [0; 160])
    }

    pub fn events(&mut self) -> Vec<Event> {
        self.operations.advance(self.now);
        std::iter::from_fn(|| self.operations.next_event()).collect()
    }

    pub fn acts(&mut self) -> Vec<BotAct> {
        std::iter::from_fn(|| self.operations.next_act()).collect()
    }

    pub fn write(&mut self, frames: usize) {
        assert_eq!(self.operations.playout_write(&vec![1; frames * 160]).accepted as usize, frames * 160);
    }

    fn hang_up(&mut self) {
        self.operations.push(Event::Hangup { by: "caller".into(), cause: "bye".into() }).unwrap();
    }
}

pub(super) fn digit(key: char) -> Event {
    Event::Digit { key, tick: 0 }
}

fn code<T: std::fmt::Debug>(result: Result<T, HostError>) -> &'static str {
    result.unwrap_err().code
}

#[test]
fn a_mark_comes_when_the_sound_before_it_has_left() {
    let mut scene = Scene::new();
    scene.write(2);
    let id = scene.operations.playout_mark("greeted").unwrap();
    scene.write(1);
    assert_eq!(scene.tick(), []);
    assert_eq!(scene.tick(), [Event::Mark { id, name: "greeted".into() }]);
    assert_eq!(scene.tick(), []);
}

#[test]
fn a_mark_on_an_empty_queue_comes_in_the_next_tick() {
    let mut scene = Scene::new();
    let id = scene.operations.playout_mark("").unwrap();
    assert_eq!(scene.tick(), [Event::Mark { id, name: String::new() }]);
}

#[test]
fn sixty_four_marks_wait_and_names_have_128_bytes() {
    let mut scene = Scene::new();
    scene.write(1);
    assert_eq!(code(scene.operations.playout_mark(&"x".repeat(129))), "too-long");
    (0..MARKS_MAX).for_each(|_| {
        scene.operations.playout_mark(&"x".repeat(128)).unwrap();
    });
    assert_eq!(code(scene.operations.playout_mark("one more")), "too-many");
    assert_eq!(scene.tick().len(), MARKS_MAX);
    assert!(scene.operations.playout_mark("again").is_ok());
}

#[test]
fn a_clear_says_what_was_heard_and_which_marks_were_not() {
    let mut scene = Scene::new();
    scene.write(1);
    let heard = scene.operations.playout_mark("heard").unwrap();
    scene.write(2);
    scene.operations.playout_mark("unheard").unwrap();
    assert_eq!(scene.depart(), 160);
    let clear = scene.operations.playout_clear();
    assert_eq!(
        scene.tick(),
        [
            Event::Mark { id: heard, name: "heard".into() },
            Event::Cleared { id: clear, played_ms: 20, dropped_marks: vec!["unheard".into()] }
        ]
    );
}

#[test]
fn a_mark_set_after_a_clear_is_not_dropped_by_it() {
    let mut scene = Scene::new();
    scene.write(2);
    let clear = scene.operations.playout_clear();
    let mark = scene.operations.playout_mark("after").unwrap();
    assert_eq!(
        scene.tick(),
        [
            Event::Cleared { id: clear, played_ms: 0, dropped_marks: vec![] },
            Event::Mark { id: mark, name: "after".into() }
        ]
    );
}

#[test]
fn several_clears_before_one_packet_are_one_under_the_last_id() {
    let mut scene = Scene::new();
    scene.write(2);
    scene.depart();
    scene.operations.playout_mark("first").unwrap();
    scene.operations.playout_clear();
    scene.write(1);
    scene.operations.playout_mark("second").unwrap();
    let last = (0..100).map(|_| scene.operations.playout_clear()).last().unwrap();
    let dropped_marks = vec!["first".into(), "second".into()];
    assert_eq!(scene.tick(), [Event::Cleared { id: last, played_ms: 20, dropped_marks }]);
    assert_eq!(scene.tick(), []);
}

#[test]
fn clears_of_different_packets_are_told_apart_though_looked_at_together() {
    let mut scene = Scene::new();
    scene.write(2);
    let first = scene.operations.playout_clear();
    scene.depart();
    scene.write(2);
    scene.depart();
    let second = scene.operations.playout_clear();
    scene.depart();
    let told: Vec<_> = scene
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Cleared { id, played_ms, .. } => Some((id, played_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(first, 0), (second, 20)]);
}

#[test]
fn what_is_written_after_a_clear_plays() {
    let mut scene = Scene::new();
    scene.write(3);
    scene.operations.playout_clear();
    scene.write(1);
    assert_eq!(scene.operations.playout_write(&[]).queued_ms, 20);
    assert_eq!((scene.depart(), scene.depart()), (160, 0));
}

#[test]
fn write_takes_what_fits_and_says_how_much_waits() {
    let mut scene = Scene::new();
    let written = scene.operations.playout_write(&vec![1; 9_000]);
    assert_eq!((written.accepted, written.queued_ms), (8_000, 1000));
    assert_eq!(scene.operations.playout_write(&[1]).accepted, 0);
    scene.depart();
    assert_eq!(scene.operations.playout_write(&[1; 200]).accepted, 160);
}

#[test]
fn a_timer_rings_once_not_before_its_time_and_within_a_tick_of_it() {
    let mut scene = Scene::new();
    let id = scene.operations.timer_set(50).unwrap();
    assert_eq!((scene.tick(), scene.tick()), (vec![], vec![]));
    assert_eq!(scene.tick(), [Event::Timer { id }]);
    assert_eq!(scene.tick(), []);
}

#[test]
fn a_timer_of_0_ms_rings_in_the_next_tick_not_in_this_one() {
    let mut scene = Scene::new();
    scene.tick();
    let id = scene.operations.timer_set(0).unwrap();
    assert_eq!(scene.operations.next_event(), None);
    assert_eq!(scene.tick(), [Event::Timer { id }]);
}

#[test]
fn timers_that_are_due_together_ring_in_the_order_of_their_times() {
    let mut scene = Scene::new();
    let [late, early, also_late] = [15, 5, 15].map(|ms| scene.operations.timer_set(ms).unwrap());
    let rung = scene.tick();
    assert_eq!(rung, [early, late, also_late].map(|id| Event::Timer { id }));
}

#[test]
fn a_timer_can_be_cancelled_until_its_event_is_delivered() {
    let mut scene = Scene::new();
    let [waiting, due, gone] = [60, 20, 20].map(|ms| scene.operations.timer_set(ms).unwrap());
    assert!(scene.operations.timer_cancel(waiting));
    assert!(!scene.operations.timer_cancel(waiting));
    assert!(!scene.operations.timer_cancel(12345));
    scene.pass(20);
    scene.operations.advance(scene.now);
    assert!(scene.operations.timer_cancel(due), "due, but not delivered");
    assert_eq!(scene.operations.next_event(), Some(Event::Timer { id: gone }));
    assert!(!scene.operations.timer_cancel(gone));
}

#[test]
fn sixty_four_timers_wait_for_24_h_at_most() {
    let mut scene = Scene::new();
    assert_eq!(code(scene.operations.timer_set(TIMER_MS_MAX + 1)), "too-long");
    (0..TIMERS_MAX).for_each(|_| {
        scene.operations.timer_set(TIMER_MS_MAX).unwrap();
    });
    assert_eq!(code(scene.operations.timer_set(0)), "too-many");
}

#[test]
fn ids_of_all_operations_come_from_one_count() {
    let mut scene = Scene::new();
    let operations = &mut scene.operations;
    let ids = [
        operations.timer_set(1).unwrap(),
        operations.playout_mark("m").unwrap(),
        operations.playout_clear(),
        operations.send_digits("1").unwrap(),
    ];
    assert_eq!(ids, [1, 2, 3, 4]);
}

#[test]
fn time_stands_still_while_the_bot_runs() {
    let mut scene = Scene::new();
    assert_eq!(scene.operations.wall_ms(), 1_000);
    scene.pass(1234);
    assert_eq!(scene.operations.wall_ms(), 1_000, "not before the next turn");
    scene.operations.advance(scene.now);
    assert_eq!(scene.operations.wall_ms(), 2_234);
}

#[test]
fn hangup_after_playout_waits_for_what_is_queued_now() {
    let mut scene = Scene::new();
    scene.write(2);
    scene.operations.hangup(true);
    scene.write(5);
    scene.tick();
    assert_eq!(scene.acts(), []);
    // A second wish cannot put off the first.
    scene.operations.hangup(true);
    scene.tick();
    assert_eq!(scene.acts(), [BotAct::Hangup]);
    scene.tick();
    assert_eq!(scene.acts(), []);
}

#[test]
fn hangup_after_playout_comes_at_once_when_nothing_waits_or_all_was_cleared() {
    let mut scene = Scene::new();
    scene.operations.hangup(true);
    assert_eq!(scene.acts(), [BotAct::Hangup]);
    let mut scene = Scene::new();
    scene.write(20);
    scene.operations.hangup(true);
    scene.operations.playout_clear();
    scene.tick();
    assert_eq!(scene.acts(), [BotAct::Hangup]);
}

#[test]
fn the_same_wish_twice_in_a_tick_is_one() {
    let mut scene = Scene::new();
    (0..1000).for_each(|_| {
        scene.operations.hangup(false);
        scene.operations.answer();
    });
    assert_eq!(scene.acts(), [BotAct::Hangup, BotAct::Answer]);
}

#[test]
fn done_counts_only_once_the_bot_was_told_of_the_hangup() {
    let mut scene = Scene::new();
    scene.operations.done();
    scene.hang_up();
    scene.operations.done();
    assert_eq!(scene.acts(), [], "the hangup waits to be told");
    assert_eq!(scene.events().len(), 1);
    scene.operations.done();
    assert_eq!(scene.acts(), [BotAct::Done]);
}

#[test]
fn after_done_the_bot_is_not_entered_again() {
    let mut scene = Scene::new();
    scene.operations.timer_set(20).unwrap();
    scene.hang_up();
    scene.operations.push(Event::Resume).unwrap();
    assert!(matches!(scene.operations.next_event(), Some(Event::Hangup { .. })));
    scene.operations.done();
    assert_eq!(scene.tick(), []);
    assert!(!scene.operations.wants_frames());
}

#[test]
fn after_the_call_timers_go_on_but_nothing_is_taken_for_the_caller() {
    let mut scene = Scene::new();
    scene.hang_up();
    assert!(!scene.operations.wants_frames());
    assert_eq!(scene.events().len(), 1);
    assert_eq!(scene.operations.playout_write(&[1; 160]).accepted, 0);
    assert_eq!(code(scene.operations.send_digits("1")), "call-ended");
    scene.operations.note("last", "words").unwrap();
    let id = scene.operations.timer_set(20).unwrap();
    assert_eq!(scene.tick(), [Event::Timer { id }]);
}

#[test]
fn of_digits_not_taken_64_wait_and_one_more_is_too_many() {
    let mut scene = Scene::new();
    (0..DIGITS_MAX).for_each(|_| scene.operations.push(digit('1')).unwrap());
    assert_eq!(scene.operations.push(digit('2')), Err(Overfull));
    assert_eq!(scene.operations.next_event(), Some(digit('1')));
    assert_eq!(scene.operations.push(digit('3')), Ok(()));
}

#[test]
fn events_have_a_bound_whatever_they_are() {
    let mut scene = Scene::new();
    let taken = (0..1000).filter(|_| scene.operations.push(Event::Hold).is_ok()).count();
    assert_eq!(taken, EVENTS_MAX);
}

#[test]
fn keys_to_send_are_checked_and_at_most_64_wait() {
    let mut scene = Scene::new();
    for wrong in ["", "12a", "1 2", "é"] {
        assert_eq!(code(scene.operations.send_digits(wrong)), "not-a-digit", "{wrong:?}");
    }
    let first = scene.operations.send_digits("0123456789*#ABCD,").unwrap();
    let rest = scene.operations.send_digits(&"5".repeat(KEYS_WAITING_MAX - 17)).unwrap();
    assert_eq!(code(scene.operations.send_digits("1")), "too-many");
    // The first order is out; the second one's keys wait still.
    scene.operations.push(Event::DigitsSent { id: first }).unwrap();
    assert_eq!(code(scene.operations.send_digits(&"1".repeat(18))), "too-many");
    scene.operations.send_digits(&"1".repeat(17)).unwrap();
    let ordered: Vec<u64> = scene
        .acts()
        .iter()
        .filter_map(|act| if let BotAct::SendDigits { id, .. } = act { Some(*id) } else { None })
        .collect();
    assert_eq!(ordered, [first, rest, rest + 1]);
}

#[test]
fn notes_are_replaced_bounded_and_told_once() {
    let mut scene = Scene::new();
    let operations = &mut scene.operations;
    assert_eq!(code(operations.note(&"k".repeat(65), "")), "too-long");
    assert_eq!(code(operations.note("k", &"v".repeat(1025))), "too-long");
    (0..NOTES_MAX).for_each(|at| operations.note(&format!("key {at}"), "first").unwrap());
    assert_eq!(code(operations.note("one more", "")), "too-many");
    operations.note("key 3", "second").unwrap();
    let told = scene.acts();
    assert_eq!(told.len(), NOTES_MAX);
    assert!(told.contains(&BotAct::Note { key: "key 3".into(), value: "second".into() }));
    assert_eq!(scene.acts(), []);
    scene.operations.note("key 3", "third").unwrap();
    assert_eq!(scene.acts(), [BotAct::Note { key: "key 3".into(), value: "third".into() }]);
}

#[test]
fn headers_are_found_whatever_their_case_with_all_their_values() {
    let scene = Scene::new();
    assert_eq!(scene.operations.header("X-TAG"), ["one", "two"]);
    assert!(scene.operations.header("To").is_empty());
    assert_eq!(scene.operations.attribute("codec").as_deref(), Some("PCMA"));
    assert_eq!(scene.operations.attribute("weather"), None);
}

#[test]
fn the_configuration_gives_strings_as_they_are_and_all_else_as_json() {
    let scene = Scene::new();
    let value = |key| scene.operations.config(key);
    assert_eq!(value("name").as_deref(), Some("a \"b\""));
    assert_eq!(value("number").as_deref(), Some("5"));
    assert_eq!(value("list").as_deref(), Some(r#"[1,"x"]"#));
    assert_eq!(value("nothing"), None);
}

#[test]
fn a_bot_that_is_gone_leaves_nothing_under_way() {
    let mut scene = Scene::new();
    scene.write(10);
    scene.operations.timer_set(0).unwrap();
    scene.operations.playout_mark("m").unwrap();
    scene.operations.playout_clear();
    scene.operations.hangup(true);
    scene.operations.answer();
    scene.operations.push(digit('1')).unwrap();
    scene.operations.abandon();
    assert_eq!((scene.tick(), scene.acts()), (vec![], vec![]));
    assert_eq!(scene.depart(), 0, "nothing of its sound is heard any more");
}
