//! Frame workers: run all bots of a phase in one batch, right after the media thread has read their packets.
//!
//! A guest that is running cannot be set aside, so the place of the worker can be: of a lane's threads one holds the
//! lane at a time. When a guest overstays (one epoch tick), its thread gives the lane to a spare one, which goes on with the
//! rest of the batch; the overstaying thread finishes or traps its guest at low priority and becomes a spare.
//!
//!     media thread --wake(phase)--> holder --- bot, bot, bot(stuck) ...
//!                                                  | overstayed
//!                                   spare  <-------+  bot, bot, bot

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, mpsc};
use std::thread::Thread;
use std::time::{Duration, Instant};

use call::CallId;

use super::cell::{Bot, BotCell, Place, Turn};
use super::errands::Errand;
use super::late::OVERSTAY;
use super::slow_lane::SlowLane;
use super::{Enlisted, GUEST_STACK_BYTES, PHASES, priority};
use crate::soon::touch;

/// The holder and those who may take over. One less than that many guests of one lane can overstay at once before the batch waits.
pub const LANE_THREADS: usize = 8;
/// How long a bot may go on with what had waited for it while others wait behind it.
const PATIENCE: Duration = super::cell::FAST_TICK_MAX;

pub struct Lane {
    /// Bots per phase, so that a media thread wakes nobody for nothing. Stored by the lane's own threads.
    pub(super) population: [AtomicUsize; PHASES],
    /// Who comes and goes. A channel, because threads of low priority come here: one that was set aside while it holds a lock
    /// would hold up the whole lane.
    changes: mpsc::Sender<Change>,
    /// One bit for each phase that waits to be run.
    pending: AtomicU32,
    /// Calls per phase, those included whose bot has not started yet.
    pub(super) promised: [AtomicUsize; PHASES],
    /// The seat whose thread runs the batch. Changed under `helm` only.
    holder: AtomicUsize,
    pub(super) helm: Mutex<Helm>,
    threads: OnceLock<Vec<Thread>>,
    /// None while the holder has it: it takes it once, however many bots it runs. Only the lane's own threads look here; so with `moving`
    /// and `helm`.
    batch: Mutex<Option<Box<Batch>>>,
    pub slow: Arc<SlowLane>,
    /// Bots that are to move, once nobody waits for their turn.
    moving: Mutex<VecDeque<Arc<Enlisted>>>,
    stop: AtomicBool,
}

/// Who may take the lane over.
pub(super) struct Helm {
    /// Seats whose threads are parked.
    pub(super) spares: Vec<usize>,
    /// The holder's guest overstays and there was nobody to hand over to: the next thread that is free takes over.
    stuck: bool,
}

enum Change {
    Enlist(Arc<Enlisted>),
    Discharge(Arc<Enlisted>),
    /// A turn as soon as nobody waits for his tick.
    Hurry(Arc<Enlisted>),
    /// The bot of this call goes with its leg.
    Follow {
        call: CallId,
        from: usize,
        to: usize,
    },
}

/// The lane's bots, and what is left of the phases being run.
pub(super) struct Batch {
    phases: [Vec<Arc<Enlisted>>; PHASES],
    changes: mpsc::Receiver<Change>,
    /// Each of them once.
    hurried: VecDeque<Arc<Enlisted>>,
    /// Keys of bots that overstayed in this batch.
    suspects: Vec<String>,
    phase: usize,
    next: usize,
    left: u32,
    woken: Instant,
    /// Guest CPU so far.
    used: Duration,
}

impl Lane {
    /// Starts the lane's threads; they end with [`Lane::stop`].
    pub fn start(number: usize, slow: Arc<SlowLane>) -> std::io::Result<Arc<Self>> {
        let lane = Arc::new(Self::new(slow));
        let mut threads = Vec::with_capacity(LANE_THREADS);
        for seat in 0..LANE_THREADS {
            let worker = Arc::clone(&lane);
            let thread =
                std::thread::Builder::new().name(format!("bots-{number}-{seat}")).stack_size(GUEST_STACK_BYTES);
            threads.push(thread.spawn(move || worker.work(seat))?.thread().clone());
        }
        // Set once, here: wakes before this moment find nobody, and the bits stay.
        let _ = lane.threads.set(threads);
        Ok(lane)
    }

    /// Without its threads.
    pub(super) fn new(slow: Arc<SlowLane>) -> Self {
        let now = Instant::now();
        let (changes, changed) = mpsc::channel();
        let batch = Batch {
            phases: Default::default(),
            changes: changed,
            hurried: VecDeque::new(),
            suspects: Vec::new(),
            phase: PHASES - 1,
            next: 0,
            left: 0,
            woken: now,
            used: Duration::ZERO,
        };
        Self {
            population: std::array::from_fn(|_| AtomicUsize::new(0)),
            changes,
            promised: std::array::from_fn(|_| AtomicUsize::new(0)),
            pending: AtomicU32::new(0),
            holder: AtomicUsize::new(0),
            helm: Mutex::new(Helm { spares: (1..LANE_THREADS).collect(), stuck: false }),
            threads: OnceLock::new(),
            batch: Mutex::new(Some(Box::new(batch))),
            slow,
            moving: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.threads.get().into_iter().flatten().for_each(Thread::unpark);
    }

    /// The phase with the fewest calls; it counts one more until [`Lane::leave`].
    pub fn join_quietest_phase(&self) -> usize {
        let calls = |phase: &usize| self.promised[*phase].load(Ordering::Relaxed);
        let phase = (0..PHASES).min_by_key(calls).unwrap_or(0);
        self.promised[phase].fetch_add(1, Ordering::Relaxed);
        phase
    }

    pub fn leave(&self, phase: usize) {
        self.promised[phase].fetch_sub(1, Ordering::Relaxed);
    }

    pub fn enlist(&self, bot: Arc<Enlisted>) {
        self.change(Change::Enlist(bot));
    }

    /// It may have one more turn; what is left of it does nothing there.
    pub fn discharge(&self, bot: &Arc<Enlisted>) {
        self.change(Change::Discharge(Arc::clone(bot)));
    }

    /// Called once until its turn has come.
    pub fn hurry(&self, bot: Arc<Enlisted>) {
        self.change(Change::Hurry(bot));
    }

    /// A leg changes its receive phase, and its bot changes with it: woken with that phase's legs from now on. `phase`: the bot's.
    /// Called by the media thread, once in a call: a message, and at most one futex wake.
    pub fn follow(&self, call: CallId, phase: &AtomicUsize, to: usize) {
        let from = phase.swap(to, Ordering::AcqRel);
        self.promised[to].fetch_add(1, Ordering::Relaxed);
        self.promised[from].fetch_sub(1, Ordering::Relaxed);
        self.change(Change::Follow { call, from, to });
    }

    /// Taken up by the holder at once, not only when a media thread has something for it: nothing of an ended call stays.
    fn change(&self, change: Change) {
        // The receiver is the lane's own.
        let _ = self.changes.send(change);
        self.unpark(self.holder.load(Ordering::Acquire));
    }

    /// Called by the media thread once a phase's packets are read. Cost: two atomics and at most one futex wake.
    ///
    /// No wake-up is lost while the lane changes hands: of this `fetch_or` and the new holder's `swap` one comes first. If it is
    /// this one, the new holder takes the bit; if it is the other, this one reads from it and so sees who holds the lane.
    pub fn wake(&self, phase: usize) {
        if self.population[phase].load(Ordering::Relaxed) == 0 {
            return;
        }
        self.pending.fetch_or(1 << phase, Ordering::AcqRel);
        self.unpark(self.holder.load(Ordering::Acquire));
    }

    fn unpark(&self, seat: usize) {
        if let Some(threads) = self.threads.get() {
            threads[seat].unpark();
        }
    }

    /// The guest on this seat's thread overstayed: somebody else goes on with the batch, now or as soon as there is somebody.
    pub fn hand_over(&self, seat: usize) {
        let mut helm = lock(&self.helm);
        if self.holder.load(Ordering::Acquire) != seat {
            return;
        }
        // For whoever goes on with it. It lies there already if this guest overstayed before and there was nobody.
        let mut batch = lock(&self.batch);
        if let Some(held) = HELD.take() {
            *batch = Some(held);
        }
        batch.iter_mut().for_each(|batch| batch.note_overstay());
        drop(batch);
        let Some(successor) = helm.spares.pop() else {
            helm.stuck = true;
            return;
        };
        self.holder.store(successor, Ordering::Release);
        drop(helm);
        // In this order: as soon as it is lowered, this thread may not run for long.
        self.unpark(successor);
        priority::lower_for_overstay();
    }

    /// After a guest that overstayed: what became of the lane, and so of this seat.
    fn come_back(&self, seat: usize) -> Return {
        priority::frame_worker();
        let mut helm = lock(&self.helm);
        let came = match (self.holder.load(Ordering::Acquire) == seat, helm.stuck) {
            (true, _) => Return::Holds,
            (false, true) => {
                self.holder.store(seat, Ordering::Release);
                Return::Holds
            }
            (false, false) => {
                helm.spares.push(seat);
                Return::Spare
            }
        };
        helm.stuck = false;
        came
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

    /// Runs batches until none waits, or until the lane was handed over while a guest ran. A bot moves when nobody waits for
    /// a turn, so that whatever its new build does stands before no frame of that moment; and whoever is woken meanwhile goes first.
    fn work_as_holder(&self, seat: usize) {
        let here = Workplace::Seat { lane: std::ptr::from_ref(self).addr(), seat, overstayed: false };
        let _timer = plugin::Batch::begin();
        while let Some(mut batch) = self.take_batch() {
            let came_back = loop {
                let next = batch.next_bot(self);
                let moving = if next.is_none() { lock(&self.moving).pop_front() } else { None };
                if next.is_none() && moving.is_none() {
                    *lock(&self.batch) = Some(batch);
                    return;
                }
                WORKPLACE.set(here);
                // Within reach of `hand_over`, should the guest overstay.
                HELD.set(Some(batch));
                let mut used = Duration::ZERO;
                if let Some((bot, now, turn)) = next {
                    used = self.run(&bot, now, turn);
                }
                moving.iter().for_each(Self::run_move);
                let overstayed = WORKPLACE.replace(Workplace::Elsewhere) != here;
                match HELD.take() {
                    Some(held) if !overstayed => batch = held,
                    _ => break self.come_back(seat),
                }
                batch.used += used;
            };
            if let Return::Spare = came_back {
                return;
            }
        }
    }

    fn take_batch(&self) -> Option<Box<Batch>> {
        lock(&self.batch).take()
    }

    /// The guest CPU that it used, as far as it counts against those behind it.
    fn run(&self, bot: &Arc<Enlisted>, now: Instant, turn: Turn) -> Duration {
        match bot.cell.place() {
            // Another of its kind has just overstayed. This one runs beside the lane for once: alike bots that loop in the same tick
            // cost the lane one overstay, not one each.
            Place::Lane if turn.suspect => {
                self.slow.queue(bot, Place::SetAside);
                return Duration::ZERO;
            }
            Place::Lane => {}
            slow => {
                self.slow.queue(bot, slow);
                return Duration::ZERO;
            }
        }
        // Somebody inside means that the slow lane or a move has it just now: its frames wait in the ring.
        let Some(mut inside) = bot.cell.try_enter() else { return Duration::ZERO };
        let used = inside.run(now, turn, &mut |report| bot.tell(report));
        bot.cell.note_pace(&inside);
        if bot.cell.has_incoming() {
            let mut moving = lock(&self.moving);
            if !moving.iter().any(|other| Arc::ptr_eq(other, bot)) {
                moving.push_back(Arc::clone(bot));
            }
        }
        used
    }

    fn run_move(bot: &Arc<Enlisted>) {
        // Set aside by now: the slow lane does it.
        if bot.cell.place() != Place::Lane {
            return;
        }
        let Some(mut inside) = bot.cell.try_enter() else { return };
        bot.cell.move_bot(&mut inside, Instant::now(), &bot.script, &mut |report| bot.tell(report));
    }

    /// The bot to run next; for tests, which hold a lane without threads.
    #[cfg(test)]
    pub(super) fn next_bot(&self) -> Option<(Arc<Enlisted>, Instant, Turn)> {
        lock(&self.batch).as_mut()?.next_bot(self)
    }
}

enum Return {
    Holds,
    Spare,
}

impl Batch {
    fn take(&mut self, change: Change) {
        match change {
            Change::Enlist(bot) => self.phases[bot.phase()].push(bot),
            Change::Discharge(bot) => {
                // It may be about to follow its leg: then it is not where its phase says.
                let left = (0..PHASES).find_map(|phase| self.take_out(phase, |other| Arc::ptr_eq(other, &bot)));
                // Perhaps the last of the call: its memory is not given back here.
                left.into_iter().for_each(|left| bot.errands.run(Errand::Forget(left)));
            }
            Change::Hurry(bot) => self.hurried.push_back(bot),
            // One that enlisted after its leg changed is there already.
            Change::Follow { call, from, to } => {
                let bot = self.take_out(from, |other| other.call == call);
                self.phases[to].extend(bot);
            }
        }
    }

    /// The bots behind it move up by one, also in a batch that is being run: none of them misses its turn.
    fn take_out(&mut self, phase: usize, is_it: impl Fn(&Arc<Enlisted>) -> bool) -> Option<Arc<Enlisted>> {
        let index = self.phases[phase].iter().position(is_it)?;
        if self.left != 0 && self.phase == phase && index < self.next {
            self.next -= 1;
        }
        Some(self.phases[phase].remove(index))
    }

    /// The bot to run next, and under which conditions.
    fn next_bot(&mut self, lane: &Lane) -> Option<(Arc<Enlisted>, Instant, Turn)> {
        while let Ok(change) = self.changes.try_recv() {
            self.take(change);
            for (population, bots) in lane.population.iter().zip(&self.phases) {
                population.store(bots.len(), Ordering::Relaxed);
            }
        }
        let now = Instant::now();
        loop {
            if self.left == 0 {
                self.left = lane.pending.swap(0, Ordering::AcqRel);
                (self.woken, self.used) = (now, Duration::ZERO);
                self.suspects.clear();
                let Some(phase) = self.following_phase() else { return self.next_hurried(now) };
                (self.phase, self.next) = (phase, 0);
            }
            let bots = &self.phases[self.phase];
            if let Some(bot) = bots.get(self.next).cloned() {
                self.next += 1;
                // A step of its chain each: what is behind a pointer is named when the pointer has come.
                bots.get(self.next + 2).into_iter().for_each(|bot| touch(&**bot));
                bots.get(self.next + 1).into_iter().for_each(|bot| bot.cell.touch_ahead(Bot::touch_parts));
                bots.get(self.next).into_iter().for_each(|bot| bot.cell.touch_ahead(Bot::touch_guest));
                if bot.hurried_turns.load(Ordering::Relaxed) != 0 {
                    bot.hurried_turns.store(0, Ordering::Relaxed);
                }
                let suspect = self.suspects.contains(&bot.key);
                let turn = Turn { woken: self.woken, others: self.used, patience: PATIENCE, suspect };
                return Some((bot, now, turn));
            }
            self.left &= !(1 << self.phase);
            self.phase = self.following_phase().unwrap_or(self.phase);
            self.next = 0;
        }
    }

    /// A turn beside the ticks, in which nobody waits behind it but others of its kind.
    fn next_hurried(&mut self, now: Instant) -> Option<(Arc<Enlisted>, Instant, Turn)> {
        let bot = self.hurried.pop_front()?;
        // Lowered before the turn: what it is told meanwhile brings another one.
        bot.is_hurried.store(false, Ordering::Release);
        bot.hurried_turns.fetch_add(1, Ordering::Relaxed);
        Some((bot, now, Turn { woken: now, others: Duration::ZERO, patience: PATIENCE, suspect: false }))
    }

    /// The bot that was given out last overstays.
    fn note_overstay(&mut self) {
        self.used += OVERSTAY;
        let last = self.next.checked_sub(1).and_then(|at| self.phases[self.phase].get(at));
        if self.left != 0
            && let Some(bot) = last
        {
            self.suspects.push(bot.key.clone());
        }
    }

    /// Of the phases that are left the one that has waited longest: the first after that which was run last.
    fn following_phase(&self) -> Option<usize> {
        (1..=PHASES).map(|step| (self.phase + step) % PHASES).find(|phase| self.left & (1 << phase) != 0)
    }
}

/// What the current thread runs a guest for; how `overstayed` finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workplace {
    Elsewhere,
    Seat {
        lane: usize,
        seat: usize,
        overstayed: bool,
    },
    /// A `start`; nobody waits behind it that could not be served by another thread.
    Start,
}

thread_local! {
    pub static WORKPLACE: std::cell::Cell<Workplace> = const { std::cell::Cell::new(Workplace::Elsewhere) };
    /// What the holder holds, while a guest runs.
    static HELD: std::cell::Cell<Option<Box<Batch>>> = const { std::cell::Cell::new(None) };
}

/// Called by the guest's port on the thread that runs it.
pub fn overstayed(lane: &Lane, cell: &BotCell) {
    cell.set_aside();
    match WORKPLACE.get() {
        Workplace::Seat { lane: running, seat, .. } if running == std::ptr::from_ref(lane).addr() => {
            WORKPLACE.set(Workplace::Seat { lane: running, seat, overstayed: true });
            lane.hand_over(seat);
        }
        Workplace::Start => priority::lower_for_overstay(),
        _ => {}
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
