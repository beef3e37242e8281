//! While the new instance of a move starts, what it asks for is held: carried out with the swap, or forgotten if there is none.

use std::collections::VecDeque;

use plugin::{LogLevel, VoiceRules};
use rand::rngs::StdRng;

use super::{Leaving, Mark, Note, Operations, Stage, Task, Timer};
use crate::bots::bot_log::LINES_PER_SECOND_MAX;

/// Writes and clears in a row that are held; of more, nothing is taken.
const SOUNDS_MAX: usize = 256;

/// What was there before, and what is held.
pub(super) struct Trial {
    pub last_id: u64,
    timers: Vec<Timer>,
    marks: VecDeque<Mark>,
    notes: Vec<Note>,
    pub acts: usize,
    want_frames: bool,
    pub hangup_at: Option<Leaving>,
    answered: bool,
    voice: Option<VoiceRules>,
    stage: Stage,
    random: StdRng,
    sounds: Vec<Sound>,
    lines: Vec<Line>,
    /// Timers that were due already and are not to ring any more.
    pub cancelled: Vec<u64>,
    /// Requests to others.
    pub tasks: Vec<Task>,
    /// Operations from before that are to be cancelled.
    pub stopped: Vec<u64>,
}

enum Sound {
    Samples(Vec<i16>),
    Clear { id: u64 },
}

struct Line {
    level: LogLevel,
    file: String,
    line: u32,
    message: String,
}

impl Trial {
    /// Samples written.
    pub fn written(&self) -> usize {
        let samples =
            self.sounds.iter().map(|sound| if let Sound::Samples(samples) = sound { samples.len() } else { 0 });
        samples.sum()
    }

    /// Samples written since the last clear, and whether there was one.
    pub fn queued(&self) -> (usize, bool) {
        let mut queued = 0;
        for sound in self.sounds.iter().rev() {
            match sound {
                Sound::Samples(samples) => queued += samples.len(),
                Sound::Clear { .. } => return (queued, true),
            }
        }
        (queued, false)
    }

    /// Of `room` samples that the queue has left; how many were taken.
    pub fn write(&mut self, samples: &[i16], room: usize) -> usize {
        let samples = &samples[..samples.len().min(room)];
        let is_full = self.sounds.len() >= SOUNDS_MAX;
        match self.sounds.last_mut() {
            _ if samples.is_empty() => return 0,
            Some(Sound::Samples(last)) => last.extend_from_slice(samples),
            _ if is_full => return 0,
            _ => self.sounds.push(Sound::Samples(samples.to_vec())),
        }
        samples.len()
    }

    pub fn clear(&mut self, id: u64) {
        match self.sounds.last_mut() {
            Some(Sound::Clear { id: last }) => *last = id,
            _ => self.sounds.push(Sound::Clear { id }),
        }
    }

    pub fn log(&mut self, level: LogLevel, file: &str, line: u32, message: &str) {
        if self.lines.len() <= LINES_PER_SECOND_MAX as usize {
            self.lines.push(Line { level, file: file.to_owned(), line, message: message.to_owned() });
        }
    }
}

impl Operations {
    /// From here on everything is held, until [`Operations::commit_trial`] or [`Operations::abort_trial`].
    pub fn begin_trial(&mut self) {
        self.trial = Some(Box::new(Trial {
            last_id: self.last_id,
            timers: self.timers.clone(),
            marks: self.marks.clone(),
            notes: self.notes.clone(),
            acts: self.acts.len(),
            want_frames: self.want_frames,
            hangup_at: self.hangup_at.clone(),
            answered: self.answered,
            voice: self.voice.rules,
            stage: self.stage,
            random: self.random.clone(),
            sounds: Vec::new(),
            lines: Vec::new(),
            cancelled: Vec::new(),
            tasks: Vec::new(),
            stopped: Vec::new(),
        }));
    }

    /// The swap: what was held happens. From now on this moment is the one to go back to, and an instance of this generation speaks.
    pub fn commit_trial(&mut self, generation: u64) {
        let Some(trial) = self.trial.take() else { return };
        self.log.generation = generation;
        for sound in trial.sounds {
            match sound {
                Sound::Samples(samples) => drop(self.playout.write(&samples)),
                Sound::Clear { id } => self.begin_clear(id),
            }
        }
        self.events.retain(|event| !matches!(event, plugin::Event::Timer { id } if trial.cancelled.contains(id)));
        for Line { level, file, line, message } in trial.lines {
            self.log.write(&self.clock, self.now, level, &file, line, &message);
        }
        self.commit_tasks(trial.tasks, trial.stopped);
        self.remember_watching(trial.last_id, trial.hangup_at.is_some(), trial.voice);
    }

    /// Nothing has happened. What others did to the call meanwhile (keys sent, events queued, its end) stays.
    pub fn abort_trial(&mut self) {
        let Some(trial) = self.trial.take() else { return };
        self.orders.retain(|order| order.id <= trial.last_id);
        self.abort_tasks(&trial.tasks, trial.last_id);
        self.voice.set(trial.voice);
        self.answered = trial.answered;
        self.last_id = trial.last_id;
        self.timers = trial.timers;
        self.marks = trial.marks;
        self.notes = trial.notes;
        self.acts.truncate(trial.acts);
        self.want_frames = trial.want_frames;
        self.hangup_at = trial.hangup_at;
        self.random = trial.random;
        if self.stage == Stage::Done {
            self.stage = trial.stage;
        }
    }
}
