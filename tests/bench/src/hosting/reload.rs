//! Calls are up while a hundred builds are activated one after the other, for half of which live calls drain, for half move;
//! against as long without any.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Hosting, Stage};
use crate::api::Live;
use crate::crowd::{Crowd, Crowded};
use crate::host::{Host, number, of};
use crate::hosting::build::numbered;

const ACTIVATIONS: usize = 100;
/// From one activation to the next. After a move: the first calls prove the new build for a second, then the others follow.
const AFTER_DRAIN: Duration = Duration::from_millis(300);
const AFTER_MOVE: Duration = Duration::from_millis(2200);
/// Different builds, activated in turn. `--full`: one for each activation.
const BUILDS: usize = 10;
/// Jitter buffers remember the rush of the set-up for 4 s.
const WARM_UP: Duration = Duration::from_secs(6);
const TENANT: &str = "acme";
/// It echoes when it is told to be good, and it has something to save: without that a call stays where it is.
const PLUGIN: &str = "misbehave";

/// What all calls of one run counted together.
#[derive(Debug, Default)]
struct Counts {
    /// Packets that did not arrive on either way, and caller frames that no bot was given.
    lost: u64,
    /// Frames that did not come back exactly once; a jitter buffer corrects itself now and then without any reload too.
    unreturned: u64,
    /// With cause neighbour or host.
    late: u64,
    late_own: u64,
    underruns: u64,
    dropped: u64,
    moves: u64,
    restarts: u64,
}

impl Counts {
    fn of(crowd: &Crowded, summaries: &[Value]) -> Counts {
        let mut counts = Counts { dropped: crowd.lost.len() as u64, ..Counts::default() };
        for caller in &crowd.callers {
            counts.lost += caller.heard.lost();
            counts.unreturned += caller.unreturned;
        }
        for summary in summaries {
            counts.lost += number(summary, "/media/packets_lost") + number(summary, "/bot/overruns");
            let late = |cause: &str| number(summary, &format!("/bot/late_answers/{cause}"));
            counts.late += late("neighbour") + late("host");
            counts.late_own += late("own");
            counts.underruns += number(summary, "/bot/underruns");
            counts.moves += number(summary, "/bot/moves");
            counts.restarts += number(summary, "/bot/restarts");
            counts.dropped += u64::from(summary["ended_by"] != "caller" || summary["fallback"] == true);
        }
        counts
    }
}

pub fn measure(stage: &Stage, hosting: &Hosting) -> Result<Value> {
    let host = stage.start()?;
    let component = stage.bot(PLUGIN)?;
    host.api.create_tenant(TENANT)?;
    let builds = if hosting.full { ACTIVATIONS } else { BUILDS };
    let digests: Vec<String> = (0..builds as u32)
        .map(|number| host.api.upload(TENANT, PLUGIN, &numbered(&component, number), number == 0))
        .collect::<Result<_>>()?;
    host.api.route(TENANT, "live", PLUGIN, &json!({ "conduct": "good" }))?;

    let control = during(&host, (0, hosting.calls), |_| Ok(()))?;
    eprintln!("bench: reload: without reloads {control:?}");
    let reloads = during(&host, (hosting.calls, hosting.calls), |host| {
        let mut next = Instant::now();
        for number in 0..ACTIVATIONS {
            let (live, pause) = if number % 2 == 0 { (Live::Drain, AFTER_DRAIN) } else { (Live::Move, AFTER_MOVE) };
            host.api.activate(TENANT, PLUGIN, &digests[(number + 1) % digests.len()], live)?;
            next += pause;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(())
    })?;
    eprintln!("bench: reload: with reloads {reloads:?}");
    Ok(json!({
        "lost_frames": reloads.lost,
        "extra_late_frames": reloads.late.saturating_sub(control.late),
        "dropped_calls": reloads.dropped,
        "reload_moves": reloads.moves,
        "reload_restarts": reloads.restarts,
        "reload_late_frames": reloads.late,
        "reload_late_frames_control": control.late,
        "reload_late_frames_own": reloads.late_own,
        "reload_underruns": reloads.underruns,
        "reload_underruns_control": control.underruns,
        "reload_lost_frames_control": control.lost,
        "reload_unreturned_frames": reloads.unreturned,
        "reload_unreturned_frames_control": control.unreturned,
    }))
}

/// Calls that are up for as long as `what` takes, and as long as all activations take in any case. `before`: calls there were before.
fn during(host: &Host, (before, calls): (usize, usize), what: impl FnOnce(&Host) -> Result<()>) -> Result<Counts> {
    let crowd = Crowd::come(host.sip, "live", calls, WARM_UP)?;
    let until = Instant::now() + (AFTER_DRAIN + AFTER_MOVE) * (ACTIVATIONS as u32 / 2);
    what(host)?;
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    let crowd = crowd.leave()?;
    let summaries = host.summaries(before + calls)?;
    let own: Vec<Value> = of(&summaries, "live").skip(before).cloned().collect();
    ensure!(own.len() == calls, "{} of {calls} calls have a summary", own.len());
    Ok(Counts::of(&crowd, &own))
}
