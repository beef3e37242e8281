//! The compiling child: a component on stdin, its compiled code on stdout, a reason on stderr.

use super::confine::confine;
use super::order::Order;
use crate::engine::check_names;
use crate::load_error::one_line;
use crate::{Engine, Limits, LoadError};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use wasmparser::{Parser, Payload};

/// The component is at fault (sysexits.h, EX_DATAERR).
pub(super) const EXIT_REFUSED: u8 = 65;
/// The host or the machine is (EX_SOFTWARE).
pub(super) const EXIT_FAILED: u8 = 70;
/// On stderr, before a line about what this kernel cannot confine.
pub(super) const WARNING: &str = "warning: ";

enum Ended {
    Refused(LoadError),
    Failed(String),
}

/// The whole of the child's `main`, with the arguments that `Compiler` gave it.
pub fn compile_child(args: &[impl AsRef<OsStr>]) -> ExitCode {
    // Nobody may be there to read it any more.
    let say = |line: &dyn std::fmt::Display| drop(writeln!(io::stderr(), "{line}"));
    let Some(order) = Order::from_args(args) else {
        say(&"this is what the host runs to compile a component; it is of no use by hand");
        return ExitCode::from(EXIT_FAILED);
    };
    let confined = match confine(order.cpu_seconds, order.memory_bytes) {
        Ok(warnings) => warnings,
        Err(error) => {
            say(&format!("cannot confine itself: {error}"));
            return ExitCode::from(EXIT_FAILED);
        }
    };
    confined.iter().for_each(|warning| say(&format!("{WARNING}{warning}")));
    let code = match compile(&order) {
        Ok(code) => code,
        Err(Ended::Refused(why)) => {
            say(&why);
            return ExitCode::from(EXIT_REFUSED);
        }
        Err(Ended::Failed(why)) => {
            say(&why);
            return ExitCode::from(EXIT_FAILED);
        }
    };
    match io::stdout().write_all(&code).and_then(|()| io::stdout().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(EXIT_FAILED),
    }
}

fn compile(order: &Order) -> Result<Vec<u8>, Ended> {
    let limits =
        Limits { memory_bytes: order.guest_memory_bytes, component_bytes: order.component_bytes, ..Limits::default() };
    let engine = Engine::new(limits).map_err(|error| Ended::Failed(one_line(&error)))?;
    if engine.settings().to_string() != order.settings {
        return Err(Ended::Failed("the executable is not the one that the host runs: restart the host".to_owned()));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed, to see that it is more.
    let read = io::stdin().take(order.component_bytes as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Ended::Failed(format!("cannot read the component: {error}")))?;
    compile_checked(&engine, &order.name, &bytes).map_err(Ended::Refused)
}

/// The cheap checks first: nothing is compiled for a component that could not be loaded. Types are compared when it is.
fn compile_checked(engine: &Engine, name: &str, bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
    engine.check_bytes(name, bytes)?;
    let unfit = |error: wasmtime::Error| LoadError::NotCompiled { name: name.to_owned(), reason: one_line(&error) };
    let (imports, exports) = names(bytes).map_err(|error| unfit(error.into()))?;
    check_names(name, imports.into_iter(), exports.into_iter())?;
    engine.wasmtime().precompile_component(bytes).map_err(unfit)
}

/// The names of what a component imports and exports itself; what is nested in it is its own affair.
fn names(bytes: &[u8]) -> Result<(Vec<&str>, Vec<&str>), wasmparser::BinaryReaderError> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import?.name.name);
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export?.name.name);
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}
