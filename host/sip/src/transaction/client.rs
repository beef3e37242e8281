//! Non-INVITE client transaction. Source: RFC 3261 17.1.2.
//!
//! ```text
//!     Connecting -> Trying -- 1xx --> Proceeding
//!                      |                  |
//!                      +---- 200-699 -----+--> Completed -- K --> end
//! ```

use super::{Act::*, On, Step};
use crate::timers::{T1, T1_64, T2, T4, Timer::*};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Connecting,
    Trying,
    Proceeding,
    Completed,
}

pub(crate) fn step(state: State, on: On, reliable: bool) -> Step<State> {
    use State::*;
    match (state, on) {
        (Connecting, On::Go) if reliable => (Trying, &[Send, Start(F, T1_64)]),
        (Connecting, On::Go) => (Trying, &[Send, Start(E, T1), Start(F, T1_64)]),

        (Trying, On::Timer(E)) => (Trying, &[Send, Double(E, T2)]),
        (Proceeding, On::Timer(E)) => (Proceeding, &[Send, Start(E, T2)]),
        (Trying | Proceeding, On::Timer(F)) => (state, &[TimedOut, End]),
        (Trying | Proceeding, On::Provisional) => (Proceeding, &[]),
        (Trying | Proceeding, On::Success | On::Failure) if reliable => (Completed, &[Pass, End]),
        (Trying | Proceeding, On::Success | On::Failure) => (Completed, &[Stop(E), Stop(F), Start(K, T4), Pass]),

        (Completed, On::Timer(K)) => (Completed, &[End]),
        (state, _) => (state, &[]),
    }
}
