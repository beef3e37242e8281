//! The others: a hundred callers of a bot that echoes, while bots of another tenant do their worst.

use std::time::Duration;

use bench::crowd::{Crowd, Crowded};
use serde_json::{Value, json};

use crate::alone;
use crate::callers::{Caller, Report};
use crate::conducts::{CONDUCTS, complaints, never_began, summary_of};
use crate::host::Host;

const NEIGHBOURS: usize = 100;
/// So many kinds of misconduct at once.
const WAVE: usize = 12;
/// Calls that never began are placed again so often.
const AGAIN_MAX: usize = 3;
/// Frames begin with the ACK, packets with the 200 before it: so many may lie between them on the busiest machine, in each call.
const PACKETS_BEFORE_ACK_MAX: u64 = 250;
/// A bot is given a frame up to 10 ms before its packet leaves.
const FRAMES_UNDER_WAY: u64 = 1;

/// What the neighbours of one run counted, all together.
#[derive(Debug, Default)]
struct Counts {
    sent_by_callers: u64,
    received_by_host: u64,
    lost_by_host: u64,
    /// Caller frames that the bot never saw.
    overruns: u64,
    frames: u64,
    sent_by_host: u64,
    heard_by_callers: u64,
    lost_by_callers: u64,
    /// Figures of this machine at this moment: told, and not judged.
    late_by_neighbours: u64,
    late_by_host: u64,
    underruns: u64,
}

impl Counts {
    /// Every neighbour was answered, and ended by its caller.
    fn of(crowd: &Crowded, summaries: &[Value]) -> Self {
        assert_eq!((crowd.lost.as_slice(), crowd.callers.len()), (&[][..], NEIGHBOURS));
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} is no number"));
        let mut counts = Self::default();
        for caller in &crowd.callers {
            counts.sent_by_callers += caller.sent;
            counts.heard_by_callers += caller.heard.packets;
            counts.lost_by_callers += caller.heard.lost();
        }
        assert_eq!(summaries.len(), NEIGHBOURS);
        for summary in summaries {
            let (bot, media) = (&summary["bot"], &summary["media"]);
            assert_eq!((&summary["cause"], &summary["ended_by"]), (&json!("bye"), &json!("caller")), "{summary}");
            assert_eq!((&summary["fallback"], &bot["restarts"]), (&json!(false), &json!(0)), "{summary}");
            counts.received_by_host += number(&media["packets_received"]);
            counts.lost_by_host += number(&media["packets_lost"]);
            counts.sent_by_host += number(&media["packets_sent"]);
            counts.overruns += number(&bot["overruns"]);
            counts.late_by_neighbours += number(&bot["late_answers"]["neighbour"]);
            counts.late_by_host += number(&bot["late_answers"]["host"]);
            counts.underruns += number(&bot["underruns"]);
            counts.frames += number(&bot["frames"]);
        }
        counts
    }

    #[track_caller]
    fn assert_nothing_lost(&self) {
        assert_eq!((self.lost_by_callers, self.lost_by_host, self.overruns), (0, 0, 0), "{self:?}");
        assert_eq!(self.received_by_host, self.sent_by_callers, "{self:?}");
        assert_eq!(self.heard_by_callers, self.sent_by_host, "{self:?}");
        let neighbours = NEIGHBOURS as u64;
        let least = self.sent_by_host.saturating_sub(neighbours * PACKETS_BEFORE_ACK_MAX).max(1);
        let frames = least..=self.sent_by_host + neighbours * FRAMES_UNDER_WAY;
        assert!(frames.contains(&self.frames), "every packet from the ACK on has its frame: {self:?}");
    }
}

/// Its bots used up their CPU: its calls are busy, and those of others are not.
#[test]
fn a_tenant_over_its_cpu_is_busy_and_its_neighbour_is_not() {
    let _alone = alone();
    let host = Host::start("cpu");
    let busy = (0..20).find(|_| {
        let report = Caller::dial(&host, "loop-in-frame", &["--duration", "10"]).report();
        report.call["status"] == 486
    });
    assert!(busy.is_some(), "it never was: {}", host.log());
    let neighbour = Caller::dial(&host, "echo", &["--duration", "1"]).report();
    assert_eq!((&neighbour.call["status"], &neighbour.call["ended_by"]), (&json!(200), &json!("caller")));
    let summaries = host.summaries(busy.unwrap_or(0) + 2);
    let refused = summary_of(&summaries, "loop-in-frame");
    assert_eq!((&refused["cause"], &refused["tenant"]), (&json!("quota"), &json!("loop-in-frame")));
    assert_eq!(refused["why"], "its bots used more CPU than its quota (guest_cpu)");
    host.stop();
}

fn of_echo(summaries: &[Value]) -> Vec<Value> {
    summaries.iter().filter(|summary| summary["called"] == "echo").cloned().collect()
}

#[test]
fn bots_that_misbehave_cost_their_own_calls_and_a_hundred_neighbours_lose_nothing() {
    let _alone = alone();
    let host = Host::start("neighbours");
    // Both bots prove themselves first, so that what follows happens in the lane that all share.
    let newcomers = ["echo", "good"].map(|called| Caller::dial(&host, called, &["--duration", "2"]));
    newcomers.into_iter().for_each(|caller| drop(caller.report()));

    let crowd = Crowd::come(host.sip(), "echo", NEIGHBOURS, Duration::ZERO).unwrap();
    let mut results: Vec<Report> = Vec::new();
    for wave in CONDUCTS.chunks(WAVE) {
        let callers: Vec<Caller> = wave.iter().map(|(called, flags, _)| Caller::dial(&host, called, flags)).collect();
        results.extend(callers.into_iter().map(Caller::report));
    }
    let mut placed = 2 + CONDUCTS.len();
    for _ in 0..AGAIN_MAX {
        let summaries = host.summaries(placed);
        for ((called, flags, outcome), result) in CONDUCTS.iter().zip(&mut results) {
            if never_began(outcome, summary_of(&summaries, called)) {
                *result = Caller::dial(&host, called, flags).report();
                placed += 1;
            }
        }
    }
    let crowd = crowd.leave().unwrap();
    let all = host.summaries(NEIGHBOURS + placed);
    let counts = Counts::of(&crowd, &of_echo(&all)[1..]);
    println!("{counts:?}");

    let wrong: Vec<String> = CONDUCTS
        .iter()
        .zip(&results)
        .flat_map(|((called, _, outcome), report)| complaints(called, outcome, report, summary_of(&all, called)))
        .collect();
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), host.log());
    counts.assert_nothing_lost();
    host.stop();
}
