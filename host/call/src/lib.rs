//! Calls: where a SIP dialog, a media leg and a bot meet. Routing, admission, refusals, teardown, and the record of each call.
//!
//! Sans-IO: [`Calls`] takes [`Input`]s and the time, and gives [`Output`]s. It never reads a clock, opens a socket,
//! starts a thread, touches sound or enters a guest, and it names no Wasm engine: bots are reached through the words of `door`.
//!
//! Start reading at `door` (what goes in and out), then `call` (the stages of a call) and `control` (who may move them), then
//! `setup`, `talk`, `offers` and `teardown`, one stretch of a call each, and `signalling` and `transfer` for what a bot asks beyond them.

mod admission;
mod call;
mod cause;
mod control;
mod digits;
mod door;
mod identity;
mod ladder;
mod offers;
mod outbound;
mod record;
mod routing;
mod second_leg;
mod session;
mod settings;
mod setup;
mod signalling;
mod summary;
mod talk;
mod teardown;
#[cfg(test)]
mod test_setup;
mod transfer;
mod view;

pub use cause::{By, Cause};
pub use control::Calls;
pub use door::*;
pub use identity::{Identity, Verdict};
pub use ladder::{Direction, Ladder};
pub use outbound::{Context, Dial, OutboundEvent, OutboundInput};
pub use record::call_name;
pub use routing::{Called, Fallback, Route, Routing, called_number, called_uri};
pub use settings::{Limits, Settings, Tenant, Trunk, WallClock};
pub use summary::{BargeInTimes, BargeIns, BotRecord, MediaRecord, Summary, mask_numbers};
pub use view::CallView;
