//! The trunk calls a host that was started as an operator does: inbound and as the second leg of calls that the host asked for.
//!
//!     cargo test -p patchbay-trunk --test calls -- --test-threads=1
//!
//! The environment says what is tested, as for tests/interop. What a test leaves behind lies in target/trunk/<test>/.

mod host;

mod dialled;
mod inbound;
