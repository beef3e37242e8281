//! The slow lane: bots that overstayed, and new generations until they have proved themselves, run here at low priority,
//! so that what they take is only what the others leave.
//!
//! Those that only have to prove themselves go first, and one thread is theirs alone: a newcomer that behaves must not wait
//! behind bots that do not.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::cell::{Place, Turn};
use super::lane::lock;
use super::late::Used;
use super::{Enlisted, GUEST_STACK_BYTES, priority};

/// The first one takes only bots that prove themselves. Of the rest, so many may be stuck at once before others of their kind wait.
const SLOW_THREADS: usize = 3;
/// How long a bot may go on with what had waited for it: a tick.
const PATIENCE: Duration = Duration::from_millis(20);

type Waiting = VecDeque<(Arc<Enlisted>, Instant)>;

#[derive(Default)]
pub(super) struct Queues {
    proving: Waiting,
    set_aside: Waiting,
}

impl Queues {
    pub(super) fn take(&mut self, proving_only: bool) -> Option<(Arc<Enlisted>, Instant)> {
        let next = self.proving.pop_front();
        if proving_only { next } else { next.or_else(|| self.set_aside.pop_front()) }
    }
}

pub struct SlowLane {
    pub(super) queues: Mutex<Queues>,
    /// The first thread waits for one, the others for the other.
    proving_filled: Condvar,
    filled: Condvar,
    stop: AtomicBool,
}

impl SlowLane {
    pub fn start() -> std::io::Result<Arc<Self>> {
        let lane = Arc::new(Self::new());
        for number in 0..SLOW_THREADS {
            let worker = Arc::clone(&lane);
            let thread = std::thread::Builder::new().name(format!("bots-slow-{number}")).stack_size(GUEST_STACK_BYTES);
            thread.spawn(move || worker.work(number == 0))?;
        }
        Ok(lane)
    }

    /// Without its threads.
    pub(super) fn new() -> Self {
        Self {
            queues: Mutex::default(),
            proving_filled: Condvar::new(),
            filled: Condvar::new(),
            stop: AtomicBool::new(false),
        }
    }

    pub fn stop(&self) {
        let _queues = lock(&self.queues);
        self.stop.store(true, Ordering::Release);
        self.proving_filled.notify_all();
        self.filled.notify_all();
    }

    /// Queues a bot for one tick; it stands in the queue once at most, so the queue is bounded by the bots there are.
    pub fn queue(&self, bot: &Arc<Enlisted>, place: Place) {
        if !bot.cell.claim_queue() {
            return;
        }
        let waiting = (Arc::clone(bot), Instant::now());
        let mut queues = lock(&self.queues);
        if place == Place::Proving {
            queues.proving.push_back(waiting);
            drop(queues);
            self.proving_filled.notify_one();
        } else {
            queues.set_aside.push_back(waiting);
            drop(queues);
        }
        self.filled.notify_one();
    }

    fn work(&self, proving_only: bool) {
        priority::slow_worker();
        while let Some((bot, queued)) = self.next(proving_only) {
            self.run(&bot, queued);
        }
    }

    fn next(&self, proving_only: bool) -> Option<(Arc<Enlisted>, Instant)> {
        let mut queues = lock(&self.queues);
        while !self.stop.load(Ordering::Acquire) {
            if let Some(next) = queues.take(proving_only) {
                return Some(next);
            }
            let filled = if proving_only { &self.proving_filled } else { &self.filled };
            queues = filled.wait(queues).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        None
    }

    fn run(&self, bot: &Arc<Enlisted>, queued: Instant) {
        bot.cell.release_queue();
        let Some(mut inside) = bot.cell.try_enter() else { return };
        let turn = Turn { woken: queued, used: Used::begin(Duration::ZERO), patience: PATIENCE };
        let now = Instant::now();
        inside.run(now, turn, &mut |report| bot.tell(report));
        bot.cell.note_pace(&inside);
        if bot.cell.has_incoming() {
            bot.cell.move_bot(&mut inside, now, &bot.script, &mut |report| bot.tell(report));
        }
    }
}
