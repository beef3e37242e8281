//! The bot plane: every call's bot, from `start` to its last event. Workers enter the guests; nothing here touches a socket.
//!
//! | file | what |
//! |---|---|
//! | enlisted, cell, turn | one call's bot: its place in a lane, instance, pace, what one tick of it is |
//! | rings, slots | what passes between it and its leg |
//! | ear | the caller's voice: who speaks, barge-in, utterances for whoever listens |
//! | lives | saves, restarts after a fault |
//! | moves, errands | from one generation to the next under a live call; a few at a time |
//! | quota | guest CPU of calls and tenants |
//! | operations | timers, marks, clears, events: what belongs to the call |
//! | port | host functions -> operations |
//! | services, answers | what others carry out for a bot, and their way back to it |
//! | lane, slow_lane, starter | the threads that enter guests |
//! | late, priority, fallback, bot_log | blame, thread priorities, the host's own prompt, bounded log |

mod answers;
mod bot_log;
mod cell;
mod ear;
mod enlisted;
mod errands;
mod fallback;
mod lane;
mod late;
mod lives;
mod moves;
#[cfg(feature = "native-bot")]
mod native;
mod operations;
mod port;
pub(crate) mod priority;
mod quota;
mod rings;
mod services;
pub mod slots;
mod slow_lane;
mod starter;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use call::{BargeInTimes, BotAct, BotStats, CallId, StartFailure, WallClock};
use plugin::Generation;
use tokio::sync::mpsc;

pub use answers::Answers;
pub use ear::{ListenRules, Utterance};
pub use lane::Lane;
#[cfg(test)]
pub use rings::{AnswersIn, FramesOut};
pub use rings::{FromBot, FromCaller, MediaEnds, Pressed, Shared};
pub use services::{Caller, Services};
#[cfg(test)]
pub use services::{NoServices, TestCall};
pub use store::LivePolicy;

use bot_log::BotLog;
pub use bot_log::Voice;
use cell::BotCell;
use enlisted::Enlisted;
use errands::Errand;
use fallback::Prompt;
use moves::{Script, Target};
use operations::{Affairs, CallFacts, Operations};
use quota::{CpuQuota, Tenants};
use slow_lane::SlowLane;
use starter::{Desk, Start, Starters};

/// Phases of the 20 ms tick: 2 ms each.
pub const PHASES: usize = 10;
/// Of every thread that enters guests: 512 KiB for the guest, as much for the host functions that it calls, and room.
pub const GUEST_STACK_BYTES: usize = 2 << 20;

/// What the bot plane tells the signalling core.
#[derive(Debug)]
pub enum BotPlaneEvent {
    Started {
        call: CallId,
        result: Result<call::Accept, StartFailure>,
    },
    Act {
        call: CallId,
        act: BotAct,
    },
    Faulted {
        call: CallId,
        why: String,
    },
    FallbackPlayed {
        call: CallId,
    },
    /// The caller cut the bot off.
    BargedIn {
        call: CallId,
        times: BargeInTimes,
    },
    /// A new instance of the same generation took over from one that failed.
    Restarted {
        call: CallId,
        why: String,
    },
    Moved {
        call: CallId,
        generation: u64,
    },
    /// The call stays on the generation that it has: every try failed, or the new instance trapped soon after.
    NotMoved {
        call: CallId,
        why: String,
    },
    /// All bots of a tenant together use more CPU than all their quotas, or no longer.
    GuestCpu {
        tenant: String,
        over: bool,
    },
    Ended {
        call: CallId,
        stats: Box<BotStats>,
    },
}

/// What the bot of one call may use, as its tenant's quotas say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Linear memory of one instance; never above what the engine allows.
    pub memory_bytes: usize,
    /// Sound that it may queue ahead.
    pub playout_ms: u32,
    /// Guest CPU in each second of the call.
    pub cpu_ms_per_call_second: u32,
    /// What it may use at once, saved up while it used less.
    pub cpu_burst_ms: u32,
}

impl Default for Allowance {
    /// The quotas of a tenant of which nothing is said.
    fn default() -> Self {
        let quotas = store::Quotas::default();
        Self {
            memory_bytes: (quotas.guest_memory_mb as usize) << 20,
            playout_ms: quotas.playout_ms,
            cpu_ms_per_call_second: quotas.guest_cpu_ms_per_call_second,
            cpu_burst_ms: quotas.guest_cpu_burst_ms,
        }
    }
}

/// The way of reports to the core. Bounded by what each bot may have under way, not by the channel.
#[derive(Clone)]
pub struct Reports(mpsc::UnboundedSender<BotPlaneEvent>);

impl Reports {
    fn event(&self, event: BotPlaneEvent) {
        // The core is gone only when the process ends.
        let _ = self.0.send(event);
    }
}

/// The way to the thread that runs errands.
#[derive(Clone)]
struct Errands(std::sync::mpsc::Sender<Errand>);

impl Errands {
    fn run(&self, errand: Errand) {
        // The thread is gone only when the process ends.
        let _ = self.0.send(errand);
    }
}

/// A bot's seat in the table: what the core needs to reach it.
struct Seat {
    bot: Arc<Enlisted>,
    shared: Arc<Shared>,
    media: Option<MediaEnds>,
    allowance: Allowance,
    /// On a generation older than that, until then at most.
    deadline: Option<(u64, Instant)>,
}

/// Which generations have proved themselves: until one of its bots has shown enough clean ticks, a new one runs on the slow lane.
#[derive(Default)]
struct Proving(HashMap<String, Vec<(u64, Arc<AtomicBool>)>>);

/// So many generations of a bot are remembered: the current one, its canary, and those before.
const GENERATIONS_REMEMBERED: usize = 4;

impl Proving {
    /// One flag for all bots of a generation, set once it is proved.
    fn of(&mut self, generation: &Generation) -> Arc<AtomicBool> {
        let known = self.0.entry(generation.plugin.name().to_owned()).or_default();
        if let Some((_, proved)) = known.iter().find(|(number, _)| *number == generation.number) {
            return Arc::clone(proved);
        }
        if known.len() >= GENERATIONS_REMEMBERED {
            known.remove(0);
        }
        let proved = Arc::default();
        known.push((generation.number, Arc::clone(&proved)));
        proved
    }
}

/// The core's handle on the bot plane. Lives on the signalling task; all guests run elsewhere.
pub struct Bots {
    lanes: Vec<Arc<Lane>>,
    slow: Arc<SlowLane>,
    starters: Starters,
    reports: Reports,
    prompts: HashMap<String, Arc<[i16]>>,
    errands: Errands,
    proving: Proving,
    tenants: Tenants,
    services: Arc<dyn Services>,
    seats: HashMap<CallId, Seat>,
}

impl Bots {
    /// Starts the workers: one lane for each media thread. `services`: what bots can use beyond telephony.
    pub fn start(
        lanes: usize,
        prompts: HashMap<String, Arc<[i16]>>,
        services: Arc<dyn Services>,
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<BotPlaneEvent>)> {
        let (sender, events) = mpsc::unbounded_channel();
        let reports = Reports(sender);
        let slow = SlowLane::start()?;
        let lanes = (0..lanes).map(|number| Lane::start(number, Arc::clone(&slow))).collect::<Result<_, _>>()?;
        let desk = Arc::new(Desk::default());
        let starters = Starters::start(Arc::clone(&desk), &reports)?;
        let errands = Errands(errands::start(desk, reports.clone())?);
        let bots = Self {
            lanes,
            slow,
            starters,
            reports,
            prompts,
            errands,
            proving: Proving::default(),
            tenants: Tenants::default(),
            services,
            seats: HashMap::new(),
        };
        Ok((bots, events))
    }

    pub fn lanes(&self) -> &[Arc<Lane>] {
        &self.lanes
    }

    /// Gives the call a seat and begins `start` on a starter; answered by `Started`.
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the call")]
    pub fn start_bot(
        &mut self,
        call: CallId,
        lane: usize,
        start: &call::BotStart,
        plugin: Result<Generation, String>,
        allowance: Allowance,
        voice: Voice,
        clock: WallClock,
    ) {
        let lane = Arc::clone(&self.lanes[lane]);
        let phase = lane.join_quietest_phase();
        let (media, ends, playout) = rings::rings(phase, allowance.playout_ms);
        let shared = Arc::clone(&media.shared);
        let facts = CallFacts {
            headers: start.headers.to_vec(),
            attributes: start.attributes.clone(),
            config: start.route.config.clone(),
        };
        let proving = plugin.as_ref().map(|generation| self.proving.of(generation)).unwrap_or_default();
        let (digest, generation) =
            plugin.as_ref().map(|loaded| (loaded.plugin.digest().to_owned(), loaded.number)).unwrap_or_default();
        let tenant = &start.route.tenant;
        let log = BotLog::new(voice, generation, clock.at);
        let playout = (playout, allowance.playout_ms);
        let operations = Operations::new(Arc::new(facts), playout, log, start.seed, clock);
        let operations = Arc::new(Affairs::new(operations));
        let quota = CpuQuota::new(&allowance, self.tenants.join(tenant, &allowance, clock.at), clock.at);
        let stats = BotStats { digest, generation, ..BotStats::default() };
        let cell = BotCell::new(Arc::clone(&operations), ends, proving, quota, stats);
        let bot = Arc::new(Enlisted {
            call,
            phase: Arc::clone(&media.lane_phase),
            cell,
            lane,
            enlisted: AtomicBool::new(false),
            is_hurried: AtomicBool::new(false),
            hurried_turns: AtomicU32::new(0),
            closing: AtomicBool::new(false),
            key: start.route.bot.clone(),
            generation: AtomicU64::new(generation),
            script: Script::of(start, allowance.memory_bytes),
            operations,
            reports: self.reports.clone(),
            errands: self.errands.clone(),
            services: Arc::clone(&self.services),
            caller: OnceLock::new(),
        });
        let seat = Seat { bot: Arc::clone(&bot), shared, media: Some(media), allowance, deadline: None };
        self.seats.insert(call, seat);
        let generation = match plugin {
            Ok(generation) => generation,
            Err(why) => {
                return self
                    .reports
                    .event(BotPlaneEvent::Started { call, result: Err(StartFailure::NotLoadable { why }) });
            }
        };
        if !self.starters.start_bot(Start { bot, generation, queued: Instant::now() }) {
            self.reports.event(BotPlaneEvent::Started { call, result: Err(StartFailure::TimedOut) });
        }
    }

    /// The leg's ends of the call's rings; once.
    pub fn take_media_ends(&mut self, call: CallId) -> Option<MediaEnds> {
        self.seats.get_mut(&call)?.media.take()
    }

    /// Which tick the call's leg is in; 0 before there is one.
    pub fn tick(&self, call: CallId) -> u64 {
        self.seats.get(&call).map_or(0, |seat| seat.shared.tick.load(Ordering::Relaxed))
    }

    pub fn event(&mut self, call: CallId, event: plugin::Event) {
        let Some(seat) = self.seats.get(&call) else { return };
        if seat.bot.operations.lock().push(event).is_err() {
            self.reports.event(BotPlaneEvent::Faulted { call, why: cell::OVERFULL.to_owned() });
        }
    }

    /// What came of a transfer, a hold or a resume.
    pub fn control(&mut self, call: CallId, id: u64, event: plugin::ControlEvent) {
        if let Some(seat) = self.seats.get(&call) {
            let answered = seat.bot.operations.lock().deliver(id, plugin::Outcome::Control(event));
            debug_assert!(answered.is_ok(), "signalling does not wait");
        }
    }

    /// Silences the bot and plays the route's prompt in its place; answered by `FallbackPlayed`.
    pub fn play_fallback(&mut self, call: CallId, prompt: &str) {
        let Some(seat) = self.seats.get(&call) else { return };
        let samples = self.prompts.get(prompt).cloned().unwrap_or_else(|| Arc::from([]));
        self.starters.play_fallback(Arc::clone(&seat.bot), Prompt::new(samples));
    }

    /// A newer generation of this bot is active: what becomes of live calls on older ones. A call whose bot is still in `start`
    /// keeps its generation until `start` has returned, and moves then. What was said at an earlier activation no longer counts, except
    /// for the earlier of two limits. `limit`: from now on; see [`Bots::overdue`].
    pub fn replace(
        &mut self,
        key: &str,
        generation: &Generation,
        live: LivePolicy,
        limit: Option<Duration>,
        now: Instant,
    ) {
        let target = Target { generation: generation.clone(), proved: self.proving.of(generation) };
        let is_older =
            |seat: &&mut Seat| seat.bot.key == key && seat.bot.generation.load(Ordering::Acquire) < generation.number;
        for seat in self.seats.values_mut().filter(is_older) {
            let deadline = limit.map(|limit| now + limit);
            seat.deadline = match (seat.deadline, deadline) {
                (Some(earlier), Some(deadline)) if earlier.1 < deadline => Some(earlier),
                (earlier, None) => earlier,
                (_, Some(deadline)) => Some((generation.number, deadline)),
            };
            let target = (live == LivePolicy::Move).then(|| target.clone());
            self.errands.run(Errand::Move { bot: Arc::clone(&seat.bot), target });
        }
    }

    /// Calls that are still on a generation which they should have left by now; each is named once.
    pub fn overdue(&mut self, now: Instant) -> Vec<CallId> {
        let is_overdue = |seat: &mut Seat| {
            let Some((below, _)) = seat.deadline.take_if(|(_, deadline)| *deadline <= now) else { return false };
            seat.bot.generation.load(Ordering::Acquire) < below
        };
        self.seats.iter_mut().filter_map(|(call, seat)| is_overdue(seat).then_some(*call)).collect()
    }

    /// To be called about once a second: tells of tenants whose bots use more CPU than their quotas, or no longer.
    pub fn keep_house(&mut self, now: Instant) {
        let reports = &self.reports;
        self.tenants
            .look(now, |tenant, over| reports.event(BotPlaneEvent::GuestCpu { tenant: tenant.to_owned(), over }));
    }

    /// Drops the bot, whatever it does; answered by `Ended`.
    pub fn close(&mut self, call: CallId) {
        let Some(seat) = self.seats.remove(&call) else {
            return self.reports.event(BotPlaneEvent::Ended { call, stats: Box::default() });
        };
        self.tenants.leave(&seat.bot.script.info.tenant, &seat.allowance);
        seat.bot.closing.store(true, Ordering::Release);
        self.starters.close(seat.bot);
    }

    pub fn stop(&self) {
        self.lanes.iter().for_each(|lane| lane.stop());
        self.slow.stop();
        self.starters.stop();
        self.errands.run(Errand::Stop);
    }
}
