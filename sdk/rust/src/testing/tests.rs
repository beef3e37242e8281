//! The SDK's own behaviour, seen through bots as small as the point they make.

use super::*;
use crate::{Accept, Call, Gather, GatherRules, Gathered, HungUp, Start, silence, tone};

/// Answers each frame with what the caller said.
#[derive(Default)]
struct Echo;

impl Bot for Echo {
    fn on_frame(&mut self, _call: &Call, frame: Frame) -> Option<Vec<i16>> {
        Some(frame.samples)
    }
}

/// Does what the test tells it, by keys, and writes down what happens.
#[derive(Default)]
struct Diary {
    /// Each with the ms at which it came.
    events: Vec<(u64, Event)>,
    state: Vec<u8>,
    refused: Option<String>,
}

impl Bot for Diary {
    fn start(&mut self, call: &Call, start: Start) -> Result<Accept, Refusal> {
        match call.info().called.as_str() {
            "closed" => return Err(Refusal::new(480, "closed")),
            "ring" => {
                call.timer(1000).expect("a timer");
                return Ok(Accept::events_only().ringing());
            }
            _ => {}
        }
        if let StartReason::Moved(state) | StartReason::Restarted(state) = start.reason {
            self.state = state;
        }
        Ok(Accept::events_only())
    }

    fn on_digit(&mut self, call: &Call, key: char) {
        match key {
            '1' => {
                call.play(tone(400.0, 15_000));
                call.mark("end");
            }
            '2' => call.hangup_after_playout(),
            '3' => {
                call.clear();
            }
            '4' => {
                call.timer(30).expect("a timer");
            }
            '5' => call.note("way", "five"),
            '6' => call.note("k", &"v".repeat(1025)),
            '7' => self.refused = call.send_digits("12x").err().map(|error| error.code),
            '8' => assert!(call.send_digits("1,2").is_ok()),
            '9' => call.hangup(),
            _ => panic!("no such key"),
        }
    }

    fn on_event(&mut self, call: &Call, event: Event) {
        if let Event::Timer(_) = event {
            call.answer();
        }
        self.events.push((call.now_ms(), event));
    }

    fn on_hangup(&mut self, call: &Call, hung_up: HungUp) {
        self.events.push((call.now_ms(), Event::Hangup(hung_up)));
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(b"saved".to_vec())
    }
}

#[test]
fn an_echo_returns_each_frame_in_the_tick_it_came() {
    let mut call = FakeCall::<Echo>::dialled("1").connect();
    call.say(&tone(400.0, 100));
    call.advance_ms(120);
    let mut expected = tone(400.0, 100);
    expected.extend(silence(20));
    assert_eq!(call.take_heard().samples(), expected);
    call.hang_up();
    assert!(call.is_done(), "done is said by default");
}

#[test]
fn a_sound_longer_than_the_queue_plays_whole_and_its_mark_comes_at_its_end() {
    let mut call = FakeCall::<Diary>::dialled("1").playout_ms_max(2_000).connect();
    call.press("1");
    assert!(call.save().is_none(), "an instance that holds sound does not save");
    call.advance_ms(16_000);
    assert_eq!(&call.take_heard().samples()[..15_000 * 8], tone(400.0, 15_000));
    let is_mark = |(_, event): &&(u64, Event)| matches!(event, Event::Mark(_));
    let marks: Vec<u64> = call.bot().events.iter().filter(is_mark).map(|(ms, _)| *ms).collect();
    assert_eq!(marks, [15_020], "once, in the tick after its last sample left");
    assert_eq!(call.save(), Some(b"saved".to_vec()));
}

#[test]
fn clear_drops_what_waits_in_the_host_and_in_the_bot() {
    let mut call = FakeCall::<Diary>::dialled("1").playout_ms_max(2_000).connect();
    call.press("1");
    call.advance_ms(900);
    call.take_heard();
    call.press("3");
    assert!(call.take_heard().is_silent());
    let Some((1020, Event::Cleared(cleared))) = call.bot().events.last() else { panic!("{:?}", call.bot().events) };
    assert_eq!((cleared.played_ms, &cleared.dropped_marks[..]), (1000, &["end".to_owned()][..]));
    call.advance_ms(20_000);
    assert!(call.take_heard().is_silent());
}

#[test]
fn a_hangup_after_playout_waits_for_all_the_sound_even_what_the_queue_had_no_room_for() {
    let mut call = FakeCall::<Diary>::dialled("1").playout_ms_max(2_000).connect();
    call.press("12");
    call.advance_ms(14_700);
    assert!(call.is_up());
    call.advance_ms(300);
    assert_eq!(call.ended().map(|hung_up| hung_up.by), Some("bot".to_owned()));
    assert_eq!(call.take_heard().samples(), tone(400.0, 15_000));
}

#[test]
fn a_clear_makes_a_waiting_hangup_due_at_once() {
    let mut call = FakeCall::<Diary>::dialled("1").playout_ms_max(2_000).connect();
    call.press("123");
    assert!(call.ended().is_some());
}

#[test]
fn a_bot_that_says_nothing_after_the_hangup_is_gone_after_ten_seconds() {
    let mut call = FakeCall::<Diary>::dialled("1").connect();
    call.press("9");
    assert!(matches!(call.bot().events.last(), Some((0, Event::Hangup(hung_up))) if hung_up.by == "bot"));
    call.advance_ms(9_800);
    assert!(!call.is_done());
    call.advance_ms(200);
    assert!(call.is_done());
}

#[test]
fn timers_ring_on_the_tick_after_their_time() {
    let mut call = FakeCall::<Diary>::dialled("1").connect();
    call.press("4");
    assert_eq!(call.bot().events.last(), Some(&(40, Event::Timer(1))));
}

#[test]
fn a_ringing_call_is_up_once_the_bot_answers() {
    let mut call = FakeCall::<Diary>::dialled("ring").connect();
    call.advance_ms(980);
    assert!(call.is_ringing() && call.take_heard().samples().is_empty());
    call.advance_ms(40);
    assert!(call.is_up());
    assert_eq!(call.bot().events.last(), Some(&(1020, Event::Answered)));
}

#[test]
fn a_refusal_carries_its_status() {
    let refusal = FakeCall::<Diary>::dialled("closed").start().err().expect("a refusal");
    assert_eq!((refusal.status, refusal.reason.as_str()), (480, "closed"));
}

#[test]
fn notes_and_digits_are_kept_and_refused_by_the_contracts_limits() {
    let mut call = FakeCall::<Diary>::dialled("1").connect();
    call.press("5678");
    assert_eq!(call.notes(), [("way".to_owned(), "five".to_owned())]);
    assert_eq!(call.digits_sent(), "1,2");
    assert_eq!(call.bot().refused.as_deref(), Some("not-a-digit"));
    let line = &call.logs()[0];
    assert!(line.file.ends_with("call.rs") && line.message.contains("note k was refused"), "{line:?}");
    call.advance_ms(1_000);
    assert!(matches!(call.bot().events.last(), Some((_, Event::DigitsSent(_)))));
}

#[test]
fn a_moved_call_keeps_its_queue_and_a_restarted_one_does_not() {
    let mut call = FakeCall::<Diary>::dialled("1").playout_ms_max(20_000).connect();
    call.press("1");
    assert!(call.move_over());
    assert_eq!(call.bot().state, b"saved");
    assert!(call.queued_ms() > 14_000);
    assert!(call.restart_from(b"before".to_vec()));
    assert_eq!(call.bot().state, b"before");
    assert_eq!(call.queued_ms(), 0);
}

/// Asks for up to four digits ended by `#`, at once.
struct Asker {
    gather: Gather,
    outcome: Option<Gathered>,
}

impl Default for Asker {
    fn default() -> Asker {
        let rules = GatherRules { max_digits: 4, terminator: Some('#'), first_digit_ms: 5_000, inter_digit_ms: 2_000 };
        Asker { gather: Gather::new(rules), outcome: None }
    }
}

impl Bot for Asker {
    fn on_digit(&mut self, call: &Call, key: char) {
        self.outcome = self.outcome.take().or(self.gather.on_digit(call, key));
    }

    fn on_event(&mut self, call: &Call, event: Event) {
        match event {
            Event::Answered => self.gather.wait_for_first(call),
            Event::Timer(id) => self.outcome = self.outcome.take().or(self.gather.on_timer(call, id)),
            _ => {}
        }
    }
}

#[test]
fn digits_are_gathered_by_count_by_terminator_and_by_time() {
    let complete = |digits: &str| Some(Gathered::Complete(digits.to_owned()));
    let timed_out = |digits: &str| Some(Gathered::TimedOut(digits.to_owned()));
    // Keys, then ms to wait, then what came of it.
    let cases = [
        ("1234", 0, complete("1234")),
        ("12#", 0, complete("12")),
        ("#", 0, complete("")),
        ("12", 1_800, None),
        ("12", 2_000, timed_out("12")),
        ("", 4_980, None),
        ("", 5_000, timed_out("")),
    ];
    for (keys, wait_ms, expected) in cases {
        let mut call = FakeCall::<Asker>::dialled("1").connect();
        call.press(keys);
        call.advance_ms(wait_ms);
        assert_eq!(call.bot().outcome, expected, "after {keys:?} and {wait_ms} ms");
    }
}
