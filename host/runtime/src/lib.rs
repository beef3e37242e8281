//! The `patchbay` host: all input and output, all threads, the configuration and the command line.
//!
//! It joins the sans-IO crates to the world: [`signalling`] owns TCP, TLS and UDP, `media_shard` the RTP sockets and their
//! clock, `bots` the workers that run guests, `core` the task in which sip and call meet. It decides nothing about SIP,
//! media or a call. Nothing here is called by the other crates.
//!
//! Start reading at `main.rs`, then `serve`, then [`signalling`].

pub mod admin;
pub mod bot_folder;
mod bots;
pub mod call_client;
pub mod capacity;
pub mod check;
pub mod cli;
pub mod compile_child;
pub mod config;
mod core;
pub mod doctor;
pub mod drain;
pub mod hosting;
mod media_shard;
pub mod observe;
pub mod operate;
pub mod outbound;
mod rtp_ports;
pub mod said;
pub mod serve;
mod services;
mod settling;
pub mod signalling;
mod soon;
mod tenancy;
pub mod tls;
pub mod wiring;
