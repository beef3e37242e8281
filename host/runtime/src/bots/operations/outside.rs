//! What a call has under way beyond telephony: operations that somebody else carries out, known here by their ids.
//!
//!     begin --> pending, queued --> leaves at the end of the turn --> answers come --> events, in order --> the last one ends it
//!
//! Nothing is kept for a call that never begins one.

use std::collections::VecDeque;
use std::sync::Arc;

use plugin::{Event, HostError, Outcome, Pair, Request, SpeechEvent, SpeechRequest, WebSocketRequest, Written};
use tokio::sync::Notify;

use super::clears::By;
use super::{Operations, Stage, refused};

/// Requests, WebSockets, reads and writes of the store, questions: so many at a time.
pub const OPERATIONS_MAX: usize = 16;
/// Utterances to be spoken.
pub const UTTERANCES_MAX: usize = 32;
/// What all requests under way hold.
pub const REQUEST_BYTES_MAX: usize = 4 << 20;
/// What a WebSocket may have waiting to be sent; each message counts as a little more than its bytes.
pub const UNSENT_BYTES_MAX: usize = 1 << 20;
const MESSAGE_BYTES: usize = 64;
/// Outcomes that wait for the bot, and what they hold.
pub const OUTCOMES_MAX: usize = 64;
pub const OUTCOME_BYTES_MAX: usize = 2 << 20;

/// Too much waits for the bot already: for later. With what was not taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Full(pub Outcome);

/// The operation is unknown, or was stopped: nothing more of it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over;

/// On its way to whoever carries it out.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Of a WebSocket also what follows its opening.
    Begin {
        id: u64,
        request: Request,
    },
    Cancel {
        id: u64,
    },
}

impl Task {
    fn id(&self) -> u64 {
        match self {
            Self::Begin { id, .. } | Self::Cancel { id } => *id,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    WebSocket,
    Store,
    Chat,
    Say,
    Listen,
    Transfer,
    /// Put on hold or taken back.
    Hold,
}

impl Kind {
    fn of(request: &Request) -> Self {
        use plugin::ControlRequest;
        match request {
            Request::Http(_) => Self::Http,
            Request::WebSocket(_) => Self::WebSocket,
            Request::Store(_) => Self::Store,
            Request::Chat(_) => Self::Chat,
            Request::Speech(SpeechRequest::Say { .. }) => Self::Say,
            Request::Speech(SpeechRequest::Listen { .. }) => Self::Listen,
            Request::Control(ControlRequest::Transfer { .. }) => Self::Transfer,
            Request::Control(ControlRequest::Hold | ControlRequest::Resume) => Self::Hold,
        }
    }

    fn pair(self) -> Pair {
        match self {
            Self::Http => Pair::Http,
            Self::WebSocket => Pair::WebSocket,
            Self::Store => Pair::Store,
            Self::Chat => Pair::Chat,
            Self::Say | Self::Listen => Pair::Speech,
            Self::Transfer | Self::Hold => Pair::Control,
        }
    }

    /// How many of its share there may be. A `listen` takes the place of the one before.
    fn bound(self) -> usize {
        match self {
            Self::Http | Self::WebSocket | Self::Store | Self::Chat => OPERATIONS_MAX,
            Self::Say => UTTERANCES_MAX,
            Self::Listen => usize::MAX,
            Self::Transfer | Self::Hold => 1,
        }
    }

    fn shares_with(self, other: Self) -> bool {
        let is_request = |kind: Self| !matches!(kind.pair(), Pair::Speech | Pair::Control);
        self == other || (is_request(self) && is_request(other))
    }
}

struct Pending {
    id: u64,
    kind: Kind,
    /// Of its request.
    bytes: usize,
    /// Of a WebSocket: what was handed over and has not left.
    unsent: usize,
    /// Of an utterance: whether any of its sound has come, and where it ends in the playout queue once all has.
    sounds: bool,
    end: Option<u64>,
}

#[derive(Default)]
pub(super) struct Outside {
    pending: Vec<Pending>,
    tasks: VecDeque<Task>,
    waiting: usize,
    waiting_bytes: usize,
    room: Arc<Notify>,
}

impl Drop for Outside {
    /// Whoever waits for room learns that there is nothing to wait for.
    fn drop(&mut self) {
        self.room.notify_waiters();
    }
}

impl Outside {
    /// Nothing comes of itself: no task waits, no utterance is about to end.
    pub fn is_quiet(&self) -> bool {
        self.tasks.is_empty() && self.pending.iter().all(|pending| pending.end.is_none())
    }

    fn at(&self, id: u64) -> Option<usize> {
        self.pending.iter().position(|pending| pending.id == id)
    }

    fn refuse_beyond_bounds(&self, kind: Kind, bytes: usize) -> Result<(), HostError> {
        let max = kind.bound();
        if self.pending.iter().filter(|pending| pending.kind.shares_with(kind)).count() >= max {
            return Err(refused("too-many", format!("at most {max} under way")));
        }
        let held: usize = self.pending.iter().map(|pending| pending.bytes + pending.unsent).sum();
        if held + bytes > REQUEST_BYTES_MAX {
            return Err(refused("too-many", format!("what is under way holds more than {REQUEST_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    fn count(&mut self, outcome: &Outcome) {
        self.waiting += 1;
        self.waiting_bytes += outcome.bytes();
    }

    fn is_full_for(&self, outcome: &Outcome) -> bool {
        self.waiting >= OUTCOMES_MAX || (self.waiting > 0 && self.waiting_bytes + outcome.bytes() > OUTCOME_BYTES_MAX)
    }
}

fn played(to_the_end: bool) -> Outcome {
    Outcome::Speech(SpeechEvent::UtterancePlayed { to_the_end })
}

/// What the bot asks for.
impl Operations {
    pub fn begin(&mut self, request: Request) -> Result<u64, HostError> {
        // At the hangup there is still time to tell somebody of it; not to talk.
        match request.pair() {
            Pair::Speech | Pair::Control => self.refuse_if_over()?,
            _ if self.stage == Stage::Done => return Err(refused("call-ended", "the bot is done".to_owned())),
            _ => {}
        }
        let (kind, bytes) = (Kind::of(&request), request.bytes());
        self.outside.get_or_insert_default().refuse_beyond_bounds(kind, bytes)?;
        let id = self.new_id();
        if kind == Kind::Listen {
            self.stop_listening();
        }
        if let Some(outside) = &mut self.outside {
            outside.pending.push(Pending { id, kind, bytes, unsent: 0, sounds: false, end: None });
        }
        match request {
            Request::Control(request) => self.act(super::control::act_of(id, request)),
            request => self.queue_task(Task::Begin { id, request }),
        }
        Ok(id)
    }

    fn stop_listening(&mut self) {
        let Some(outside) = &self.outside else { return };
        let stopped = |id| self.trial.as_ref().is_some_and(|trial| trial.stopped.contains(&id));
        let listening = outside.pending.iter().filter(|pending| pending.kind == Kind::Listen);
        if let Some(id) = listening.map(|pending| pending.id).find(|id| !stopped(*id)) {
            self.cancel(Pair::Speech, id);
        }
    }

    /// Text, bytes and goodbye of a WebSocket.
    pub fn proceed(&mut self, id: u64, request: WebSocketRequest) -> Result<(), HostError> {
        let unknown = || refused("unknown", "no such WebSocket is open".to_owned());
        let outside = self.outside.as_mut().ok_or_else(unknown)?;
        let pending = outside.pending.iter_mut().find(|pending| pending.id == id && pending.kind == Kind::WebSocket);
        let pending = pending.ok_or_else(unknown)?;
        let request = Request::WebSocket(request);
        let bytes = request.bytes() + MESSAGE_BYTES;
        if pending.unsent + bytes > UNSENT_BYTES_MAX + MESSAGE_BYTES {
            return Err(refused("too-many", format!("at most {UNSENT_BYTES_MAX} bytes wait to be sent")));
        }
        pending.unsent += bytes;
        self.queue_task(Task::Begin { id, request });
        Ok(())
    }

    fn queue_task(&mut self, task: Task) {
        match (&mut self.trial, &mut self.outside) {
            (Some(trial), _) => trial.tasks.push(task),
            (None, Some(outside)) => outside.tasks.push_back(task),
            (None, None) => {}
        }
    }

    pub fn cancel(&mut self, pair: Pair, id: u64) -> bool {
        let Some(outside) = &self.outside else { return false };
        if !outside.pending.iter().any(|pending| pending.id == id && pending.kind.pair() == pair) {
            return false;
        }
        match &mut self.trial {
            Some(trial) if id <= trial.last_id => {
                let is_new = !trial.stopped.contains(&id);
                if is_new {
                    trial.stopped.push(id);
                }
                is_new
            }
            _ => {
                self.stop(id);
                true
            }
        }
    }

    /// An utterance takes the sound that waits with it.
    fn stop(&mut self, id: u64) {
        let Some(outside) = &self.outside else { return };
        let Some(at) = outside.at(id) else { return };
        let Pending { kind, sounds, .. } = outside.pending[at];
        if kind != Kind::Say {
            return self.drop_operation(id);
        }
        if sounds && self.playout.played() < self.playout.position() {
            let clear = self.new_id();
            self.clear_queue(clear, By::Nobody);
            self.cut_utterances(|pending| pending.sounds);
        }
        self.cut_utterances(|pending| pending.id == id);
    }

    /// Without a word to the bot; whoever carries it out learns of it.
    fn drop_operation(&mut self, id: u64) {
        self.withdraw(id);
        let is_of_it = |event: &Event| matches!(event, Event::Outcome { id: of, .. } if *of == id);
        self.events.retain(|event| !is_of_it(event));
        self.count_outcomes();
    }

    /// It is not pending any more. If it had not left, nobody hears of it.
    fn withdraw(&mut self, id: u64) {
        let Some(outside) = &mut self.outside else { return };
        let Some(at) = outside.at(id) else { return };
        let Pending { kind, end, .. } = outside.pending.remove(at);
        let is_opening = |task: &Task| match task {
            Task::Begin { id: of, request: Request::WebSocket(request) } => {
                *of == id && matches!(request, WebSocketRequest::Open { .. })
            }
            Task::Begin { id: of, .. } => *of == id,
            Task::Cancel { .. } => false,
        };
        let mut has_left = !outside.tasks.iter().any(is_opening);
        outside.tasks.retain(|task| task.id() != id);
        if let Some(trial) = &mut self.trial {
            has_left &= !trial.tasks.iter().any(is_opening);
            trial.tasks.retain(|task| task.id() != id);
        }
        if has_left && end.is_none() && kind.pair() != Pair::Control {
            outside.tasks.push_back(Task::Cancel { id });
        }
    }

    pub fn next_task(&mut self) -> Option<Task> {
        self.outside.as_mut()?.tasks.pop_front()
    }
}

/// What comes of it.
impl Operations {
    /// Of an operation that is unknown by now: nothing.
    pub fn deliver(&mut self, id: u64, outcome: Outcome) -> Result<(), Full> {
        let Some(outside) = &mut self.outside else { return Ok(()) };
        let Some(at) = outside.at(id) else { return Ok(()) };
        let kind = outside.pending[at].kind;
        if kind.pair() != outcome.pair() {
            return Ok(());
        }
        let ends = outcome.ends(kind == Kind::Listen);
        // Who signals the call does not wait: there is one end for each, and progress is told as far as there is room.
        match outside.is_full_for(&outcome) {
            true if kind.pair() != Pair::Control => return Err(Full(outcome)),
            true if !ends => return Ok(()),
            _ => {}
        }
        outside.count(&outcome);
        if ends {
            outside.pending.remove(at);
        }
        self.events.push_back(Event::Outcome { id, outcome: Box::new(outcome) });
        Ok(())
    }

    /// So many bytes of a message of a WebSocket have left.
    pub fn sent(&mut self, id: u64, bytes: usize) {
        let Some(outside) = &mut self.outside else { return };
        if let Some(at) = outside.at(id) {
            let unsent = &mut outside.pending[at].unsent;
            *unsent = unsent.saturating_sub(bytes + MESSAGE_BYTES);
        }
    }

    /// Sound of an utterance. While a move is tried the queue takes nothing.
    pub fn play(&mut self, id: u64, samples: &[i16]) -> Result<Written, Over> {
        let pending = self.utterance(id)?;
        if pending.end.is_some() {
            return Err(Over);
        }
        if self.trial.is_some() {
            return Ok(Written { accepted: 0, queued_ms: self.playout.queued_ms() });
        }
        let written = self.playout.write(samples);
        if let Ok(pending) = self.utterance(id) {
            pending.sounds |= written.accepted > 0;
        }
        Ok(Written { accepted: written.accepted as u32, queued_ms: written.queued_ms })
    }

    /// All sound of the utterance is in the queue: once that has left, it is over.
    pub fn spoken(&mut self, id: u64) -> Result<(), Over> {
        let position = self.playout.position();
        self.utterance(id)?.end.get_or_insert(position);
        Ok(())
    }

    fn utterance(&mut self, id: u64) -> Result<&mut Pending, Over> {
        let outside = self.outside.as_mut().ok_or(Over)?;
        outside.pending.iter_mut().find(|pending| pending.id == id && pending.kind == Kind::Say).ok_or(Over)
    }

    /// Those whose sound has left. `played`: as far as the queue has come.
    pub(super) fn end_utterances(&mut self, reached: u64) {
        let Some(outside) = &mut self.outside else { return };
        let is_over = |pending: &mut Pending| pending.end.is_some_and(|end| end <= reached);
        let over: Vec<u64> = outside.pending.extract_if(.., is_over).map(|pending| pending.id).collect();
        over.into_iter().for_each(|id| self.tell_played(id, true));
    }

    /// The queue is cleared: they are over, but for those that were heard to their end already.
    pub(super) fn cut_utterances(&mut self, is_cut: impl Fn(&OfUtterance) -> bool) {
        self.end_utterances(self.playout.played());
        let Some(outside) = &self.outside else { return };
        let utterances = outside.pending.iter().filter(|pending| pending.kind == Kind::Say);
        let seen = |pending: &Pending| OfUtterance { id: pending.id, sounds: pending.sounds };
        let cut: Vec<u64> = utterances.map(seen).filter(is_cut).map(|of| of.id).collect();
        for id in cut {
            self.withdraw(id);
            self.tell_played(id, false);
        }
    }

    fn tell_played(&mut self, id: u64, to_the_end: bool) {
        let outcome = played(to_the_end);
        if let Some(outside) = &mut self.outside {
            outside.count(&outcome);
        }
        self.events.push_back(Event::Outcome { id, outcome: Box::new(outcome) });
    }

    /// The bot has one event less waiting.
    pub(super) fn note_taken(&mut self, outcome: &Outcome) {
        if let Some(outside) = &mut self.outside {
            outside.waiting = outside.waiting.saturating_sub(1);
            outside.waiting_bytes = outside.waiting_bytes.saturating_sub(outcome.bytes());
            outside.room.notify_waiters();
        }
    }

    fn count_outcomes(&mut self) {
        let Some(outside) = &mut self.outside else { return };
        (outside.waiting, outside.waiting_bytes) = (0, 0);
        for event in &self.events {
            if let Event::Outcome { outcome, .. } = event {
                outside.count(outcome);
            }
        }
        outside.room.notify_waiters();
    }

    /// Rung when outcomes are taken. None: there is nothing to be answered.
    pub fn room(&self) -> Option<Arc<Notify>> {
        self.outside.as_ref().map(|outside| Arc::clone(&outside.room))
    }
}

/// What decides whether a clear takes an utterance with it.
pub(super) struct OfUtterance {
    pub id: u64,
    pub sounds: bool,
}

/// Moves, restarts and the end.
impl Operations {
    /// Operations begun later than this one are cancelled; their events are not told.
    pub(super) fn cancel_since(&mut self, last_id: u64) {
        let Some(outside) = &self.outside else { return };
        let since: Vec<u64> = outside.pending.iter().map(|pending| pending.id).filter(|id| *id > last_id).collect();
        since.into_iter().for_each(|id| self.withdraw(id));
    }

    /// The events were put together anew.
    pub(super) fn recount(&mut self) {
        self.count_outcomes();
    }

    pub(super) fn commit_tasks(&mut self, tasks: Vec<Task>, stopped: Vec<u64>) {
        if let Some(outside) = &mut self.outside {
            outside.tasks.extend(tasks);
        }
        stopped.into_iter().for_each(|id| self.stop(id));
    }

    pub(super) fn abort_tasks(&mut self, tasks: &[Task], last_id: u64) {
        let Some(outside) = &mut self.outside else { return };
        outside.pending.retain(|pending| pending.id <= last_id);
        for task in tasks {
            if let Task::Begin { id, request } = task
                && let Some(at) = outside.at(*id)
            {
                let unsent = &mut outside.pending[at].unsent;
                *unsent = unsent.saturating_sub(request.bytes() + MESSAGE_BYTES);
            }
        }
    }

    /// Nothing of it is wanted any more, and all learn of it.
    pub(super) fn drop_all(&mut self) {
        self.cancel_since(0);
        self.count_outcomes();
        self.voice.end();
    }

    /// The call is closed: nobody carries anything out for it, and nobody is heard.
    pub fn close(&mut self) {
        self.outside = None;
        self.stage = Stage::Done;
        self.voice.end();
    }
}
