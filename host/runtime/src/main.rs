//! `patchbay`: reads the command line, and ends with the exit code that scripts rely on.

use std::process::ExitCode;

use clap::Parser;
use runtime::cli::{CheckArgs, Cli, Command, EXIT_USAGE, PrintConfigArgs};
use runtime::config;
use runtime::{check, config::Config};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    match cli.command {
        Command::Check(args) => run_check(&args),
        Command::PrintConfig(args) => print_config(&args),
        Command::Serve(_) | Command::Call(_) => usage("this build has no calls in it"),
    }
}

/// Names every mistake, of the file and of what it refers to.
fn run_check(args: &CheckArgs) -> ExitCode {
    let report = check::check(&args.config, args.no_files);
    if args.json {
        println!("{}", report.as_json());
    } else {
        print!("{report}");
    }
    ExitCode::from(if report.problems.is_empty() { 0 } else { EXIT_USAGE })
}

fn print_config(args: &PrintConfigArgs) -> ExitCode {
    let printed = config::load(&args.config).map_err(|problems| problems.to_string());
    match printed.and_then(|config: Config| toml::to_string(&config).map_err(|error| error.to_string())) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => usage(&error),
    }
}

fn usage(error: &str) -> ExitCode {
    eprintln!("patchbay: {error}");
    ExitCode::from(EXIT_USAGE)
}
