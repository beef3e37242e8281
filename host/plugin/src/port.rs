//! What a bot can ask of its call: the port through which host functions reach the rest of the host.
//! The plugin crate knows nothing of SIP or RTP; the runtime implements this over the call's operations.

/// Why a request was not carried out; the WIT `error` record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError {
    /// Stable: `too-long`, `too-many`, `not-a-digit`, `call-ended`.
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

    /// Called on the thread that runs the guest when one epoch tick has passed inside one call of it:
    /// the moment for the runtime to let another worker go on with the batch.
    fn overstayed(&mut self);
}
