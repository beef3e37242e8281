//! Whole calls as ladders: a caller and the host in virtual time, what went over the wire line by line, compared with the files in
//! `snapshots/`. After a change that is meant: `UPDATE_LADDERS=1 cargo test -p patchbay-tests --test ladders`, and read the difference.
//!
//! The host is the real one as far as it is sans-IO: [`sip::Endpoint`] and [`call::Calls`]. Ports, legs and bots are played by
//! [`world::World`], which also counts that none of them is left behind.

mod endings;
mod faults;
mod offers;
mod raw;
mod setup;
mod signalling;
mod trunk;
mod world;
