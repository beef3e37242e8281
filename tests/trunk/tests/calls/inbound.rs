//! The trunk's messages and media as they come, in every spelling.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use trunk::{Plan, SecondLeg, Spelling};

use crate::host::{Host, PATIENCE};

const FRAMES: u64 = 10;

#[test]
fn each_oddity_is_taken_in_both_spellings_over_tcp_and_over_tls_with_srtp() -> Result<()> {
    let host = Host::start("spellings")?;
    let plans: Vec<Plan> = [false, true]
        .into_iter()
        .flat_map(|secure| Spelling::all().map(move |spelling| (secure, spelling)))
        .map(|(secure, spelling)| Ok(Plan { spelling, ..host.plan(secure)? }))
        .collect::<Result<_>>()?;
    // Half the calls are ended by the trunk, half by the bot: its BYE must come by the connection of the call.
    for eight in plans.chunks(8) {
        let calls = eight.iter().cloned().enumerate().map(|(number, plan)| {
            thread::spawn(move || -> Result<String> {
                let spelling = plan.spelling;
                call(number, plan).with_context(|| format!("{spelling:?}"))
            })
        });
        for call in calls.collect::<Vec<_>>() {
            let call_id = call.join().expect("a call that panicked")?;
            let summary = host.summary(&call_id)?;
            ensure!(summary["status"] == 200 && summary["cause"] == "bye", "{summary}");
        }
    }
    host.stop()
}

/// Its Call-ID.
fn call(number: usize, plan: Plan) -> Result<String> {
    if number.is_multiple_of(2) {
        let mut leg = SecondLeg::establish(plan, PATIENCE)?;
        leg.media.speak_until_echoed(FRAMES, PATIENCE)?;
        leg.hang_up(PATIENCE)?;
        return Ok(leg.call_id().to_owned());
    }
    let mut leg = SecondLeg::establish(Plan { called: "+917777777777".into(), ..plan }, PATIENCE)?;
    leg.media.listen(1, PATIENCE)?;
    leg.await_bye(PATIENCE)?;
    Ok(leg.call_id().to_owned())
}

#[test]
fn media_that_comes_late_is_heard_and_the_host_speaks_meanwhile() -> Result<()> {
    let host = Host::start("late-media")?;
    for secure in [false, true] {
        let mut leg = SecondLeg::establish(host.plan(secure)?, PATIENCE)?;
        leg.media.listen(100, PATIENCE)?;
        leg.media.speak_until_echoed(FRAMES, PATIENCE)?;
        leg.hang_up(PATIENCE)?;
        let summary = host.summary(leg.call_id())?;
        ensure!(summary["media"]["source_moves"] == 0 && summary["srtp"] == secure, "{summary}");
    }
    host.stop()
}

#[test]
fn a_caller_who_is_bridged_is_heard_with_another_ssrc() -> Result<()> {
    let host = Host::start("bridged")?;
    for secure in [false, true] {
        let mut leg = SecondLeg::establish(host.plan(secure)?, PATIENCE)?;
        for _ in 0..3 {
            leg.media.speak_until_echoed(FRAMES, PATIENCE)?;
            leg.media.bridge();
        }
        leg.media.speak_until_echoed(FRAMES, PATIENCE)?;
        leg.hang_up(PATIENCE)?;
        host.summary(leg.call_id())?;
    }
    host.stop()
}

#[test]
fn a_bye_at_any_moment_ends_the_call_and_leaves_nothing() -> Result<()> {
    let host = Host::start("odd-byes")?;
    let mut ended = Vec::new();
    for secure in [false, true] {
        let plan = host.plan(secure)?;
        // Instead of the ACK.
        let mut leg = SecondLeg::invite(plan.clone())?;
        leg.accepted(PATIENCE)?;
        leg.hang_up(PATIENCE)?;
        ended.push((leg, 200));
        // In the same breath as the ACK.
        let mut leg = SecondLeg::establish(plan.clone(), PATIENCE)?;
        leg.bye()?;
        leg.bye()?;
        ensure!(leg.answer_to_bye(PATIENCE)? == 200);
        let again = leg.answer_to_bye(PATIENCE)?;
        ensure!(again == 481 || again == 200, "the second BYE was answered {again}");
        ended.push((leg, 200));
        // In the midst of its own sound.
        let mut leg = SecondLeg::establish(plan.clone(), PATIENCE)?;
        leg.media.speak_until_echoed(FRAMES, PATIENCE)?;
        leg.bye()?;
        ensure!(leg.answer_to_bye(PATIENCE)? == 200);
        ended.push((leg, 200));
        // While it rings.
        let mut leg = SecondLeg::invite(Plan { called: "+916666666666".into(), ..plan.clone() })?;
        leg.cancel()?;
        ensure!(leg.answer(PATIENCE)?.status() == Some(487));
        ended.push((leg, 487));
        // Both at once.
        let mut leg = SecondLeg::establish(Plan { called: "+917777777777".into(), ..plan }, PATIENCE)?;
        thread::sleep(Duration::from_millis(190));
        leg.bye()?;
        ensure!([200, 481].contains(&leg.answer_to_bye(PATIENCE)?));
        ended.push((leg, 200));
    }
    for (leg, status) in &ended {
        let summary = host.summary(leg.call_id())?;
        let found = summary["status"].as_u64();
        ensure!(found == Some(*status) || (*status == 487 && found.is_none()), "{summary}");
    }
    host.stop()
}

#[test]
fn many_calls_at_once_are_all_heard() -> Result<()> {
    let host = Host::start("many")?;
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let plan = host.plan(number % 2 == 0)?;
            Ok(thread::spawn(move || {
                let mut leg = SecondLeg::establish(plan, PATIENCE)?;
                leg.media.speak_until_echoed(FRAMES, PATIENCE)?;
                leg.hang_up(PATIENCE)
            }))
        })
        .collect::<Result<_>>()?;
    for call in calls {
        call.join().expect("a call that panicked")?;
    }
    host.stop()
}
