//! The four transaction machines, each a table from (state, what happened) to (state, what to do).
//!
//! The tables know nothing of messages or clocks; [`Endpoint`](crate::Endpoint) feeds them and does what they say.

pub(crate) mod client;
pub(crate) mod invite_client;
pub(crate) mod invite_server;
pub(crate) mod server;

use std::time::Duration;

use crate::timers::Timer;

/// What happened to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// Client: a way to the peer is known.
    Go,
    /// A 1xx, sent (server) or received (client).
    Provisional,
    /// A 2xx, sent or received.
    Success,
    /// A 3xx to 6xx, sent or received.
    Failure,
    /// Server: the request came again.
    Again,
    /// INVITE server: an ACK within the transaction, which acknowledges a refusal.
    Ack,
    Timer(Timer),
}

/// What the endpoint does about it, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Sends the transaction's message: the request, or the last response.
    Send,
    /// INVITE client: acknowledges a refusal, within the transaction. RFC 3261 17.1.1.3.
    SendAck,
    Start(Timer, Duration),
    Stop(Timer),
    /// Starts the timer again with twice its last interval, at most this one.
    Double(Timer, Duration),
    /// Tells the core: the response (client), or that the refusal was acknowledged (server).
    Pass,
    /// Tells the core that nothing came.
    TimedOut,
    /// INVITE client: nothing final came for too long; the core takes the INVITE back.
    Cancel,
    /// Forgets the transaction.
    End,
}

pub(crate) type Step<State> = (State, &'static [Act]);

/// The state of a transaction, whichever of the four it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    InviteServer(invite_server::State),
    Server(server::State),
    InviteClient(invite_client::State),
    Client(client::State),
}

impl Machine {
    /// Moves on; what has no entry in the table changes nothing.
    pub(crate) fn step(&mut self, on: On, reliable: bool) -> &'static [Act] {
        let acts;
        *self = match *self {
            Machine::InviteServer(state) => {
                let (next, todo) = invite_server::step(state, on, reliable);
                acts = todo;
                Machine::InviteServer(next)
            }
            Machine::Server(state) => {
                let (next, todo) = server::step(state, on, reliable);
                acts = todo;
                Machine::Server(next)
            }
            Machine::InviteClient(state) => {
                let (next, todo) = invite_client::step(state, on, reliable);
                acts = todo;
                Machine::InviteClient(next)
            }
            Machine::Client(state) => {
                let (next, todo) = client::step(state, on, reliable);
                acts = todo;
                Machine::Client(next)
            }
        };
        acts
    }

    /// A server transaction whose final response has not been chosen.
    pub(crate) fn awaits_our_answer(self) -> bool {
        matches!(self, Machine::InviteServer(invite_server::State::Proceeding) | Machine::Server(server::State::Trying))
    }

    /// A client transaction without a final response.
    pub(crate) fn awaits_their_answer(self) -> bool {
        use {client::State as Plain, invite_client::State as Invite};
        matches!(
            self,
            Machine::InviteClient(Invite::Connecting | Invite::Calling | Invite::Proceeding)
                | Machine::Client(Plain::Connecting | Plain::Trying | Plain::Proceeding)
        )
    }
}
