//! The slow lane: bots that overstayed, and new generations until they have proved themselves, run here at low priority,
//! so that what they take is only what the others leave.
//!
//! Those that only have to prove themselves go first, and one thread is theirs alone: a newcomer that behaves must not wait
//! behind bots that do not.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::cell::{Place, Turn};
use super::lane::lock;
use super::{Enlisted, GUEST_STACK_BYTES, priority};

/// The first one takes only bots that prove themselves. Of the rest, so many may be stuck at once before others of their kind wait.
const SLOW_THREADS: usize = 3;
/// How long a bot may go on with what had waited for it: a tick.
const PATIENCE: Duration = Duration::from_millis(20);

type Waiting = VecDeque<(Arc<Enlisted>, Instant)>;
type Queued = (Arc<Enlisted>, Place, Instant);

/// Only the slow lane's own threads look here.
pub(super) struct Queues {
    inbox: mpsc::Receiver<Queued>,
    proving: Waiting,
    set_aside: Waiting,
}

impl Queues {
    pub(super) fn take(&mut self, proving_only: bool) -> Option<(Arc<Enlisted>, Instant)> {
        while let Ok((bot, place, queued)) = self.inbox.try_recv() {
            let queue = if place == Place::Proving { &mut self.proving } else { &mut self.set_aside };
            queue.push_back((bot, queued));
        }
        let next = self.proving.pop_front();
        if proving_only { next } else { next.or_else(|| self.set_aside.pop_front()) }
    }
}

pub struct SlowLane {
    /// A channel, because frame workers queue here: they never wait for a lock that a thread of low priority holds.
    inbox: mpsc::Sender<Queued>,
    pub(super) queues: Mutex<Queues>,
    threads: OnceLock<Vec<Thread>>,
    stop: AtomicBool,
}

impl SlowLane {
    pub fn start() -> std::io::Result<Arc<Self>> {
        let lane = Arc::new(Self::new());
        let mut threads = Vec::with_capacity(SLOW_THREADS);
        for number in 0..SLOW_THREADS {
            let worker = Arc::clone(&lane);
            let thread = std::thread::Builder::new().name(format!("bots-slow-{number}")).stack_size(GUEST_STACK_BYTES);
            threads.push(thread.spawn(move || worker.work(number == 0))?.thread().clone());
        }
        // Set once, here, before anything is queued.
        let _ = lane.threads.set(threads);
        Ok(lane)
    }

    /// Without its threads.
    pub(super) fn new() -> Self {
        let (inbox, received) = mpsc::channel();
        let queues = Queues { inbox: received, proving: Waiting::new(), set_aside: Waiting::new() };
        Self { inbox, queues: Mutex::new(queues), threads: OnceLock::new(), stop: AtomicBool::new(false) }
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.threads.get().into_iter().flatten().for_each(Thread::unpark);
    }

    /// Queues a bot for one tick; it stands in the queue once at most, so the queue is bounded by the bots there are.
    pub fn queue(&self, bot: &Arc<Enlisted>, place: Place) {
        if !bot.cell.claim_queue() {
            return;
        }
        // The receiver is the lane's own.
        let _ = self.inbox.send((Arc::clone(bot), place, Instant::now()));
        let not_for_hogs = usize::from(place != Place::Proving);
        self.threads.get().into_iter().flatten().skip(not_for_hogs).for_each(Thread::unpark);
    }

    fn work(&self, proving_only: bool) {
        priority::slow_worker();
        while !self.stop.load(Ordering::Acquire) {
            let next = lock(&self.queues).take(proving_only);
            match next {
                Some((bot, queued)) => self.run(&bot, queued),
                None => std::thread::park(),
            }
        }
    }

    fn run(&self, bot: &Arc<Enlisted>, queued: Instant) {
        bot.cell.release_queue();
        let Some(mut inside) = bot.cell.try_enter() else { return };
        let turn = Turn { woken: queued, others: Duration::ZERO, patience: PATIENCE, suspect: false };
        let now = Instant::now();
        inside.run(now, turn, &mut |report| bot.tell(report));
        bot.cell.note_pace(&inside);
        if bot.cell.has_incoming() {
            bot.cell.move_bot(&mut inside, now, &bot.script, &mut |report| bot.tell(report));
        }
    }
}
