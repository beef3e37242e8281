//! What a bot has under way in its call: timers, marks, clears, digits to be delivered, a hangup that waits for the playout.
//! Operations belong to the call, not to the instance: when the bot moves to another instance they stay.
//! No threads and no clock: `now` is set by the worker before the guest is entered and stands still while it runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use call::{BotAct, WallClock};
use media::PlayoutWriter;
use plugin::{Event, HostError, LogLevel, Written};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use super::bot_log::BotLog;
use clears::Clear;
use control::Leaving;
use outside::Outside;
use since::Since;
use trial::Trial;
use watch::Watch;

pub use affairs::{Affairs, Quiet, Rest};
pub use outside::{Full, Over, Task};
pub use since::Queue;
pub use watch::Change;

mod affairs;
mod clears;
mod control;
mod outside;
mod since;
mod trial;
mod watch;

/// Bounds of what one call may have under way. Each is promised in the WIT contract.
pub const TIMERS_MAX: usize = 64;
pub const MARKS_MAX: usize = 64;
pub const KEYS_WAITING_MAX: usize = 64;
pub const DIGITS_MAX: usize = 64;
pub const EVENTS_MAX: usize = 256;
pub const MARK_NAME_BYTES_MAX: usize = 128;
pub const NOTES_MAX: usize = 16;
pub const NOTE_KEY_BYTES_MAX: usize = 64;
pub const NOTE_VALUE_BYTES_MAX: usize = 1024;
pub const TIMER_MS_MAX: u64 = 24 * 60 * 60 * 1000;
const SAMPLES_PER_MS: u64 = 8;

/// What the bot may read of its call; fixed when it starts.
#[derive(Debug, Default)]
pub struct CallFacts {
    /// Headers of the INVITE, in order.
    pub headers: Vec<(String, String)>,
    pub attributes: call::Attributes,
    /// The route's configuration.
    pub config: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone)]
struct Timer {
    due: Instant,
    id: u64,
}

#[derive(Clone)]
struct Mark {
    position: u64,
    id: u64,
    name: String,
}

#[derive(Clone)]
struct Note {
    key: String,
    value: String,
    told: bool,
}

/// Keys that are to be pressed.
struct Order {
    id: u64,
    keys: usize,
    /// Whether the bot that runs now knows of it.
    told: bool,
}

/// How far the end of the call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Live,
    /// Over, and the bot may not know yet.
    Over,
    /// It has been told.
    Told,
    /// It has nothing left to do.
    Done,
}

pub struct Operations {
    facts: Arc<CallFacts>,
    playout: PlayoutWriter,
    playout_samples_max: u64,
    /// When the call began, on both clocks.
    clock: WallClock,
    now: Instant,
    last_id: u64,
    timers: Vec<Timer>,
    marks: VecDeque<Mark>,
    clears: VecDeque<Clear>,
    digits_waiting: usize,
    /// Keys that were ordered and not reported sent.
    orders: Vec<Order>,
    events: VecDeque<Event>,
    acts: VecDeque<BotAct>,
    notes: Vec<Note>,
    want_frames: bool,
    hangup_at: Option<Leaving>,
    stage: Stage,
    /// The 200 is on its way, or out.
    answered: bool,
    /// None: it has never begun anything of the kind.
    outside: Option<Box<Outside>>,
    voice: Watch,
    random: StdRng,
    since: Option<Since>,
    trial: Option<Box<Trial>>,
    pub log: BotLog,
}

/// A bot that lets what waits for it fill up is treated as one that trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overfull;

impl Operations {
    /// `playout`: a queue of so many ms.
    pub fn new(
        facts: Arc<CallFacts>,
        (playout, playout_ms): (PlayoutWriter, u32),
        log: BotLog,
        seed: [u8; 32],
        clock: WallClock,
    ) -> Self {
        Self {
            facts,
            playout,
            playout_samples_max: u64::from(playout_ms) * SAMPLES_PER_MS,
            clock,
            now: clock.at,
            last_id: 0,
            timers: Vec::new(),
            marks: VecDeque::new(),
            clears: VecDeque::new(),
            digits_waiting: 0,
            orders: Vec::new(),
            events: VecDeque::with_capacity(8),
            acts: VecDeque::new(),
            notes: Vec::new(),
            want_frames: true,
            hangup_at: None,
            stage: Stage::Live,
            answered: false,
            outside: None,
            voice: Watch::default(),
            random: StdRng::from_seed(seed),
            since: None,
            trial: None,
            log,
        }
    }

    /// Moves the bot's clock on and turns what has become due into events.
    pub fn advance(&mut self, now: Instant) {
        self.now = now;
        // In this order: see `PlayoutWriter::played`.
        let played = self.playout.played();
        self.take_clears();
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.position <= played) {
            self.events.push_back(Event::Mark { id: mark.id, name: mark.name });
        }
        if !self.timers.is_empty() {
            self.ring_timers(now);
        }
        if self.outside.is_some() {
            self.end_utterances(played);
        }
        if let Some(leaving) = self.hangup_at.take_if(|leaving| leaving.position <= played) {
            self.act(leaving.act());
        }
    }

    fn ring_timers(&mut self, now: Instant) {
        self.timers.sort_by_key(|timer| (timer.due, timer.id));
        let due = self.timers.partition_point(|timer| timer.due <= now);
        self.events.extend(self.timers.drain(..due).map(|timer| Event::Timer { id: timer.id }));
    }

    /// Queues an event for the bot. Digits have a bound of their own.
    pub fn push(&mut self, event: Event) -> Result<(), Overfull> {
        match event {
            Event::Digit { .. } if self.digits_waiting >= DIGITS_MAX => return Err(Overfull),
            Event::Digit { .. } => self.digits_waiting += 1,
            Event::DigitsSent { id } => {
                let order = self.orders.iter().position(|order| order.id == id).map(|at| self.orders.remove(at));
                if order.is_some_and(|order| !order.told) {
                    return Ok(());
                }
            }
            Event::Hangup { .. } => {
                self.stage = self.stage.max(Stage::Over);
                self.voice.end();
                self.cut_utterances(|_| true);
            }
            Event::Answered => self.note_answered(),
            _ => {}
        }
        if self.events.len() >= EVENTS_MAX {
            return Err(Overfull);
        }
        self.events.push_back(event);
        Ok(())
    }

    pub fn next_event(&mut self) -> Option<Event> {
        if self.stage == Stage::Done {
            return None;
        }
        let event = self.events.pop_front();
        match &event {
            Some(Event::Digit { .. }) => self.digits_waiting -= 1,
            Some(Event::Hangup { .. }) => self.stage = Stage::Told,
            Some(Event::Outcome { outcome, .. }) => self.note_taken(outcome),
            _ => {}
        }
        if let Some(event) = &event {
            self.note_delivered(event);
        }
        event
    }

    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// What the bot asked of others in this tick; of a note written twice only the last value.
    pub fn next_act(&mut self) -> Option<BotAct> {
        if let Some(note) = self.notes.iter_mut().find(|note| !note.told) {
            note.told = true;
            return Some(BotAct::Note { key: note.key.clone(), value: note.value.clone() });
        }
        self.acts.pop_front()
    }

    /// The same wish twice is one wish, so that a bot in a loop cannot make this grow.
    fn act(&mut self, act: BotAct) {
        if !self.acts.contains(&act) {
            self.acts.push_back(act);
        }
    }

    pub fn wants_frames(&self) -> bool {
        self.want_frames && !self.is_over()
    }

    pub fn is_over(&self) -> bool {
        self.stage != Stage::Live
    }

    pub fn playout(&mut self) -> &mut PlayoutWriter {
        &mut self.playout
    }

    /// The bot is gone: drops all that it had begun.
    pub fn abandon(&mut self) {
        self.timers.clear();
        self.marks.clear();
        self.clears.clear();
        self.events.clear();
        self.digits_waiting = 0;
        self.acts.clear();
        self.hangup_at = None;
        self.since = None;
        self.playout.clear();
        self.drop_all();
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub fn header(&self, name: &str) -> Vec<String> {
        let matching = self.facts.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        matching.map(|(_, value)| value.clone()).collect()
    }

    pub fn attribute(&self, name: &str) -> Option<String> {
        self.facts.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    pub fn config(&self, key: &str) -> Option<String> {
        self.facts.config.get(key).map(|value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    pub fn want_frames(&mut self, wanted: bool) {
        self.want_frames = wanted;
    }

    pub fn send_digits(&mut self, keys: &str) -> Result<u64, HostError> {
        self.refuse_if_over()?;
        if keys.is_empty() {
            return Err(refused("not-a-digit", "no keys to press".to_owned()));
        }
        if let Some(stranger) = keys.chars().find(|key| !"0123456789*#ABCD,".contains(*key)) {
            return Err(refused("not-a-digit", format!("{stranger:?} is not one of 0-9 * # A-D ,")));
        }
        let waiting: usize = self.orders.iter().map(|order| order.keys).sum();
        if waiting + keys.len() > KEYS_WAITING_MAX {
            return Err(refused("too-many", format!("at most {KEYS_WAITING_MAX} keys wait")));
        }
        let id = self.new_id();
        self.orders.push(Order { id, keys: keys.len(), told: true });
        self.act(BotAct::SendDigits { id, keys: keys.to_owned() });
        Ok(id)
    }

    pub fn note(&mut self, key: &str, value: &str) -> Result<(), HostError> {
        if key.len() > NOTE_KEY_BYTES_MAX || value.len() > NOTE_VALUE_BYTES_MAX {
            let message =
                format!("a note's key has at most {NOTE_KEY_BYTES_MAX} bytes, its value {NOTE_VALUE_BYTES_MAX}");
            return Err(refused("too-long", message));
        }
        let fresh = Note { key: key.to_owned(), value: value.to_owned(), told: false };
        if let Some(known) = self.notes.iter_mut().find(|note| note.key == key) {
            *known = fresh;
        } else if self.notes.len() < NOTES_MAX {
            self.notes.push(fresh);
        } else {
            return Err(refused("too-many", format!("at most {NOTES_MAX} notes")));
        }
        Ok(())
    }

    pub fn playout_write(&mut self, samples: &[i16]) -> Written {
        let samples = if self.is_over() { &[] } else { samples };
        let Some(trial) = &mut self.trial else {
            let written = self.playout.write(samples);
            return Written { accepted: written.accepted as u32, queued_ms: written.queued_ms };
        };
        let taken = self.playout.position() - self.playout.played() + trial.written() as u64;
        let accepted = trial.write(samples, self.playout_samples_max.saturating_sub(taken) as usize) as u32;
        let (queued, cleared) = trial.queued();
        let before_ms = if cleared { 0 } else { self.playout.queued_ms() };
        Written { accepted, queued_ms: before_ms + (queued as u64 / SAMPLES_PER_MS) as u32 }
    }

    /// Samples written so far, those included that are held.
    fn position(&self) -> u64 {
        self.playout.position() + self.trial.as_ref().map_or(0, |trial| trial.written() as u64)
    }

    pub fn playout_clear(&mut self) -> u64 {
        let id = self.new_id();
        match &mut self.trial {
            Some(trial) => trial.clear(id),
            None => self.begin_clear(id),
        }
        id
    }

    pub fn playout_mark(&mut self, name: &str) -> Result<u64, HostError> {
        if name.len() > MARK_NAME_BYTES_MAX {
            return Err(refused("too-long", format!("a mark's name has at most {MARK_NAME_BYTES_MAX} bytes")));
        }
        if self.marks.len() >= MARKS_MAX {
            return Err(refused("too-many", format!("at most {MARKS_MAX} marks wait")));
        }
        let id = self.new_id();
        self.marks.push_back(Mark { position: self.position(), id, name: name.to_owned() });
        Ok(id)
    }

    pub fn timer_set(&mut self, after_ms: u64) -> Result<u64, HostError> {
        if after_ms > TIMER_MS_MAX {
            return Err(refused("too-long", "a timer runs for at most 24 h".to_owned()));
        }
        if self.timers.len() >= TIMERS_MAX {
            return Err(refused("too-many", format!("at most {TIMERS_MAX} timers wait")));
        }
        let id = self.new_id();
        self.timers.push(Timer { due: self.now + Duration::from_millis(after_ms), id });
        Ok(id)
    }

    pub fn timer_cancel(&mut self, id: u64) -> bool {
        let before = self.timers.len();
        self.timers.retain(|timer| timer.id != id);
        let is_it = |event: &Event| matches!(event, Event::Timer { id: due } if *due == id);
        let is_due = self.events.iter().any(is_it);
        match &mut self.trial {
            Some(trial) if is_due && trial.cancelled.contains(&id) => return false,
            Some(trial) if is_due => trial.cancelled.push(id),
            _ => self.events.retain(|event| !is_it(event)),
        }
        is_due || self.timers.len() < before
    }

    pub fn wall_ms(&self) -> u64 {
        self.clock.unix_ms_at(self.now)
    }

    pub fn random(&mut self, out: &mut [u8]) {
        self.random.fill_bytes(out);
    }

    pub fn write_log(&mut self, level: LogLevel, file: &str, line: u32, message: &str) {
        match &mut self.trial {
            Some(trial) => trial.log(level, file, line, message),
            None => self.log.write(&self.clock, self.now, level, file, line, message),
        }
    }

    pub fn tell_operator(&mut self, message: &str) {
        self.log.tell_operator(self.now, message);
    }

    fn refuse_if_over(&self) -> Result<(), HostError> {
        if self.is_over() { Err(refused("call-ended", "the call is over".to_owned())) } else { Ok(()) }
    }
}

fn refused(code: &'static str, message: String) -> HostError {
    HostError { code, message }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_change;
#[cfg(test)]
mod tests_of_outside;
