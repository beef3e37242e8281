//! `cargo xtask bench conversation`: how soon bots stop and how soon they answer, against engines that answer at once.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Map, Value};

use super::running::said_by;
use super::{Wanted, measuring, write_figures};

/// Far more than it takes, but for what lasts as long as it is told to.
const TIME_MAX: Duration = Duration::from_secs(300);

#[derive(clap::Args)]
pub struct Conversation {
    /// Callers who interrupt the bot, each once.
    #[arg(long, default_value_t = 50)]
    interruptions: usize,
    /// Callers who talk with agents, and afterwards callers who never stop.
    #[arg(long, default_value_t = 100)]
    calls: usize,
    /// How long they do.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    #[command(flatten)]
    pub wanted: Wanted,
}

pub fn measure(conversation: &Conversation) -> Result<Map<String, Value>> {
    let Conversation { interruptions, calls, seconds, wanted } = conversation;
    let mut command = measuring("conversation", wanted.host.as_deref())?;
    command.args(["--interruptions", &interruptions.to_string(), "--calls", &calls.to_string()]);
    command.args(["--seconds", &seconds.to_string()]);
    // Talking, watched and not watched.
    let figures = said_by(command, TIME_MAX + 3 * Duration::from_secs((*seconds).into()))?;
    write_figures(&figures, &wanted.json)?;
    Ok(figures)
}
