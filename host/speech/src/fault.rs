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

/// What went wrong. A bot is told the code and the message, and these name no place: where an engine is, is its operator's affair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}{}", code.as_str(), bracketed(private))]
pub struct Fault {
    pub code: Code,
    /// In our own words.
    pub message: String,
    /// For the operator's log: where it was, and what the engine or the network said. May be empty.
    pub private: String,
}

impl Fault {
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), private: String::new() }
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Fault {
        Fault::new(Code::Protocol, message)
    }

    /// With words that no bot is to read, before those that are there.
    pub(crate) fn privately(mut self, words: &str) -> Fault {
        let rest = std::mem::replace(&mut self.private, one_line(words));
        if !rest.is_empty() {
            self.private = format!("{}: {rest}", self.private);
        }
        self
    }
}

fn bracketed(private: &str) -> String {
    if private.is_empty() { String::new() } else { format!(" ({private})") }
}

/// What others say, as far as it may stand in a log: one line of at most 200 characters.
pub(crate) fn one_line(said: &str) -> String {
    const CHARS_MAX: usize = 200;
    said.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect()
}
