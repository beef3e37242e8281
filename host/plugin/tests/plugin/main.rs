//! Bots that behave and bots that do not, run by the real engine.

mod bots;
mod capabilities;
mod contract;
mod conversation;
mod faults;
mod generations;
mod loading;
mod phone;
mod wasi;
