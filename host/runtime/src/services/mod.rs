//! What bots can use beyond telephony, carried out.

pub mod chat;
pub mod engines;
#[cfg(test)]
mod scripted;
pub mod speech;
mod task;
