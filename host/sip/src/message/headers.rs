//! The headers of one message, in the order sent, in one buffer.

use std::borrow::Cow;
use std::ops::Range;

use super::HeaderName;
use crate::name_addr::split_commas;
use crate::params::is_token;

/// A header's name for looking up and for writing: one we know, or any other text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    Known(HeaderName),
    Other(&'a str),
}

impl From<HeaderName> for Name<'_> {
    fn from(name: HeaderName) -> Self {
        Name::Known(name)
    }
}

impl<'a> From<&'a str> for Name<'a> {
    /// Compact forms and any case are recognised.
    fn from(name: &'a str) -> Self {
        HeaderName::from_bytes(name.as_bytes()).map_or(Name::Other(name), Name::Known)
    }
}

impl<'a> From<&'a String> for Name<'a> {
    fn from(name: &'a String) -> Self {
        name.as_str().into()
    }
}

/// Header lines in the order sent: names and values as offsets into one buffer, so that reading a message costs two
/// allocations for all of them. Values are bytes, unfolded, without white space around them.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    buffer: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    known: Option<HeaderName>,
    name: Range<u32>,
    value: Range<u32>,
}

impl Headers {
    /// Takes the unfolded head of a message; lines are then added by [`Headers::add_line`].
    pub(crate) fn over(buffer: Vec<u8>) -> Headers {
        Headers { buffer, lines: Vec::with_capacity(24) }
    }

    pub(crate) fn add_line(&mut self, name: Range<usize>, value: Range<usize>) {
        let known = HeaderName::from_bytes(&self.buffer[name.clone()]);
        self.lines.push(Line { known, name: narrow(name), value: narrow(value) });
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Adds a line at the end. CR and LF in the value become spaces, so that nothing can add a header of its own;
    /// a name that is no token is refused: false, and nothing is added.
    pub fn push<'a>(&mut self, name: impl Into<Name<'a>>, value: impl AsRef<[u8]>) -> bool {
        let (known, text) = match name.into() {
            Name::Known(known) => (Some(known), known.as_str()),
            Name::Other(other) => (None, other),
        };
        if !is_token(text.as_bytes()) {
            return false;
        }
        let name = self.append(text.as_bytes());
        let value = self.append(value.as_ref());
        self.lines.push(Line { known, name, value });
        true
    }

    fn append(&mut self, text: &[u8]) -> Range<u32> {
        let start = self.buffer.len();
        self.buffer.extend(text.trim_ascii().iter().map(|&b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        narrow(start..self.buffer.len())
    }

    /// Puts `value` in the place of the first line of that name; without one, adds it at the end.
    pub fn replace_first<'a>(&mut self, name: impl Into<Name<'a>>, value: impl AsRef<[u8]>) {
        let name = name.into();
        match self.lines.iter().position(|line| self.is_named(line, name)) {
            Some(at) => self.lines[at].value = self.append(value.as_ref()),
            None => {
                self.push(name, value);
            }
        }
    }

    /// Keeps the lines that `keep` wants, by name and value.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &[u8]) -> bool) {
        let buffer = &self.buffer;
        self.lines.retain(|line| keep(line_name(buffer, line), slice(buffer, &line.value)));
    }

    fn is_named(&self, line: &Line, name: Name<'_>) -> bool {
        match name {
            Name::Known(known) => line.known == Some(known),
            Name::Other(other) => {
                line.known.is_none() && slice(&self.buffer, &line.name).eq_ignore_ascii_case(other.as_bytes())
            }
        }
    }

    /// Every line: the name (known ones in their long form, others as sent) and the value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter().map(|line| (line_name(&self.buffer, line), slice(&self.buffer, &line.value)))
    }

    pub(crate) fn iter_known(&self) -> impl Iterator<Item = (Option<HeaderName>, &str, &[u8])> {
        self.lines.iter().map(|line| (line.known, line_name(&self.buffer, line), slice(&self.buffer, &line.value)))
    }

    /// Lines of that name, as sent, in order, not split at commas: what is copied into a response.
    pub fn lines<'a, 'n: 'a>(&'a self, name: impl Into<Name<'n>>) -> impl Iterator<Item = &'a [u8]> {
        let name = name.into();
        self.lines.iter().filter(move |line| self.is_named(line, name)).map(|line| slice(&self.buffer, &line.value))
    }

    /// The value of the first line of that name.
    pub fn get<'n>(&self, name: impl Into<Name<'n>>) -> Option<&[u8]> {
        let name = name.into();
        self.lines.iter().find(|line| self.is_named(line, name)).map(|line| slice(&self.buffer, &line.value))
    }

    /// The same as text; what is not UTF-8 is replaced.
    pub fn get_text<'n>(&self, name: impl Into<Name<'n>>) -> Option<Cow<'_, str>> {
        self.get(name).map(String::from_utf8_lossy)
    }

    /// Every value of that name, lines split at their commas (quotes and angle brackets respected).
    pub fn values<'a, 'n: 'a>(&'a self, name: impl Into<Name<'n>>) -> impl Iterator<Item = &'a [u8]> {
        self.lines(name).flat_map(split_commas)
    }

    pub fn contains<'n>(&self, name: impl Into<Name<'n>>) -> bool {
        self.get(name).is_some()
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Room that building this head will want.
    pub(crate) fn byte_hint(&self) -> usize {
        self.buffer.len() + 4 * self.lines.len()
    }
}

/// The reader bounds a message to 64 KiB; what we build ourselves is far from 4 GiB.
fn narrow(range: Range<usize>) -> Range<u32> {
    range.start as u32..range.end as u32
}

fn slice<'a>(buffer: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    &buffer[range.start as usize..range.end as usize]
}

/// Names are tokens, hence ASCII.
fn line_name<'a>(buffer: &'a [u8], line: &Line) -> &'a str {
    match line.known {
        Some(known) => known.as_str(),
        None => std::str::from_utf8(slice(buffer, &line.name)).unwrap_or_default(),
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Headers) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}
