//! The signals that a running host listens to.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: no new calls, live ones may finish.
    Drain,
    /// The second of those: end now.
    EndNow,
    /// SIGUSR1: the SIP trace on or off.
    ToggleSipTrace,
    /// SIGUSR2: captures of new calls on or off.
    TogglePcap,
}

/// Listens from `new` on, so that no signal after start-up takes its default course.
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    user1: Stream,
    user2: Stream,
    draining: bool,
}

impl Signals {
    /// Needs a tokio runtime. Errors: the system refuses to install a handler.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            draining: false,
        })
    }

    /// Waits for the next one. Safe to cancel: no signal is lost between calls.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => self.ending(),
            _ = self.interrupt.recv() => self.ending(),
            _ = self.user1.recv() => Signal::ToggleSipTrace,
            _ = self.user2.recv() => Signal::TogglePcap,
        }
    }

    fn ending(&mut self) -> Signal {
        if std::mem::replace(&mut self.draining, true) { Signal::EndNow } else { Signal::Drain }
    }
}
