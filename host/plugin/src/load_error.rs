//! Why a component cannot be a bot: each in one line that names the thing.

use crate::Fault;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("{name}: {bytes} bytes, more than the {limit} allowed")]
    TooBig { name: String, bytes: usize, limit: usize },
    #[error("{name}: not a component but {found}")]
    NotAComponent { name: String, found: &'static str },
    #[error("{name}: cannot be compiled: {reason}")]
    NotCompiled { name: String, reason: String },
    /// It exports no version of the contract that this host serves.
    #[error("{name}: does not export {wanted}{instead}")]
    NotABot { name: String, wanted: &'static str, instead: String },
    /// It exports the contract's interface, but not as the contract has it.
    #[error("{name}: export does not fit the contract: {reason}")]
    WrongExport { name: String, reason: String },
    #[error("{name}: wants imports that no bot is given: {}", imports.join(", "))]
    ForeignImports { name: String, imports: Vec<String> },
    /// The import is one of the contract's, but of another type.
    #[error("{name}: import does not fit the contract: {reason}")]
    WrongImport { name: String, reason: String },
    /// Parsed and linked, but the dry run failed.
    #[error("{name}: failed its dry run in {during}: {fault}")]
    DryRun { name: String, during: &'static str, fault: Fault },
}

/// An error and what caused it, in one line and bounded: what wasmtime says may quote names that the uploader chose.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    const CHARS_MAX: usize = 400;
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.contains(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect()
}
