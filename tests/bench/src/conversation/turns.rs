//! What the host adds to a turn, in two parts: until the recogniser has what the caller said, the silence that ends it apart (jitter buffer,
//! detector); and from there to the first sound of the agent's answer. The engines answer at once; what little they take is not taken off.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::talker::Manner;
use super::{Conversation, END_OF_TURN_MS, Stage};
use crate::figures::{hundredths, share};
use crate::host::number;
use crate::measured;

/// With a caller's number in place of the star.
pub const CALLED: &str = "agent*";
const WARM_UP: Duration = Duration::from_secs(3);

pub fn measure(stage: &Stage, conversation: &Conversation) -> Result<Value> {
    let (calls, seconds) = (conversation.calls, conversation.seconds);
    let mut talk = stage.talk(CALLED, calls, Manner::TakesTurns)?;
    talk.lasts(WARM_UP)?;
    let before = measured::look(stage.host.pid())?;
    talk.lasts(Duration::from_secs(seconds))?;
    let after = measured::look(stage.host.pid())?;
    let legs = talk.end()?;
    let records = stage.records(&|called| called.starts_with(CALLED.trim_end_matches('*')), calls)?;
    let talkers = || legs.iter().filter_map(|leg| leg.talker.as_deref());
    let (mut detections, mut overheads) = (Vec::new(), Vec::new());
    for leg in &legs {
        for (from, to) in leg.talker.iter().flat_map(|talker| &talker.measured) {
            let known = stage.engines.utterance_after(leg.number(), *from).filter(|known| known < to);
            let known = known.context("a turn without an utterance")?;
            detections.push((known - from) as f64 / 1e6 - f64::from(END_OF_TURN_MS));
            overheads.push((to - known) as f64 / 1e6);
        }
    }
    ensure!(!overheads.is_empty(), "nobody was answered");
    let all = |path: &str| records.iter().map(|record| number(record, path)).sum::<u64>();
    let at = |values: &[f64], part| share(values, part).map(hundredths);
    Ok(json!({
        "calls": calls,
        "turns": overheads.len(),
        "turns_unanswered": talkers().map(|talker| talker.unanswered).sum::<u32>(),
        "turn_detection_ms_p50": at(&detections, 0.5),
        "turn_detection_ms_p95": at(&detections, 0.95),
        "turn_overhead_ms_p50": at(&overheads, 0.5),
        "turn_overhead_ms_p95": at(&overheads, 0.95),
        "late_answers": all("/bot/late_answers/neighbour") + all("/bot/late_answers/host"),
        "agent_cpu_ms_per_call_second": hundredths((after.cpu_ms - before.cpu_ms) / (calls as u64 * seconds) as f64),
    }))
}
