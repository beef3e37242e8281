//! A host's no, in its own words: problem details. Source: RFC 9457.

use std::fmt;

use serde_json::Value;

use super::table::plain;

/// The whole document, and what is told besides.
#[derive(Debug)]
pub struct Refusal {
    pub document: Value,
    /// Source: RFC 9110 10.2.3. Seconds.
    pub retry_after: Option<String>,
}

impl Refusal {
    pub fn new(document: Value) -> Self {
        Self { document, retry_after: None }
    }
}

impl fmt::Display for Refusal {
    /// `title: detail`, then each mistake with its hint on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |key: &str| self.document[key].as_str().map(plain).filter(|text| !text.is_empty());
        let title = text("title").unwrap_or_else(|| "the host refuses".into());
        f.write_str(&title)?;
        if let Some(status) = self.document["status"].as_u64() {
            write!(f, " ({status})")?;
        }
        let problems = self.document["problems"].as_array().map_or(&[][..], Vec::as_slice);
        let named: Vec<&str> = problems.iter().filter_map(|problem| problem["text"].as_str()).collect();
        // It may be nothing but those, in one text.
        let repeats = |detail: &String| !named.is_empty() && named.iter().all(|text| detail.contains(&plain(text)));
        if let Some(detail) = text("detail").filter(|detail| !repeats(detail)) {
            write!(f, ": {detail}")?;
        }
        for problem in problems {
            let part = |key: &str| problem[key].as_str().map(plain).filter(|text| !text.is_empty());
            f.write_str("\n  ")?;
            if let Some(place) = part("place") {
                write!(f, "{place}: ")?;
            }
            f.write_str(&part("text").unwrap_or_default())?;
            if let Some(hint) = part("hint") {
                write!(f, " ({hint})")?;
            }
        }
        match &self.retry_after {
            Some(seconds) => write!(f, "\n  try again in {} s", plain(seconds)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_is_told_with_every_mistake_and_its_hint() {
        let document = json!({
            "type": "about:blank", "title": "Invalid", "status": 400, "detail": "2 mistakes",
            "problems": [
                {"place": "called.exact", "text": "is empty", "hint": "for every call write { prefix = \"\" }"},
                {"place": "", "text": "no\u{1b}[2Jgood"},
            ],
        });
        let refusal = Refusal { document, retry_after: Some("3".into()) };
        let told = "Invalid (400): 2 mistakes\n  called.exact: is empty (for every call write { prefix = \"\" })\n  no\u{fffd}[2Jgood\n  try again in 3 s";
        assert_eq!(refusal.to_string(), told);
        assert_eq!(Refusal::new(json!({})).to_string(), "the host refuses");
        let twice = json!({"title": "Invalid", "detail": "calls: 9 is too many (8 at most)",
            "problems": [{"place": "calls", "text": "9 is too many", "hint": "8 at most"}]});
        assert_eq!(Refusal::new(twice).to_string(), "Invalid\n  calls: 9 is too many (8 at most)", "told once");
    }
}
