//! Non-INVITE server transaction. Source: RFC 3261 17.2.2; no provisional responses (RFC 4320 4.1).
//!
//! ```text
//!     request -> Trying -- final --> Completed -- J --> end
//! ```

use super::{Act::*, On, Step};
use crate::timers::{T1_64, Timer::*};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Trying,
    Completed,
}

pub(crate) fn step(state: State, on: On, reliable: bool) -> Step<State> {
    use State::*;
    match (state, on) {
        (Trying, On::Success | On::Failure) if reliable => (Completed, &[Send, End]),
        (Trying, On::Success | On::Failure) => (Completed, &[Send, Start(J, T1_64)]),
        (Completed, On::Again) => (Completed, &[Send]),
        (Completed, On::Timer(J)) => (Completed, &[End]),
        (state, _) => (state, &[]),
    }
}
