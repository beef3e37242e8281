//! Starters: what a bot does before its first tick and after its last, away from the frame workers.
//! A `start` may take 200 ms, a stuck guest leaves within its hard limit; neither may stand before anybody's frames.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use call::{Accept, StartFailure};
use plugin::{Fault, Generation, Plugin, StartReason, Started};

use super::cell::Report;
use super::fallback::Prompt;
use super::lane::{WORKPLACE, Workplace, lock};
use super::moves::{Incoming, Target};
use super::port::Port;
use super::{BotPlaneEvent, Enlisted, GUEST_STACK_BYTES, Reports, priority};

/// One for each `start` that may be stuck at once; the kernel shares the processors among them.
const STARTER_THREADS: usize = 16;
/// Of these so many for one tenant, so that bots of its that loop in `start` leave room for the others'.
const STARTS_OF_ONE_TENANT_MAX: usize = 4;
/// Calls whose `start` has not begun. More than this, and they could not be answered in time anyway.
const STARTS_WAITING_MAX: usize = 512;
/// A `start` that has not begun by then is not begun at all: the call has given it up.
const WAIT_MAX: Duration = Duration::from_millis(200);

pub enum Job {
    Start(Box<Start>),
    /// A new instance for one that failed.
    Restart {
        bot: Arc<Enlisted>,
        why: String,
    },
    /// A new instance of another generation, for a move.
    Make {
        bot: Arc<Enlisted>,
        target: Target,
    },
    Fallback {
        bot: Arc<Enlisted>,
        prompt: Prompt,
    },
    Close {
        bot: Arc<Enlisted>,
    },
}

pub struct Start {
    pub bot: Arc<Enlisted>,
    pub generation: Generation,
    pub queued: Instant,
}

impl Job {
    /// Whose guest it enters, if any: the tenant, or the bot itself where that is the operator's own.
    fn owner(&self) -> Option<&str> {
        let key = match self {
            Job::Start(start) => start.generation.plugin.name(),
            Job::Restart { bot, .. } => &bot.key,
            Job::Make { target, .. } => target.generation.plugin.name(),
            Job::Fallback { .. } | Job::Close { .. } => return None,
        };
        Some(key.split_once('/').map_or(key, |(tenant, _)| tenant))
    }
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    starts_waiting: usize,
    /// `start`s that run now, by their owner.
    starting: HashMap<String, usize>,
    stopped: bool,
}

impl Queue {
    /// The first job that may begin. Cost: a look at each that may not, `STARTS_WAITING_MAX` at most.
    fn take(&mut self) -> Option<Job> {
        let may_begin = |job: &Job| {
            let starting = job.owner().and_then(|name| self.starting.get(name));
            starting.is_none_or(|count| *count < STARTS_OF_ONE_TENANT_MAX)
        };
        let at = self.jobs.iter().position(may_begin)?;
        let job = self.jobs.remove(at)?;
        self.starts_waiting -= usize::from(matches!(job, Job::Start(_)));
        if let Some(name) = job.owner() {
            *self.starting.entry(name.to_owned()).or_default() += 1;
        }
        Some(job)
    }

    fn started(&mut self, name: &str) {
        if let Some(count) = self.starting.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.starting.remove(name);
            }
        }
    }
}

#[derive(Default)]
pub struct Desk {
    queue: Mutex<Queue>,
    filled: Condvar,
}

pub struct Starters {
    desk: Arc<Desk>,
}

impl Starters {
    pub fn start(desk: Arc<Desk>, reports: &Reports) -> std::io::Result<Self> {
        for number in 0..STARTER_THREADS {
            let (desk, reports) = (Arc::clone(&desk), reports.clone());
            let thread = std::thread::Builder::new().name(format!("bots-start-{number}"));
            thread.stack_size(GUEST_STACK_BYTES).spawn(move || desk.work(&reports))?;
        }
        Ok(Self { desk })
    }

    /// False if too many wait already.
    pub fn start_bot(&self, start: Start) -> bool {
        let mut queue = lock(&self.desk.queue);
        if queue.starts_waiting >= STARTS_WAITING_MAX {
            return false;
        }
        queue.starts_waiting += 1;
        queue.jobs.push_back(Job::Start(Box::new(start)));
        self.desk.filled.notify_one();
        true
    }

    pub fn play_fallback(&self, bot: Arc<Enlisted>, prompt: Prompt) {
        self.desk.queue(Job::Fallback { bot, prompt });
    }

    pub fn close(&self, bot: Arc<Enlisted>) {
        self.desk.queue(Job::Close { bot });
    }

    pub fn stop(&self) {
        lock(&self.desk.queue).stopped = true;
        self.desk.filled.notify_all();
    }
}

impl Desk {
    /// Jobs of which each call has one at most.
    pub fn queue(&self, job: Job) {
        lock(&self.queue).jobs.push_back(job);
        self.filled.notify_one();
    }

    fn work(&self, reports: &Reports) {
        priority::starter();
        while let Some(job) = self.next() {
            let name = job.owner().map(str::to_owned);
            WORKPLACE.set(if name.is_some() { Workplace::Start } else { Workplace::Elsewhere });
            match job {
                Job::Start(start) => start.carry_out(reports),
                Job::Restart { bot, why } => restart(&bot, why, reports),
                Job::Make { bot, target } => make(&bot, target),
                Job::Fallback { bot, prompt } => {
                    {
                        let mut inside = bot.cell.enter();
                        inside.play_fallback(prompt, &mut |report| bot.tell(report));
                        bot.cell.note_pace(&inside);
                    }
                    bot.enlist();
                }
                Job::Close { bot } => close(&bot, reports),
            }
            if let Some(name) = name {
                WORKPLACE.set(Workplace::Elsewhere);
                // It may have been lowered meanwhile.
                priority::starter();
                lock(&self.queue).started(&name);
                self.filled.notify_one();
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.stopped {
                return None;
            }
            match queue.take() {
                Some(job) => return Some(job),
                None => queue = self.filled.wait(queue).unwrap_or_else(|poisoned| poisoned.into_inner()),
            }
        }
    }
}

/// A panic of ours, here or where the instance is dropped, ends this call and not the thread.
fn close(bot: &Arc<Enlisted>, reports: &Reports) {
    if bot.enlisted.load(Ordering::Acquire) {
        bot.lane.discharge(bot);
    }
    bot.lane.leave(bot.phase());
    let end = || bot.cell.enter().end(&mut |report| bot.tell(report));
    let stats = catch_unwind(AssertUnwindSafe(end)).unwrap_or_default();
    if bot.cell.take_incoming().is_some() {
        bot.tell(Report::MoveFailed { why: "the call is over".to_owned() });
    }
    if let Some(caller) = bot.known_caller() {
        bot.services.ended(caller);
    }
    reports.event(BotPlaneEvent::Ended { call: bot.call, stats: Box::new(stats) });
}

impl Enlisted {
    fn instantiate(self: &Arc<Self>, plugin: &Plugin) -> Result<plugin::Instance, Fault> {
        let port =
            Port { operations: Arc::clone(&self.operations), lane: Arc::clone(&self.lane), bot: Arc::downgrade(self) };
        plugin.instantiate(Box::new(port), self.script.memory_bytes)
    }
}

/// A panic of ours costs this call, as it would in a turn.
fn restart(bot: &Arc<Enlisted>, why: String, reports: &Reports) {
    let ran = catch_unwind(AssertUnwindSafe(|| try_to_restart(bot, why, reports)));
    if ran.is_err() {
        let why = "the host failed while restarting it".to_owned();
        bot.cell.enter().refuse_restart(why, &mut |report| bot.tell(report));
    }
}

fn try_to_restart(bot: &Arc<Enlisted>, why: String, reports: &Reports) {
    let Some((plugin, state)) = bot.cell.enter().to_restart() else { return };
    drop(bot.operations.advance(Instant::now()));
    let started = bot.instantiate(&plugin).and_then(|mut instance| {
        let started = instance.start(&bot.script.info, &bot.script.config, StartReason::Restarted(state))?;
        Ok((instance, started))
    });
    let mut inside = bot.cell.enter();
    let tell = &mut |report| bot.tell(report);
    match started {
        Ok((instance, Started::Accepted { frames, .. })) => {
            if inside.run_instance(Instant::now(), Box::new(instance), frames).is_ok() {
                inside.stats.restarts += 1;
                inside.report_acts(tell);
                reports.event(BotPlaneEvent::Restarted { call: bot.call, why });
            }
        }
        Ok((_, Started::Refused { reason, .. })) => {
            inside.refuse_restart(format!("{why}; and refused to go on: {reason}"), tell);
        }
        Err(fault) => inside.fall_again(Instant::now(), fault.to_string(), tell),
    }
}

fn make(bot: &Arc<Enlisted>, target: Target) {
    let made = catch_unwind(AssertUnwindSafe(|| bot.instantiate(&target.generation.plugin)));
    let why = match made {
        Ok(Ok(instance)) => {
            let before = bot.cell.hand_in(Box::new(Incoming { instance: Box::new(instance), target }));
            debug_assert!(before.is_none(), "one at a time");
            if !bot.closing.load(Ordering::Acquire) || bot.cell.take_incoming().is_none() {
                return;
            }
            "the call is over".to_owned()
        }
        Ok(Err(fault)) => format!("the new instance could not be made: {fault}"),
        Err(_) => "the host failed while making the new instance".to_owned(),
    };
    bot.tell(Report::MoveFailed { why });
}

impl Start {
    fn carry_out(self, reports: &Reports) {
        let bot = Arc::clone(&self.bot);
        let ran = catch_unwind(AssertUnwindSafe(|| self.run()));
        let result =
            ran.unwrap_or_else(|_| Err(StartFailure::Faulted { why: "the host failed while starting it".into() }));
        // What it asked for while it started, before its word on the call itself.
        bot.cell.enter().report_acts(&mut |report| bot.tell(report));
        let accepted = result.is_ok();
        reports.event(BotPlaneEvent::Started { call: bot.call, result });
        if accepted {
            bot.enlist();
        }
    }

    fn run(self) -> Result<Accept, StartFailure> {
        let Self { bot, generation, queued } = self;
        if bot.closing.load(Ordering::Acquire) || queued.elapsed() > WAIT_MAX {
            return Err(StartFailure::TimedOut);
        }
        #[cfg(feature = "native-bot")]
        if generation.plugin.name() == super::native::NAME {
            bot.cell.enter().run_native();
            return Ok(Accept { ring: false, frames: true });
        }
        drop(bot.operations.advance(Instant::now()));
        let faulted = |fault: Fault| StartFailure::Faulted { why: fault.to_string() };
        let mut instance = bot.instantiate(&generation.plugin).map_err(faulted)?;
        match instance.start(&bot.script.info, &bot.script.config, StartReason::Fresh).map_err(faulted)? {
            Started::Accepted { frames, ring } => {
                if !ring {
                    bot.operations.lock().note_answered();
                }
                match bot.cell.enter().run_instance(Instant::now(), Box::new(instance), frames) {
                    Ok(()) => Ok(Accept { ring, frames }),
                    // The call has given it up, and somebody else has its place.
                    Err(_instance) => Err(StartFailure::TimedOut),
                }
            }
            Started::Refused { status, reason } => Err(StartFailure::Refused { status, reason }),
        }
    }
}
