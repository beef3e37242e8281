//! INVITE server transaction. Source: RFC 3261 17.2.1 as changed by RFC 6026 7.1.
//!
//! ```text
//!                    INVITE
//!                      v
//!               +-- Proceeding --+
//!       300-699 |                | 2xx
//!               v                v
//!           Completed         Accepted  (the core repeats the 2xx)
//!        ACK |     | H           | L
//!            v     v             v
//!       Confirmed  end          end
//!            | I
//!            v
//!           end
//! ```

use super::{Act::*, On, Step};
use crate::timers::{T1, T1_64, T2, T4, Timer::*};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Proceeding,
    Completed,
    Confirmed,
    Accepted,
}

pub(crate) fn step(state: State, on: On, reliable: bool) -> Step<State> {
    use State::*;
    match (state, on) {
        (Proceeding, On::Again | On::Provisional) => (Proceeding, &[Send]),
        (Proceeding, On::Success) => (Accepted, &[Send, Start(L, T1_64)]),
        (Proceeding, On::Failure) if reliable => (Completed, &[Send, Start(H, T1_64)]),
        (Proceeding, On::Failure) => (Completed, &[Send, Start(G, T1), Start(H, T1_64)]),

        (Completed, On::Again) => (Completed, &[Send]),
        (Completed, On::Timer(G)) => (Completed, &[Send, Double(G, T2)]),
        (Completed, On::Ack) if reliable => (Confirmed, &[Pass, End]),
        (Completed, On::Ack) => (Confirmed, &[Stop(G), Stop(H), Start(I, T4), Pass]),
        (Completed, On::Timer(H)) => (Completed, &[TimedOut, End]),

        (Confirmed, On::Timer(I)) => (Confirmed, &[End]),

        (Accepted, On::Success) => (Accepted, &[Send]),
        (Accepted, On::Timer(L)) => (Accepted, &[End]),
        (state, _) => (state, &[]),
    }
}
