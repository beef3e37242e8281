//! Short calls of several tenants, one after the other through the same places: each takes memory, looks whether anything is in it, and
//! leaves it full of its tenant's pattern.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Hosting, Stage};
use crate::uac::Uac;

const CALLS: usize = 10_000;
const CALLS_FULL: usize = 100_000;
const TENANTS: [&str; 4] = ["one", "two", "three", "four"];
/// More, and on a small machine `start` would wait for the starts before it for longer than it may.
const IN_FLIGHT: usize = 8;
const BOT: &str = "hoarder";
/// What each call leaves.
const LEFT: &str = "2097152";
const EACH_TIME_MAX: Duration = Duration::from_millis(100);

pub fn measure(stage: &Stage, hosting: &Hosting) -> Result<Value> {
    let host = stage.start()?;
    let component = stage.bot(BOT)?;
    for (number, tenant) in TENANTS.into_iter().enumerate() {
        host.api.create_tenant(tenant)?;
        host.api.upload(tenant, BOT, &component, true)?;
        host.api.route(tenant, tenant, BOT, &json!({ "pattern": 0x11 * (number + 1) }))?;
    }
    let calls = if hosting.full { CALLS_FULL } else { CALLS };
    let began = Instant::now();
    let refused = churn(host.sip, calls)?;
    let took = began.elapsed();
    let summaries = host.summaries(calls + refused)?;
    let note = |summary: &Value, key: &str| {
        let notes = summary["notes"].as_array().into_iter().flatten();
        notes.filter(|note| note[0] == key).find_map(|note| note[1].as_str().map(str::to_owned))
    };
    let filled = summaries.iter().filter(|summary| note(summary, "left").as_deref() == Some(LEFT));
    let (mut churned, mut leaked) = (0_u64, 0_u64);
    for summary in filled {
        churned += 1;
        leaked += note(summary, "found").and_then(|found| found.parse::<u64>().ok()).unwrap_or(u64::from(u32::MAX));
    }
    Ok(json!({
        "churned_calls": churned,
        "leaked_bytes": leaked,
        "churn_refused_calls": refused,
        "churn_calls_per_second": (calls as f64 / took.as_secs_f64()).round(),
    }))
}

/// Until so many were answered; each is hung up at once. How many were not answered.
fn churn(sip: std::net::SocketAddr, calls: usize) -> Result<usize> {
    let mut uac = Uac::connect(sip, None, "")?;
    uac.tolerant = true;
    let deadline = Instant::now() + Duration::from_secs(60) + EACH_TIME_MAX * calls as u32;
    let (mut placed, mut open) = (0, Vec::new());
    while placed - uac.lost.len() < calls || !open.is_empty() {
        ensure!(Instant::now() < deadline, "{placed} of {calls} calls, and then no more");
        while placed - uac.lost.len() < calls && open.len() < IN_FLIGHT {
            open.push(uac.dial(TENANTS[placed % TENANTS.len()])?);
            placed += 1;
        }
        uac.exchange(Duration::from_millis(100), &mut |_| Ok(()))?;
        for number in &open {
            if uac.is_up(*number) {
                uac.bye(*number)?;
            }
        }
        open.retain(|number| uac.is_live(*number));
    }
    Ok(uac.lost.len())
}
