//! The way back to a bot for those who carry something out for it.
//!
//! A handle may outlive its call: then nothing that is said through it is heard, and nothing waits.

use std::sync::{Arc, Weak};

use plugin::{Outcome, Written};
use tokio::sync::mpsc;

use super::Enlisted;
use super::ear::{ListenRules, Utterance};
use super::operations::{Affairs, Full, Over};

/// Of one call. A clone is the same.
#[derive(Clone)]
pub struct Answers {
    operations: Arc<Affairs>,
    /// Whose turn comes sooner for it.
    bot: Weak<Enlisted>,
}

impl Answers {
    pub(super) fn new(operations: &Arc<Affairs>, bot: Weak<Enlisted>) -> Self {
        Self { operations: Arc::clone(operations), bot }
    }

    /// Queues an event for the bot, behind those that wait. A turn beside its ticks hands it over, or the next one, in 20 ms at most.
    /// One of an operation that is unknown or over is dropped. Errors: 64 of them or 2 MiB wait for the bot.
    pub fn offer(&self, id: u64, outcome: Outcome) -> Result<(), Full> {
        self.operations.lock().deliver(id, outcome)?;
        self.bot.upgrade().iter().for_each(Enlisted::hurry);
        Ok(())
    }

    /// The same, once there is room: who reads from a network reads no faster than the bot takes.
    /// Waits as long as the call may last; an operation that is cancelled ends the wait with the next outcome that the bot takes.
    pub async fn give(&self, id: u64, outcome: Outcome) {
        let mut outcome = outcome;
        loop {
            let Some(room) = self.operations.look().room() else { return };
            // Before it is offered: what is taken meanwhile is not missed.
            let taken = room.notified();
            match self.offer(id, outcome) {
                Ok(()) => return,
                Err(Full(refused)) => outcome = refused,
            }
            taken.await;
        }
    }

    /// So many bytes of one message that the bot gave a WebSocket have left: it may give as many more.
    pub fn sent(&self, id: u64, bytes: usize) {
        self.operations.lock().sent(id, bytes);
    }

    /// Adds sound of an utterance to the playout queue, as much as fits; what does not is to be given again once there is room.
    /// Shape: any number of samples, 8 kHz mono. Cost: a lock and a copy. Errors: the utterance was stopped or cleared, or the
    /// call is over; the bot has been told already.
    pub fn play(&self, id: u64, samples: &[i16]) -> Result<Written, Over> {
        self.operations.lock().play(id, samples)
    }

    /// All sound of an utterance is in the queue. The bot is told when it has left, or was cleared; the operation ends with that.
    pub fn spoken(&self, id: u64) -> Result<(), Over> {
        self.operations.lock().spoken(id)
    }

    /// Hears what the caller says, utterance by utterance, from the bot's next turn on. Whoever listened before hears no more.
    /// The receiver ends with the call, and with [`Answers::unlisten`]; a bot that moves or restarts does not end it.
    pub fn listen(&self, rules: ListenRules) -> mpsc::Receiver<Utterance> {
        self.operations.lock().listen(rules)
    }

    pub fn unlisten(&self) {
        self.operations.lock().unlisten();
    }

    /// A line in the host's log, within the call's span: what neither the bot nor its tenant is to read. It counts among the 50 a second of
    /// the bot's own lines.
    pub fn tell_operator(&self, message: &str) {
        self.operations.look().tell_operator(message);
    }

    /// Sound that waits in the queue, in ms.
    #[cfg(test)]
    pub fn queued_ms(&self) -> u32 {
        self.operations.look().playout().queued_ms()
    }
}
