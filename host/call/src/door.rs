//! What goes in and out of [`Calls`](crate::Calls): the vocabulary between the edge (sockets, media threads, bot workers) and the calls.
//!
//! Every request that [`Output`] makes is answered, exactly once, also when the call has ended meanwhile:
//!
//! | asked | answered by | afterwards |
//! |---|---|---|
//! | `OpenPorts` | `PortsOpened`, `PortsExhausted` or `NoAddress` | an opened pair is the call's until `FreePorts` |
//! | `StartBot` | `BotStarted` | the bot's place stays until `CloseBot`, also when the start failed or the bot faulted: the fall-back plays from it |
//! | `PlayFallback` | `FallbackPlayed` | |
//! | `OpenLeg` | nothing | the leg is the call's until `CloseLeg` |
//! | `CloseLeg` | `LegClosed` | `FreePorts` follows |
//! | `CloseBot` | `BotEnded` | |
//!
//! An answer that does not come in time is not waited for: every state has a deadline.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use media::{Codec, LegEvent, LegStats, Negotiated};

use crate::cause::{By, Cause};
use crate::outbound::{OutboundEvent, OutboundInput};
use crate::routing::{Route, Routing};
use crate::settings::{Tenant, WallClock};
use crate::summary::{BargeIns, Summary};

/// The host's number of a call: that of its dialog. Never reused.
pub type CallId = sip::DialogId;

/// What the edge hands in.
#[derive(Debug)]
pub enum Input {
    Sip(sip::Event),
    PortsOpened {
        call: CallId,
        ports: Ports,
    },
    /// No pair is free.
    /// The host has no address of the family that the session needs.
    NoAddress {
        call: CallId,
    },
    PortsExhausted {
        call: CallId,
    },
    BotStarted {
        call: CallId,
        result: Result<Accept, StartFailure>,
    },
    /// What a running bot asked of its call.
    Bot {
        call: CallId,
        act: BotAct,
    },
    /// The instance is dead and will not be restarted.
    BotFaulted {
        call: CallId,
        why: String,
    },
    /// The fall-back prompt has left for the caller, to its end.
    FallbackPlayed {
        call: CallId,
    },
    BotEnded {
        call: CallId,
        stats: Box<BotStats>,
    },
    /// Digits and `DigitsSent` reach the bot beside this, on the media plane's own way; here they only count.
    Leg {
        call: CallId,
        event: LegEvent,
    },
    /// Unasked: the media plane gave the leg up, and the call ends.
    LegClosed {
        call: CallId,
        stats: Box<LegStats>,
    },
    /// Of a call that the trunk is asked to make.
    Outbound(OutboundInput),
    /// The operator ends a call.
    Hangup {
        call: CallId,
    },
    /// The build that this call's bot runs was replaced, and the time to stay on it is over.
    Replaced {
        call: CallId,
    },
    /// From now on every INVITE is refused; what still lives after `limit` gets BYE.
    Drain {
        limit: Duration,
    },
    /// The host as a whole has more than it can do, or has no longer.
    Overload(bool),
    /// New calls go by these routes; live ones keep theirs.
    Routing(Arc<Routing>),
    /// All tenants that have quotas from now on. Live calls stay, and count.
    Tenants(Vec<Tenant>),
    /// The bots of this tenant used more CPU than its quota, or no longer do: meanwhile its new calls are refused.
    GuestCpu {
        tenant: String,
        over: bool,
    },
    /// The wall clock, told anew: after a step of it, or every now and then.
    WallClock(WallClock),
}

/// What the edge must do.
#[derive(Debug)]
pub enum Output {
    Sip(sip::Command),
    OpenPorts {
        call: CallId,
        want: PortsWanted,
    },
    FreePorts {
        call: CallId,
    },
    StartBot {
        call: CallId,
        start: Box<BotStart>,
    },
    /// Starts sending at once, silence if there is nothing else, and receiving.
    OpenLeg {
        call: CallId,
        leg: Box<LegOpening>,
    },
    UpdateLeg {
        call: CallId,
        negotiated: Box<Negotiated>,
    },
    CloseLeg {
        call: CallId,
    },
    BotEvent {
        call: CallId,
        event: BotEvent,
    },
    /// `call.send-digits` as telephone-events; the leg's `DigitsSent` goes to the bot by the media plane's own way.
    SendDigits {
        call: CallId,
        id: u64,
        keys: String,
    },
    /// Drops what the bot had queued and plays the route's prompt in its stead.
    PlayFallback {
        call: CallId,
        prompt: String,
    },
    /// Ends the bot at once, whatever it does.
    CloseBot {
        call: CallId,
    },
    /// Of a call that the trunk was asked to make.
    Outbound(OutboundEvent),
    /// The record of a call that is over. The last output for this call.
    Summary(Box<Summary>),
    /// For the log: about six a call.
    Milestone {
        call: CallId,
        milestone: Milestone,
    },
    /// The last call has ended while draining.
    Drained,
}

/// Which kind of port pair a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortsWanted {
    pub ipv6: bool,
    pub trunk: sip::TrunkId,
    pub listener: sip::ListenerId,
    /// Where the INVITE came from: inside or outside of the local networks decides what is advertised.
    pub peer: IpAddr,
}

/// A pair of ports as the peer is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// For c= and o=: the address under which the peer reaches us.
    pub advertised: IpAddr,
    pub rtp: u16,
    pub rtcp: u16,
}

/// What `start` said yes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept {
    /// False: 200 at once. True: 180 until the bot calls `answer`.
    pub ring: bool,
    /// Whether it wants to be entered for every frame.
    pub frames: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// The bot's own word: the SIP answer. A status outside 400 to 699 becomes 480.
    Refused { status: u16, reason: String },
    /// There is no build of the plugin that can run.
    NotLoadable { why: String },
    /// `start` trapped.
    Faulted { why: String },
    /// `start` was not done in its time.
    TimedOut,
}

impl std::fmt::Display for StartFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { status, reason } => write!(f, "refused the call with {status}: {reason}"),
            Self::NotLoadable { why } | Self::Faulted { why } => f.write_str(why),
            Self::TimedOut => f.write_str("start took too long"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BotAct {
    Answer,
    /// The queue has been played already where the bot asked for that.
    Hangup,
    SendDigits {
        id: u64,
        keys: String,
    },
    Note {
        key: String,
        value: String,
    },
    Done,
    /// Answered by [`BotEvent::Control`] under this id, as the next two are.
    Transfer {
        id: u64,
        /// A `sip:`, `sips:` or `tel:` URI that fits between angle brackets.
        target: String,
        headers: Vec<(String, String)>,
    },
    Hold {
        id: u64,
    },
    Resume {
        id: u64,
    },
    /// Of our 200; replaces what was said before.
    AnswerHeaders(Vec<(String, String)>),
    /// Of our BYE; replaces what was said before.
    ByeHeaders(Vec<(String, String)>),
    /// As [`BotAct::Hangup`], with a Reason of SIP: 400 to 699.
    HangupWith {
        status: u16,
        reason: String,
    },
}

/// What came of a transfer, a hold or a resume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlEvent {
    /// Of a transfer: what the other side's NOTIFY says.
    Progress {
        status: u16,
        reason: String,
    },
    Done,
    /// It did not come to be, and the call goes on.
    Failed {
        status: u16,
        reason: String,
    },
}

/// What the bot is told by the call itself. Sound, digits of the media plane, marks and timers reach it by other ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BotEvent {
    Answered,
    Hold,
    Resume,
    /// By SIP INFO, only where telephone-event was not negotiated.
    Digit {
        key: char,
    },
    /// Digits that went by SIP INFO are out.
    DigitsSent {
        id: u64,
    },
    /// No frames from now on; the bot may finish what it has begun.
    Hangup {
        by: By,
        cause: Cause,
    },
    /// Of the act with this id.
    Control {
        id: u64,
        event: ControlEvent,
    },
}

/// `call.attribute`, by name.
pub type Attributes = Vec<(Cow<'static, str>, String)>;

/// All that a bot's start needs.
#[derive(Clone, Debug)]
pub struct BotStart {
    pub route: Arc<Route>,
    /// WIT `call-info`.
    pub id: String,
    pub caller: String,
    pub called: String,
    pub trunk: String,
    /// `call.header`: every header of the INVITE that the trunk is trusted with, in order, bounded by [`Limits`](crate::Limits).
    pub headers: Arc<[(String, String)]>,
    /// `call.attribute`.
    pub attributes: Attributes,
    /// Seeds `random`.
    pub seed: [u8; 32],
}

/// All that a leg's start needs.
#[derive(Clone, Debug)]
pub struct LegOpening {
    pub negotiated: Negotiated,
    pub ssrc: u32,
    /// Below 2^15, so that a receiver's roll-over counter cannot go astray at the start. Source: RFC 3711 3.3.1.
    pub first_sequence: u16,
    pub first_timestamp: u32,
    /// Source: RFC 7022 4.2, short-term.
    pub cname: String,
    /// RTP is accepted from here ...
    pub media_networks: Vec<IpNet>,
    /// ... and whether also from the SDP's address, wherever that lies.
    pub sdp_address_allowed: bool,
    pub media_timeout: Duration,
    /// Whether a bot that wants every frame listens.
    pub frames: bool,
}

/// What a call's log says, one line each. Personal data (numbers, addresses) is not in here: the summary has it, redacted unless asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Milestone {
    Received {
        sip_call_id: String,
        trunk: String,
        transport: sip::Transport,
    },
    Routed {
        route: String,
        tenant: String,
        plugin: String,
    },
    Refused {
        status: u16,
        cause: Cause,
        why: String,
    },
    /// It may be the second leg of a call that we asked for. `request`: which one; None: it starts without context.
    SecondLeg {
        request: Option<String>,
        how: &'static str,
    },
    BotStarted {
        ring: bool,
        after: Duration,
    },
    /// The fall-back takes the bot's place.
    Fallback {
        cause: Cause,
        why: String,
    },
    Answered {
        after: Duration,
        codec: Option<Codec>,
        srtp: bool,
    },
    /// The caller is there: ACK or first packet.
    Established {
        after: Duration,
    },
    Held,
    Resumed,
    /// The bot put the caller on hold, or took it back.
    HeldByBot,
    ResumedByBot,
    /// The caller's side was asked to call somebody else.
    Transferring,
    TransferFailed {
        status: u16,
        why: String,
    },
    OfferRefused {
        why: String,
    },
    /// The RTP source moved: counted, and worth a line.
    SourceMoved {
        from: Option<SocketAddr>,
        to: SocketAddr,
    },
    HungUp {
        by: By,
        cause: Cause,
        why: String,
    },
    /// Something of ours did not answer by its deadline.
    Overdue {
        what: &'static str,
    },
    /// Ports, leg and bot are free. Exactly one for each `Received`.
    Over {
        lasted: Duration,
    },
}

/// What the bot's side counted, for the summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BotStats {
    /// Content digest of the plugin's build, empty if none could be loaded.
    pub digest: String,
    pub generation: u64,
    /// Frames that the bot was entered for.
    pub frames: u64,
    pub events: u64,
    /// Thread CPU time inside the guest, all of it and the most of one entry.
    pub guest_time: Duration,
    pub guest_time_max: Duration,
    pub late_answers: LateAnswers,
    /// Late answers with an empty queue.
    pub underruns: u64,
    /// Caller frames that the bot never saw, its ring being full.
    pub overruns: u64,
    pub wrong_lengths: u64,
    /// New instances that went on from a save after a fault.
    pub restarts: u64,
    /// Moves to another generation, those included that were taken back.
    pub moves: u64,
    /// Times that the bot began to use more CPU than its quota.
    pub cpu_quota_breaches: u64,
    pub barge_ins: BargeIns,
    pub log_lines_dropped: u64,
}

/// Answers that came after their send phase, by what made them late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LateAnswers {
    pub own: u64,
    pub neighbour: u64,
    pub host: u64,
}

/// What exists right now. After the last call every figure is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    pub calls: usize,
    pub dialogs: usize,
    pub ports: usize,
    pub legs: usize,
    pub bots: usize,
    pub timers: usize,
}
