//! Each kind of misconduct, and what its own caller hears of it.

use serde_json::{Value, json};

use crate::alone;
use crate::callers::{Report, dial_all};
use crate::host::{Host, PROMPT_SAMPLES};

/// What the caller sees and the summary says.
pub enum Outcome {
    /// Answered, then the route's prompt and BYE; the summary gives a cause that begins so, and these words as the reason.
    Fallback(&'static str, &'static str),
    /// The SIP answer, and the cause.
    Refused(u64, &'static str),
    /// Nothing bad: the call ends when that side hangs up. The bot noted what the host let pass.
    Well(&'static str, Option<(&'static str, &'static str)>),
}

use Outcome::{Fallback, Refused, Well};

/// Long enough for each to misbehave; a call that the host does not end would end like this.
const FOR_2_S: &[&str] = &["--duration", "2"];
const FOR_10_S: &[&str] = &["--duration", "10"];
const LATE_NINE: &[&str] = &["--digits", ",,,,9", "--duration", "12"];
const WITH_KEYS: &[&str] = &["--digits", "12", "--duration", "4"];

pub const CONDUCTS: &[(&str, &[&str], Outcome)] = &[
    ("trap-in-start", FOR_10_S, Fallback("bot-fault", "trapped")),
    // Its time or its CPU, whichever is over first: 200 ms of each.
    ("loop-in-start", FOR_10_S, Fallback("bot-", "more than 200 ms")),
    ("trap-in-frame", FOR_10_S, Fallback("bot-fault", "trapped")),
    ("loop-in-frame", FOR_10_S, Fallback("bot-fault", "50 ms of CPU")),
    ("trap-in-event", FOR_10_S, Fallback("bot-fault", "trapped")),
    ("loop-in-event", FOR_10_S, Fallback("bot-fault", "50 ms of CPU")),
    // The first save comes a second after the answer; without one there is nothing to start again from.
    ("loop-in-save", FOR_10_S, Fallback("bot-fault", "50 ms of CPU")),
    ("trap-in-save", FOR_10_S, Fallback("bot-fault", "trapped")),
    ("save-65537", FOR_2_S, Well("caller", None)),
    ("save-huge", FOR_2_S, Well("caller", None)),
    ("save-1-gib", FOR_10_S, Fallback("bot-fault", "trapped")),
    ("grow-table", FOR_10_S, Fallback("bot-fault", "16 MiB of memory")),
    ("grow-memory", FOR_10_S, Fallback("bot-fault", "16 MiB of memory")),
    ("memory-fill", FOR_10_S, Fallback("bot-fault", "50 ms of CPU")),
    ("recurse", FOR_10_S, Fallback("bot-fault", "trapped")),
    ("wrong-length", FOR_10_S, Fallback("bot-fault", "50 frames in a row with a wrong length")),
    ("frame-of-161", FOR_10_S, Fallback("bot-fault", "50 frames in a row with a wrong length")),
    ("frame-of-none", FOR_10_S, Fallback("bot-fault", "50 frames in a row with a wrong length")),
    ("huge-frame", FOR_10_S, Fallback("bot-fault", "trapped")),
    ("sleep", FOR_10_S, Fallback("bot-fault", "")),
    ("wait", FOR_10_S, Fallback("bot-fault", "a bot may not wait")),
    ("poll", FOR_10_S, Fallback("bot-fault", "a bot may not wait")),
    ("poll-for-ever", FOR_10_S, Fallback("bot-fault", "50 ms of CPU")),
    ("huge-write", FOR_10_S, Fallback("bot-fault", "trapped")),
    ("huge-note", FOR_2_S, Well("caller", None)),
    ("huge-digits", FOR_2_S, Well("caller", Some(("taken", "false")))),
    ("huge-random", FOR_2_S, Well("caller", Some(("bytes", "4096")))),
    ("huge-names", FOR_2_S, Well("caller", Some(("taken", "0")))),
    ("huger-name", FOR_10_S, Fallback("bot-fault", "trapped")),
    ("far-timer", FOR_2_S, Well("caller", Some(("taken", "false")))),
    ("never-takes-digits", WITH_KEYS, Well("caller", Some(("digits", "2")))),
    ("slow-20ms", FOR_2_S, Well("caller", None)),
    // It was saved by then, and goes on from there; the key that it trapped on is not delivered again.
    ("trap-on-nine", LATE_NINE, Well("caller", Some(("reason", "restarted")))),
    ("refuse-486", &[], Refused(486, "bot-refused")),
    ("refuse-200", &[], Refused(480, "bot-refused")),
    ("no-such-conduct", &[], Refused(404, "bot-refused")),
    ("ring", FOR_2_S, Well("caller", None)),
    ("hangup-in-start", &[], Refused(480, "bye")),
    ("hangup", FOR_10_S, Well("bot", None)),
    ("linger", FOR_2_S, Well("caller", None)),
    ("trap-in-hangup", FOR_2_S, Well("caller", None)),
    ("loop-in-hangup", FOR_2_S, Well("caller", None)),
];

/// Those that ask for more of something than may wait.
pub const EXCESSES: [&str; 4] = ["many-timers", "many-marks", "many-clears", "huge-log"];

/// What was expected and did not come; empty if all did.
pub fn complaints(called: &str, outcome: &Outcome, report: &Report, summary: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut expect = |what: &str, found: &Value, expected: Value| {
        if *found != expected {
            complaints.push(format!("{called}: {what} is {found}, not {expected}"));
        }
    };
    match outcome {
        Fallback(cause, why) => {
            expect("status", &report.call["status"], json!(200));
            expect("ended by", &report.call["ended_by"], json!("callee"));
            expect("fallback", &summary["fallback"], json!(true));
            let found = summary["cause"].as_str().unwrap_or_default();
            expect(&format!("the cause {found:?}"), &json!(found.starts_with(cause)), json!(true));
            expect("ended by, says the host,", &summary["ended_by"], json!("host"));
            let told = summary["why"].as_str().unwrap_or_default();
            expect(&format!("the reason {told:?}"), &json!(told.contains(why)), json!(true));
            // Concealment may eat a little at the ends and draw the sound out where a packet was late, never as much.
            let about_all = PROMPT_SAMPLES * 9 / 10..=PROMPT_SAMPLES * 11 / 10;
            let heard = about_all.contains(&report.prompt_samples);
            expect(&format!("the prompt, {} samples heard,", report.prompt_samples), &json!(heard), json!(true));
        }
        Refused(status, cause) => {
            expect("status", &report.call["status"], json!(status));
            expect("cause", &summary["cause"], json!(cause));
        }
        Well(by, note) => {
            expect("status", &report.call["status"], json!(200));
            expect("ended by", &summary["ended_by"], json!(by));
            expect("cause", &summary["cause"], json!("bye"));
            expect("fallback", &summary["fallback"], json!(false));
            if let Some((key, value)) = note {
                let notes = summary["notes"].as_array().cloned().unwrap_or_default();
                expect(&format!("{notes:?} with {key}"), &json!(notes.contains(&json!([key, value]))), json!(true));
            }
        }
    }
    complaints
}

/// The summary of the last call to that number.
pub fn summary_of<'a>(summaries: &'a [Value], called: &str) -> &'a Value {
    summaries.iter().rev().find(|summary| summary["called"] == called).unwrap_or(&Value::Null)
}

/// On a machine that is busy enough any bot may be too late with its `start`, and nothing else is seen of it.
pub fn never_began(outcome: &Outcome, summary: &Value) -> bool {
    let its_own = matches!(outcome, Fallback("bot-", _));
    !its_own && summary["cause"] == "bot-timeout"
}

#[test]
fn without_a_fall_back_a_bot_that_fails_costs_480_before_the_answer_and_bye_after_it() {
    let _alone = alone();
    let host = Host::start("bare");
    let reports = dial_all(&host, &[("bare-trap-in-start", &[]), ("bare-trap-in-frame", FOR_10_S)]);
    let summaries = host.summaries(2);
    let [start, frame] = ["bare-trap-in-start", "bare-trap-in-frame"].map(|called| summary_of(&summaries, called));
    assert_eq!((&reports[0].call["status"], &start["cause"]), (&json!(480), &json!("bot-fault")));
    assert_eq!((&reports[1].call["status"], &reports[1].call["ended_by"]), (&json!(200), &json!("callee")));
    assert_eq!((&frame["cause"], &frame["ended_by"]), (&json!("bot-fault"), &json!("host")));
    assert_eq!(reports[1].prompt_samples, 0);
    host.stop();
}

/// Each asks for far more than may wait; what the host took is in its note, or it was stopped for the time that asking took.
#[test]
fn a_bot_that_asks_for_too_much_gets_what_the_contract_says() {
    let _alone = alone();
    let host = Host::start("much");
    let taken = ["64", "64", "", ""];
    let wishes: Vec<(&str, &str)> = EXCESSES.into_iter().zip(taken).collect();
    let calls: Vec<(&str, &[&str])> = wishes.iter().map(|(called, _)| (*called, FOR_2_S)).collect();
    let reports = dial_all(&host, &calls);
    let summaries = host.summaries(calls.len());
    for ((called, taken), report) in wishes.iter().zip(&reports) {
        let summary = summary_of(&summaries, called);
        assert_eq!(report.call["status"], 200, "{called}: {report:?}");
        let stopped = summary["why"].as_str().is_some_and(|why| why.contains("50 ms of CPU"));
        let notes = summary["notes"].as_array().cloned().unwrap_or_default();
        let noted = taken.is_empty() || notes.contains(&json!(["taken", taken]));
        assert!(stopped || noted, "{called}: {summary}");
    }
    let lines = host.log().lines().filter(|line| line.contains("xxxx")).count();
    assert!((1..=100).contains(&lines), "{lines} lines of the bot's log");
    host.stop();
}
