//! The call as its bot acts on it. Every method returns at once; what takes time comes back as an event.

use std::cell::RefCell;
use std::rc::Rc;

use crate::player::Player;
use crate::{CallInfo, Error, Event, Sound, imports};

/// A handle: its clones are the same call.
#[derive(Clone)]
pub struct Call {
    info: Rc<CallInfo>,
    player: Rc<RefCell<Player>>,
}

impl Call {
    pub(crate) fn new(info: CallInfo) -> Call {
        Call { info: Rc::new(info), player: Rc::default() }
    }

    /// Who calls whom, over which trunk, for which tenant.
    pub fn info(&self) -> &CallInfo {
        &self.info
    }

    /// Every value of a header of the INVITE, in order; the name's case does not matter.
    pub fn header(&self, name: &str) -> Vec<String> {
        imports::header(name)
    }

    /// What the host knows of the call: `codec`, `srtp`, `identity` and the others that `bot.wit` lists.
    pub fn attribute(&self, name: &str) -> Option<String> {
        imports::attribute(name)
    }

    /// One value of the route's configuration: a string as it is, anything else as JSON.
    pub fn config(&self, key: &str) -> Option<String> {
        imports::config_get(key)
    }

    /// Answers a call that `start` left ringing.
    pub fn answer(&self) {
        imports::answer();
    }

    /// Ends the call at once.
    pub fn hangup(&self) {
        imports::hangup(false);
    }

    /// Ends the call once everything given to [`play`](Call::play) has left for the caller.
    pub fn hangup_after_playout(&self) {
        self.player.borrow_mut().hangup();
    }

    /// Presses keys towards the caller (`,` is a pause of 500 ms); `Event::DigitsSent` carries the id.
    pub fn send_digits(&self, keys: &str) -> Result<u64, Error> {
        imports::send_digits(keys)
    }

    /// Puts a line into the call's summary; a second one under the same key replaces the first.
    /// One that the host refuses is a warning in the log: there is nothing a bot could do about it.
    pub fn note(&self, key: &str, value: &str) {
        if let Err(error) = imports::note(key, value) {
            crate::warn!("note {key} was refused: {}", error.message);
        }
    }

    /// From the next tick on, be entered for every frame, or for events only.
    pub fn want_frames(&self, wanted: bool) {
        imports::want_frames(wanted);
    }

    /// After the hangup: this bot has finished. [`Bot::on_hangup`](crate::Bot::on_hangup) does it by default.
    pub fn done(&self) {
        imports::done();
    }

    /// Queues sound behind what waits already. However long it is, all of it plays: what the host's queue does not
    /// take now is handed over later.
    pub fn play(&self, sound: impl Into<Sound>) {
        self.player.borrow_mut().play(sound.into());
    }

    /// `Event::Mark` with this name comes once everything played so far has left for the caller.
    /// At most 64 wait, names of 128 bytes; one that the host refuses is a warning in the log.
    pub fn mark(&self, name: &str) {
        self.player.borrow_mut().mark(name);
    }

    /// Drops all sound that waits. `Event::Cleared` with this id says how much was heard and which marks were not.
    pub fn clear(&self) -> u64 {
        self.player.borrow_mut().clear()
    }

    /// Rings once after that many ms, 24 h at most; `Event::Timer` carries the id. At most 64 wait.
    pub fn timer(&self, after_ms: u64) -> Result<u64, Error> {
        imports::timer_set(after_ms)
    }

    /// False if the timer is unknown or has rung.
    pub fn cancel_timer(&self, id: u64) -> bool {
        imports::timer_cancel(id)
    }

    /// Milliseconds since the call began. Stands still while the bot runs.
    pub fn now_ms(&self) -> u64 {
        imports::now_ms()
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn wall_ms(&self) -> u64 {
        imports::wall_ms()
    }

    pub fn random_number(&self) -> u64 {
        imports::random_number()
    }

    /// At most 4096 bytes at a time.
    pub fn random_bytes(&self, len: u32) -> Vec<u8> {
        imports::random_bytes(len)
    }

    /// The event as the bot shall see it; `None` if it was the player's own.
    pub(crate) fn taken_by_player(&self, event: Event) -> Option<Event> {
        self.player.borrow_mut().on_event(event)
    }

    pub(crate) fn holds_sound(&self) -> bool {
        self.player.borrow().holds_sound()
    }
}
