//! Every timer of the endpoint in one table, and the queue that says which fires next.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Estimate of the round trip. Source: RFC 3261 17.1.1.1.
pub const T1: Duration = Duration::from_millis(500);
/// The longest interval between retransmissions of a non-INVITE request or an INVITE response. Source: RFC 3261 17.1.2.2.
pub const T2: Duration = Duration::from_secs(4);
/// The longest time a message stays in the network. Source: RFC 3261 17.1.2.2.
pub const T4: Duration = Duration::from_secs(5);
/// How long a transaction tries. Source: RFC 3261 17.1.1.2.
pub const T1_64: Duration = Duration::from_secs(32);

/// What a deadline is for. One owner has at most one deadline of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// INVITE request retransmission over UDP: T1, doubling. RFC 3261 17.1.1.2.
    A,
    /// INVITE client transaction time-out: 64*T1. RFC 3261 17.1.1.2.
    B,
    /// Our INVITE has a provisional answer and no final one: 180 s, then CANCEL. RFC 3261 16.6 item 11.
    C,
    /// Absorbs retransmitted refusals of our INVITE: 32 s over UDP, 0 otherwise. RFC 3261 17.1.1.2.
    D,
    /// Non-INVITE request retransmission over UDP: T1, doubling to T2. RFC 3261 17.1.2.2.
    E,
    /// Non-INVITE client transaction time-out: 64*T1. RFC 3261 17.1.2.2.
    F,
    /// Retransmission of a refusal of the peer's INVITE over UDP: T1, doubling to T2. RFC 3261 17.2.1.
    G,
    /// Waits for the ACK of a refusal: 64*T1. RFC 3261 17.2.1.
    H,
    /// Absorbs retransmitted ACKs: T4 over UDP, 0 otherwise. RFC 3261 17.2.1.
    I,
    /// Absorbs retransmitted non-INVITE requests: 64*T1 over UDP, 0 otherwise. RFC 3261 17.2.2.
    J,
    /// Absorbs retransmitted responses: T4 over UDP, 0 otherwise. RFC 3261 17.1.2.2.
    K,
    /// Absorbs retransmitted INVITEs after a 2xx: 64*T1. RFC 6026 8.7.
    L,
    /// Lets retransmitted 2xx through to the UAC core: 64*T1. RFC 6026 8.4.
    M,
    /// Retransmission of a 2xx by the UAS core until its ACK: T1, doubling to T2, on every transport. RFC 3261 13.3.1.4.
    Accept,
    /// No ACK for our 2xx: 64*T1. RFC 3261 13.3.1.4.
    NoAck,
    /// The call plane has not answered an INVITE: the INVITE's Expires, or our own limit. RFC 3261 13.3.1.
    Answer,
    /// A 180 is repeated so that proxies keep waiting: 1 min. RFC 3261 13.3.1.1.
    Ringing,
    /// A re-INVITE after 491: 0 to 2 s, or 2.1 to 4 s for the owner of the Call-ID. RFC 3261 14.1.
    Glare,
    /// We refresh the session: half its interval. RFC 4028 7.2.
    Refresh,
    /// The peer has not refreshed the session: min(32 s, a third) before its end. RFC 4028 10.
    Expire,
    /// Nothing is heard of our REFER: 30 s (RFC 6665 4.1.2.4 has 32), after a NOTIFY as long as it says, 3 min in all.
    Refer,
    /// A connection that we asked for has not come: 64*T1. RFC 3261 17.1.1.2, 17.1.2.2.
    Connect,
}

/// The deadlines of all owners, in order.
/// Cost: O(log n) to start, stop and take; nothing is left behind by a stopped timer.
pub(crate) struct Deadlines<Owner> {
    queue: BTreeSet<(Instant, Owner, Timer)>,
    owners: HashMap<Owner, Vec<(Timer, Instant)>>,
}

impl<Owner: Copy + Ord + std::hash::Hash> Deadlines<Owner> {
    pub(crate) fn new() -> Self {
        Deadlines { queue: BTreeSet::new(), owners: HashMap::new() }
    }

    /// Starts a timer; one of the same kind that was running is moved.
    pub(crate) fn start(&mut self, owner: Owner, timer: Timer, at: Instant) {
        self.stop(owner, timer);
        self.queue.insert((at, owner, timer));
        self.owners.entry(owner).or_default().push((timer, at));
    }

    pub(crate) fn stop(&mut self, owner: Owner, timer: Timer) {
        let Some(running) = self.owners.get_mut(&owner) else {
            return;
        };
        if let Some(index) = running.iter().position(|(kind, _)| *kind == timer) {
            let (_, at) = running.swap_remove(index);
            self.queue.remove(&(at, owner, timer));
        }
        if running.is_empty() {
            self.owners.remove(&owner);
        }
    }

    pub(crate) fn stop_all(&mut self, owner: Owner) {
        for (timer, at) in self.owners.remove(&owner).unwrap_or_default() {
            self.queue.remove(&(at, owner, timer));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _, _)| *at)
    }

    /// Takes the earliest deadline that has come.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(Owner, Timer)> {
        let (at, owner, timer) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.stop(owner, timer);
        Some((owner, timer))
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}
