//! `patchbay`: reads the command line, starts what it asks for, and ends with the exit code that scripts rely on.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use runtime::cli::{CallArgs, CheckArgs, Cli, Command, EXIT_USAGE, PrintConfigArgs, ServeArgs};
use runtime::config::{self, Config, Problems};
use runtime::observe::{Metrics, flush_logs, start_logs};
use runtime::said::{complain, say};
use runtime::{call_client, check};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What tasks get to end after the last call has.
const LAST_TASKS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    match cli.command {
        Command::Serve(args) => serve(&args),
        Command::Check(args) => run_check(&args),
        Command::Doctor(args) => runtime::doctor::run(&args),
        Command::PrintConfig(args) => print_config(&args),
        Command::Call(args) => call(&args),
        Command::Operate(command) => runtime::operate::run(&command),
        Command::CompileComponent(args) => runtime::compile_child::run(&args),
    }
}

/// Starts the host, and comes back when it has drained.
fn serve(args: &ServeArgs) -> ExitCode {
    // All mistakes are told before anything is started.
    let config = match configuration(args) {
        Ok(config) => config,
        Err(problems) => return usage(&problems.to_string()),
    };

    let metrics = Metrics::default();
    let help = "Log lines that stderr was too slow for.";
    let dropped = metrics.counter("patchbay_log_lines_dropped_total", help, &[]);
    if let Err(error) = start_logs(&config.log, dropped) {
        return failed(&error);
    }
    for warning in check::warnings(&config) {
        tracing::warn!("{warning}");
    }

    // Signalling and the admin port live on this runtime; media and bots have threads of their own.
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    // Binds, prints `ready`, answers calls, and on SIGTERM drains.
    let ended = runtime.block_on(runtime::serve::serve(config, metrics));
    runtime.shutdown_timeout(LAST_TASKS);
    flush_logs();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("{error:#}")),
    }
}

fn configuration(args: &ServeArgs) -> Result<Config, Problems> {
    let config = match &args.config {
        Some(path) => config::load(path)?,
        None => config::from_flags(args)?,
    };
    match check::check_files(&config) {
        problems if problems.is_empty() => Ok(config),
        problems => Err(Problems(problems)),
    }
}

/// Names every mistake, of the file and of what it refers to.
fn run_check(args: &CheckArgs) -> ExitCode {
    let report = check::check(&args.config, args.no_files);
    if args.json {
        say(report.as_json());
    } else {
        say(report.to_string().trim_end());
    }
    ExitCode::from(if report.problems.is_empty() { 0 } else { EXIT_USAGE })
}

fn print_config(args: &PrintConfigArgs) -> ExitCode {
    let config = config::load(&args.config).map_err(|problems| problems.to_string());
    match config.and_then(|config| toml::to_string(&config).map_err(|error| error.to_string())) {
        Ok(text) => {
            say(text.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => usage(&error),
    }
}

/// Exit code: 0 answered and ended normally, 1 refused or failed.
fn call(args: &CallArgs) -> ExitCode {
    let order = match call_client::Order::read(args) {
        Ok(order) => order,
        Err(error) => return usage(&format!("{error:#}")),
    };
    let placed = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Into::into);
    match placed.and_then(|runtime| runtime.block_on(call_client::call(order))) {
        Ok(report) => {
            say(report.shown(args.json));
            if report.went_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => failed(&format!("{error:#}")),
    }
}

/// What the operator wrote is wrong.
fn usage(error: &str) -> ExitCode {
    complain(format_args!("patchbay: {error}"));
    ExitCode::from(EXIT_USAGE)
}

/// What the operator wrote is right, and it cannot be done here.
fn failed(error: &str) -> ExitCode {
    complain(format_args!("patchbay: {error}"));
    ExitCode::FAILURE
}
