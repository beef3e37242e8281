//! The compiling child is this program again, under a name that its help does not show.

use std::process::ExitCode;

use plugin::{CompileLimits, Compiler, Engine};

use crate::cli::CompileComponentArgs;

/// As clap makes it of `Command::CompileComponent`.
const COMMAND: &str = "compile-component";

/// The child's `main`: before it there must be no thread and no descriptor but the first three.
pub fn run(args: &CompileComponentArgs) -> ExitCode {
    plugin::compile_child(&args.order)
}

/// A compiler whose child is the very program that is running: an update that replaces the file does not change it.
pub fn compiler(engine: Engine, limits: CompileLimits) -> Compiler {
    Compiler::new(engine, "/proc/self/exe".into(), vec![COMMAND.into()], limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_is_there_takes_any_name_and_is_not_in_the_help() {
        let parsed = Cli::try_parse_from(["patchbay", COMMAND, "--help", "-x", "1"]).unwrap();
        let Command::CompileComponent(args) = parsed.command else { panic!("another command") };
        assert_eq!(args.order, ["--help", "-x", "1"]);
        assert!(!Cli::command().render_long_help().to_string().contains(COMMAND));
    }
}
