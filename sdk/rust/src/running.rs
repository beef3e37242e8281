//! A bot and its call, joined: what the component's exports and the tests' fake call both drive.

use std::cell::RefCell;

use crate::{Accept, Bot, Call, CallInfo, Event, Frame, Happened, Outcome, Refusal, Start, StartReason};

/// A bot that took its call.
pub struct Running<B> {
    bot: B,
    call: Call,
}

impl<B: Bot> Running<B> {
    /// Asks the bot. A refusal leaves nothing behind.
    pub fn start(mut bot: B, info: CallInfo, config: String, reason: StartReason) -> Result<(Self, Accept), Refusal> {
        let call = Call::new(info);
        let accept = bot.start(&call, Start { config, reason })?;
        Ok((Running { bot, call }, accept))
    }

    pub fn on_frame(&mut self, frame: Frame) -> Option<Vec<i16>> {
        self.bot.on_frame(&self.call, frame)
    }

    /// Hands the event to the one method of the bot that it is for, unless it is the player's own timer.
    pub fn on_event(&mut self, event: Event) {
        match self.call.taken_by_player(event) {
            None => {}
            Some(Event::Digit(digit)) => self.bot.on_digit(&self.call, digit.key),
            Some(Event::Hangup(hung_up)) => self.bot.on_hangup(&self.call, hung_up),
            Some(event) => self.bot.on_event(&self.call, event),
        }
    }

    pub fn on_outcome(&mut self, outcome: Outcome) {
        self.bot.on_outcome(&self.call, outcome);
    }

    pub fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Event(event) => self.on_event(event),
            Happened::Outcome(outcome) => self.on_outcome(outcome),
        }
    }

    /// `None` while sound waits inside this instance: another one could not go on with it.
    pub fn save(&self) -> Option<Vec<u8>> {
        if self.call.holds_sound() { None } else { self.bot.save() }
    }

    pub fn bot(&self) -> &B {
        &self.bot
    }
}

/// Where a component keeps its one running bot.
pub struct Slot<B>(RefCell<Option<Running<B>>>);

impl<B: Bot> Slot<B> {
    pub const fn empty() -> Self {
        Slot(RefCell::new(None))
    }

    pub fn start(&self, bot: B, info: CallInfo, config: String, reason: StartReason) -> Result<Accept, Refusal> {
        crate::log::panics_to_log();
        let (running, accept) = Running::start(bot, info, config, reason)?;
        *self.0.borrow_mut() = Some(running);
        Ok(accept)
    }

    /// Panics, and so traps, if the host breaks its word and enters a bot which `start` did not begin.
    pub fn running<T>(&self, enter: impl FnOnce(&mut Running<B>) -> T) -> T {
        enter(self.0.borrow_mut().as_mut().expect("the host calls start first"))
    }
}

/// Compiles for bots only.
#[doc(hidden)]
pub fn is_bot<B: Bot>(bot: B) -> B {
    bot
}
