//! Calls: where a SIP dialog, a media leg and a bot meet. Routing, admission, refusals, teardown, and the record of each call.
//!
//! Sans-IO: [`Calls`] takes [`Input`]s and the time, and gives [`Output`]s. It never reads a clock, opens a socket,
//! starts a thread, touches sound or enters a guest, and it names no Wasm engine: bots are reached through words of [`door`].
//!
//! Start reading at [`door`] (what goes in and out), then `control` (the states of a call and who may move them), then
//! `setup`, `offers`, `talk` and `teardown`, one stage of a call each.

mod door;
mod identity;
mod routing;
mod summary;

pub use door::*;
pub use identity::{Identity, Verdict};
pub use routing::{Called, Fallback, Route, Routing, called_number};
pub use summary::{BotRecord, MediaRecord, Summary};
