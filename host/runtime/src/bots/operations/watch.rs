//! Whether and how the caller's voice is watched. It is the call's, and goes on when the bot moves.

use plugin::{HostError, VoiceRules};

use super::Operations;

/// The rules by which the caller's voice is watched, and whether they have changed since somebody looked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    pub rules: Option<VoiceRules>,
    changed: bool,
}

impl Watch {
    pub fn set(&mut self, rules: Option<VoiceRules>) {
        self.changed |= self.rules != rules;
        self.rules = rules;
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

    #[allow(dead_code, reason = "the ear that looks here is a part of its own")]
    /// The new rules, if they have changed since the last time.
    pub fn take_voice_change(&mut self) -> Option<Option<VoiceRules>> {
        std::mem::take(&mut self.voice.changed).then_some(self.voice.rules)
    }
}
