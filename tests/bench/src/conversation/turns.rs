//! What the host adds to a turn: from the silence that ends what the caller said to the first sound of the agent's answer. The engines answer
//! at once; what little they take is not taken off, and neither is the jitter buffer.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::talker::Manner;
use super::{Conversation, END_OF_TURN_MS, Stage};
use crate::figures::{hundredths, share};
use crate::host::number;
use crate::measured;

pub const CALLED: &str = "agent";
const WARM_UP: Duration = Duration::from_secs(3);

pub fn measure(stage: &Stage, conversation: &Conversation) -> Result<Value> {
    let (calls, seconds) = (conversation.calls, conversation.seconds);
    let mut talk = stage.talk(CALLED, calls, Manner::TakesTurns)?;
    talk.lasts(WARM_UP)?;
    let before = measured::look(stage.host.pid())?;
    talk.lasts(Duration::from_secs(seconds))?;
    let after = measured::look(stage.host.pid())?;
    let legs = talk.end()?;
    let records = stage.records(CALLED, calls)?;
    let talkers = || legs.iter().filter_map(|leg| leg.talker.as_deref());
    let beyond = |turn: &i64| *turn as f64 / 1e6 - f64::from(END_OF_TURN_MS);
    let turns: Vec<f64> = talkers().flat_map(|talker| &talker.measured).map(beyond).collect();
    ensure!(!turns.is_empty(), "nobody was answered");
    let all = |path: &str| records.iter().map(|record| number(record, path)).sum::<u64>();
    let at = |part| share(&turns, part).map(hundredths);
    Ok(json!({
        "calls": calls,
        "turns": turns.len(),
        "turns_unanswered": talkers().map(|talker| talker.unanswered).sum::<u32>(),
        "turn_overhead_ms_p50": at(0.5),
        "turn_overhead_ms_p95": at(0.95),
        "late_answers": all("/bot/late_answers/neighbour") + all("/bot/late_answers/host"),
        "agent_cpu_ms_per_call_second": hundredths((after.cpu_ms - before.cpu_ms) / (calls as u64 * seconds) as f64),
    }))
}
