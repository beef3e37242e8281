//! Calls beside some whose bots loop without end, against the same without those. Who is hung up on, or busy, calls
//! again a second later.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};

use super::{Hosting, Stage};
use crate::crowd::Crowd;
use crate::figures::hundredths;
use crate::host::{Host, number, of};
use crate::uac::Uac;

const WARM_UP: Duration = Duration::from_secs(6);
const LASTS: Duration = Duration::from_secs(30);
const CALLS_AGAIN_AFTER: Duration = Duration::from_secs(1);
const QUIET: &str = "quiet";
const RASCALS: &str = "rascals";

/// What the neighbours of one run counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    late_answers: u64,
    late_departures: u64,
    lost: u64,
    dropped: u64,
}

pub fn measure(stage: &Stage, hosting: &Hosting) -> Result<Value> {
    let host = stage.start()?;
    let (looping, calls) = (hosting.looping, hosting.calls.saturating_sub(hosting.looping));
    for (tenant, plugin, conduct) in [(QUIET, "echo", ""), (RASCALS, "misbehave", "loop-in-frame")] {
        // Its guests' CPU is what the default quotas give; its calls come as fast as they like.
        match tenant {
            QUIET => host.api.create_tenant(tenant)?,
            _ => host.api.create_tenant_with(tenant, &json!({ "calls_per_second": 1_000 }))?,
        }
        host.api.upload(tenant, plugin, &stage.bot(plugin)?, true)?;
        host.api.route(tenant, tenant, plugin, &json!({ "conduct": conduct }))?;
    }
    // Both builds prove themselves first: afterwards they run where all others do.
    let newcomers = [QUIET, RASCALS].map(|called| Crowd::come(host.sip, called, 2, Duration::from_secs(2)));
    for crowd in newcomers {
        crowd?.leave()?;
    }
    let control = neighbours(&host, 2, calls)?;
    eprintln!("bench: isolation: without {control:?}");
    let rascals = Looping::begin(host.sip, looping);
    let disturbed = neighbours(&host, 2 + calls, calls);
    let looped = rascals.end()?;
    let disturbed = disturbed?;
    eprintln!("bench: isolation: beside {looped} calls that loop {disturbed:?}");
    ensure!(looped >= looping, "only {looped} calls looped");
    let late = |counts: Counts| (counts.late_answers + counts.late_departures) as f64;
    Ok(json!({
        // One more in each, so that none at all is 1.
        "neighbour_late_ratio": hundredths((late(disturbed) + 1.0) / (late(control) + 1.0)),
        "neighbour_late_answers": disturbed.late_answers,
        "neighbour_late_answers_control": control.late_answers,
        "neighbour_late_departures": disturbed.late_departures,
        "neighbour_late_departures_control": control.late_departures,
        "neighbour_lost_frames": disturbed.lost,
        "neighbour_dropped_calls": disturbed.dropped,
        "looping_calls": looped,
    }))
}

/// `before`: calls of the quiet tenant that there were already.
fn neighbours(host: &Host, before: usize, calls: usize) -> Result<Counts> {
    let crowd = Crowd::come(host.sip, QUIET, calls, WARM_UP)?;
    std::thread::sleep(LASTS);
    let crowd = crowd.leave()?;
    let mut counts = Counts { dropped: crowd.lost.len() as u64, ..Counts::default() };
    for caller in &crowd.callers {
        counts.lost += caller.heard.lost();
        counts.late_departures += caller.late_departures;
    }
    // Those of other numbers may be among them, and some may still be missing.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let summaries = host.summaries(before + calls)?;
        let own: Vec<&Value> = of(&summaries, QUIET).skip(before).collect();
        if own.len() < calls && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        }
        ensure!(own.len() == calls, "{} of {calls} calls have a summary", own.len());
        for summary in own {
            for cause in ["own", "neighbour", "host"] {
                counts.late_answers += number(summary, &format!("/bot/late_answers/{cause}"));
            }
            counts.lost += number(summary, "/media/packets_lost") + number(summary, "/bot/overruns");
        }
        return Ok(counts);
    }
}

/// One of those whose bots loop.
enum Caller {
    /// None: at once.
    CallsAt(Option<Instant>),
    Talks(usize),
}

/// Calls that loop, and callers who call again.
struct Looping {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<usize>>,
}

impl Looping {
    fn begin(sip: SocketAddr, callers: usize) -> Looping {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut uac = Uac::connect(sip, None, RASCALS)?;
            uac.tolerant = true;
            let mut calls: Vec<Caller> = (0..callers).map(|_| Caller::CallsAt(None)).collect();
            while !until.load(Ordering::Relaxed) {
                let now = Instant::now();
                for caller in &mut calls {
                    match *caller {
                        Caller::CallsAt(at) if at.is_none_or(|at| at <= now) => {
                            *caller = Caller::Talks(uac.dial(RASCALS)?);
                        }
                        Caller::Talks(number) if !uac.is_live(number) => {
                            *caller = Caller::CallsAt(Some(now + CALLS_AGAIN_AFTER));
                        }
                        _ => {}
                    }
                }
                uac.wait_until(now + Duration::from_millis(50))?;
            }
            uac.hang_up(callers)?;
            Ok(uac.setups.len())
        });
        Looping { over, thread }
    }

    /// How many were answered.
    fn end(self) -> Result<usize> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the thread of the looping calls panicked"))?
    }
}
