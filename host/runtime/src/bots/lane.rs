//! Frame workers: run all bots of a phase in one batch, right after the media thread has read their packets.
//!
//! A guest that is running cannot be set aside, so the place of the worker can be: of a lane's threads one holds the
//! lane at a time. When a guest overstays (one epoch tick), its thread gives the lane to a spare one, which goes on with the
//! rest of the batch; the overstaying thread finishes or traps its guest at low priority and becomes a spare.
//!
//!     media thread --wake(phase)--> holder --- bot, bot, bot(stuck) ...
//!                                                  | overstayed
//!                                   spare  <-------+  bot, bot, bot

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::cell::BotCell;
use super::slow_lane::SlowLane;
use super::{Enlisted, PHASES, Reports, priority};

/// The holder and those who may take over. As many guests of one lane can overstay at once before the batch waits.
pub const LANE_THREADS: usize = 4;

pub struct Lane {
    phases: [Mutex<Vec<Arc<Enlisted>>>; PHASES],
    /// Bots per phase, so that a media thread wakes nobody for nothing.
    population: [AtomicUsize; PHASES],
    /// One bit for each phase that waits to be run.
    pending: AtomicU32,
    holder: AtomicUsize,
    threads: OnceLock<Vec<Thread>>,
    batch: Mutex<Batch>,
    spares: Mutex<Vec<usize>>,
    pub slow: Arc<SlowLane>,
    reports: Reports,
    stop: AtomicBool,
}

/// What is left of the phases being run.
struct Batch {
    phase: usize,
    next: usize,
    left: u32,
    woken: Instant,
    /// Guest CPU that the batch has used so far.
    used: Duration,
}

impl Lane {
    /// Starts the lane's threads; they end with [`Lane::stop`].
    pub fn start(number: usize, slow: Arc<SlowLane>, reports: Reports) -> std::io::Result<Arc<Self>> {
        let batch = Batch { phase: 0, next: 0, left: 0, woken: Instant::now(), used: Duration::ZERO };
        let lane = Arc::new(Self {
            phases: std::array::from_fn(|_| Mutex::new(Vec::new())),
            population: std::array::from_fn(|_| AtomicUsize::new(0)),
            pending: AtomicU32::new(0),
            holder: AtomicUsize::new(0),
            threads: OnceLock::new(),
            batch: Mutex::new(batch),
            spares: Mutex::new((1..LANE_THREADS).collect()),
            slow,
            reports,
            stop: AtomicBool::new(false),
        });
        let mut threads = Vec::with_capacity(LANE_THREADS);
        for seat in 0..LANE_THREADS {
            let worker = Arc::clone(&lane);
            let thread =
                std::thread::Builder::new().name(format!("bots-{number}-{seat}")).spawn(move || worker.work(seat))?;
            threads.push(thread.thread().clone());
        }
        // Set once, here: wakes before this moment find nobody, and the bits stay.
        let _ = lane.threads.set(threads);
        Ok(lane)
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.threads.get().into_iter().flatten().for_each(Thread::unpark);
    }

    /// The phase with the fewest bots.
    pub fn quietest_phase(&self) -> usize {
        (0..PHASES).min_by_key(|phase| self.population[*phase].load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub fn enlist(&self, bot: Arc<Enlisted>) {
        let mut bots = lock(&self.phases[bot.phase]);
        bots.push(bot.clone());
        self.population[bot.phase].store(bots.len(), Ordering::Relaxed);
    }

    pub fn discharge(&self, bot: &Arc<Enlisted>) {
        let mut bots = lock(&self.phases[bot.phase]);
        if let Some(index) = bots.iter().position(|other| Arc::ptr_eq(other, bot)) {
            bots.swap_remove(index);
        }
        self.population[bot.phase].store(bots.len(), Ordering::Relaxed);
    }

    /// Called by the media thread once a phase's packets are read. Cost: two atomics and at most one futex wake.
    pub fn wake(&self, phase: usize) {
        if self.population[phase].load(Ordering::Relaxed) == 0 {
            return;
        }
        self.pending.fetch_or(1 << phase, Ordering::Release);
        if let Some(threads) = self.threads.get() {
            threads[self.holder.load(Ordering::Acquire)].unpark();
        }
    }

    /// The guest on this seat's thread overstayed: somebody else goes on with the batch.
    pub fn hand_over(&self, seat: usize) {
        if self.holder.load(Ordering::Acquire) != seat {
            return;
        }
        let Some(successor) = lock(&self.spares).pop() else { return };
        self.holder.store(successor, Ordering::Release);
        priority::lower_for_overstay();
        if let Some(threads) = self.threads.get() {
            threads[successor].unpark();
        }
    }

    fn work(&self, seat: usize) {
        priority::frame_worker();
        while !self.stop.load(Ordering::Acquire) {
            if self.holder.load(Ordering::Acquire) == seat {
                self.work_as_holder(seat);
            }
            std::thread::park();
        }
    }

    /// Runs batches until none waits, or until the lane was handed over while a guest ran.
    fn work_as_holder(&self, seat: usize) {
        while let Some((bot, woken, used)) = self.next_bot() {
            let ran = self.run(seat, &bot, woken, used);
            if self.holder.load(Ordering::Acquire) != seat {
                priority::frame_worker();
                lock(&self.spares).push(seat);
                return;
            }
            lock(&self.batch).used += ran;
        }
    }

    fn run(&self, seat: usize, bot: &Arc<Enlisted>, woken: Instant, used: Duration) -> Duration {
        if bot.cell.is_slow() {
            self.slow.queue(bot);
            return Duration::ZERO;
        }
        // Somebody inside means that the slow lane or a move has it just now: its frames wait in the ring.
        let Some(mut inside) = bot.cell.try_enter() else { return Duration::ZERO };
        SEAT.set(Some((self as *const Self as usize, seat)));
        let ran = inside.run(Instant::now(), woken, used, &mut |report| self.reports.send(bot.call, report));
        SEAT.set(None);
        bot.cell.note_pace(&inside);
        ran
    }

    fn next_bot(&self) -> Option<(Arc<Enlisted>, Instant, Duration)> {
        let mut batch = lock(&self.batch);
        loop {
            if batch.left == 0 {
                batch.left = self.pending.swap(0, Ordering::Acquire);
                if batch.left == 0 {
                    return None;
                }
                *batch = Batch {
                    phase: batch.left.trailing_zeros() as usize,
                    next: 0,
                    left: batch.left,
                    woken: Instant::now(),
                    used: Duration::ZERO,
                };
            }
            let next = batch.next;
            if let Some(bot) = lock(&self.phases[batch.phase]).get(next).cloned() {
                batch.next += 1;
                return Some((bot, batch.woken, batch.used));
            }
            batch.left &= !(1 << batch.phase);
            batch.phase = batch.left.trailing_zeros() as usize;
            batch.next = 0;
        }
    }
}

thread_local! {
    /// Which lane and seat this thread runs a guest for; how `overstayed` finds its way back.
    static SEAT: std::cell::Cell<Option<(usize, usize)>> = const { std::cell::Cell::new(None) };
}

/// Called by the guest's port on the thread that runs it.
pub fn overstayed(lane: &Lane, cell: &BotCell) {
    cell.set_aside();
    if let Some((running, seat)) = SEAT.get()
        && running == lane as *const Lane as usize
    {
        lane.hand_over(seat);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
