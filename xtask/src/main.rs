//! `cargo xtask <command>`: what builds, tests and shows this project, on a machine that has only Rust.

mod bench;
mod bots;
mod built;
mod demo;
mod install;
mod process;
mod report;
mod sim;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Build the bots to target/bots/.
    Bots(bots::Bots),
    /// Measure the host under load, against the floor of the same machine.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Place real calls to a host on this machine, and judge them by the trunk's own checklist.
    Demo(demo::Demo),
    /// Run every test: rustfmt, clippy, units, simulation, ladders, real clients, demo.
    Test(test::Test),
    /// Run the simulation, or one seed of it.
    Sim(sim::Sim),
    /// Write the ladders' snapshots anew; read the difference before you commit it.
    Ladders,
    /// Look for what does not belong: clocks and sockets in the wrong crate, long functions, dead files.
    Tidy,
}

fn main() -> anyhow::Result<ExitCode> {
    match Command::parse() {
        Command::Bots(bots) => bots::build(&bots).map(|()| ExitCode::SUCCESS),
        Command::Bench(bench) => Ok(bench::run(&bench)),
        Command::Demo(demo) => demo::run(&demo),
        Command::Test(test) => test::run(&test),
        Command::Sim(sim) => sim::run(&sim),
        Command::Ladders => sim::ladders(),
        Command::Tidy => tidy::run(),
    }
}
