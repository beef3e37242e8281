//! What has to be done for bots at its time and where nobody waits: restarts after their back-off, moves a few at a time,
//! instances that are dropped. One thread; it enters no guest, but orders the starters to.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use call::CallId;
use plugin::Instance;

use super::moves::{FROZEN, Target};
use super::starter::{Desk, Job};
use super::{BotPlaneEvent, Enlisted, Reports};

/// Moves under way at a time: from the making of the new instance to the swap, or to the end of a generation's proof.
pub const MOVES_AT_ONCE_MAX: usize = 4;
/// Of one call to one generation.
pub const TRIES_MAX: u32 = 3;
pub const RETRY_AFTER: Duration = Duration::from_millis(40);
/// While a generation has not proved itself, the next call follows when the one before could have shown 50 clean ticks. A build
/// that fails as soon as it runs then hurts few calls, and the slow lane gets few at a time.
const PROOF: Duration = FROZEN.saturating_add(Duration::from_millis(200));

pub enum Errand {
    Discard(Box<Instance>),
    /// What is left of a call.
    Forget(Arc<Enlisted>),
    Restart {
        bot: Arc<Enlisted>,
        after: Duration,
        why: String,
    },
    /// To that generation; none: it stays where it is.
    Move {
        bot: Arc<Enlisted>,
        target: Option<Target>,
    },
    /// One try is over.
    Tried {
        bot: Arc<Enlisted>,
        result: Result<(), String>,
    },
    Stop,
}

enum Later {
    Restart { bot: Arc<Enlisted>, why: String },
    Retry(CallId),
    FreeSlot,
}

/// One call that is to move.
struct Order {
    bot: Arc<Enlisted>,
    /// None: it was called off while a try was under way.
    target: Option<Target>,
    tries: u32,
    /// Waits for its turn, or for its next try.
    waits: bool,
}

struct Errands {
    desk: Arc<Desk>,
    reports: Reports,
    later: Vec<(Instant, Later)>,
    orders: HashMap<CallId, Order>,
    waiting: VecDeque<CallId>,
    under_way: usize,
}

/// Starts the thread; it ends with `Errand::Stop`.
pub fn start(desk: Arc<Desk>, reports: Reports) -> std::io::Result<mpsc::Sender<Errand>> {
    let (sender, receiver) = mpsc::channel();
    let errands =
        Errands { desk, reports, later: Vec::new(), orders: HashMap::new(), waiting: VecDeque::new(), under_way: 0 };
    std::thread::Builder::new().name("bots-errands".into()).spawn(move || errands.work(&receiver))?;
    Ok(sender)
}

impl Errands {
    fn work(mut self, errands: &mpsc::Receiver<Errand>) {
        loop {
            let next = self.later.iter().map(|(due, _)| *due).min();
            let wait = next.map_or(Duration::from_secs(3600), |due| due.saturating_duration_since(Instant::now()));
            match errands.recv_timeout(wait) {
                Ok(Errand::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(errand) => self.take(errand, Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.do_what_is_due(Instant::now());
            self.begin_moves();
        }
    }

    fn take(&mut self, errand: Errand, now: Instant) {
        match errand {
            Errand::Discard(instance) => drop(instance),
            Errand::Forget(bot) => drop(bot),
            Errand::Restart { bot, after, why } => self.later.push((now + after, Later::Restart { bot, why })),
            Errand::Move { bot, target } => self.order(bot, target),
            Errand::Tried { bot, result } => self.note_try(&bot, result, now),
            Errand::Stop => {}
        }
    }

    fn order(&mut self, bot: Arc<Enlisted>, target: Option<Target>) {
        let call = bot.call;
        if let Some(order) = self.orders.get_mut(&call) {
            (order.target, order.tries) = (target, 0);
            return;
        }
        if target.is_some() {
            self.orders.insert(call, Order { bot, target, tries: 0, waits: true });
            self.waiting.push_back(call);
        }
    }

    fn do_what_is_due(&mut self, now: Instant) {
        for (_, later) in self.later.extract_if(.., |(due, _)| *due <= now) {
            match later {
                Later::Restart { bot, why } => self.desk.queue(Job::Restart { bot, why }),
                Later::Retry(call) => self.waiting.push_back(call),
                Later::FreeSlot => self.under_way -= 1,
            }
        }
    }

    fn begin_moves(&mut self) {
        while self.under_way < MOVES_AT_ONCE_MAX
            && let Some(call) = self.waiting.pop_front()
        {
            let Some(order) = self.orders.get_mut(&call) else { continue };
            match &order.target {
                Some(target) if !order.is_there() && !order.bot.closing.load(Ordering::Acquire) => {
                    if std::mem::take(&mut order.waits) {
                        self.under_way += 1;
                        self.desk.queue(Job::Make { bot: Arc::clone(&order.bot), target: target.clone() });
                    }
                }
                _ => drop(self.orders.remove(&call)),
            }
        }
    }

    fn note_try(&mut self, bot: &Arc<Enlisted>, result: Result<(), String>, now: Instant) {
        let order = self.orders.get_mut(&bot.call);
        let target = order.as_ref().and_then(|order| order.target.as_ref());
        let proved = target.is_none_or(|target| target.proved.load(Ordering::Relaxed));
        if result.is_ok() && !proved {
            self.later.push((now + PROOF, Later::FreeSlot));
        } else {
            self.under_way -= 1;
        }
        let Some(order) = order else { return };
        order.waits = true;
        match result {
            // To an older generation than is wanted by now, perhaps.
            Ok(()) if !order.is_there() => self.waiting.push_back(bot.call),
            Ok(()) => drop(self.orders.remove(&bot.call)),
            Err(_) if order.target.is_none() => drop(self.orders.remove(&bot.call)),
            Err(why) => {
                order.tries += 1;
                if order.tries < TRIES_MAX {
                    self.later.push((now + RETRY_AFTER, Later::Retry(bot.call)));
                    return;
                }
                self.orders.remove(&bot.call);
                self.reports.event(BotPlaneEvent::NotMoved { call: bot.call, why });
            }
        }
    }
}

impl Order {
    fn is_there(&self) -> bool {
        let generation = self.bot.generation.load(Ordering::Acquire);
        self.target.as_ref().is_none_or(|target| generation >= target.generation.number)
    }
}
