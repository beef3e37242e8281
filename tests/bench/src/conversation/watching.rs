//! What it costs to find out whether a caller speaks: the same bot with callers who never stop, with and without.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::talker::Manner;
use super::{Conversation, Stage};
use crate::figures::hundredths;
use crate::measured;

pub const WATCHED: &str = "watched";
pub const PLAIN: &str = "plain";
const WARM_UP: Duration = Duration::from_secs(3);

pub fn measure(stage: &Stage, conversation: &Conversation) -> Result<Value> {
    let cost = |called| -> Result<f64> {
        let mut talk = stage.talk(called, conversation.calls, Manner::NeverStops)?;
        talk.lasts(WARM_UP)?;
        let before = measured::look(stage.host.pid())?;
        talk.lasts(Duration::from_secs(conversation.seconds))?;
        let after = measured::look(stage.host.pid())?;
        talk.end()?;
        Ok((after.cpu_ms - before.cpu_ms) / (conversation.calls as u64 * conversation.seconds) as f64)
    };
    let (plain, watched) = (cost(PLAIN)?, cost(WATCHED)?);
    Ok(json!({
        "plain_cpu_ms_per_call_second": hundredths(plain),
        "watched_cpu_ms_per_call_second": hundredths(watched),
        "vad_us_per_s": hundredths((watched - plain) * 1000.0),
    }))
}
