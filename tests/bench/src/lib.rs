//! The load generator: places calls over a few shared connections, sends and receives 50 packets a second for each, and
//! says what came back, when, and what the measured process paid for it. Also the floor: an echo of UDP without a call around it.
//!
//! It never judges (that is `cargo xtask bench`). Tests borrow its callers, who are lighter than `patchbay call`: see `crowd`.
//! Start reading at `run`: the story of one measurement; `traffic` is the hot loop, `tally` what it writes down.

mod api;
pub mod certificate;
mod connection;
pub mod conversation;
pub mod crowd;
pub mod echo;
mod figures;
mod host;
pub mod hosting;
mod leg;
pub mod measured;
mod phases;
pub mod run;
mod rush;
mod sdp;
mod tally;
mod traffic;
pub mod uac;

use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Load {
    /// The process that is measured.
    #[arg(long)]
    pid: u32,
    #[arg(long)]
    calls: usize,
    #[arg(long)]
    seconds: u64,
    /// Where the host listens for SIP.
    #[arg(long, required_unless_present = "echo_port")]
    sip: Option<SocketAddr>,
    /// SIP over TLS, trusting this certificate only; and SRTP.
    #[arg(long, value_name = "PEM", requires = "sip")]
    srtp: Option<PathBuf>,
    /// The called bot.
    #[arg(long, default_value = "echo")]
    bot: String,
    /// The bot's budget in ms: from the arrival of a frame at the bot to the departure of its answer.
    #[arg(long, default_value_t = 10)]
    budget_ms: u32,
    /// Calls beside these that are up and on hold: a place in the host, and no sound.
    #[arg(long, default_value_t = 0)]
    held: usize,
    /// Calls beside these, placed at this rate while it is measured, each of half a second.
    #[arg(long, default_value_t = 0)]
    setups: usize,
    /// No SIP: the first port of an `echo`.
    #[arg(long, conflicts_with = "sip")]
    echo_port: Option<u16>,
}
