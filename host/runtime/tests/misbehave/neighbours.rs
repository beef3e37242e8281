//! The others: thirty callers of a bot that echoes, while bots of another tenant do their worst.

use serde_json::{Value, json};

use crate::alone;
use crate::callers::{Caller, Report};
use crate::conducts::{CONDUCTS, complaints, summary_of};
use crate::host::Host;

const NEIGHBOURS: usize = 30;
/// So many kinds of misconduct at once.
const WAVE: usize = 10;

/// What the neighbours of one run counted, all together.
#[derive(Debug, Default)]
struct Counts {
    lost_by_callers: u64,
    lost_by_host: u64,
    overruns: u64,
    late_by_neighbours: u64,
    late_by_host: u64,
    underruns: u64,
    frames: u64,
    packets_heard: u64,
}

impl Counts {
    fn of(reports: &[Report], summaries: &[Value]) -> Self {
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} is no number"));
        let mut counts = Self::default();
        for Report { call, .. } in reports {
            assert_eq!((&call["status"], &call["ended_by"]), (&json!(200), &json!("caller")), "{call}");
            counts.lost_by_callers += number(&call["packets_lost"]);
            counts.packets_heard += number(&call["packets_received"]);
        }
        for summary in summaries {
            let (bot, media) = (&summary["bot"], &summary["media"]);
            assert_eq!((&summary["cause"], &summary["fallback"]), (&json!("bye"), &json!(false)), "{summary}");
            counts.lost_by_host += number(&media["packets_lost"]);
            counts.overruns += number(&bot["overruns"]);
            counts.late_by_neighbours += number(&bot["late_answers"]["neighbour"]);
            counts.late_by_host += number(&bot["late_answers"]["host"]);
            counts.underruns += number(&bot["underruns"]);
            counts.frames += number(&bot["frames"]);
        }
        counts
    }

    fn nothing_lost(&self) -> bool {
        (self.lost_by_callers, self.lost_by_host, self.overruns) == (0, 0, 0) && self.frames > 0
    }
}

fn neighbours(host: &Host, seconds: &str) -> Vec<Caller> {
    (0..NEIGHBOURS).map(|_| Caller::dial(host, "echo", &["--duration", seconds])).collect()
}

fn of_echo(summaries: &[Value]) -> Vec<Value> {
    summaries.iter().filter(|summary| summary["called"] == "echo").cloned().collect()
}

#[test]
fn bots_that_misbehave_cost_their_own_calls_and_no_neighbour_notices() {
    let _alone = alone();
    let host = Host::start("neighbours");
    // Both bots prove themselves first, so that what follows happens in the lane that all share.
    let newcomers = ["echo", "good"].map(|called| Caller::dial(&host, called, &["--duration", "2"]));
    newcomers.into_iter().for_each(|caller| drop(caller.report()));

    let reports: Vec<Report> = neighbours(&host, "4").into_iter().map(Caller::report).collect();
    let summaries = of_echo(&host.summaries(2 + NEIGHBOURS));
    let control = Counts::of(&reports, &summaries[1..]);
    println!("control:     {control:?}");

    let neighbours = neighbours(&host, "14");
    let mut results = Vec::new();
    for wave in CONDUCTS.chunks(WAVE) {
        let callers: Vec<Caller> = wave.iter().map(|(called, flags, _)| Caller::dial(&host, called, flags)).collect();
        results.extend(callers.into_iter().map(Caller::report));
    }
    let reports: Vec<Report> = neighbours.into_iter().map(Caller::report).collect();
    let all = host.summaries(2 + 2 * NEIGHBOURS + CONDUCTS.len());
    let disturbed = Counts::of(&reports, &of_echo(&all)[1 + NEIGHBOURS..]);
    println!("misbehaving: {disturbed:?}");

    let wrong: Vec<String> = CONDUCTS
        .iter()
        .zip(&results)
        .flat_map(|((called, _, outcome), report)| complaints(called, outcome, report, summary_of(&all, called)))
        .collect();
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), host.log());
    assert!(control.nothing_lost() && disturbed.nothing_lost(), "{control:?}\n{disturbed:?}");
    assert!(disturbed.late_by_neighbours <= control.late_by_neighbours, "{control:?}\n{disturbed:?}");
    host.stop();
}
