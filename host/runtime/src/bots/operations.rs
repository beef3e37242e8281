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
    pub attributes: Vec<(&'static str, String)>,
    /// The route's configuration.
    pub config: serde_json::Map<String, serde_json::Value>,
}

struct Timer {
    due: Instant,
    id: u64,
}

struct Mark {
    position: u64,
    id: u64,
    name: String,
}

struct Note {
    key: String,
    value: String,
    told: bool,
}

/// One clear under way: the id that the bot knows it by, and the playout's own.
struct Clear {
    id: u64,
    playout_id: u64,
}

/// A clear that took effect, not told yet: what acted together with it joins it.
struct Cut {
    id: u64,
    until: u64,
    played_ms: u32,
    dropped_marks: Vec<String>,
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
    /// When the call began, on both clocks.
    clock: WallClock,
    now: Instant,
    last_id: u64,
    timers: Vec<Timer>,
    marks: VecDeque<Mark>,
    clears: VecDeque<Clear>,
    digits_waiting: usize,
    /// Keys that were ordered and not reported sent, by the order's id.
    keys_waiting: Vec<(u64, usize)>,
    events: VecDeque<Event>,
    acts: VecDeque<BotAct>,
    notes: Vec<Note>,
    want_frames: bool,
    hangup_at: Option<u64>,
    stage: Stage,
    random: StdRng,
    pub log: BotLog,
}

/// A bot that lets what waits for it fill up is treated as one that trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overfull;

impl Operations {
    pub fn new(facts: Arc<CallFacts>, playout: PlayoutWriter, log: BotLog, seed: [u8; 32], clock: WallClock) -> Self {
        Self {
            facts,
            playout,
            clock,
            now: clock.at,
            last_id: 0,
            timers: Vec::new(),
            marks: VecDeque::new(),
            clears: VecDeque::new(),
            digits_waiting: 0,
            keys_waiting: Vec::new(),
            events: VecDeque::with_capacity(8),
            acts: VecDeque::new(),
            notes: Vec::new(),
            want_frames: true,
            hangup_at: None,
            stage: Stage::Live,
            random: StdRng::from_seed(seed),
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
        if self.hangup_at.is_some_and(|position| position <= played) {
            self.hangup_at = None;
            self.act(BotAct::Hangup);
        }
    }

    fn ring_timers(&mut self, now: Instant) {
        self.timers.sort_by_key(|timer| (timer.due, timer.id));
        let due = self.timers.partition_point(|timer| timer.due <= now);
        self.events.extend(self.timers.drain(..due).map(|timer| Event::Timer { id: timer.id }));
    }

    /// Clears that took effect. Those between which nothing was heard acted before one packet: they are one, told under the last id.
    fn take_clears(&mut self) {
        let mut untold: Option<Cut> = None;
        while let Some(cleared) = self.playout.poll_cleared() {
            let mut id = None;
            while let Some(clear) = self.clears.pop_front_if(|clear| clear.playout_id <= cleared.id) {
                id = Some(clear.id);
            }
            let Some(id) = id else { continue };
            if untold.as_ref().is_some_and(|cut| cleared.cut > cut.until) {
                self.tell_cleared(untold.take());
            }
            let played_ms = (cleared.played / SAMPLES_PER_MS) as u32;
            let cut = untold.get_or_insert(Cut { id, until: cleared.until, played_ms, dropped_marks: Vec::new() });
            (cut.id, cut.until) = (id, cleared.until);
            // A mark set after the clear stays, also where nothing was written in between.
            while let Some(mark) = self.marks.pop_front_if(|mark| mark.position <= cleared.until && mark.id < id) {
                if mark.position <= cleared.cut {
                    self.events.push_back(Event::Mark { id: mark.id, name: mark.name });
                } else {
                    cut.dropped_marks.push(mark.name);
                }
            }
        }
        self.tell_cleared(untold);
    }

    fn tell_cleared(&mut self, cut: Option<Cut>) {
        if let Some(Cut { id, played_ms, dropped_marks, .. }) = cut {
            self.events.push_back(Event::Cleared { id, played_ms, dropped_marks });
        }
    }

    /// Queues an event for the bot. Digits have a bound of their own.
    pub fn push(&mut self, event: Event) -> Result<(), Overfull> {
        match event {
            Event::Digit { .. } if self.digits_waiting >= DIGITS_MAX => return Err(Overfull),
            Event::Digit { .. } => self.digits_waiting += 1,
            Event::DigitsSent { id } => self.keys_waiting.retain(|(order, _)| *order != id),
            Event::Hangup { .. } => self.stage = self.stage.max(Stage::Over),
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
        match event {
            Some(Event::Digit { .. }) => self.digits_waiting -= 1,
            Some(Event::Hangup { .. }) => self.stage = Stage::Told,
            _ => {}
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
        self.playout.clear();
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

    pub fn answer(&mut self) {
        self.act(BotAct::Answer);
    }

    pub fn hangup(&mut self, after_playout: bool) {
        if after_playout && self.playout.played() < self.playout.position() {
            // A second one cannot put off the first.
            self.hangup_at.get_or_insert(self.playout.position());
        } else {
            self.act(BotAct::Hangup);
        }
    }

    pub fn done(&mut self) {
        if self.stage == Stage::Told {
            self.stage = Stage::Done;
            self.act(BotAct::Done);
        }
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
        let waiting: usize = self.keys_waiting.iter().map(|(_, keys)| keys).sum();
        if waiting + keys.len() > KEYS_WAITING_MAX {
            return Err(refused("too-many", format!("at most {KEYS_WAITING_MAX} keys wait")));
        }
        let id = self.new_id();
        self.keys_waiting.push((id, keys.len()));
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
        let written = self.playout.write(if self.is_over() { &[] } else { samples });
        Written { accepted: written.accepted as u32, queued_ms: written.queued_ms }
    }

    pub fn playout_clear(&mut self) -> u64 {
        let id = self.new_id();
        let playout_id = self.playout.clear();
        match self.clears.back_mut() {
            // More clears than can act before the next packet: they are one, and the last id is the one told.
            Some(last) if last.playout_id == playout_id => last.id = id,
            _ => self.clears.push_back(Clear { id, playout_id }),
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
        self.marks.push_back(Mark { position: self.playout.position(), id, name: name.to_owned() });
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
        let waiting = self.events.len();
        self.events.retain(|event| !matches!(event, Event::Timer { id: due } if *due == id));
        self.timers.len() < before || self.events.len() < waiting
    }

    pub fn now_ms(&self) -> u64 {
        self.now.saturating_duration_since(self.clock.at).as_millis() as u64
    }

    pub fn wall_ms(&self) -> u64 {
        self.clock.unix_ms_at(self.now)
    }

    pub fn random(&mut self, out: &mut [u8]) {
        self.random.fill_bytes(out);
    }

    pub fn write_log(&mut self, level: LogLevel, file: &str, line: u32, message: &str) {
        self.log.write(&self.clock, self.now, level, file, line, message);
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
