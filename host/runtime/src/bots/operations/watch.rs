//! What is to be heard of the caller: by which rules the bot watches the voice, and who listens to what is said. It is the call's,
//! and goes on when the bot moves.

use plugin::{HostError, VoiceRules};
use tokio::sync::mpsc;

use super::{Operations, Stage};
use crate::bots::ear::{ListenRules, Listener, Utterance};

/// As it is wanted, and whether that has changed since the ear looked.
#[derive(Default)]
pub(super) struct Watch {
    pub rules: Option<VoiceRules>,
    changed: bool,
    /// A new listener, or that there is none any more.
    listener: Option<Option<Listener>>,
}

/// What the ear is to do from now on.
pub struct Change {
    pub rules: Option<VoiceRules>,
    /// None: whoever listens goes on.
    pub listener: Option<Option<Listener>>,
}

impl Change {
    /// Nothing that an ear would be made for.
    pub fn is_nothing(&self) -> bool {
        self.rules.is_none() && !matches!(self.listener, Some(Some(_)))
    }
}

impl Watch {
    pub fn set(&mut self, rules: Option<VoiceRules>) {
        self.changed |= self.rules != rules;
        self.rules = rules;
    }

    fn set_listener(&mut self, listener: Option<Listener>) {
        self.listener = Some(listener);
        self.changed = true;
    }

    /// Nobody hears anything any more.
    pub fn end(&mut self) {
        self.set(None);
        self.set_listener(None);
    }
}

impl Operations {
    pub fn watch_voice(&mut self, rules: Option<VoiceRules>) -> Result<(), HostError> {
        if rules.is_some() {
            self.refuse_if_over()?;
        }
        self.voice.set(rules);
        Ok(())
    }

    /// Takes the place of whoever listened. Once the call is over there is nothing to be heard, and the receiver says so.
    pub fn listen(&mut self, rules: ListenRules) -> mpsc::Receiver<Utterance> {
        let (listener, utterances) = Listener::new(rules);
        if self.stage == Stage::Live {
            self.voice.set_listener(Some(listener));
        }
        utterances
    }

    pub fn unlisten(&mut self) {
        self.voice.set_listener(None);
    }

    /// What has changed since the last time.
    pub fn take_change(&mut self) -> Option<Change> {
        let Watch { rules, changed, listener } = &mut self.voice;
        std::mem::take(changed).then(|| Change { rules: *rules, listener: listener.take() })
    }
}
