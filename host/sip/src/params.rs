//! `;name=value` parameters, of header values and of URIs. Source: RFC 3261 25.1 (generic-param, uri-parameter).

use crate::limits::MAX_PARAMS;

/// RFC 3261 25.1 token: method, header and parameter names, tags, branches.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&b| is_token_byte(b))
}

fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b)
}

pub(crate) fn is_space(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text {
        if !is_space(*first) {
            break;
        }
        text = rest;
    }
    while let [rest @ .., last] = text {
        if !is_space(*last) {
            break;
        }
        text = rest;
    }
    text
}

/// Digits only, as the grammar's 1*DIGIT: no sign, no space, no overflow.
pub(crate) fn parse_digits<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut number = 0u64;
    for digit in text {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    T::try_from(number).ok()
}

/// Where the first of `stops` stands outside quotes (and, if `angles`, outside `<...>`); None: a quote or an angle
/// bracket is not closed.
pub(crate) fn find_outside(text: &[u8], stops: &[u8], angles: bool) -> Option<usize> {
    let (mut quoted, mut angled) = (false, false);
    let mut at = 0;
    while at < text.len() {
        let b = text[at];
        match b {
            b'\\' if quoted => at += 1,
            b'"' if !angled => quoted = !quoted,
            _ if quoted => {}
            _ if !angled && stops.contains(&b) => return Some(at),
            b'<' if angles && !angled => angled = true,
            b'>' if angled => angled = false,
            _ => {}
        }
        at += 1;
    }
    (!quoted && !angled).then_some(text.len())
}

/// Iterates `;a;b=c;d="e"`, in the order sent. Shape: `(name, value)`, quotes still on. A malformed rest ends it.
#[derive(Clone, Debug)]
pub(crate) struct Params<'a> {
    rest: &'a [u8],
}

impl<'a> Params<'a> {
    /// `rest` is empty or begins, after white space, with the semicolon.
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Params { rest }
    }

    /// The value of the first parameter of that name, quotes off, escapes kept; an empty one for a flag.
    pub(crate) fn get(self, name: &str) -> Option<&'a [u8]> {
        self.flatten()
            .find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| unquoted(value.unwrap_or(b"")))
    }

    /// Errors: an empty or misspelt parameter, one name with two values, or more than [`MAX_PARAMS`].
    /// The same twice is read once, against RFC 3261 19.1.1: baresip appends its account's transport to a URI that has it already.
    pub(crate) fn are_well_formed(self) -> bool {
        let mut seen: Vec<(&[u8], Option<&[u8]>)> = Vec::new();
        for param in self {
            let Some((name, value)) = param else { return false };
            let differs = |&(n, v): &(&[u8], Option<&[u8]>)| n.eq_ignore_ascii_case(name) && v != value;
            if seen.len() == MAX_PARAMS || seen.iter().any(differs) {
                return false;
            }
            seen.push((name, value));
        }
        true
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Option<(&'a [u8], Option<&'a [u8]>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = trim(self.rest);
        self.rest = b"";
        let (&first, rest) = rest.split_first()?;
        if first != b';' {
            return Some(None);
        }
        let Some(end) = find_outside(rest, b";", false) else {
            return Some(None);
        };
        let (one, after) = rest.split_at(end);
        self.rest = after;
        let (name, value) = match one.iter().position(|&b| b == b'=') {
            Some(at) => (trim(&one[..at]), Some(trim(&one[at + 1..]))),
            None => (trim(one), None),
        };
        let parsed = is_param_name(name) && value.is_none_or(is_param_value);
        Some(parsed.then_some((name, value)))
    }
}

/// A token, or what a URI's paramchar allows beside it.
fn is_param_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&b| is_token_byte(b) || b"[]/:&$()".contains(&b))
}

fn is_param_value(value: &[u8]) -> bool {
    is_quoted_string(value) || !value.iter().any(|b| is_space(*b) || b"\"<>,".contains(b))
}

/// `"..."` and nothing after it, escaped quotes within.
pub(crate) fn is_quoted_string(text: &[u8]) -> bool {
    let Some(inner) = text.strip_prefix(b"\"") else {
        return false;
    };
    let mut escaped = false;
    let closing = inner.iter().position(|&b| {
        let closes = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    });
    closing == Some(inner.len().wrapping_sub(1))
}
