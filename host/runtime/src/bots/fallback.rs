//! What the caller hears when the bot is gone: the route's prompt, from the host itself.

use std::sync::Arc;

use media::PlayoutWriter;

/// 8 kHz mono; fed into the playout as it drains.
#[derive(Clone)]
pub struct Prompt {
    samples: Arc<[i16]>,
    written: usize,
}

impl Prompt {
    pub fn new(samples: Arc<[i16]>) -> Self {
        Self { samples, written: 0 }
    }

    /// True once all of it has left for the caller.
    pub fn feed(&mut self, playout: &mut PlayoutWriter) -> bool {
        self.written += playout.write(&self.samples[self.written..]).accepted;
        self.written == self.samples.len() && playout.played() >= playout.position()
    }
}
