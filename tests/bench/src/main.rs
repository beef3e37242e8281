//! `loadgen`: the load generator as a program, so that it never runs in the process that it measures. See the library.

use std::path::PathBuf;

use bench::conversation::{self, Conversation};
use bench::hosting::{self, Hosting};
use bench::{Load, certificate, echo, measured, run};
use clap::Parser;

#[derive(Parser)]
enum Command {
    /// Sends every RTP packet back, polled in phases: what the kernel charges for the packets of so many calls.
    Echo(Echo),
    /// Loads the host, or the echo, and prints what was measured as one JSON object.
    Load(Load),
    /// Measures what hosting promises, and prints it as one JSON object.
    Hosting(Hosting),
    /// Measures callers who talk with bots, and prints it as one JSON object.
    Conversation(Conversation),
    /// Writes cert.pem and key.pem for 127.0.0.1 into a folder.
    Certificate { folder: PathBuf },
}

#[derive(clap::Args)]
struct Echo {
    #[arg(long)]
    legs: usize,
}

fn main() -> anyhow::Result<()> {
    measured::raise_descriptor_limit();
    match Command::parse() {
        Command::Echo(echo) => echo::run(echo.legs),
        Command::Load(load) => run::run(&load),
        Command::Hosting(hosting) => hosting::run(&hosting),
        Command::Conversation(conversation) => conversation::run(&conversation),
        Command::Certificate { folder } => certificate::write(&folder),
    }
}
