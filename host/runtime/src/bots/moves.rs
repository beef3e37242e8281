//! A live call goes over to another generation of its bot, between two of its ticks.
//!
//!     off the clock:  new instance made --> handed in
//!     after a turn:   old.save() --> new.start(moved(state)) --> swap     old stays frozen for a second
//!                         | none, refused, trapped, too long                | the new one traps: put back
//!                         old goes on as if nothing had been                 v events since, but for the one that trapped
//!
//! What the new `start` asks for is held until the swap (`operations::trial`). Frames that come meanwhile wait in the ring.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plugin::{CallInfo, Generation, Instance, StartReason, Started};

use super::cell::{Bot, BotCell, Pace, Report, Running, TICKS_TO_PROVE_ITSELF, Tell};
use super::lives::SAVE_EVERY;
use super::operations::Queue;

/// Guest CPU for `save` and `start` together: within a tick there is time for both, and for the next frame.
pub const MOVE_CPU_MAX: Duration = Duration::from_millis(10);
/// How long the instance before stays to be put back.
pub const FROZEN: Duration = Duration::from_secs(1);

/// A generation, and whether it has proved itself.
#[derive(Clone)]
pub struct Target {
    pub generation: Generation,
    pub proved: Arc<AtomicBool>,
}

/// What `start` is called with, at every start of the call.
pub struct Script {
    pub info: CallInfo,
    pub config: String,
    pub memory_bytes: usize,
}

impl Script {
    pub fn of(start: &call::BotStart, memory_bytes: usize) -> Self {
        let info = CallInfo {
            id: start.id.clone(),
            caller: start.caller.clone(),
            called: start.called.clone(),
            trunk: start.trunk.clone(),
            tenant: start.route.tenant.clone(),
        };
        let config = serde_json::Value::Object(start.route.config.clone()).to_string();
        Self { info, config, memory_bytes }
    }
}

/// A new instance that has not been started.
pub struct Incoming {
    pub instance: Box<Instance>,
    pub target: Target,
}

/// The instance before the one that runs, as it was at the swap.
pub struct Frozen {
    pub instance: Box<Instance>,
    until: Instant,
    generation: u64,
    digest: String,
    proved: Arc<AtomicBool>,
    wanted_frames: bool,
    state: Vec<u8>,
}

/// What went over, and whether the new instance wants frames.
struct Accepted {
    state: Vec<u8>,
    frames: bool,
}

impl BotCell {
    /// Called on the thread that has the bot, when nobody stands behind it.
    pub fn move_bot(&self, bot: &mut Bot, now: Instant, script: &Script, tell: Tell) {
        if matches!(bot.running, Running::Waiting | Running::Down(_)) {
            return;
        }
        let Some(incoming) = self.take_incoming() else { return };
        let mut told = false;
        bot.guarded(tell, |bot, tell| {
            let tell = &mut |report| {
                told |= matches!(report, Report::Moved { .. } | Report::MoveFailed { .. });
                tell(report);
            };
            bot.take_over(now, *incoming, script, tell);
        });
        if !told {
            tell(Report::MoveFailed { why: "the host failed during the move".to_owned() });
        }
        self.note_pace(bot);
    }
}

impl Bot {
    fn take_over(&mut self, now: Instant, mut incoming: Incoming, script: &Script, tell: Tell) {
        let wanted_frames = self.operations().wants_frames();
        match self.try_to_move(now, &mut incoming, script, tell) {
            Ok(Accepted { state, frames }) => {
                self.swap(now, incoming, state, wanted_frames, tell);
                self.set_wants_frames(frames);
                self.report_acts(tell);
            }
            Err(why) => {
                self.discard(incoming.instance, tell);
                tell(Report::MoveFailed { why });
            }
        }
    }

    fn try_to_move(
        &mut self,
        now: Instant,
        new: &mut Incoming,
        script: &Script,
        tell: Tell,
    ) -> Result<Accepted, String> {
        if self.operations().is_over() {
            return Err("the call is over".to_owned());
        }
        let Running::Bot(old) = &mut self.running else { return Err("its bot is gone".to_owned()) };
        let before = old.measured_time();
        let saved = old.save();
        let used = old.measured_time().saturating_sub(before);
        let state = match saved {
            Ok(Some(state)) => state,
            Ok(None) => return Err("the old instance saves nothing here".to_owned()),
            Err(fault) => {
                self.fall(now, &fault, tell);
                return Err(format!("the old instance failed in save: {fault}"));
            }
        };
        let Some(left) = MOVE_CPU_MAX.checked_sub(used).filter(|left| !left.is_zero()) else {
            return Err(format!("save took {} ms, more than a move may", used.as_millis()));
        };
        self.operations().begin_trial();
        match new.instance.start_within(left, &script.info, &script.config, StartReason::Moved(state.clone())) {
            Ok(Started::Accepted { frames, .. }) => {
                self.operations().commit_trial(new.target.generation.number);
                Ok(Accepted { state, frames })
            }
            Ok(Started::Refused { reason, .. }) => {
                self.operations().abort_trial();
                Err(format!("the new instance refused: {reason}"))
            }
            Err(fault) => {
                self.operations().abort_trial();
                Err(format!("the new instance failed in start: {fault}"))
            }
        }
    }

    fn swap(&mut self, now: Instant, incoming: Incoming, state: Vec<u8>, wanted_frames: bool, tell: Tell) {
        let Incoming { instance, target: Target { generation, proved } } = incoming;
        self.quota.begin(instance.guest_time());
        let Running::Bot(old) = std::mem::replace(&mut self.running, Running::Bot(instance)) else { return };
        if let Some(frozen) = self.frozen.take() {
            self.discard(frozen.instance, tell);
        }
        let frozen = Frozen {
            instance: old,
            until: now + FROZEN,
            generation: std::mem::replace(&mut self.stats.generation, generation.number),
            digest: std::mem::replace(&mut self.stats.digest, generation.plugin.digest().to_owned()),
            proved: std::mem::replace(&mut self.proved, proved),
            wanted_frames,
            state,
        };
        self.frozen = Some(Box::new(frozen));
        // It is saved as soon as nothing could be put back any more.
        self.saves.replace(now, None, FROZEN);
        self.restarts.begin(now);
        if self.pace == Pace::Kept && !self.proved.load(Ordering::Relaxed) {
            self.pace = Pace::Proving(TICKS_TO_PROVE_ITSELF);
        }
        self.stats.moves += 1;
        tell(Report::Moved { generation: generation.number });
    }

    /// The old instance goes once its second is over.
    pub(super) fn thaw(&mut self, now: Instant, tell: Tell) {
        if let Some(frozen) = self.frozen.take_if(|frozen| now >= frozen.until) {
            self.discard(frozen.instance, tell);
        }
    }

    /// The instance that failed had just taken over: the one before it goes on.
    pub(super) fn put_back(&mut self, now: Instant, why: &str, tell: Tell) -> bool {
        let Some(frozen) = self.frozen.take() else { return false };
        if self.operations().is_over() || !self.operations().go_back(Queue::Kept) {
            self.discard(frozen.instance, tell);
            return false;
        }
        self.report_tasks(tell);
        let Frozen { instance, generation, digest, proved, wanted_frames, state, .. } = *frozen;
        self.quota.begin(instance.guest_time());
        if let Running::Bot(failed) = std::mem::replace(&mut self.running, Running::Bot(instance)) {
            self.discard(failed, tell);
        }
        (self.stats.generation, self.stats.digest, self.proved) = (generation, digest, proved);
        self.operations().log.generation = generation;
        self.saves.replace(now, Some(state), SAVE_EVERY);
        self.restarts.begin(now);
        if matches!(self.pace, Pace::Proving(_)) && self.proved.load(Ordering::Relaxed) {
            self.pace = Pace::Kept;
        }
        self.set_wants_frames(wanted_frames);
        tell(Report::PutBack { generation, why: format!("the new instance failed within a second: {why}") });
        true
    }
}
