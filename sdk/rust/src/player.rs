//! Feeds the host's playout queue, which is bounded, with sound of any length.
//!
//! What the queue does not take waits here, and marks and a hangup wait behind it. A timer of the player's own
//! brings it back when half of the queue has played, so the caller hears no gap.

use std::collections::VecDeque;

use crate::{Cleared, Event, SAMPLES_PER_MS, Sound, imports};

/// Decoded and handed over at a time: one second. Keeps a long prompt out of the bot's memory.
const CHUNK_SAMPLES: usize = 1000 * SAMPLES_PER_MS;
/// Soonest time to try again.
const RETRY_MS_MIN: u32 = 100;

enum Item {
    /// A sound and how many of its samples the queue has taken.
    Sound(Sound, usize),
    Mark(String),
    Hangup,
}

#[derive(Default)]
pub struct Player {
    waiting: VecDeque<Item>,
    /// Set while something waits.
    timer: Option<u64>,
    /// Marks dropped here by a clear, until its event comes: they belong into that event.
    dropped_marks: Vec<(u64, Vec<String>)>,
}

impl Player {
    pub fn play(&mut self, sound: Sound) {
        self.add(Item::Sound(sound, 0));
    }

    pub fn mark(&mut self, name: &str) {
        self.add(Item::Mark(name.to_owned()));
    }

    pub fn hangup(&mut self) {
        self.add(Item::Hangup);
    }

    pub fn clear(&mut self) -> u64 {
        let id = imports::playout_clear();
        let mut marks = Vec::new();
        let mut hangup = false;
        for item in self.waiting.drain(..) {
            match item {
                Item::Sound(..) => {}
                Item::Mark(name) => marks.push(name),
                Item::Hangup => hangup = true,
            }
        }
        if !marks.is_empty() {
            self.dropped_marks.push((id, marks));
        }
        if let Some(timer) = self.timer.take() {
            imports::timer_cancel(timer);
        }
        // Asked for already: with the sound gone it is due at once.
        if hangup {
            imports::hangup(true);
        }
        id
    }

    pub fn holds_sound(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes the player's own timer out of the events, and completes `cleared`.
    pub fn on_event(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::Timer(id) if self.timer == Some(id) => {
                self.timer = None;
                self.feed();
                None
            }
            Event::Cleared(cleared) => Some(Event::Cleared(self.complete(cleared))),
            Event::Hangup(hung_up) => {
                self.waiting.clear();
                Some(Event::Hangup(hung_up))
            }
            other => Some(other),
        }
    }

    fn complete(&mut self, mut cleared: Cleared) -> Cleared {
        if let Some(at) = self.dropped_marks.iter().position(|(id, _)| *id == cleared.id) {
            cleared.dropped_marks.extend(self.dropped_marks.swap_remove(at).1);
        }
        cleared
    }

    fn add(&mut self, item: Item) {
        self.waiting.push_back(item);
        // Whatever waits in front has its timer.
        if self.timer.is_none() {
            self.feed();
        }
    }

    /// Hands over until nothing waits or the queue is full.
    fn feed(&mut self) {
        while let Some(item) = self.waiting.front_mut() {
            match item {
                Item::Sound(sound, taken) => {
                    let chunk = sound.part(*taken, CHUNK_SAMPLES);
                    let written = imports::playout_write(&chunk);
                    *taken += written.accepted as usize;
                    if (written.accepted as usize) < chunk.len() {
                        return self.wait(written.queued_ms);
                    }
                    if *taken < sound.len() {
                        continue;
                    }
                }
                Item::Mark(name) => {
                    if let Err(error) = imports::playout_mark(name) {
                        crate::warn!("mark {name} was refused: {}", error.message);
                    }
                }
                Item::Hangup => imports::hangup(true),
            }
            self.waiting.pop_front();
        }
    }

    fn wait(&mut self, queued_ms: u32) {
        match imports::timer_set(u64::from((queued_ms / 2).max(RETRY_MS_MIN))) {
            Ok(id) => self.timer = Some(id),
            // The next sound, mark or hangup tries again.
            Err(error) => crate::error!("the rest of the sound has to wait, no timer: {}", error.message),
        }
    }
}
