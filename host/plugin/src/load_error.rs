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
    #[error("{name}: wants imports that no bot is given: {}", shown(imports))]
    ForeignImports { name: String, imports: Vec<String> },
    /// The import is one of the contract's, but of another type.
    #[error("{name}: import does not fit the contract: {reason}")]
    WrongImport { name: String, reason: String },
    /// Parsed and linked, but the dry run failed.
    #[error("{name}: failed its dry run in {during}: {fault}")]
    DryRun { name: String, during: &'static str, fault: Fault },
}

/// The first few names, each cut: the uploader chose how many there are and how long.
fn shown(names: &[String]) -> String {
    const NAMES_MAX: usize = 8;
    const CHARS_MAX: usize = 80;
    let mut shown: Vec<String> =
        names.iter().take(NAMES_MAX).map(|name| name.chars().take(CHARS_MAX).collect()).collect();
    if names.len() > NAMES_MAX {
        shown.push(format!("and {} more", names.len() - NAMES_MAX));
    }
    shown.join(", ")
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
    one_line_of(&line, CHARS_MAX)
}

/// A text of unknown origin, without line breaks and control characters, and bounded.
pub(crate) fn one_line_of(text: &str, chars_max: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_foreign_imports_with_long_names_are_still_one_readable_line() {
        let imports = vec!["x".repeat(5000); 1000];
        let line = LoadError::ForeignImports { name: "bot".to_owned(), imports }.to_string();
        assert!(line.len() < 1000 && line.ends_with("and 992 more"), "{line}");
    }

    #[test]
    fn a_chain_of_causes_becomes_one_bounded_line() {
        let error = wasmtime::Error::msg("inner\n\tcause").context("outer\ncause");
        assert_eq!(one_line(&error), "outer cause: inner cause");
        assert_eq!(one_line(&wasmtime::Error::msg("x".repeat(5000))).len(), 400);
    }
}
