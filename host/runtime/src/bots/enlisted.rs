//! A bot in its lane: whose turn it is when, and what its threads tell the rest of the host.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use call::CallId;

use super::cell::{BotCell, Report};
use super::errands::Errand;
use super::moves::Script;
use super::operations::{Affairs, Task};
use super::{Answers, BotPlaneEvent, Caller, Errands, Lane, Reports, Services};

/// Turns that a bot may have between two ticks because of what it is told. What comes after that waits for the tick: nobody's service is to
/// cost the neighbours more than that.
pub const HURRIED_TURNS_MAX: u32 = 8;

/// One bot in its lane. In the order of use: its count of owners and the beginning of its cell share a cache line.
#[repr(C)]
pub struct Enlisted {
    pub(super) cell: BotCell,
    pub(super) call: CallId,
    /// That of its leg, which may change once.
    pub(super) phase: Arc<AtomicUsize>,
    pub(super) lane: Arc<Lane>,
    pub(super) enlisted: AtomicBool,
    /// Turns beside its ticks: whether it waits for one, and how many it has had since the last tick.
    pub(super) is_hurried: AtomicBool,
    pub(super) hurried_turns: AtomicU32,
    pub(super) closing: AtomicBool,
    /// By which its builds are known.
    pub(super) key: String,
    /// The number of the one that runs.
    pub(super) generation: AtomicU64,
    pub(super) script: Script,
    pub(super) operations: Arc<Affairs>,
    pub(super) reports: Reports,
    pub(super) errands: Errands,
    pub(super) services: Arc<dyn Services>,
    /// As services know it, once the bot has asked for one.
    pub(super) caller: OnceLock<Box<Caller>>,
}

impl Enlisted {
    pub(super) fn phase(&self) -> usize {
        self.phase.load(Ordering::Acquire)
    }

    pub(super) fn caller(self: &Arc<Self>) -> &Caller {
        self.caller.get_or_init(|| {
            let answers = Answers::new(&self.operations, Arc::downgrade(self));
            Box::new(Caller::new(self.call, &self.script.info.tenant, answers))
        })
    }

    pub(super) fn known_caller(&self) -> Option<&Caller> {
        self.caller.get().map(|caller| &**caller)
    }

    /// It has been told something that need not wait for its next tick.
    pub(super) fn hurry(self: &Arc<Self>) {
        if self.hurried_turns.load(Ordering::Relaxed) < HURRIED_TURNS_MAX
            && !self.is_hurried.swap(true, Ordering::AcqRel)
        {
            self.lane.hurry(Arc::clone(self));
        }
    }

    /// Whom it concerns: the core, or the thread that runs errands.
    pub(super) fn tell(self: &Arc<Self>, report: Report) {
        let (call, bot) = (self.call, || Arc::clone(self));
        let event = match report {
            Report::Act(act) => BotPlaneEvent::Act { call, act },
            Report::Task(Task::Begin { id, request }) => return self.services.begin(self.caller(), id, request),
            Report::Task(Task::Cancel { id }) => return self.services.cancel(self.caller(), id),
            Report::Faulted(why) => BotPlaneEvent::Faulted { call, why },
            Report::FallbackPlayed => BotPlaneEvent::FallbackPlayed { call },
            Report::BargedIn(times) => BotPlaneEvent::BargedIn { call, times },
            Report::Moved { generation } => {
                self.generation.store(generation, Ordering::Release);
                self.errands.run(Errand::Tried { bot: bot(), result: Ok(()) });
                BotPlaneEvent::Moved { call, generation }
            }
            Report::PutBack { generation, why } => {
                self.generation.store(generation, Ordering::Release);
                BotPlaneEvent::NotMoved { call, why }
            }
            Report::MoveFailed { why } => return self.errands.run(Errand::Tried { bot: bot(), result: Err(why) }),
            Report::Fell { after, why } => return self.errands.run(Errand::Restart { bot: bot(), after, why }),
            Report::Discard(instance) => return self.errands.run(Errand::Discard(instance)),
        };
        self.reports.event(event);
    }

    pub(super) fn enlist(self: &Arc<Self>) {
        if !self.closing.load(Ordering::Acquire) && !self.enlisted.swap(true, Ordering::AcqRel) {
            self.lane.enlist(Arc::clone(self));
            // Closed just now, and perhaps looked for in the lane before it stood there.
            if self.closing.load(Ordering::Acquire) {
                self.lane.discharge(self);
            }
        }
    }
}
