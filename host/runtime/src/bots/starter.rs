//! Starters: what a bot does before its first tick and after its last, away from the frame workers.
//! A `start` may take 200 ms, a stuck guest leaves within its hard limit; neither may stand before anybody's frames.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use call::{Accept, StartFailure};
use plugin::{CallInfo, Fault, Generation, StartReason, Started};

use super::fallback::Prompt;
use super::lane::{WORKPLACE, Workplace, lock};
use super::port::Port;
use super::{BotPlaneEvent, Enlisted, GUEST_STACK_BYTES, Reports, priority};

/// One for each `start` that may be stuck at once; the kernel shares the processors among them.
const STARTER_THREADS: usize = 16;
/// Of these so many for one bot, so that one that loops in `start` leaves room for the others.
const STARTS_OF_ONE_BOT_MAX: usize = 4;
/// Calls whose `start` has not begun. More than this, and they could not be answered in time anyway.
const STARTS_WAITING_MAX: usize = 512;
/// A `start` that has not begun by then is not begun at all: the call has given it up.
const WAIT_MAX: Duration = Duration::from_millis(200);

pub enum Job {
    Start(Box<Start>),
    Fallback { bot: Arc<Enlisted>, prompt: Prompt },
    Close { bot: Arc<Enlisted> },
}

pub struct Start {
    pub bot: Arc<Enlisted>,
    pub generation: Generation,
    pub memory_bytes: usize,
    pub port: Port,
    pub info: CallInfo,
    pub config: String,
    pub queued: Instant,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    starts_waiting: usize,
    /// `start`s that run now, by the bot's name.
    starting: HashMap<String, usize>,
    stopped: bool,
}

impl Queue {
    /// The first job that may begin. Cost: a look at each that may not, `STARTS_WAITING_MAX` at most.
    fn take(&mut self) -> Option<Job> {
        let may_begin = |job: &Job| match job {
            Job::Start(start) => {
                self.starting.get(start.generation.plugin.name()).is_none_or(|count| *count < STARTS_OF_ONE_BOT_MAX)
            }
            Job::Fallback { .. } | Job::Close { .. } => true,
        };
        let at = self.jobs.iter().position(may_begin)?;
        let job = self.jobs.remove(at)?;
        if let Job::Start(start) = &job {
            self.starts_waiting -= 1;
            *self.starting.entry(start.generation.plugin.name().to_owned()).or_default() += 1;
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
struct Desk {
    queue: Mutex<Queue>,
    filled: Condvar,
}

pub struct Starters {
    desk: Arc<Desk>,
}

impl Starters {
    pub fn start(reports: Reports) -> std::io::Result<Self> {
        let desk = Arc::new(Desk::default());
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
        self.queue(Job::Fallback { bot, prompt });
    }

    pub fn close(&self, bot: Arc<Enlisted>) {
        self.queue(Job::Close { bot });
    }

    /// Jobs of which each call has one at most.
    fn queue(&self, job: Job) {
        lock(&self.desk.queue).jobs.push_back(job);
        self.desk.filled.notify_one();
    }

    pub fn stop(&self) {
        lock(&self.desk.queue).stopped = true;
        self.desk.filled.notify_all();
    }
}

impl Desk {
    fn work(&self, reports: &Reports) {
        priority::starter();
        while let Some(job) = self.next() {
            match job {
                Job::Start(start) => {
                    let name = start.generation.plugin.name().to_owned();
                    WORKPLACE.set(Workplace::Start);
                    start.carry_out(reports);
                    WORKPLACE.set(Workplace::Elsewhere);
                    // It may have been lowered meanwhile.
                    priority::starter();
                    lock(&self.queue).started(&name);
                    self.filled.notify_one();
                }
                Job::Fallback { bot, prompt } => {
                    {
                        let mut inside = bot.cell.enter();
                        inside.play_fallback(prompt);
                        bot.cell.note_pace(&inside);
                    }
                    bot.enlist();
                }
                Job::Close { bot } => close(&bot, reports),
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
    bot.lane.leave(bot.phase);
    let mut stats = catch_unwind(AssertUnwindSafe(|| bot.cell.enter().end())).unwrap_or_default();
    stats.digest.clone_from(&bot.digest);
    stats.generation = bot.generation;
    reports.event(BotPlaneEvent::Ended { call: bot.call, stats: Box::new(stats) });
}

impl Start {
    fn carry_out(self, reports: &Reports) {
        let bot = Arc::clone(&self.bot);
        let ran = catch_unwind(AssertUnwindSafe(|| self.run()));
        let result =
            ran.unwrap_or_else(|_| Err(StartFailure::Faulted { why: "the host failed while starting it".into() }));
        // What it asked for while it started, before its word on the call itself.
        bot.cell.enter().report_acts(&mut |report| reports.send(bot.call, report));
        let accepted = result.is_ok();
        reports.event(BotPlaneEvent::Started { call: bot.call, result });
        if accepted {
            bot.enlist();
        }
    }

    fn run(self) -> Result<Accept, StartFailure> {
        let Self { bot, generation, memory_bytes, port, info, config, queued } = self;
        if bot.closing.load(Ordering::Acquire) || queued.elapsed() > WAIT_MAX {
            return Err(StartFailure::TimedOut);
        }
        lock(&port.operations).advance(Instant::now());
        let faulted = |fault: Fault| StartFailure::Faulted { why: fault.to_string() };
        let mut instance = generation.plugin.instantiate(Box::new(port), memory_bytes).map_err(faulted)?;
        match instance.start(&info, &config, StartReason::Fresh).map_err(faulted)? {
            Started::Accepted { frames, ring } => match bot.cell.enter().run_instance(Box::new(instance), frames) {
                Ok(()) => Ok(Accept { ring, frames }),
                // The call has given it up, and somebody else has its place.
                Err(_instance) => Err(StartFailure::TimedOut),
            },
            Started::Refused { status, reason } => Err(StartFailure::Refused { status, reason }),
        }
    }
}
