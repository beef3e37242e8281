//! Why an engine did not do it.

/// As the contract with bots names them: wit/0.1.0/speech.wit and chat.wit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// What the bot asked for is no request: the bot's fault, before anything was sent.
    BadRequest,
    TimedOut,
    /// No connection, a name that does not resolve, or a rule that forbids it; the message says which.
    Unreachable,
    /// The answer is not what the protocol says.
    Protocol,
    TooLong,
    /// The engine said itself that it cannot.
    Engine,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadRequest => "bad-request",
            Code::TimedOut => "timed-out",
            Code::Unreachable => "unreachable",
            Code::Protocol => "protocol",
            Code::TooLong => "too-long",
            Code::Engine => "engine",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct Fault {
    pub code: Code,
    pub message: String,
}

impl Fault {
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into() }
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Fault {
        Fault::new(Code::Protocol, message)
    }
}

/// What an engine says of its own failure, as far as it may be passed on: one line of at most 200 characters.
pub(crate) fn one_line(said: &str) -> String {
    const CHARS_MAX: usize = 200;
    said.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect()
}
