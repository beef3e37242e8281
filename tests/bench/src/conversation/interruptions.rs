//! How long a bot is heard after the caller has begun to interrupt it, and what that is made of.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::talker::Manner;
use super::{Conversation, Stage};
use crate::figures::{hundredths, share};
use crate::host::number;

pub const CALLED: &str = "interrupted";
/// To be greeted, to interrupt, and to hear the end of it.
const LASTS: Duration = Duration::from_secs(8);
/// What the host says of each, in ms.
const TERMS: [&str; 4] = ["jitter_buffer_ms", "detector_ms", "policy_ms", "budget_ms"];

pub fn measure(stage: &Stage, conversation: &Conversation) -> Result<Value> {
    let calls = conversation.interruptions;
    let mut talk = stage.talk(CALLED, calls, Manner::Interrupts)?;
    talk.lasts(LASTS)?;
    let call_ids: Vec<String> = (0..calls).map(|number| talk.uac.call_id(number)).collect();
    let legs = talk.end()?;
    let records = stage.records(&|called| called == CALLED, calls)?;
    let mut stops = Vec::new();
    // Each term, and behind them what none explains: of a tick, and of lateness.
    let mut terms: [Vec<f64>; TERMS.len() + 1] = Default::default();
    for leg in &legs {
        let call_id = &call_ids[leg.number()];
        let record =
            records.iter().find(|record| record["sip_call_id"] == **call_id).context("a call without a record")?;
        let heard = leg.talker.iter().flat_map(|talker| &talker.measured);
        let (Some((from, to)), 1..) = (heard.last(), number(record, "/bot/barge_ins/count")) else { continue };
        let stop = (to - from) as f64 / 1e6;
        let told = TERMS.map(|term| number(record, &format!("/bot/barge_ins/worst/{term}")) as f64);
        stops.push(stop);
        told.iter().chain([&(stop - told.iter().sum::<f64>())]).zip(&mut terms).for_each(|(ms, term)| term.push(*ms));
    }
    ensure!(!stops.is_empty(), "nobody could interrupt");
    let at = |values: &[f64], part| share(values, part).map(hundredths);
    let mut figures = json!({
        "barge_in_calls": stops.len(),
        "barge_in_missed": calls - stops.len(),
        "barge_in_ms_p50": at(&stops, 0.5),
        "barge_in_ms_p99": at(&stops, 0.99),
    });
    for (name, values) in TERMS.iter().chain([&"rest_ms"]).zip(&terms) {
        figures[format!("barge_in_{name}_p50")] = json!(at(values, 0.5));
        figures[format!("barge_in_{name}_p99")] = json!(at(values, 0.99));
    }
    Ok(figures)
}
