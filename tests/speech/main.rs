//! Real neural engines behind the host's own clients: Whisper hears, piper speaks, and a script stands for the language model. They
//! are local servers that speak OpenAI's protocols (engines/server.py); no traffic leaves this machine.
//!
//!     cargo test -p patchbay-tests --test speech -- --test-threads=1
//!
//! What the engines are is listed in engines.txt. Where they are missing, tests fail if `CI` is `true`; elsewhere they are skipped, and
//! stderr says so. What they say is judged by its keywords, for it is theirs to choose commas; no times are asserted.
//!
//! Start reading at `engines.rs`.

mod engines;

mod chat;
mod hearing;
