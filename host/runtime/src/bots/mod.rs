//! The bot plane: every call's bot, from `start` to its last event. Workers enter the guests; nothing here touches a socket.
//!
//! | file | what |
//! |---|---|
//! | cell | one call's bot: instance, rings, what one tick of it is |
//! | operations | timers, marks, clears, events: what belongs to the call |
//! | port | host functions -> operations |
//! | lane, slow_lane, starter | the threads that enter guests |
//! | late, priority, fallback, bot_log | blame, thread priorities, the host's own prompt, bounded log |

mod bot_log;
mod cell;
mod fallback;
mod lane;
mod late;
mod operations;
mod port;
pub(crate) mod priority;
mod slow_lane;
mod starter;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use call::{BotAct, BotStats, CallId, StartFailure, WallClock};
use media::PlayoutReader;
use plugin::Generation;
use tokio::sync::mpsc;

pub use cell::{FRAMES_WAITING_MAX, FromBot, FromCaller, Pressed, Shared};
pub use lane::Lane;

use bot_log::BotLog;
pub use bot_log::Voice;
use cell::{BotCell, BotEnds, Report};
use fallback::Prompt;
use operations::{CallFacts, DIGITS_MAX, Operations};
use port::Port;
use slow_lane::SlowLane;
use starter::{Start, Starters};

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
    fn send(&self, call: CallId, report: Report) {
        self.event(match report {
            Report::Act(act) => BotPlaneEvent::Act { call, act },
            Report::Faulted(why) => BotPlaneEvent::Faulted { call, why },
            Report::FallbackPlayed => BotPlaneEvent::FallbackPlayed { call },
        });
    }

    fn event(&self, event: BotPlaneEvent) {
        // The core is gone only when the process ends.
        let _ = self.0.send(event);
    }
}

/// One bot in its lane.
pub struct Enlisted {
    call: CallId,
    phase: usize,
    cell: Arc<BotCell>,
    lane: Arc<Lane>,
    enlisted: AtomicBool,
    closing: AtomicBool,
    digest: String,
    generation: u64,
}

impl Enlisted {
    fn enlist(self: &Arc<Self>) {
        if !self.closing.load(Ordering::Acquire) && !self.enlisted.swap(true, Ordering::AcqRel) {
            self.lane.enlist(Arc::clone(self));
            // Closed just now, and perhaps looked for in the lane before it stood there.
            if self.closing.load(Ordering::Acquire) {
                self.lane.discharge(self);
            }
        }
    }
}

/// The media thread's ends of the rings between leg and bot.
pub struct MediaEnds {
    pub phase: usize,
    pub frames: rtrb::Producer<FromCaller>,
    pub digits: rtrb::Producer<Pressed>,
    pub answers: rtrb::Consumer<FromBot>,
    pub playout: PlayoutReader,
    pub shared: Arc<Shared>,
}

/// A bot's seat in the table: what the core needs to reach it.
struct Seat {
    bot: Arc<Enlisted>,
    operations: Arc<Mutex<Operations>>,
    shared: Arc<Shared>,
    media: Option<MediaEnds>,
}

/// Which generations have proved themselves: until one of its bots has shown enough clean ticks, a new one runs on the slow lane.
#[derive(Default)]
struct Proving(HashMap<String, (u64, Arc<AtomicBool>)>);

impl Proving {
    /// One flag for all bots of a generation, set once it is proved.
    fn of(&mut self, generation: &Generation) -> Arc<AtomicBool> {
        let known = self.0.entry(generation.plugin.name().to_owned()).or_default();
        if known.0 != generation.number {
            *known = (generation.number, Arc::default());
        }
        Arc::clone(&known.1)
    }
}

/// The core's handle on the bot plane. Lives on the signalling task; all guests run elsewhere.
pub struct Bots {
    lanes: Vec<Arc<Lane>>,
    slow: Arc<SlowLane>,
    starters: Starters,
    reports: Reports,
    prompts: HashMap<String, Arc<[i16]>>,
    proving: Proving,
    seats: HashMap<CallId, Seat>,
}

impl Bots {
    /// Starts the workers: one lane for each media thread.
    pub fn start(
        lanes: usize,
        prompts: HashMap<String, Arc<[i16]>>,
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<BotPlaneEvent>)> {
        let (sender, events) = mpsc::unbounded_channel();
        let reports = Reports(sender);
        let slow = SlowLane::start(reports.clone())?;
        let lanes = (0..lanes)
            .map(|number| Lane::start(number, Arc::clone(&slow), reports.clone()))
            .collect::<Result<_, _>>()?;
        let starters = Starters::start(reports.clone())?;
        Ok((
            Self { lanes, slow, starters, reports, prompts, proving: Proving::default(), seats: HashMap::new() },
            events,
        ))
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
        let (playout_writer, playout) = media::playout(allowance.playout_ms);
        let (frames_in, frames_out) = rtrb::RingBuffer::new(2 * FRAMES_WAITING_MAX);
        let (digits_in, digits_out) = rtrb::RingBuffer::new(DIGITS_MAX);
        let (answers_in, answers_out) = rtrb::RingBuffer::new(FRAMES_WAITING_MAX);
        let shared = Arc::new(Shared::default());
        let facts = CallFacts {
            headers: start.headers.to_vec(),
            attributes: start.attributes.clone(),
            config: start.route.config.clone(),
        };
        let number = plugin.as_ref().map_or(0, |generation| generation.number);
        let operations =
            Operations::new(Arc::new(facts), playout_writer, BotLog::new(voice, number, clock.at), start.seed, clock);
        let operations = Arc::new(Mutex::new(operations));
        let ends = BotEnds { frames: frames_out, digits: digits_out, answers: answers_in, shared: Arc::clone(&shared) };
        let proving = plugin.as_ref().map(|generation| self.proving.of(generation)).unwrap_or_default();
        let cell = Arc::new(BotCell::new(Arc::clone(&operations), ends, proving));
        let phase = lane.join_quietest_phase();
        let (digest, generation) =
            plugin.as_ref().map(|loaded| (loaded.plugin.digest().to_owned(), loaded.number)).unwrap_or_default();
        let bot = Arc::new(Enlisted {
            call,
            phase,
            cell,
            lane,
            enlisted: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            digest,
            generation,
        });
        let media = MediaEnds {
            phase,
            frames: frames_in,
            digits: digits_in,
            answers: answers_out,
            playout,
            shared: Arc::clone(&shared),
        };
        let seat = Seat { bot: Arc::clone(&bot), operations: Arc::clone(&operations), shared, media: Some(media) };
        self.seats.insert(call, seat);
        let generation = match plugin {
            Ok(generation) => generation,
            Err(why) => {
                return self
                    .reports
                    .event(BotPlaneEvent::Started { call, result: Err(StartFailure::NotLoadable { why }) });
            }
        };
        let port = Port { operations, lane: Arc::clone(&bot.lane), cell: Arc::downgrade(&bot.cell) };
        let info = plugin::CallInfo {
            id: start.id.clone(),
            caller: start.caller.clone(),
            called: start.called.clone(),
            trunk: start.trunk.clone(),
            tenant: start.route.tenant.clone(),
        };
        let config = serde_json::Value::Object(start.route.config.clone()).to_string();
        if !self.starters.start_bot(Start {
            bot,
            generation,
            memory_bytes: allowance.memory_bytes,
            port,
            info,
            config,
            queued: Instant::now(),
        }) {
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
        if lane::lock(&seat.operations).push(event).is_err() {
            self.reports.event(BotPlaneEvent::Faulted { call, why: cell::OVERFULL.to_owned() });
        }
    }

    /// Silences the bot and plays the route's prompt in its place; answered by `FallbackPlayed`.
    pub fn play_fallback(&mut self, call: CallId, prompt: &str) {
        let Some(seat) = self.seats.get(&call) else { return };
        let samples = self.prompts.get(prompt).cloned().unwrap_or_else(|| Arc::from([]));
        self.starters.play_fallback(Arc::clone(&seat.bot), Prompt::new(samples));
    }

    /// Drops the bot, whatever it does; answered by `Ended`.
    pub fn close(&mut self, call: CallId) {
        let Some(seat) = self.seats.remove(&call) else {
            return self.reports.event(BotPlaneEvent::Ended { call, stats: Box::default() });
        };
        seat.bot.closing.store(true, Ordering::Release);
        self.starters.close(seat.bot);
    }

    pub fn stop(&self) {
        self.lanes.iter().for_each(|lane| lane.stop());
        self.slow.stop();
        self.starters.stop();
    }
}
