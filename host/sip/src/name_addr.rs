//! `"Display" <uri>;params`: From, To, Contact, Route, Record-Route, P-Asserted-Identity.
//! Source: RFC 3261 20.10 and 25.1; RFC 3325 9.1.

use std::borrow::Cow;

use crate::params::{Params, find_outside, is_quoted_string, is_token, trim};
use crate::uri::Uri;

/// One name-addr or addr-spec value. The text is kept byte for byte; a display name may hold any byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    raw: Box<[u8]>,
    display_end: usize,
    uri: Uri,
    params_at: usize,
    bracketed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed name-addr")]
pub struct NameAddrError;

impl NameAddr {
    /// Reads one value of From, To, Contact or P-Asserted-Identity. Without angle brackets, what follows a semicolon
    /// belongs to the header (RFC 3261 20.10), not to the URI.
    /// Errors: unbalanced quotes or brackets, a comma or two values, a misspelt URI, empty or doubled parameters, an
    /// empty tag or one that is not UTF-8. Cost: two allocations.
    pub fn parse(value: &[u8]) -> Result<NameAddr, NameAddrError> {
        Self::read(value, false)
    }

    /// Reads one value of Route or Record-Route. Without angle brackets the parameters are the URI's: some trunks send
    /// `Record-Route: sip:host:443;transport=tls;lr` and mean the URI.
    pub fn parse_route(value: &[u8]) -> Result<NameAddr, NameAddrError> {
        Self::read(value, true)
    }

    fn read(value: &[u8], route: bool) -> Result<NameAddr, NameAddrError> {
        let value = trim(value);
        let open = find_outside(value, b"<", false).ok_or(NameAddrError)?;
        let bracketed = open < value.len();
        let (display_end, uri, params_at) = if bracketed {
            let close = open + value[open..].iter().position(|&b| b == b'>').ok_or(NameAddrError)?;
            (open, trim(&value[open + 1..close]), close + 1)
        } else {
            let end = if route { value.len() } else { value.iter().position(|&b| b == b';').unwrap_or(value.len()) };
            (0, trim(&value[..end]), end)
        };
        let uri = Uri::parse(uri).map_err(|_| NameAddrError)?;
        // A comma or a question mark needs the brackets (RFC 3261 20).
        let ambiguous = !bracketed && (uri.headers().is_some() || uri.as_str().contains(','));
        if ambiguous
            || !is_display_name(trim(&value[..display_end]))
            || !Params::new(&value[params_at..]).are_well_formed()
        {
            return Err(NameAddrError);
        }
        let tag = Params::new(&value[params_at..]).get("tag");
        if tag.is_some_and(|tag| tag.is_empty() || std::str::from_utf8(tag).is_err()) {
            return Err(NameAddrError);
        }
        Ok(NameAddr { raw: value.into(), display_end, uri, params_at, bracketed })
    }

    /// The value as it was sent, white space around it gone.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The display name without quotes and escapes; bytes that are not UTF-8 are replaced. None if there is none.
    pub fn display(&self) -> Option<Cow<'_, str>> {
        match trim(&self.raw[..self.display_end]) {
            [] => None,
            [b'"', inner @ .., b'"'] if inner.contains(&b'\\') => {
                let mut escaped = false;
                let kept = inner.iter().copied().filter(|&b| {
                    escaped = b == b'\\' && !escaped;
                    !escaped
                });
                Some(Cow::Owned(String::from_utf8_lossy(&kept.collect::<Vec<u8>>()).into_owned()))
            }
            [b'"', inner @ .., b'"'] => Some(String::from_utf8_lossy(inner)),
            plain => Some(String::from_utf8_lossy(plain)),
        }
    }

    /// The dialog's tag. Source: RFC 3261 19.3.
    pub fn tag(&self) -> Option<&str> {
        self.param("tag")
    }

    /// A header parameter, quotes off, escapes kept; empty for a flag, None also if it is not UTF-8.
    pub fn param(&self, name: &str) -> Option<&str> {
        Params::new(&self.raw[self.params_at..]).get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The same value with `;tag=` at its end; unchanged if it has a tag, or if `tag` is no token.
    pub fn with_tag(&self, tag: &str) -> NameAddr {
        let mut tagged = self.clone();
        if self.tag().is_none() && is_token(tag.as_bytes()) {
            tagged.raw = [&self.raw, &b";tag="[..], tag.as_bytes()].concat().into();
        }
        tagged
    }

    /// Whether there were angle brackets.
    pub fn is_bracketed(&self) -> bool {
        self.bracketed
    }

    /// What a Route header of ours says for this Record-Route or Contact: the URI in angle brackets, then the header
    /// parameters as sent.
    pub fn to_route(&self) -> Vec<u8> {
        let mut route = Vec::with_capacity(self.raw.len() + 2);
        route.push(b'<');
        route.extend_from_slice(self.uri.as_str().as_bytes());
        route.push(b'>');
        route.extend_from_slice(trim(&self.raw[self.params_at..]));
        route
    }
}

/// A quoted string, or unquoted words. Beyond the grammar's tokens any byte is tolerated in the words but those that
/// would let the value be read another way.
fn is_display_name(name: &[u8]) -> bool {
    is_quoted_string(name) || !name.iter().any(|b| b"\",;:<>@".contains(b))
}

/// Splits a comma-joined value, quotes and angle brackets respected. An unbalanced rest comes as one last item.
pub(crate) fn split_commas(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = find_outside(text, b",", true).unwrap_or(text.len());
        rest = text.get(end + 1..);
        Some(trim(&text[..end]))
    })
}
