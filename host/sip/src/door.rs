//! What goes in and out of the [`Endpoint`](crate::Endpoint): the vocabulary between signalling, SIP and the call.

use std::net::SocketAddr;

use crate::message::{Request, Response};
use crate::refer::ReferTarget;

/// How a message travels. Units: none. Source: RFC 3261 18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// Index into the list of listeners the endpoint was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// Index into the operator's list of trunks: who the peer's address says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrunkId(pub u16);

/// One TCP or TLS connection, numbered by the edge for the life of the process, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Where a message came from, and the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    pub transport: Transport,
    /// The listener it came in by; for a connection that we opened, the listener whose address we advertise on it.
    pub listener: ListenerId,
    /// None on UDP.
    pub connection: Option<ConnectionId>,
    pub remote: SocketAddr,
    pub trunk: TrunkId,
}

/// The host's name for one dialog, UAS or UAC, from its INVITE to its end; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialogId(pub u64);

impl DialogId {
    /// The name of a dialog that the caller of [`Command::Invite`] numbers itself: never one that the endpoint gives.
    pub const fn outgoing(number: u64) -> DialogId {
        DialogId(number | 1 << 63)
    }
}

/// Pairs an [`Output::Connect`] with its [`Input::Connected`] or [`Input::ConnectFailed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectId(pub u64);

/// What the edge hands in.
#[derive(Debug)]
pub enum Input<'a> {
    /// One whole message: a datagram, or what [`framing`](crate::framing) cut from a stream.
    Message {
        flow: Flow,
        bytes: &'a [u8],
    },
    /// The connection is gone. Dialogs on it go on.
    Closed {
        connection: ConnectionId,
    },
    Connected {
        id: ConnectId,
        flow: Flow,
    },
    ConnectFailed {
        id: ConnectId,
    },
    Command(Command),
}

/// What the call plane asks for. A command for a dialog that has ended meanwhile does nothing.
#[derive(Debug)]
pub enum Command {
    /// 180.
    Ring { dialog: DialogId },
    /// 200 to the INVITE.
    Answer { dialog: DialogId, sdp: Vec<u8>, headers: Vec<(String, String)> },
    /// A final refusal of the INVITE, or of the first offer.
    Reject { dialog: DialogId, rejection: Rejection },
    /// 200 to the re-INVITE or UPDATE that [`Event::Offer`] reported. `sdp` is empty for one that carried none by UPDATE.
    AcceptOffer { dialog: DialogId, sdp: Vec<u8> },
    /// The session stays as it was.
    RejectOffer { dialog: DialogId, rejection: Rejection },
    /// Ends an established dialog; for one whose 200 has no ACK yet, as soon as RFC 3261 15 allows. One that has no
    /// final answer is refused with 480 (UAS) or cancelled (UAC).
    Bye { dialog: DialogId, reason: Option<Reason> },
    /// One digit by INFO (application/dtmf-relay).
    InfoDigit { dialog: DialogId, digit: char, duration_ms: u32 },
    /// Calls out. Used by `patchbay call` and by tests; answers come as `Event::Ringing`, `Accepted`, `Rejected`.
    Invite(Box<OutgoingInvite>),
    /// The answer to the offer that came in the 2xx to an INVITE or re-INVITE of ours without one; goes out in the ACK.
    Acknowledge { dialog: DialogId, sdp: Vec<u8> },
    /// A new offer within an established dialog (re-INVITE); empty `sdp` asks the peer for its offer. Waits while an offer of the
    /// peer's is open, and takes the place of one of ours that waits; [`Event::OfferRejected`] 491 while one of ours is on its way.
    Reinvite { dialog: DialogId, sdp: Vec<u8> },
    /// Asks the peer to call somebody else in our stead. Answered by any number of [`Event::ReferProgress`] and one
    /// [`Event::ReferEnded`], or by the end of the dialog. One at a time. Source: RFC 3515.
    Refer { dialog: DialogId, target: ReferTarget, headers: Vec<(String, String)> },
    /// What goes with the BYE beside what every BYE of ours says, whoever wants it sent. The last such command counts.
    ByeHeaders { dialog: DialogId, headers: Vec<(String, String)> },
    /// Takes back an INVITE of ours that has no final answer.
    Cancel { dialog: DialogId },
    /// From now on OPTIONS and out-of-dialog INVITE get 503, without Retry-After.
    Drain,
}

#[derive(Debug)]
pub struct OutgoingInvite {
    pub dialog: DialogId,
    /// The request-URI as it goes on the wire.
    pub uri: String,
    pub from: String,
    pub flow: Flow,
    pub sdp: Vec<u8>,
    pub headers: Vec<(String, String)>,
}

/// A refusal, as the peer will read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub status: u16,
    /// Reason phrase; None for the RFC's own.
    pub phrase: Option<String>,
    pub reason: Option<Reason>,
    pub retry_after_s: Option<u32>,
}

/// A Reason header. Source: RFC 3326.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `SIP` or `Q.850`, or what the peer wrote.
    pub protocol: String,
    pub cause: Option<u16>,
    pub text: String,
}

/// What the edge must do.
#[derive(Debug)]
pub enum Output {
    Send {
        flow: Flow,
        bytes: Vec<u8>,
    },
    /// Finds the way to a route or contact by RFC 3263 and opens it; answered by [`Input::Connected`] or `ConnectFailed`.
    Connect {
        id: ConnectId,
        target: Target,
    },
    Event(Event),
}

/// Where a request of ours has to go when no live flow leads there. Source: RFC 3263 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub trunk: TrunkId,
    pub listener: ListenerId,
    pub transport: Transport,
    /// A name or an address literal, IPv6 without brackets.
    pub host: String,
    /// None: SRV, then the transport's default port.
    pub port: Option<u16>,
}

/// What happened to a call.
#[derive(Debug)]
pub enum Event {
    /// A new INVITE, 100 already sent. Answered by `Command::Answer` or `Reject`.
    Invite { dialog: DialogId, flow: Flow, request: Box<Request> },
    /// The 200 was acknowledged. `sdp` is the answer to an offer that our 200 carried, if it did.
    Acknowledged { dialog: DialogId, sdp: Option<Vec<u8>> },
    /// A re-INVITE or UPDATE. `sdp` None: a re-INVITE that asks us to offer, or an UPDATE without a session
    /// (which the endpoint answers by itself and does not report).
    Offer { dialog: DialogId, sdp: Option<Vec<u8>> },
    /// The answer that came in the ACK of a re-INVITE without SDP, or in the 200 to our own re-INVITE.
    OfferAnswered { dialog: DialogId, sdp: Vec<u8> },
    /// Our own re-INVITE was refused; the session stays as it was.
    OfferRejected { dialog: DialogId, status: u16 },
    /// The peer took its offer back (CANCEL), or we were too slow: the session stays as it was.
    OfferWithdrawn { dialog: DialogId },
    /// A digit by INFO; the endpoint has answered 200.
    InfoDigit { dialog: DialogId, digit: char, duration_ms: u32 },
    /// What the peer's NOTIFY says of our REFER: 100 to 199, told when it changes, 16 times at most.
    ReferProgress { dialog: DialogId, status: u16, phrase: String },
    /// What came of our REFER: 2xx, the one it named has answered; else what refused the REFER or that call, 408 if nothing was
    /// heard in time. The dialog goes on.
    ReferEnded { dialog: DialogId, status: u16, phrase: String },
    /// UAC: a provisional answer above 100.
    Ringing { dialog: DialogId, status: u16 },
    /// UAC: 200 received, ACK sent; or, if our INVITE had no offer, held until [`Command::Acknowledge`].
    Accepted { dialog: DialogId, response: Box<Response> },
    /// The dialog is over, or never came to be. Exactly one for each `Invite`, and the last event of its call.
    Ended { dialog: DialogId, ending: Ending },
}

/// How a dialog ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer's BYE.
    PeerBye { reason: Option<Reason> },
    /// The peer's CANCEL before our final answer.
    Cancelled,
    /// Our BYE: answered, or out of time.
    OurBye,
    /// We refused the INVITE, and the peer acknowledged that or its transaction timed out.
    Rejected { status: u16 },
    /// UAC: the peer refused, or nothing answered (408), or no way was found (503).
    Refused { status: u16, phrase: String },
    /// Our 200 was never acknowledged. Source: RFC 3261 13.3.1.4. A BYE has been sent.
    NoAck,
    /// The session was not refreshed. Source: RFC 4028 10. A BYE has been sent.
    SessionExpired,
    /// A request of ours within the dialog got 481 or 408, or no answer. Source: RFC 3261 12.2.1.2.
    Gone { status: u16 },
}
