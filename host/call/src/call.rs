//! One call: its stage, the parts it holds, and what its record will say.

use std::sync::Arc;
use std::time::Instant;

use sip::Reason;

use crate::cause::{By, Cause};
use crate::digits::InfoDigits;
use crate::door::{CallId, Ports};
use crate::record::Facts;
use crate::routing::Route;
use crate::session::Session;
use crate::signalling::Hold;

/// Where a call stands. Each stage ends by its own deadline if by nothing else.
///
/// ```text
/// OpeningPorts -> StartingBot -> Ringing -> Answered -> Talking -> Over
///          \-> Matching -/   \------------/         \-> Fallback -/
/// ```
/// Every stage may go to `Over`, and only `teardown` does that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    OpeningPorts {
        until: Instant,
    },
    /// Whether it is the second leg of a call that we asked for is about to be known.
    Matching {
        until: Instant,
    },
    StartingBot {
        until: Instant,
    },
    Ringing {
        until: Instant,
    },
    /// The 200 is out, and nobody has been heard of yet.
    Answered {
        until: Instant,
    },
    Talking {
        until: Instant,
    },
    /// The caller hears the route's prompt; then BYE.
    Fallback {
        until: Instant,
    },
    /// The parts are being given back.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialog {
    Open,
    /// Our BYE or refusal is out.
    Ending {
        until: Instant,
    },
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    None,
    Open,
    Closing { until: Instant },
    Closed,
}

/// The bot's place, which exists from `StartBot` to `BotEnded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bot {
    None,
    Starting,
    Running,
    /// It never started, or faulted: the place is kept for the fall-back.
    Dead,
    /// The call is over, and it finishes its work.
    Lingering {
        until: Instant,
    },
    Closing {
        until: Instant,
    },
    Gone,
}

/// Who ended the call and why, in all the words that are asked for later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub by: By,
    pub cause: Cause,
    pub why: String,
    /// The refusal, if there is still an INVITE to refuse; 480 where nothing better is known.
    pub status: u16,
    /// What the BYE is to say of it, if that is not for the cause to say.
    pub bye: Option<Reason>,
}

impl End {
    pub fn new(by: By, cause: Cause, why: impl Into<String>) -> Self {
        let status = REFUSALS.iter().find(|(of, _)| *of == cause).map_or(480, |(_, status)| *status);
        End { by, cause, why: why.into(), status, bye: None }
    }

    pub fn host(cause: Cause, why: impl Into<String>) -> Self {
        Self::new(By::Host, cause, why)
    }
}

/// The truth in SIP: which status refuses what. 503 only for what concerns the whole host, since an upstream may take it for all its calls.
const REFUSALS: &[(Cause, u16)] = &[
    (Cause::NoRoute, 404),
    (Cause::NoIdentity, 403),
    (Cause::Quota, 486),
    (Cause::Overload, 503),
    (Cause::NoPorts, 503),
    (Cause::Drain, 503),
    (Cause::Media, 488),
    (Cause::Internal, 500),
];

pub(crate) struct Call {
    pub id: CallId,
    pub stage: Stage,
    pub dialog: Dialog,
    pub ports: Option<Ports>,
    pub leg: Leg,
    pub bot: Bot,
    pub route: Arc<Route>,
    pub session: Session,
    pub digits: InfoDigits,
    /// The bot's hold or resume that is under way.
    pub hold: Option<Hold>,
    /// The bot's name of the transfer that is under way.
    pub transfer: Option<u64>,
    /// What the bot wants in our 200.
    pub answer_headers: Vec<(String, String)>,
    /// The bot asked for an answer before its start was reported.
    pub answer_asked: bool,
    /// The bot is dead; this is why, and the prompt waits for the caller to be there.
    pub fallback: Option<(Cause, String)>,
    /// The bot wants to be entered for every frame.
    pub frames: bool,
    pub facts: Facts,
    pub end: Option<(End, Instant)>,
}

impl Call {
    /// The 200 is out.
    pub fn is_answered(&self) -> bool {
        self.facts.answered.is_some()
    }

    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Nothing is held any more.
    pub fn is_finished(&self) -> bool {
        self.is_over()
            && self.dialog == Dialog::Ended
            && self.ports.is_none()
            && matches!(self.leg, Leg::None | Leg::Closed)
            && matches!(self.bot, Bot::None | Bot::Gone)
    }

    pub fn bot_exists(&self) -> bool {
        !matches!(self.bot, Bot::None | Bot::Gone)
    }

    /// Every deadline of this call, at most five. A call that is not finished has one at least.
    pub fn deadlines(&self) -> impl Iterator<Item = Instant> {
        let stage = match self.stage {
            Stage::OpeningPorts { until }
            | Stage::Matching { until }
            | Stage::StartingBot { until }
            | Stage::Ringing { until }
            | Stage::Answered { until }
            | Stage::Talking { until }
            | Stage::Fallback { until } => Some(until),
            Stage::Over => None,
        };
        let dialog = if let Dialog::Ending { until } = self.dialog { Some(until) } else { None };
        let leg = if let Leg::Closing { until } = self.leg { Some(until) } else { None };
        let bot = if let Bot::Lingering { until } | Bot::Closing { until } = self.bot { Some(until) } else { None };
        [stage, dialog, leg, bot, self.digits.due()].into_iter().flatten()
    }
}
