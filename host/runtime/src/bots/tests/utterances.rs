//! What whoever recognises speech is handed.

use super::ear::{prompt, voice};
use crate::bots::{Answers, ListenRules, TestCall, Utterance};

const LISTEN: ListenRules = ListenRules { start_ms: 60, hang_over_ms: 400, utterance_ms_max: 20_000 };

/// What was heard: for each utterance where it began and ended, whether it was cut, and its sound.
fn utterances(receiver: &mut tokio::sync::mpsc::Receiver<Utterance>) -> Vec<(u64, u64, bool, Vec<i16>)> {
    let (mut utterances, mut began, mut sound) = (Vec::new(), None, Vec::new());
    while let Ok(message) = receiver.try_recv() {
        match message {
            Utterance::Started { sample } => began = Some(sample),
            Utterance::Sound(piece) => sound.extend_from_slice(&piece),
            Utterance::Stopped { sample, cut } => {
                utterances.push((began.take().expect("it began"), sample, cut, std::mem::take(&mut sound)));
            }
            Utterance::Overrun => panic!("nothing is lost here"),
        }
    }
    utterances
}

#[test]
fn an_utterance_comes_whole_with_what_was_just_before_it() {
    let mut call = TestCall::new("t", "{}");
    let mut receiver = call.caller.answers().listen(LISTEN);
    let hum: Vec<i16> = (0..8000).map(|at| at % 50).collect();
    let all = [hum.as_slice(), voice().as_flattened(), &[0; 8000]].concat();
    call.caller_says(&all);
    let heard = utterances(&mut receiver);
    let (from, _, cut, sound) = &heard[0];
    assert!(!cut && (7000..9600).contains(from), "{from}");
    let begin = *from as usize - 2400;
    assert_eq!(sound[..], all[begin..begin + sound.len()], "300 ms before it, and no gap");
    let (_, to, _, last) = heard.last().unwrap();
    assert!(to.abs_diff(8000 + voice().len() as u64 * 160) < 4000, "{to}");
    assert!(last[last.len() - 1600..].iter().all(|sample| *sample == 0), "the hang-over too");
}

#[test]
fn an_utterance_that_is_too_long_is_cut_and_goes_on_as_another_without_a_gap() {
    let mut call = TestCall::new("t", "{}");
    let mut receiver = call.caller.answers().listen(ListenRules { utterance_ms_max: 1, ..LISTEN });
    // Without the pauses, in which an utterance would end by itself.
    let mut spoken = prompt("menu");
    spoken.retain(|frame| frame.iter().any(|sample| sample.unsigned_abs() > 300));
    let all = [&[0; 8000], &spoken.as_flattened()[..24_000], &[0; 8000]].concat();
    call.caller_says(&all);
    let heard = utterances(&mut receiver);
    let cut = heard.windows(2).filter(|pair| pair[0].2);
    assert!(cut.clone().count() >= 2, "three seconds of a voice: {}", heard.len());
    for pair in cut {
        let ((from, end, _, sound), (begin, _, _, next)) = (&pair[0], &pair[1]);
        assert!((8000..8320).contains(&(end - from)), "a second: {from} to {end}");
        assert!(sound.len() as u64 >= end - from);
        // It begins with the first voiced frame after the cut, and nothing is said twice.
        let first = begin.saturating_sub(2400).max(*end) as usize;
        assert!(begin >= end && next[..] == all[first..first + next.len()], "{end} {begin}");
    }
}

#[test]
fn who_does_not_take_what_is_heard_loses_that_utterance_and_is_told() {
    let mut call = TestCall::new("t", "{}");
    let mut receiver = call.caller.answers().listen(LISTEN);
    let spoken = [&[0; 8000], voice().as_flattened(), &[0; 8000]].concat();
    (0..10).for_each(|_| call.caller_says(&spoken));
    let mut taken = Vec::new();
    while let Ok(message) = receiver.try_recv() {
        taken.push(message);
    }
    assert_eq!(taken.len(), 64, "a bound");
    assert!(!taken.contains(&Utterance::Overrun));
    call.caller_says(&spoken);
    assert_eq!(receiver.try_recv(), Ok(Utterance::Overrun));
    let heard = utterances(&mut receiver);
    assert!(!heard.is_empty() && heard.iter().all(|(_, _, cut, _)| !cut), "whole again");
}

#[test]
fn the_end_of_listening_ends_the_receiver_and_what_was_said_last_is_not_lost() {
    for end in [|answers: &Answers| answers.unlisten(), |answers: &Answers| drop(answers.listen(LISTEN))] {
        let mut call = TestCall::new("t", "{}");
        let mut receiver = call.caller.answers().listen(LISTEN);
        call.caller_says(&[&[0; 8000], voice().as_flattened()].concat());
        end(call.caller.answers());
        call.caller_says(&[0; 160]);
        let heard = utterances(&mut receiver);
        assert!(heard.last().is_some_and(|(_, _, cut, sound)| *cut && !sound.is_empty()), "{}", heard.len());
        assert!(receiver.is_closed());
    }
    let call = TestCall::new("t", "{}");
    call.close(&crate::bots::NoServices);
    assert!(call.caller.answers().listen(LISTEN).is_closed(), "the call is over");
}
