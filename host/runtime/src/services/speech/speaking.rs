//! What a bot says, one utterance after the other. While one is poured into the playout queue, the engine is asked for the next.
//!
//!     waiting -- fetched: at most 3 at a time --> poured, in order --> spoken

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::speech::{Fault, Say, TextToSpeech};
use futures_util::StreamExt;
use plugin::{Outcome, SpeechEvent};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use super::super::chat::failed;
use super::super::task::Task;
use crate::bots::Answers;

/// The one that is poured, and those whose sound is made meanwhile.
const FETCHED_MAX: usize = 3;
/// Pieces of an utterance that wait for its turn: a piece is what an engine sends at a time, a few KiB.
const PIECES_MAX: usize = 32;
/// How soon a full queue is looked at again, in ms: when half of it has left, but for a long one.
const LOOK_AGAIN_MS: std::ops::RangeInclusive<u32> = 10..=100;

/// An utterance to be spoken.
pub struct Asked {
    pub id: u64,
    pub at: Instant,
    pub say: Say,
    pub engine: Arc<dyn TextToSpeech>,
}

pub struct Speaking {
    line: Arc<Line>,
    _task: Task,
}

/// What waits for its turn, and who has it. As many as a call may have pending, which is not bounded here.
#[derive(Default)]
struct Line {
    turns: Mutex<Turns>,
    changed: Notify,
}

#[derive(Default)]
struct Turns {
    waiting: VecDeque<Asked>,
    /// Their sound is being fetched; one that is cancelled is not among them any more.
    fetched: Vec<u64>,
}

impl Speaking {
    pub fn start(runtime: &Handle, answers: Answers) -> Self {
        let line = Arc::new(Line::default());
        let task = Task::start(runtime, speak(Arc::clone(&line), answers, runtime.clone()));
        Self { line, _task: task }
    }

    pub fn say(&self, asked: Asked) {
        self.line.turns().waiting.push_back(asked);
        self.line.changed.notify_one();
    }

    pub fn cancel(&self, id: u64) {
        let mut turns = self.line.turns();
        turns.waiting.retain(|asked| asked.id != id);
        turns.fetched.retain(|fetched| *fetched != id);
        self.line.changed.notify_one();
    }
}

impl Line {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Asked> {
        let mut turns = self.turns();
        let asked = turns.waiting.pop_front()?;
        turns.fetched.push(asked.id);
        Some(asked)
    }

    fn is_wanted(&self, id: u64) -> bool {
        self.turns().fetched.contains(&id)
    }

    fn done(&self, id: u64) {
        self.turns().fetched.retain(|fetched| *fetched != id);
    }
}

/// The sound of one utterance, as the engine makes it.
struct Fetched {
    id: u64,
    at: Instant,
    sound: mpsc::Receiver<Result<Vec<i16>, Fault>>,
    _task: Task,
}

impl Fetched {
    fn start(runtime: &Handle, Asked { id, at, say, engine }: Asked) -> Self {
        let (pieces, sound) = mpsc::channel(PIECES_MAX);
        let task = Task::start(runtime, async move {
            let mut made = engine.speak(say);
            while let Some(piece) = made.next().await {
                if pieces.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Self { id, at, sound, _task: task }
    }
}

async fn speak(line: Arc<Line>, answers: Answers, runtime: Handle) {
    let mut ahead: VecDeque<Fetched> = VecDeque::with_capacity(FETCHED_MAX);
    loop {
        look_ahead(&line, &mut ahead, FETCHED_MAX, &runtime);
        let Some(mut first) = ahead.pop_front() else {
            line.changed.notified().await;
            continue;
        };
        let id = first.id;
        let mut poured = std::pin::pin!(pour(&mut first, &answers));
        loop {
            tokio::select! {
                () = &mut poured => break,
                () = line.changed.notified() => {
                    look_ahead(&line, &mut ahead, FETCHED_MAX - 1, &runtime);
                    if !line.is_wanted(id) {
                        break;
                    }
                }
            }
        }
        line.done(id);
    }
}

fn look_ahead(line: &Line, ahead: &mut VecDeque<Fetched>, max: usize, runtime: &Handle) {
    ahead.retain(|fetched| line.is_wanted(fetched.id));
    while ahead.len() < max
        && let Some(asked) = line.next()
    {
        ahead.push_back(Fetched::start(runtime, asked));
    }
}

/// Puts it into the playout queue as there is room.
async fn pour(fetched: &mut Fetched, answers: &Answers) {
    let (id, at) = (fetched.id, fetched.at);
    let mut is_silent = true;
    while let Some(piece) = fetched.sound.recv().await {
        let sound = match piece {
            Ok(sound) => sound,
            Err(fault) => return answers.give(id, Outcome::Speech(SpeechEvent::Failed(failed(fault, answers)))).await,
        };
        let mut rest = &sound[..];
        while !rest.is_empty() {
            // Over: it was stopped, and the bot has been told.
            let Ok(written) = answers.play(id, rest) else { return };
            rest = rest.get(written.accepted as usize..).unwrap_or_default();
            if is_silent && written.accepted > 0 {
                is_silent = false;
                let after_ms = u32::try_from(at.elapsed().as_millis()).unwrap_or(u32::MAX);
                answers.give(id, Outcome::Speech(SpeechEvent::Speaking { after_ms })).await;
            }
            if !rest.is_empty() {
                let half = (written.queued_ms / 2).clamp(*LOOK_AGAIN_MS.start(), *LOOK_AGAIN_MS.end());
                sleep(Duration::from_millis(half.into())).await;
            }
        }
    }
    // Over: the same.
    let _ = answers.spoken(id);
}
