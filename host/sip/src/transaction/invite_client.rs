//! INVITE client transaction. Source: RFC 3261 17.1.1 as changed by RFC 6026 7.2.
//!
//! ```text
//!     Connecting -> Calling -- 1xx --> Proceeding
//!                      |                   |
//!            300-699   +---------+---------+   2xx
//!               v                                v
//!     Completed (ACK each) -- D --> end      Accepted (the core ACKs each) -- M --> end
//! ```
//! Timer C stands for the deadline that RFC 3261 gives a UAC the freedom to choose; after it, or a CANCEL, Timer B runs anew.

use super::{Act::*, On, Step};
use crate::timers::{T1, T1_64, Timer::*};
use std::time::Duration;

/// How long an INVITE may stay provisional. Source: RFC 3261 16.6 item 11.
const TIMER_C: Duration = Duration::from_secs(180);
/// Source: RFC 3261 17.1.1.2.
const TIMER_D: Duration = Duration::from_secs(32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Connecting,
    Calling,
    Proceeding,
    Completed,
    Accepted,
}

pub(crate) fn step(state: State, on: On, reliable: bool) -> Step<State> {
    use State::*;
    match (state, on) {
        (Connecting, On::Go) if reliable => (Calling, &[Send, Start(B, T1_64)]),
        (Connecting, On::Go) => (Calling, &[Send, Start(A, T1), Start(B, T1_64)]),

        (Calling, On::Timer(A)) => (Calling, &[Send, Double(A, T1_64)]),
        (Calling | Proceeding, On::Timer(B)) => (state, &[TimedOut, End]),
        (Calling, On::Provisional) => (Proceeding, &[Stop(A), Stop(B), Start(C, TIMER_C), Pass]),
        (Proceeding, On::Provisional) => (Proceeding, &[Pass]),
        (Proceeding, On::Timer(C)) => (Proceeding, &[Cancel]),
        (Calling | Proceeding, On::Success) => (Accepted, &[Stop(A), Stop(B), Stop(C), Start(M, T1_64), Pass]),
        (Calling | Proceeding, On::Failure) if reliable => (Completed, &[SendAck, Pass, End]),
        (Calling | Proceeding, On::Failure) => {
            (Completed, &[Stop(A), Stop(B), Stop(C), SendAck, Start(D, TIMER_D), Pass])
        }

        (Completed, On::Failure) => (Completed, &[SendAck]),
        (Completed, On::Timer(D)) => (Completed, &[End]),

        (Accepted, On::Success) => (Accepted, &[Pass]),
        (Accepted, On::Timer(M)) => (Accepted, &[End]),
        (state, _) => (state, &[]),
    }
}
