//! Methods and reason phrases, from rsip's tables.

use std::fmt;
use std::sync::LazyLock;

/// A method: one that some RFC names, or another kept as sent. Match on the constants: `match *method { Method::INVITE => .. }`.
/// Methods are case-sensitive (RFC 3261 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    Known(rsip::Method),
    Other(Box<str>),
}

static METHODS: LazyLock<Vec<(String, rsip::Method)>> =
    LazyLock::new(|| rsip::Method::all().into_iter().map(|method| (method.to_string(), method)).collect());

impl Method {
    pub const ACK: Method = Method::Known(rsip::Method::Ack);
    pub const BYE: Method = Method::Known(rsip::Method::Bye);
    pub const CANCEL: Method = Method::Known(rsip::Method::Cancel);
    pub const INFO: Method = Method::Known(rsip::Method::Info);
    pub const INVITE: Method = Method::Known(rsip::Method::Invite);
    pub const MESSAGE: Method = Method::Known(rsip::Method::Message);
    pub const NOTIFY: Method = Method::Known(rsip::Method::Notify);
    pub const OPTIONS: Method = Method::Known(rsip::Method::Options);
    pub const PRACK: Method = Method::Known(rsip::Method::PRack);
    pub const REFER: Method = Method::Known(rsip::Method::Refer);
    pub const REGISTER: Method = Method::Known(rsip::Method::Register);
    pub const SUBSCRIBE: Method = Method::Known(rsip::Method::Subscribe);
    pub const UPDATE: Method = Method::Known(rsip::Method::Update);

    /// `text` is a token; the caller has looked.
    pub(crate) fn from_token(text: &str) -> Method {
        METHODS
            .iter()
            .find(|(name, _)| name == text)
            .map_or_else(|| Method::Other(text.into()), |(_, method)| Method::Known(*method))
    }

    pub fn as_str(&self) -> &str {
        match self {
            Method::Known(known) => METHODS.iter().find(|(_, method)| method == known).map_or("", |(name, _)| name),
            Method::Other(text) => text,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The phrase that the RFC gives a status, from rsip's names; for a status it does not know, that of its class.
pub fn reason_phrase(status: u16) -> String {
    match rsip::StatusCode::from(status) {
        // Names that do not spell their phrase.
        rsip::StatusCode::OK => "OK".into(),
        rsip::StatusCode::RequestUriTooLong => "Request-URI Too Long".into(),
        rsip::StatusCode::UnsupportedUriScheme => "Unsupported URI Scheme".into(),
        rsip::StatusCode::CallTransactionDoesNotExist => "Call/Transaction Does Not Exist".into(),
        rsip::StatusCode::ServerTimeOut => "Server Time-out".into(),
        rsip::StatusCode::Other(..) => match status / 100 {
            1 => "Progress",
            2 => "Success",
            3 => "Redirection",
            4 => "Request Failure",
            5 => "Server Failure",
            _ => "Global Failure",
        }
        .into(),
        known => spaced(&format!("{known:?}")),
    }
}

/// `BusyHere` to `Busy Here`.
fn spaced(name: &str) -> String {
    let mut phrase = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !phrase.is_empty() {
            phrase.push(' ');
        }
        phrase.push(letter);
    }
    phrase
}
