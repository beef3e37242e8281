//! What has happened and has not been taken yet: of each operation under way, and of the caller.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use super::Heard;
use crate::outcome::{SpeechEvent, VoiceEvent};
use crate::{Event, Happened, Outcome};

/// Of what the caller did. A bot that takes none of it loses the oldest.
const HEARD_MAX: usize = 256;

/// With the time at which it came, in ms since the call began.
pub(super) type Came = (u64, Happened);

#[derive(Default)]
pub(super) struct Inbox {
    operations: RefCell<BTreeMap<u64, VecDeque<Came>>>,
    /// Sounds that play, by the name of the mark at their end: whether it was heard whole, once that is known.
    sounds: RefCell<BTreeMap<String, Option<bool>>>,
    heard: RefCell<VecDeque<Heard>>,
    listening: Cell<Option<u64>>,
    sounds_begun: Cell<u64>,
    rings: Cell<bool>,
    answered: Cell<bool>,
    hung_up: Cell<bool>,
    outlives_hangup: Cell<bool>,
}

impl Inbox {
    pub fn take_in(&self, now_ms: u64, happened: Happened) {
        match happened {
            Happened::Event(event) => self.take_event(now_ms, event),
            Happened::Outcome(outcome) => self.take_outcome(now_ms, outcome),
        }
    }

    fn take_event(&self, now_ms: u64, event: Event) {
        match event {
            Event::Answered => self.answered.set(true),
            Event::Digit(digit) => self.hear(Heard::Digit(digit.key)),
            Event::Mark(mark) => self.sound_is_over(&mark.name, true),
            Event::Cleared(cleared) => self.sounds_are_dropped(&cleared.dropped_marks),
            Event::Timer(id) | Event::DigitsSent(id) => self.take_of(id, now_ms, event.into()),
            Event::Hold => self.hear(Heard::Held),
            Event::Resume => self.hear(Heard::Resumed),
            Event::Hangup(_) => {
                self.hung_up.set(true);
                let mut sounds = self.sounds.borrow_mut();
                sounds.values_mut().for_each(|whole| *whole = whole.or(Some(false)));
            }
        }
    }

    fn take_outcome(&self, now_ms: u64, outcome: Outcome) {
        match outcome {
            Outcome::Voice(VoiceEvent::BargedIn(barged_in)) => {
                self.sounds_are_dropped(&barged_in.dropped_marks);
                self.hear(Heard::BargedIn);
            }
            // Who listens is told of each utterance, and needs to know nothing finer.
            Outcome::Voice(_) if self.listening.get().is_some() => {}
            Outcome::Voice(VoiceEvent::SpeechStarted(_)) => self.hear(Heard::Speaking),
            Outcome::Voice(VoiceEvent::SpeechStopped(_)) => self.hear(Heard::Quiet),
            Outcome::Voice(VoiceEvent::Paused | VoiceEvent::Resumed) => {}
            Outcome::Speech(id, event) if self.listening.get() == Some(id) => match event {
                SpeechEvent::UtteranceStarted(_) => self.hear(Heard::Speaking),
                SpeechEvent::UtteranceStopped(_) => self.hear(Heard::Quiet),
                SpeechEvent::Transcript(said) if said.final_ => self.hear(Heard::Speech(said.text)),
                SpeechEvent::Transcript(said) => self.hear(Heard::Partial(said.text)),
                SpeechEvent::Failed(error) => self.hear(Heard::NotUnderstood(error)),
                SpeechEvent::Speaking(_) | SpeechEvent::UtterancePlayed(_) => {}
            },
            other => {
                if let Some(id) = other.id() {
                    self.take_of(id, now_ms, other.into());
                }
            }
        }
    }

    /// Of an operation that nobody waits for any more it is nothing.
    fn take_of(&self, id: u64, now_ms: u64, happened: Happened) {
        if let Some(came) = self.operations.borrow_mut().get_mut(&id) {
            came.push_back((now_ms, happened));
        }
    }

    pub fn begin(&self, id: u64) {
        self.operations.borrow_mut().insert(id, VecDeque::new());
    }

    pub fn end(&self, id: u64) {
        self.operations.borrow_mut().remove(&id);
    }

    pub fn next_of(&self, id: u64) -> Option<Came> {
        self.operations.borrow_mut().get_mut(&id)?.pop_front()
    }

    /// The name of a mark that no other sound has.
    pub fn begin_sound(&self) -> String {
        self.sounds_begun.set(self.sounds_begun.get() + 1);
        let name = format!("sound {}", self.sounds_begun.get());
        self.sounds.borrow_mut().insert(name.clone(), None);
        name
    }

    /// Whether it was heard whole, once that is known.
    pub fn sound(&self, name: &str) -> Option<bool> {
        self.sounds.borrow().get(name).copied().flatten()
    }

    pub fn end_sound(&self, name: &str) {
        self.sounds.borrow_mut().remove(name);
    }

    fn sound_is_over(&self, name: &str, whole: bool) {
        if let Some(sound) = self.sounds.borrow_mut().get_mut(name) {
            *sound = sound.or(Some(whole));
        }
    }

    fn sounds_are_dropped(&self, names: &[String]) {
        names.iter().for_each(|name| self.sound_is_over(name, false));
    }

    fn hear(&self, heard: Heard) {
        let mut all = self.heard.borrow_mut();
        if all.len() == HEARD_MAX {
            all.pop_front();
        }
        all.push_back(heard);
    }

    pub fn take_heard(&self) -> Option<Heard> {
        self.heard.borrow_mut().pop_front()
    }

    pub fn has_heard(&self, wanted: impl Fn(&Heard) -> bool) -> bool {
        self.heard.borrow().iter().any(wanted)
    }

    pub fn forget_heard(&self, unwanted: impl Fn(&Heard) -> bool) {
        self.heard.borrow_mut().retain(|heard| !unwanted(heard));
    }

    pub fn listen(&self, id: Option<u64>) -> Option<u64> {
        self.listening.replace(id)
    }

    pub fn ring(&self) {
        self.rings.set(true);
    }

    pub fn rings(&self) -> bool {
        self.rings.get()
    }

    pub fn is_answered(&self) -> bool {
        self.answered.get()
    }

    pub fn has_hung_up(&self) -> bool {
        self.hung_up.get()
    }

    pub fn outlive_hangup(&self) {
        self.outlives_hangup.set(true);
    }

    pub fn outlives_hangup(&self) -> bool {
        self.outlives_hangup.get()
    }
}
