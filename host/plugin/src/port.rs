//! What a bot can ask of its call: the port through which host functions reach the rest of the host.
//! The plugin crate knows nothing of SIP or RTP; the runtime implements this over the call's operations.

use crate::{Header, Pair, Request, VoiceRules, WebSocketRequest};

/// Why a request was not carried out, or how it failed; the WIT `error` record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError {
    /// Stable: `too-long`, `too-many`, `not-a-digit`, `call-ended`, and those that each interface names.
    pub code: &'static str,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Samples taken; the rest did not fit.
    pub accepted: u32,
    pub queued_ms: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// One call, as its bot may see it and act on it. Every method returns at once.
pub trait CallPort: Send {
    fn header(&self, name: &str) -> Vec<String>;
    fn attribute(&self, name: &str) -> Option<String>;
    fn answer(&mut self);
    fn hangup(&mut self, after_playout: bool);
    fn send_digits(&mut self, keys: &str) -> Result<u64, HostError>;
    fn note(&mut self, key: &str, value: &str) -> Result<(), HostError>;
    fn want_frames(&mut self, wanted: bool);
    fn done(&mut self);

    fn playout_write(&mut self, samples: &[i16]) -> Written;
    fn playout_clear(&mut self) -> u64;
    fn playout_mark(&mut self, name: &str) -> Result<u64, HostError>;

    fn timer_set(&mut self, after_ms: u64) -> Result<u64, HostError>;
    fn timer_cancel(&mut self, id: u64) -> bool;

    fn now_ms(&self) -> u64;
    fn wall_ms(&self) -> u64;
    fn random(&mut self, out: &mut [u8]);
    fn config(&self, key: &str) -> Option<String>;
    /// Bounded by the implementation (lines a second, bytes a line).
    fn log(&mut self, level: LogLevel, file: &str, line: u32, message: &str);

    /// Begins an operation; what comes of it arrives as `Event::Outcome` under the id that is returned. Of `websocket` only `open`.
    fn begin(&mut self, request: Request) -> Result<u64, HostError>;
    /// More for a WebSocket that was opened: everything but `open`.
    fn proceed(&mut self, id: u64, request: WebSocketRequest) -> Result<(), HostError>;
    /// Nothing more of it, but for an utterance to be spoken, which says that it was not played to its end. False if this pair has no
    /// such operation under way.
    fn cancel(&mut self, pair: Pair, id: u64) -> bool;
    /// By these rules from now on; none: no more.
    fn watch_voice(&mut self, rules: Option<VoiceRules>) -> Result<(), HostError>;

    fn answer_headers(&mut self, headers: Vec<Header>) -> Result<(), HostError>;
    fn bye_headers(&mut self, headers: Vec<Header>) -> Result<(), HostError>;
    /// `status`: 400 to 699; `reason`: one line.
    fn hangup_with(&mut self, status: u16, reason: &str, after_playout: bool) -> Result<(), HostError>;

    /// Called on the thread that runs the guest when one epoch tick has passed inside one call of it:
    /// the moment for the runtime to let another worker go on with the batch.
    fn overstayed(&mut self);
}
