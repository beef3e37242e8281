//! The host's side of a fake call: every import, by the rules and limits of `bot.wit`.

use std::collections::VecDeque;

use super::services::Services;
use super::{AFTERLIFE_MS, TICK_MS, frame};
use crate::imports::{Level, Written};
use crate::{Cleared, Error, Event, FRAME_SAMPLES, Frame, FrameKind, Happened, HungUp, Marked, SAMPLES_PER_MS};

const TIMERS_MAX: usize = 64;
const TIMER_MS_MAX: u64 = 24 * 60 * 60 * 1000;
const MARKS_MAX: usize = 64;
const MARK_BYTES_MAX: usize = 128;
const KEYS_MAX: usize = 64;
const NOTES_MAX: usize = 16;
const NOTE_KEY_BYTES_MAX: usize = 64;
const NOTE_VALUE_BYTES_MAX: usize = 1024;
const RANDOM_BYTES_MAX: u32 = 4096;
/// A key takes 100 ms and a rest of 60; a comma 500.
const SENT_KEY_MS: u64 = 160;
const SENT_PAUSE_MS: u64 = 500;
/// 2026-01-01 00:00 UTC: the same in every run.
const WALL_MS_AT_START: u64 = 1_767_225_600_000;

/// One line of the bot's log.
#[derive(Clone, Debug)]
pub struct LogLine {
    pub level: Level,
    pub file: String,
    pub line: u32,
    pub message: String,
}

pub(super) enum State {
    Ringing,
    Up,
    Over { hung_up: HungUp, at_ms: u64 },
}

struct Mark {
    id: u64,
    name: String,
    /// Reached when this many samples of the queue have left.
    at: u64,
}

struct Timer {
    id: u64,
    due_ms: u64,
    event: Event,
}

/// See the module. Public because the imports name it; its fields are the tests' business.
pub struct Host {
    pub(super) state: State,
    pub(super) now_ms: u64,
    pub(super) tick: u64,
    /// To be delivered now.
    pub(super) events: VecDeque<Happened>,
    /// Brought about while the bot ran or by sound that left: delivered in the next tick.
    pub(super) coming: VecDeque<Happened>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) config: Vec<(String, String)>,
    pub(super) notes: Vec<(String, String)>,
    pub(super) logs: Vec<LogLine>,
    pub(super) digits_sent: String,
    pub(super) frames_wanted: bool,
    pub(super) frame_kind: FrameKind,
    pub(super) from_caller: VecDeque<i16>,
    pub(super) heard: Vec<i16>,
    pub(super) wrong_lengths: u64,
    pub(super) playout_ms_max: usize,
    queue: VecDeque<i16>,
    /// Samples of the queue that have left since the call began.
    pub(super) played: u64,
    /// The same, since the queue was last empty.
    played_in_row: u64,
    marks: VecDeque<Mark>,
    timers: Vec<Timer>,
    hangup_after_playout: Option<bool>,
    pub(super) services: Services,
    done: bool,
    last_id: u64,
    random: u64,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            state: State::Ringing,
            now_ms: 0,
            tick: 0,
            events: VecDeque::new(),
            coming: VecDeque::new(),
            headers: Vec::new(),
            attributes: Vec::new(),
            config: Vec::new(),
            notes: Vec::new(),
            logs: Vec::new(),
            digits_sent: String::new(),
            frames_wanted: true,
            frame_kind: FrameKind::Audio,
            from_caller: VecDeque::new(),
            heard: Vec::new(),
            wrong_lengths: 0,
            playout_ms_max: 10_000,
            queue: VecDeque::new(),
            played: 0,
            played_in_row: 0,
            marks: VecDeque::new(),
            timers: Vec::new(),
            hangup_after_playout: None,
            services: Services::default(),
            done: false,
            last_id: 0,
            random: 1,
        }
    }
}

/// What the driver of the call does.
impl Host {
    /// Time passes; timers that are due become events, the earliest first.
    pub(super) fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        self.speak();
        self.events.append(&mut self.coming);
        self.timers.sort_by_key(|timer| (timer.due_ms, timer.id));
        let due = self.timers.partition_point(|timer| timer.due_ms <= self.now_ms);
        self.events.extend(self.timers.drain(..due).map(|timer| timer.event.into()));
    }

    pub(super) fn frame_for_bot(&mut self) -> Option<Frame> {
        if !matches!(self.state, State::Up) {
            return None;
        }
        let mut samples: Vec<i16> = self.from_caller.drain(..FRAME_SAMPLES.min(self.from_caller.len())).collect();
        samples.resize(FRAME_SAMPLES, 0);
        self.frames_wanted.then(|| frame(self.tick, samples, self.frame_kind))
    }

    /// The bot's frame, or the queue, or silence.
    pub(super) fn send_to_caller(&mut self, answer: Option<Vec<i16>>) {
        if !matches!(self.state, State::Up) {
            return;
        }
        self.tick += 1;
        let mut samples = match answer {
            Some(samples) if samples.len() == FRAME_SAMPLES => samples,
            Some(_) => {
                self.wrong_lengths += 1;
                Vec::new()
            }
            None => self.pull(),
        };
        samples.resize(FRAME_SAMPLES, 0);
        self.heard.extend(samples);
    }

    fn pull(&mut self) -> Vec<i16> {
        let samples: Vec<i16> = self.queue.drain(..FRAME_SAMPLES.min(self.queue.len())).collect();
        self.played += samples.len() as u64;
        self.played_in_row += samples.len() as u64;
        let reached = self.marks.iter().take_while(|mark| mark.at <= self.played).count();
        for Mark { id, name, .. } in self.marks.drain(..reached) {
            self.coming.push_back(Event::Mark(Marked { id, name }).into());
        }
        samples
    }

    /// True if the call ended just now.
    pub(super) fn end_if_due(&mut self) -> bool {
        match self.hangup_after_playout {
            Some(after_playout) if !after_playout || self.queue.is_empty() => self.end("bot"),
            _ => false,
        }
    }

    /// False if it had ended before.
    pub(super) fn end(&mut self, by: &str) -> bool {
        if matches!(self.state, State::Over { .. }) {
            return false;
        }
        let hung_up = HungUp { by: by.to_owned(), cause: "bye".to_owned() };
        self.events.push_back(Event::Hangup(hung_up.clone()).into());
        self.state = State::Over { hung_up, at_ms: self.now_ms };
        self.queue.clear();
        self.marks.clear();
        self.drop_utterances(|_| true);
        true
    }

    pub(super) fn ended(&self) -> Option<HungUp> {
        match &self.state {
            State::Over { hung_up, .. } => Some(hung_up.clone()),
            State::Ringing | State::Up => None,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        match self.state {
            State::Over { at_ms, .. } => self.done || self.now_ms >= at_ms + AFTERLIFE_MS,
            State::Ringing | State::Up => false,
        }
    }

    /// As the host does at a restart.
    pub(super) fn forget_operations(&mut self) {
        self.queue.clear();
        self.marks.clear();
        self.timers.clear();
        self.events.clear();
        self.coming.clear();
        self.hangup_after_playout = None;
    }

    pub(super) fn queued_ms(&self) -> u32 {
        (self.queue.len() / SAMPLES_PER_MS) as u32
    }

    /// Whatever there is room for; where it ends, counted as `played`.
    pub(super) fn append(&mut self, samples: &[i16]) -> u64 {
        if self.queue.is_empty() {
            self.played_in_row = 0;
        }
        self.queue.extend(samples);
        self.played + self.queue.len() as u64
    }

    /// Utterances and marks go with the sound.
    pub(super) fn clear_queue(&mut self) -> Cleared {
        let cleared = self.drop_sound();
        self.drop_utterances(|_| true);
        cleared
    }

    /// All that waits, and its marks.
    pub(super) fn drop_sound(&mut self) -> Cleared {
        let id = self.new_id();
        let played_ms = (self.played_in_row / SAMPLES_PER_MS as u64) as u32;
        let dropped_marks = self.marks.drain(..).map(|mark| mark.name).collect();
        self.queue.clear();
        Cleared { id, played_ms, dropped_marks }
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn rings(&mut self, after_ms: u64, event: impl FnOnce(u64) -> Event) -> u64 {
        let id = self.new_id();
        // At least one tick: nothing rings while the bot runs.
        let due_ms = self.now_ms + after_ms.div_ceil(TICK_MS).max(1) * TICK_MS;
        self.timers.push(Timer { id, due_ms, event: event(id) });
        id
    }
}

/// What the bot calls: one method per import, under the SDK's names.
impl Host {
    pub(crate) fn header(&mut self, name: &str) -> Vec<String> {
        let values = self.headers.iter().filter(|(there, _)| there.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value.clone()).collect()
    }

    pub(crate) fn attribute(&mut self, name: &str) -> Option<String> {
        value_of(&self.attributes, name)
    }

    pub(crate) fn config_get(&mut self, key: &str) -> Option<String> {
        value_of(&self.config, key)
    }

    pub(crate) fn answer(&mut self) {
        if let State::Ringing = self.state {
            self.state = State::Up;
            self.coming.push_back(Event::Answered.into());
        }
    }

    pub(crate) fn hangup(&mut self, after_playout: bool) {
        // Of two wishes the sooner one counts.
        self.hangup_after_playout = Some(after_playout && self.hangup_after_playout != Some(false));
    }

    pub(crate) fn send_digits(&mut self, keys: &str) -> Result<u64, Error> {
        if matches!(self.state, State::Over { .. }) {
            return refused("call-ended", "the call is over");
        }
        let is_key = |key| matches!(key, '0'..='9' | '*' | '#' | 'A'..='D' | ',');
        if keys.is_empty() || !keys.chars().all(is_key) {
            return refused("not-a-digit", "keys are 0-9, *, #, A-D and the comma");
        }
        if keys.len() > KEYS_MAX {
            return refused("too-many", "at most 64 keys wait");
        }
        self.digits_sent.push_str(keys);
        let ms = keys.chars().map(|key| if key == ',' { SENT_PAUSE_MS } else { SENT_KEY_MS }).sum();
        Ok(self.rings(ms, Event::DigitsSent))
    }

    pub(crate) fn note(&mut self, key: &str, value: &str) -> Result<(), Error> {
        if key.len() > NOTE_KEY_BYTES_MAX || value.len() > NOTE_VALUE_BYTES_MAX {
            return refused("too-long", "keys have at most 64 bytes, values 1024");
        }
        if let Some((_, there)) = self.notes.iter_mut().find(|(there, _)| there == key) {
            value.clone_into(there);
        } else if self.notes.len() == NOTES_MAX {
            return refused("too-many", "at most 16 notes");
        } else {
            self.notes.push((key.to_owned(), value.to_owned()));
        }
        Ok(())
    }

    pub(crate) fn want_frames(&mut self, wanted: bool) {
        self.frames_wanted = wanted;
    }

    pub(crate) fn done(&mut self) {
        self.done = true;
    }

    pub(crate) fn playout_write(&mut self, samples: &[i16]) -> Written {
        let room = match self.state {
            State::Over { .. } => 0,
            State::Ringing | State::Up => (self.playout_ms_max * SAMPLES_PER_MS).saturating_sub(self.queue.len()),
        };
        let accepted = room.min(samples.len());
        self.append(&samples[..accepted]);
        Written { accepted: accepted as u32, queued_ms: self.queued_ms() }
    }

    pub(crate) fn playout_clear(&mut self) -> u64 {
        let cleared = self.clear_queue();
        let id = cleared.id;
        self.coming.push_back(Event::Cleared(cleared).into());
        id
    }

    pub(crate) fn playout_mark(&mut self, name: &str) -> Result<u64, Error> {
        if name.len() > MARK_BYTES_MAX {
            return refused("too-long", "a mark's name has at most 128 bytes");
        }
        if self.marks.len() == MARKS_MAX {
            return refused("too-many", "at most 64 marks wait");
        }
        let id = self.new_id();
        self.marks.push_back(Mark { id, name: name.to_owned(), at: self.played + self.queue.len() as u64 });
        Ok(id)
    }

    pub(crate) fn timer_set(&mut self, after_ms: u64) -> Result<u64, Error> {
        if after_ms > TIMER_MS_MAX {
            return refused("too-long", "a timer rings within 24 h");
        }
        if self.timers.iter().filter(|timer| matches!(timer.event, Event::Timer(_))).count() == TIMERS_MAX {
            return refused("too-many", "at most 64 timers wait");
        }
        Ok(self.rings(after_ms, Event::Timer))
    }

    /// An event that is due and not delivered yet is taken back too.
    pub(crate) fn timer_cancel(&mut self, id: u64) -> bool {
        let it = Event::Timer(id);
        let before = self.timers.len() + self.events.len();
        self.timers.retain(|timer| timer.event != it);
        self.events.retain(|happened| *happened != Happened::Event(it.clone()));
        self.timers.len() + self.events.len() < before
    }

    pub(crate) fn now_ms(&mut self) -> u64 {
        self.now_ms
    }

    pub(crate) fn wall_ms(&mut self) -> u64 {
        WALL_MS_AT_START + self.now_ms
    }

    pub(crate) fn random_bytes(&mut self, len: u32) -> Vec<u8> {
        (0..len.min(RANDOM_BYTES_MAX)).map(|_| (self.random_number() >> 56) as u8).collect()
    }

    /// The same numbers in every run: xorshift64*.
    pub(crate) fn random_number(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn log_write(&mut self, level: Level, file: &str, line: u32, message: &str) {
        self.logs.push(LogLine { level, file: file.to_owned(), line, message: message.to_owned() });
    }
}

fn value_of(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().find(|(there, _)| there == name).map(|(_, value)| value.clone())
}

pub(super) fn refused<T>(code: &str, message: &str) -> Result<T, Error> {
    Err(Error { code: code.to_owned(), message: message.to_owned() })
}
