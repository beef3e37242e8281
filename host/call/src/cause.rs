//! Who ended a call, and why.

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    Caller,
    Bot,
    Operator,
    Host,
}

/// Why a call ended, or never came to be: a word for programs, the same in the summary, the log, and the bot's `hangup` event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    Bye,
    /// The bot handed the caller over, and the other side has answered.
    Transferred,
    Cancel,
    /// 404.
    NoRoute,
    /// 403: `require_pai`, and there is none.
    NoIdentity,
    /// 486.
    Quota,
    /// 503 with Retry-After.
    Overload,
    /// 503 with Retry-After.
    NoPorts,
    /// 503 without Retry-After for a new call, BYE for a live one.
    Drain,
    /// 488, or BYE where the answer to our own offer is of no use.
    Media,
    /// The bot's own status.
    BotRefused,
    /// 480.
    BotNotLoadable,
    /// `start`: 480 or the fall-back. Later: the fall-back and BYE.
    BotFault,
    BotTimeout,
    /// 480: it rang until its deadline.
    NotAnswered,
    NoAck,
    MediaTimeout,
    SessionExpired,
    /// A request of ours within the dialog found nobody.
    Gone,
    Operator,
    /// The bot's build was replaced, and what was left of the call on the old one took too long.
    Replaced,
    /// The longest call there may be.
    TooLong,
    /// Something of ours did not answer in time; the log says what.
    Internal,
}

impl Cause {
    /// Every cause with its word.
    pub const WORDS: &'static [(Cause, &'static str)] = &[
        (Cause::Bye, "bye"),
        (Cause::Transferred, "transferred"),
        (Cause::Cancel, "cancel"),
        (Cause::NoRoute, "no-route"),
        (Cause::NoIdentity, "no-identity"),
        (Cause::Quota, "quota"),
        (Cause::Overload, "overload"),
        (Cause::NoPorts, "no-ports"),
        (Cause::Drain, "drain"),
        (Cause::Media, "media"),
        (Cause::BotRefused, "bot-refused"),
        (Cause::BotNotLoadable, "bot-not-loadable"),
        (Cause::BotFault, "bot-fault"),
        (Cause::BotTimeout, "bot-timeout"),
        (Cause::NotAnswered, "not-answered"),
        (Cause::NoAck, "no-ack"),
        (Cause::MediaTimeout, "media-timeout"),
        (Cause::SessionExpired, "session-expired"),
        (Cause::Gone, "gone"),
        (Cause::Operator, "operator"),
        (Cause::Replaced, "replaced"),
        (Cause::TooLong, "too-long"),
        (Cause::Internal, "internal"),
    ];

    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(cause, _)| *cause == self).map_or("internal", |(_, word)| word)
    }
}

impl By {
    pub fn as_str(self) -> &'static str {
        match self {
            By::Caller => "caller",
            By::Bot => "bot",
            By::Operator => "operator",
            By::Host => "host",
        }
    }
}
