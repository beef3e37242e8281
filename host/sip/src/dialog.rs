//! One dialog: who it is with, where it has got to, and what is pending in it. Source: RFC 3261 12.

use std::collections::VecDeque;
use std::time::Duration;

use crate::door::{DialogId, Flow, Reason, Transport};
use crate::endpoint::transactions::TransactionId;
use crate::message::{Contact, HeaderName, Request, Response};
use crate::name_addr::NameAddr;
use crate::refer::{Refer, ReferTarget};
use crate::session_timer::SessionTimer;
use crate::uri::Uri;

/// Where a dialog has got to.
#[derive(Debug)]
pub(crate) enum State {
    /// UAS: its INVITE is `Dialog::pending` and has no final answer.
    Early,
    /// UAS: refused; the transaction waits for the ACK.
    Refused { status: u16 },
    /// UAC: our INVITE has no final answer.
    Calling { invite: TransactionId, cancel: Cancel },
    /// A 2xx was sent or received.
    Established,
    /// Our BYE is on its way.
    Closing,
}

/// UAC: whether the INVITE is being taken back. Source: RFC 3261 9.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    No,
    /// Asked for, but a CANCEL may go only after a provisional response.
    Wanted,
    Sent,
}

/// The peer's INVITE, re-INVITE or UPDATE that the call plane has yet to answer.
#[derive(Debug)]
pub(crate) struct Pending {
    pub transaction: TransactionId,
    pub is_invite: bool,
    /// It carried a session description.
    pub offered: bool,
    pub cseq: u32,
    /// Its Contact, for when it is accepted (RFC 3261 12.2.2).
    pub target: Option<Uri>,
    pub session: Option<SessionTimer>,
    /// `Require: 100rel`: no unreliable 180 may be sent (RFC 3262 3).
    pub requires_reliable: bool,
}

/// Our 2xx to an INVITE that has no ACK. Source: RFC 3261 13.3.1.4.
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    pub transaction: TransactionId,
    pub cseq: u32,
    pub interval: Duration,
    /// It carried our offer, so the ACK carries the answer.
    pub offered: bool,
    /// The INVITE that made the dialog, no re-INVITE.
    pub initial: bool,
}

/// A request of ours that waits for its turn: one at a time, since a late one would be stale to the peer.
#[derive(Debug)]
pub(crate) enum Waiting {
    Info { digit: char, duration_ms: u32 },
    Refresh,
    Refer { target: ReferTarget, headers: Vec<(String, String)> },
}

/// Our re-INVITE.
#[derive(Debug)]
pub(crate) enum Reinvite {
    Sent {
        cseq: u32,
        sdp: Vec<u8>,
        tries: u8,
        /// It only refreshes the session: its answer is told to nobody.
        refresh: bool,
        /// Goes after a refresh.
        next: Option<Vec<u8>>,
    },
    /// Answered 491, or the peer's own is open: goes again at Timer `Glare`.
    Again { sdp: Vec<u8>, tries: u8, refresh: bool },
}

/// The ACK of a 2xx that we got: sent again whenever the 2xx is. Source: RFC 3261 13.2.2.4.
#[derive(Debug)]
pub(crate) enum Acknowledging {
    Nothing,
    /// The 2xx carried an offer; the call plane has yet to answer.
    Answer {
        cseq: u32,
    },
    Done {
        cseq: u32,
        sdp: Vec<u8>,
    },
}

#[derive(Debug)]
pub(crate) struct Dialog {
    pub id: DialogId,
    pub state: State,
    pub call_id: String,
    pub local_tag: String,
    pub remote_tag: Option<String>,
    /// The From of our requests, tag included.
    pub local: Vec<u8>,
    /// The To of our requests.
    pub remote: Vec<u8>,
    pub local_cseq: u32,
    pub remote_cseq: Option<u32>,
    pub remote_target: Uri,
    pub route_set: Vec<NameAddr>,
    /// Our Contact, the same for the dialog's life.
    pub contact: String,
    /// The way of the dialog's last request.
    pub flow: Flow,
    /// We sent the INVITE, so the Call-ID is ours (RFC 3261 14.1).
    pub is_uac: bool,
    pub peer_allows_update: bool,
    pub pending: Option<Pending>,
    pub unacknowledged: Option<Unacknowledged>,
    pub acknowledging: Acknowledging,
    pub reinvite: Option<Reinvite>,
    pub waiting: VecDeque<Waiting>,
    /// One of `waiting` is on its way.
    pub request_in_flight: bool,
    pub session: Option<SessionTimer>,
    /// The largest Min-SE of a 422. RFC 4028 7.3.
    pub min_se_s: Option<u32>,
    pub refer: Option<Refer>,
    /// What we last offered or answered, for a refresh by re-INVITE.
    pub local_sdp: Vec<u8>,
    /// A BYE that waits for the ACK of our 2xx (RFC 3261 15).
    pub bye_wanted: Option<Option<Reason>>,
    pub bye_headers: Vec<(String, String)>,
    /// Transactions alive that belong to this dialog.
    pub transactions: usize,
}

impl Dialog {
    /// The dialog that an INVITE to us may become. `remote_target`: its Contact. Source: RFC 3261 12.1.1.
    pub(crate) fn from_invite(
        id: DialogId,
        request: &Request,
        target: Uri,
        tag: String,
        contact: String,
        flow: Flow,
    ) -> Self {
        let mut dialog = Dialog::new(id, request.call_id(), tag, target, contact, flow);
        dialog.remote_tag = request.from_tag().map(str::to_owned);
        dialog.local = request.to().with_tag(&dialog.local_tag).as_bytes().to_vec();
        dialog.remote = request.from().as_bytes().to_vec();
        dialog.remote_cseq = Some(request.cseq().number);
        dialog.route_set = request.record_routes().collect();
        dialog.peer_allows_update = allows_update(request);
        dialog
    }

    pub(crate) fn new(id: DialogId, call_id: &str, tag: String, target: Uri, contact: String, flow: Flow) -> Self {
        Dialog {
            id,
            state: State::Early,
            call_id: call_id.to_owned(),
            local_tag: tag,
            remote_tag: None,
            local: Vec::new(),
            remote: Vec::new(),
            local_cseq: 0,
            remote_cseq: None,
            remote_target: target,
            route_set: Vec::new(),
            contact,
            flow,
            is_uac: false,
            peer_allows_update: false,
            pending: None,
            unacknowledged: None,
            acknowledging: Acknowledging::Nothing,
            reinvite: None,
            waiting: VecDeque::new(),
            request_in_flight: false,
            session: None,
            min_se_s: None,
            refer: None,
            local_sdp: Vec::new(),
            bye_wanted: None,
            bye_headers: Vec::new(),
            transactions: 0,
        }
    }

    /// The peer's part of a 2xx to our INVITE. Source: RFC 3261 12.1.2.
    pub(crate) fn establish(&mut self, response: &Response) {
        self.remote_tag = response.to_tag().map(str::to_owned);
        self.remote = response.to().as_bytes().to_vec();
        self.route_set = response.record_routes().collect();
        self.route_set.reverse();
        self.peer_allows_update = response.tokens(HeaderName::Allow).any(|method| method == "UPDATE");
        if let Some(target) = target_of(response.contact()) {
            self.remote_target = target;
        }
        self.state = State::Established;
    }

    pub(crate) fn is_established(&self) -> bool {
        matches!(self.state, State::Established)
    }

    /// Where our requests go by the route set: its first URI, else the remote target. Source: RFC 3261 12.2.1.1.
    pub(crate) fn next_hop(&self) -> &Uri {
        self.route_set.first().map_or(&self.remote_target, NameAddr::uri)
    }

    /// An offer stands unanswered, ours or theirs, or an INVITE of ours is on its way: no new one may begin.
    /// Source: RFC 3261 14.1, RFC 3264 4.
    pub(crate) fn offer_is_open(&self) -> bool {
        self.pending.is_some() || self.offers() || self.unacknowledged.is_some() || self.owes_answer()
    }

    /// A re-INVITE of ours is on its way; one that waits for the end of a glare is not.
    pub(crate) fn offers(&self) -> bool {
        matches!(self.reinvite, Some(Reinvite::Sent { .. }))
    }

    /// The peer's 2xx carried an offer that we have not answered.
    pub(crate) fn owes_answer(&self) -> bool {
        matches!(self.acknowledging, Acknowledging::Answer { .. })
    }

    pub(crate) fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }
}

pub(crate) fn allows_update(request: &Request) -> bool {
    request.tokens(HeaderName::Allow).any(|method| method == "UPDATE")
}

/// A Contact as the target of later requests: without the header part, which a request-URI may not have.
/// None: no Contact, `*`, or a scheme that nothing can be sent to.
pub(crate) fn target_of(contact: Option<Contact>) -> Option<Uri> {
    let Some(Contact::Address(address)) = contact else {
        return None;
    };
    address.uri().host()?;
    let text = address.uri().as_str();
    Uri::parse(text.split('?').next().unwrap_or(text).as_bytes()).ok()
}

/// The transport parameter of our own Contact.
pub(crate) fn transport_name(transport: Transport) -> (&'static str, &'static str) {
    match transport {
        Transport::Udp => ("UDP", "udp"),
        Transport::Tcp => ("TCP", "tcp"),
        Transport::Tls => ("TLS", "tls"),
    }
}

/// `host:port`, IPv6 in brackets.
pub(crate) fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
