//! What bots can use beyond telephony, carried out.

pub mod chat;
pub mod engines;
pub mod speech;
mod task;
