//! `cargo xtask <command>`: what builds, tests and shows this project, on a machine that has only Rust.

mod bots;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Build the bots to target/bots/.
    Bots(bots::Bots),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Bots(bots) => bots::build(&bots),
    }
}
