//! Why a request outside came to nothing, with the codes of the contract (wit/0.1.0/http.wit).

use std::error::Error as StdError;
use std::io;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It is no such request: its method, URL, headers or size.
    BadRequest,
    /// A rule does not let it out; the message names the rule.
    EgressDenied,
    /// A secret may not go where it was put.
    SecretDenied,
    /// The name does not resolve.
    NotFound,
    Unreachable,
    Tls,
    TimedOut,
    TooLong,
    Protocol,
    /// The tenant has used up what it may.
    Quota,
}

impl Code {
    pub const ALL: [Code; 10] = [
        Code::BadRequest,
        Code::EgressDenied,
        Code::SecretDenied,
        Code::NotFound,
        Code::Unreachable,
        Code::Tls,
        Code::TimedOut,
        Code::TooLong,
        Code::Protocol,
        Code::Quota,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadRequest => "bad-request",
            Code::EgressDenied => "egress-denied",
            Code::SecretDenied => "secret-denied",
            Code::NotFound => "not-found",
            Code::Unreachable => "unreachable",
            Code::Tls => "tls",
            Code::TimedOut => "timed-out",
            Code::TooLong => "too-long",
            Code::Protocol => "protocol",
            Code::Quota => "quota",
        }
    }
}

/// Which rule of egress, or which bound of a tenant or of the host, let something not out. Each is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    TenantsList,
    OperatorsList,
    WithoutTls,
    /// An IPv4 address that is not written as four decimal numbers.
    Spelling,
    /// A kind of address that nobody opened.
    Address,
    /// Where clouds keep their keys: nobody can open it.
    Metadata,
    Requests,
    WebSockets,
    Bytes,
    /// Those of the whole host.
    Connections,
}

impl Refusal {
    pub const ALL: [Refusal; 10] = [
        Refusal::TenantsList,
        Refusal::OperatorsList,
        Refusal::WithoutTls,
        Refusal::Spelling,
        Refusal::Address,
        Refusal::Metadata,
        Refusal::Requests,
        Refusal::WebSockets,
        Refusal::Bytes,
        Refusal::Connections,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::TenantsList => "tenants-list",
            Refusal::OperatorsList => "operators-list",
            Refusal::WithoutTls => "without-tls",
            Refusal::Spelling => "spelling",
            Refusal::Address => "address",
            Refusal::Metadata => "metadata",
            Refusal::Requests => "requests",
            Refusal::WebSockets => "websockets",
            Refusal::Bytes => "bytes",
            Refusal::Connections => "connections",
        }
    }

    fn code(self) -> Code {
        match self {
            Refusal::Requests | Refusal::WebSockets | Refusal::Bytes | Refusal::Connections => Code::Quota,
            _ => Code::EgressDenied,
        }
    }
}

/// What a bot is told. The message never holds a secret, nor an address that a name resolved to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct Error {
    pub code: Code,
    pub message: String,
    /// Of `egress-denied` and `quota`, and of no other code.
    pub refusal: Option<Refusal>,
}

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), refusal: None }
    }

    pub fn refused(refusal: Refusal, message: impl Into<String>) -> Error {
        Error { code: refusal.code(), message: message.into(), refusal: Some(refusal) }
    }
}

/// What a connection's reads and writes fail with when its tenant's bytes of this minute are used up.
#[derive(Debug, thiserror::Error)]
#[error("the tenant's bytes of this minute are used up")]
pub(crate) struct Spent;

/// The error itself or one of those it came from.
pub(crate) fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An io::Error does not name what it wraps as its source, but that one's source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

/// `quota` if the bytes of the tenant were the reason, else this code with the message of the error.
pub(crate) fn of_network(code: Code, what: &str, error: &(dyn StdError + 'static)) -> Error {
    match cause::<Spent>(error) {
        Some(spent) => Error::refused(Refusal::Bytes, spent.to_string()),
        None => Error::new(code, format!("{what}: {error}")),
    }
}
