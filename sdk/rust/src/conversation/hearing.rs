//! What the caller does, in order.

use std::future::poll_fn;
use std::task::Poll;

use super::{Call, ListenOptions, Rules};
use crate::{Error, imports};

/// One thing that the caller did.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A key.
    Digit(char),
    /// Begins to speak. Told while the call is listened to or watched.
    Speaking,
    /// Has stopped; what was said follows as `Speech`, if it is listened to.
    Quiet,
    /// Said this. May be empty: the engine made nothing of it.
    Speech(String),
    /// Is saying this, as far as the engine can tell.
    Partial(String),
    /// The engine did not understand an utterance; it goes on listening.
    NotUnderstood(Error),
    /// Cut off what was playing.
    BargedIn,
    /// Put the call on hold.
    Held,
    /// Took it back.
    Resumed,
}

impl Call {
    /// The next thing that the caller does, or did and was not taken: keys pressed while the bot spoke are there.
    pub async fn next(&self) -> Heard {
        poll_fn(|_| self.inbox.take_heard().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Until something like this has been heard. It stays there for [`next`](Call::next) and [`gather`](Call::gather).
    pub async fn until_heard(&self, wanted: impl Fn(&Heard) -> bool) {
        poll_fn(|_| if self.inbox.has_heard(&wanted) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// What was heard of this kind and not taken counts as unheard.
    pub fn forget_heard(&self, unwanted: impl Fn(&Heard) -> bool) {
        self.inbox.forget_heard(unwanted);
    }

    /// Has what the caller says from now on understood, utterance by utterance; [`next`](Call::next) and [`gather`](Call::gather) tell it. A second
    /// call changes how.
    pub fn listen(&self, options: &ListenOptions) -> Result<(), Error> {
        let id = imports::speech_listen(options)?;
        self.inbox.listen(Some(id));
        Ok(())
    }

    pub fn listen_no_more(&self) {
        if let Some(id) = self.inbox.listen(None) {
            imports::speech_stop(id);
        }
    }

    /// Watches when the caller speaks, by these rules: they say how the caller interrupts what plays.
    pub fn watch(&self, rules: Rules) -> Result<(), Error> {
        imports::voice_watch(rules)
    }

    pub fn watch_no_more(&self) {
        imports::voice_unwatch();
    }
}
