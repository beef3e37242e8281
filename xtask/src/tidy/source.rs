//! A Rust file as text: which lines are the product's, and how long its functions are. rustfmt has been there before.

pub struct Source {
    text: String,
}

impl Source {
    pub fn new(text: String) -> Source {
        Source { text }
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// Without comments, and without the tests at the end; numbered from 0.
    pub fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|two| two[0] == "#[cfg(test)]" && two[1].ends_with('{'));
        let product = lines.into_iter().take(tests.unwrap_or(usize::MAX)).enumerate();
        product.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Name and length in lines of every function with a body of its own lines.
    pub fn functions(&self) -> Vec<(&str, usize)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut functions = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            let indent = line.len() - line.trim_start().len();
            // The signature ends at the line that opens the body; a declaration without one has no body.
            let Some(opened) = lines[at..].iter().position(|line| line.ends_with(['{', ';', '}'])) else { continue };
            if !lines[at + opened].ends_with('{') {
                continue;
            }
            let closing = |line: &&str| line.trim_end() == format!("{:indent$}}}", "");
            if let Some(length) = lines[at + opened..].iter().position(closing) {
                functions.push((name, opened + length + 1));
            }
        }
        functions
    }
}

fn function_name(line: &str) -> Option<&str> {
    let mut words = line.trim_start().split(' ');
    let mut word = words.next()?;
    while matches!(word, "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"") || word.starts_with("pub(") {
        word = words.next()?;
    }
    if word != "fn" {
        return None;
    }
    words.next()?.split(['(', '<']).next()
}

/// Files that are compiled for tests only.
pub fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.split('/').any(|folder| matches!(folder, "tests" | "testing" | "examples"))
        || matches!(name, "tests.rs" | "test_setup.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
// Instant::now in a comment
trait T {
    fn declared(&self);
    pub(crate) fn long(
        &self,
    ) -> u8 {
        if x {
            1
        }
    }
}
pub fn short() {}
#[cfg(test)]
mod tests {
    let now = Instant::now();
}
";

    #[test]
    fn functions_are_measured_from_their_name_to_their_brace() {
        assert_eq!(Source::new(FILE.into()).functions(), [("long", 7)]);
    }

    #[test]
    fn tests_and_comments_are_not_the_product() {
        let source = Source::new(FILE.into());
        assert!(source.product_lines().all(|(_, line)| !line.contains("Instant::now")));
        assert_eq!(source.product_lines().count(), 11);
    }
}
