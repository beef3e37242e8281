//! Starters: what a bot does before its first tick and after its last, away from the frame workers.
//! A `start` may take 200 ms, a stuck guest leaves within its hard limit; neither may stand before anybody's frames.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};

use call::{Accept, StartFailure};
use plugin::{CallInfo, Generation, StartReason, Started};

use super::fallback::Prompt;
use super::lane::lock;
use super::port::Port;
use super::{BotPlaneEvent, Enlisted, Reports, priority};

const STARTER_THREADS: usize = 3;
/// Calls whose `start` has not begun. More than this, and they could not be answered in time anyway.
const STARTS_WAITING_MAX: usize = 512;

pub enum Job {
    Start { bot: Arc<Enlisted>, generation: Generation, port: Box<Port>, info: Box<CallInfo>, config: String },
    Fallback { bot: Arc<Enlisted>, prompt: Prompt },
    Close { bot: Arc<Enlisted> },
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    stopped: bool,
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
            std::thread::Builder::new().name(format!("bots-start-{number}")).spawn(move || desk.work(&reports))?;
        }
        Ok(Self { desk })
    }

    /// False if too many wait already.
    pub fn queue(&self, job: Job) -> bool {
        if lock(&self.desk.queue).jobs.len() >= STARTS_WAITING_MAX {
            return false;
        }
        self.queue_always(job);
        true
    }

    /// For jobs of which each call has one at most.
    pub fn queue_always(&self, job: Job) {
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
            job.carry_out(reports);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.stopped {
                return None;
            }
            match queue.jobs.pop_front() {
                Some(job) => return Some(job),
                None => queue = self.filled.wait(queue).unwrap_or_else(|poisoned| poisoned.into_inner()),
            }
        }
    }
}

impl Job {
    fn carry_out(self, reports: &Reports) {
        match self {
            Job::Start { bot, generation, port, info, config } => {
                let call = bot.call;
                // A panic of ours ends this call, not the starter.
                let started =
                    std::panic::catch_unwind(AssertUnwindSafe(|| start(&bot, &generation, port, &info, &config)));
                let result = started.unwrap_or_else(|_| {
                    Err(StartFailure::Faulted { why: "the host failed while starting it".to_owned() })
                });
                let accepted = result.is_ok();
                reports.event(BotPlaneEvent::Started { call, result });
                if accepted {
                    bot.enlist();
                }
            }
            Job::Fallback { bot, prompt } => {
                bot.cell.enter().play_fallback(prompt);
                bot.enlist();
            }
            Job::Close { bot } => {
                if bot.enlisted.load(Ordering::Acquire) {
                    bot.lane.discharge(&bot);
                }
                let mut stats = bot.cell.enter().end();
                stats.digest.clone_from(&bot.digest);
                stats.generation = bot.generation;
                reports.event(BotPlaneEvent::Ended { call: bot.call, stats: Box::new(stats) });
            }
        }
    }
}

fn start(
    bot: &Enlisted,
    generation: &Generation,
    port: Box<Port>,
    info: &CallInfo,
    config: &str,
) -> Result<Accept, StartFailure> {
    let mut instance =
        generation.plugin.instantiate(port).map_err(|fault| StartFailure::Faulted { why: fault.to_string() })?;
    let started = instance
        .start(info, config, StartReason::Fresh)
        .map_err(|fault| StartFailure::Faulted { why: fault.to_string() })?;
    match started {
        Started::Accepted { frames, ring } => {
            let mut inside = bot.cell.enter();
            inside.operations().want_frames(frames);
            inside.run_instance(Box::new(instance));
            Ok(Accept { ring, frames })
        }
        Started::Refused { status, reason } => Err(StartFailure::Refused { status, reason }),
    }
}
