//! Real SIP clients that others wrote call the host: sipp, baresip and pjsua2, each headless, each in a process of its own,
//! over loopback; tshark reads what went over the wire and what the host captured itself.
//!
//!     cargo test -p patchbay-tests --test interop -- --test-threads=1
//!
//! Calls happen in real time, so one test runs at a time: each holds `Stage`'s turn, whatever the number of threads.
//! The environment says what is tested: `PATCHBAY_BIN` (target/debug/patchbay), `PATCHBAY_BOTS` (target/bots) and
//! `PATCHBAY_TEST_BOTS` (target/bots-test). What a test leaves behind lies in target/interop/<test>/.
//!
//! A client that is missing (clients.txt lists them) fails the tests that need it if `CI` is `true`; elsewhere those are
//! skipped, and stderr says so. Captures and sipp's recordings need root: they use raw sockets.
//!
//! Start reading at `stage.rs`, then `baresip_calls.rs`.

mod baresip;
mod capture;
mod clients;
mod host;
mod pjsua;
mod rtp_file;
mod sipp;
mod stage;

mod baresip_calls;
mod control_calls;
mod pjsua_calls;
mod reload_calls;
mod sipp_calls;

use patchbay_tests::{certificates, running, sound};
