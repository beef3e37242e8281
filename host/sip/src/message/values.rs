//! Header values with a shape of their own.

use super::{HeaderName, Headers, Method};
use crate::limits::MAX_ROUTES;
use crate::name_addr::NameAddr;
use crate::params::{Params, find_outside, is_token, parse_digits, trim};
use crate::reader::Problem;

/// Source: RFC 3261 20.16; the number is below 2^31 (8.1.1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    pub number: u32,
    pub method: Method,
}

impl CSeq {
    /// Errors: None for anything but `number method`, or a number of 2^31 or more.
    pub fn parse(value: &[u8]) -> Option<CSeq> {
        let gap = value.iter().position(|b| b" \t".contains(b))?;
        let number = parse_digits(&value[..gap]).filter(|&number: &u32| number < 1 << 31)?;
        let method = trim(&value[gap..]);
        is_token(method).then_some(())?;
        Some(CSeq { number, method: Method::from_token(std::str::from_utf8(method).ok()?) })
    }
}

/// Source: RFC 3261 20.10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// `*`, which only a REGISTER may carry.
    All,
    Address(NameAddr),
}

/// Source: RFC 4028 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    pub seconds: u32,
    pub refresher: Option<Refresher>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    Uac,
    Uas,
}

impl SessionExpires {
    pub fn parse(value: &[u8]) -> Option<SessionExpires> {
        let refresher = match after_semicolon(value).get("refresher") {
            Some(who) if who.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(who) if who.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            _ => None,
        };
        Some(SessionExpires { seconds: delta_seconds(value)?, refresher })
    }
}

/// Seconds before any parameter; more than 32 bits hold reads as their largest (RFC 3261 20.19).
pub(crate) fn delta_seconds(value: &[u8]) -> Option<u32> {
    let digits = trim(&value[..value.iter().position(|&b| b == b';').unwrap_or(value.len())]);
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| parse_digits(digits).unwrap_or(u32::MAX))
}

fn after_semicolon(value: &[u8]) -> Params<'_> {
    Params::new(&value[find_outside(value, b";", true).unwrap_or(value.len())..])
}

/// 0 to 255 (RFC 3261 20.22).
pub(crate) fn parse_max_forwards(value: &[u8]) -> Option<u8> {
    parse_digits(value)
}

/// `word [@ word]`; any visible text without white space is tolerated.
pub(crate) fn parse_call_id(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    (!text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control())).then_some(text)
}

pub(crate) fn media_type(value: &[u8]) -> Option<String> {
    let kind = trim(&value[..value.iter().position(|&b| b == b';').unwrap_or(value.len())]);
    let slash = kind.iter().position(|&b| b == b'/')?;
    let (main, sub) = (trim(&kind[..slash]), trim(&kind[slash + 1..]));
    (is_token(main) && is_token(sub))
        .then(|| format!("{}/{}", String::from_utf8_lossy(main), String::from_utf8_lossy(sub)).to_ascii_lowercase())
}

pub(crate) fn parse_reason(value: &[u8]) -> Option<crate::Reason> {
    let protocol = trim(&value[..value.iter().position(|&b| b == b';').unwrap_or(value.len())]);
    is_token(protocol).then(|| crate::Reason {
        protocol: String::from_utf8_lossy(protocol).into_owned(),
        cause: after_semicolon(value).get("cause").and_then(parse_digits),
        text: after_semicolon(value)
            .get("text")
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .unwrap_or_default(),
    })
}

pub(crate) fn contact(headers: &Headers) -> Option<Contact> {
    let first = headers.values(HeaderName::Contact).next()?;
    if first == b"*" {
        return Some(Contact::All);
    }
    NameAddr::parse(first).ok().map(Contact::Address)
}

pub(crate) fn check_contacts(headers: &Headers) -> Result<(), Problem> {
    let mut values = 0;
    let mut all = false;
    for value in headers.values(HeaderName::Contact) {
        values += 1;
        all |= value == b"*";
        if values > MAX_ROUTES {
            return Err(Problem::TooManyContacts);
        }
        // `*` stands alone.
        if (all && values > 1) || (value != b"*" && NameAddr::parse(value).is_err()) {
            return Err(Problem::BadContact);
        }
    }
    Ok(())
}
