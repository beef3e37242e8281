//! The slow lane: bots that overstayed, and new generations until they have proved themselves, run here at low priority,
//! so that what they take is only what the others leave.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::lane::lock;
use super::{Enlisted, Reports, priority};

/// Guests that may be stuck at once before the other slow ones wait for them.
const SLOW_THREADS: usize = 2;

pub struct SlowLane {
    queue: Mutex<VecDeque<(Arc<Enlisted>, Instant)>>,
    filled: Condvar,
    reports: Reports,
    stop: AtomicBool,
}

impl SlowLane {
    pub fn start(reports: Reports) -> std::io::Result<Arc<Self>> {
        let lane =
            Arc::new(Self { queue: Mutex::default(), filled: Condvar::new(), reports, stop: AtomicBool::new(false) });
        for number in 0..SLOW_THREADS {
            let worker = Arc::clone(&lane);
            std::thread::Builder::new().name(format!("bots-slow-{number}")).spawn(move || worker.work())?;
        }
        Ok(lane)
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.filled.notify_all();
    }

    /// Queues a bot for one tick; it stands in the queue once at most, so the queue is bounded by the bots there are.
    pub fn queue(&self, bot: &Arc<Enlisted>) {
        if bot.cell.claim_queue() {
            lock(&self.queue).push_back((Arc::clone(bot), Instant::now()));
            self.filled.notify_one();
        }
    }

    fn work(&self) {
        priority::slow_worker();
        while !self.stop.load(Ordering::Acquire) {
            let mut queue = lock(&self.queue);
            let next = loop {
                match queue.pop_front() {
                    Some(next) => break Some(next),
                    None if self.stop.load(Ordering::Acquire) => break None,
                    None => queue = self.filled.wait(queue).unwrap_or_else(|poisoned| poisoned.into_inner()),
                }
            };
            drop(queue);
            if let Some((bot, queued)) = next {
                self.run(&bot, queued);
            }
        }
    }

    fn run(&self, bot: &Arc<Enlisted>, queued: Instant) {
        bot.cell.release_queue();
        let Some(mut inside) = bot.cell.try_enter() else { return };
        inside.run(Instant::now(), queued, Duration::ZERO, &mut |report| self.reports.send(bot.call, report));
        bot.cell.note_pace(&inside);
    }
}
