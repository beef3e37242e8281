//! Reads a TOML table key by key and remembers every mistake instead of stopping at the first.
//! What was not asked for by the end is an unknown key. Values are converted by serde.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::value::Secret;
use super::{Problem, nearest};

/// One table of the file, with its path. Dropping it reports the keys that nobody asked for.
pub struct Section<'p> {
    table: Table,
    path: String,
    asked: Vec<&'static str>,
    problems: &'p RefCell<Vec<Problem>>,
}

impl<'p> Section<'p> {
    pub fn new(table: Table, path: String, problems: &'p RefCell<Vec<Problem>>) -> Self {
        Self { table, path, asked: Vec::new(), problems }
    }

    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        self.table.remove(key)
    }

    fn convert<T: DeserializeOwned>(&self, path: String, value: Value) -> Option<T> {
        let shown = value.to_string();
        match value.try_into::<T>() {
            Ok(read) => Some(read),
            Err(error) => {
                let text = error.message().trim().to_owned();
                self.report(Problem::new(path, format!("{text}: {}", cut(&shown))));
                None
            }
        }
    }

    /// The value, if it is there and right.
    pub fn optional<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let value = self.take(key)?;
        self.convert(self.path_of(key), value)
    }

    /// The same for a table in which somebody may have written a secret: what stands there is not shown.
    pub fn unshown<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let path = self.path_of(key);
        match self.take(key)?.try_into::<T>() {
            Ok(read) => Some(read),
            Err(error) => {
                self.report(Problem::new(path, expected(error.message()).to_owned()));
                None
            }
        }
    }

    pub fn or<T: DeserializeOwned>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    pub fn required<T: DeserializeOwned>(&mut self, key: &'static str, hint: &str) -> Option<T> {
        if !self.table.contains_key(key) {
            self.asked.push(key);
            self.report(Problem::new(self.path_of(key), "is missing").hint(hint));
            return None;
        }
        self.optional(key)
    }

    /// A reference to a secret, its path relative to `folder`. What stands there instead is never shown.
    pub fn secret(&mut self, key: &'static str, folder: &Path) -> Option<Secret> {
        let path = self.path_of(key);
        match self.take(key).map(Value::try_into::<Secret>) {
            Some(Ok(Secret::File(file))) => Some(Secret::File(folder.join(file))),
            Some(Ok(secret)) => Some(secret),
            wrong => {
                let text = if wrong.is_none() { "is missing" } else { "is not a reference to a secret" };
                let hint = format!("write {key} = {{ file = \"path\" }} or {key} = {{ env = \"NAME\" }}");
                self.report(Problem::new(path, text).hint(hint));
                None
            }
        }
    }

    /// A whole number within its range.
    pub fn number<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: DeserializeOwned + PartialOrd + Display,
    {
        match self.optional::<T>(key) {
            Some(value) if range.contains(&value) => value,
            Some(value) => {
                let text = format!("{value} is outside {} to {}", range.start(), range.end());
                self.report(Problem::new(self.path_of(key), text));
                default
            }
            None => default,
        }
    }

    /// A list whose items are converted one by one, so that each wrong one is named.
    pub fn list<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<Vec<T>> {
        let path = self.path_of(key);
        match self.take(key)? {
            Value::Array(items) => Some(
                items
                    .into_iter()
                    .enumerate()
                    .filter_map(|(index, item)| self.convert(format!("{path}[{index}]"), item))
                    .collect(),
            ),
            other => {
                let text = format!("expected a list, found {}", other.type_str());
                self.report(Problem::new(path, text).hint(format!("write {key} = [{}]", cut(&other.to_string()))));
                None
            }
        }
    }

    /// A table within this one; an empty one if it is not there.
    pub fn section(&mut self, key: &'static str) -> Section<'p> {
        let path = self.path_of(key);
        let table = match self.take(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                let text = format!("expected a table, found {}", other.type_str());
                self.report(Problem::new(&path, text).hint(format!("write [{path}]")));
                Table::new()
            }
        };
        Section::new(table, path, self.problems)
    }

    /// A table that may be left out as a whole.
    pub fn optional_section(&mut self, key: &'static str) -> Option<Section<'p>> {
        if self.table.contains_key(key) {
            return Some(self.section(key));
        }
        self.asked.push(key);
        None
    }

    /// All that is in it, each a table, whatever its name.
    pub fn each(mut self) -> Vec<(String, Section<'p>)> {
        let mut sections = Vec::new();
        for (key, value) in std::mem::take(&mut self.table) {
            let path = self.path_of(&key);
            match value {
                Value::Table(table) => sections.push((key, Section::new(table, path, self.problems))),
                other => self.report(Problem::new(path, format!("expected a table, found {}", other.type_str()))),
            }
        }
        sections
    }

    /// An array of tables; empty if it is not there.
    pub fn sections(&mut self, key: &'static str) -> Vec<Section<'p>> {
        let path = self.path_of(key);
        let items = match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                let text = format!("expected a list of tables, found {}", other.type_str());
                self.report(Problem::new(&path, text).hint(format!("write [[{path}]]")));
                Vec::new()
            }
        };
        let mut sections = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{path}[{index}]");
            match item {
                Value::Table(table) => sections.push(Section::new(table, path, self.problems)),
                other => self.report(Problem::new(path, format!("expected a table, found {}", other.type_str()))),
            }
        }
        sections
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        for key in self.table.keys() {
            let mut problem = Problem::new(self.path_of(key), "unknown key");
            if let Some(known) = nearest(key, self.asked.iter().copied()) {
                problem = problem.hint(format!("did you mean `{known}`?"));
            } else {
                problem = problem.hint(format!("known here: {}", self.asked.join(", ")));
            }
            self.problems.borrow_mut().push(problem);
        }
    }
}

/// What a mistake of serde's says without the value that was found.
pub fn expected(text: &str) -> &str {
    let text = text.trim();
    if text.starts_with("invalid") { text.rsplit(", ").next().unwrap_or(text) } else { text }
}

/// At most 60 characters of a value, for a message.
fn cut(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
