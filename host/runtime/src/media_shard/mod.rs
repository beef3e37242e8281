//! Media threads: each owns its legs and their sockets and walks the phases of the 20 ms tick on an absolute schedule.
//! Never: enters a guest, takes a lock, allocates or logs per frame, waits for a socket, resolves a name.
//!
//! Read `schedule` (when), `listening` (and when best), `seat` (one leg's two moments in a tick), `voice` (what is sent), then the loop here.

mod listening;
mod schedule;
mod seat;
mod stamp;
mod tap;
#[cfg(test)]
pub mod tests;
mod voice;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc as commands;
use std::time::{Duration, Instant};

use call::CallId;
use media::{Leg, LegEvent, LegStats, Negotiated};
use tokio::sync::mpsc;

use crate::bots::{Lane, MediaEnds, PHASES, priority};
use crate::observe::Counter;
use crate::rtp_ports::PortPair;
use crate::soon::touch;
use listening::{Beat, Listening};
use schedule::Schedule;
use seat::{Scratch, Seat};
pub use tap::Tap;
use voice::Voice;

/// RTCP is looked at every so many ticks, spread over the legs.
const RTCP_EVERY_TICKS: u64 = 50;

/// Room for broken legs of one phase; more is more than anybody has seen.
const BROKEN_LEGS_ROOM: usize = 16;

/// What the core asks of a media thread.
pub enum ShardCommand {
    Open {
        call: CallId,
        leg: Box<Leg>,
        ports: PortPair,
        ends: Box<MediaEnds>,
        ptime_ms: u32,
        tap: Option<Tap>,
    },
    Update {
        call: CallId,
        negotiated: Box<Negotiated>,
    },
    /// The ACK is here: frames go to the bot even if no packet has come yet.
    Answered {
        call: CallId,
    },
    SendDigits {
        call: CallId,
        id: u64,
        keys: String,
    },
    Close {
        call: CallId,
    },
    Stop,
}

/// What a media thread tells the core.
#[derive(Debug)]
pub enum ShardEvent {
    Leg {
        call: CallId,
        event: LegEvent,
    },
    /// Answer to `Close`; the sockets are closed.
    Closed {
        call: CallId,
        stats: Box<LegStats>,
    },
}

/// What all media threads count, for metrics.
#[derive(Clone)]
pub struct ShardCounters {
    /// Phases that began more than a phase after their time.
    pub late_phases: Counter,
    pub skipped_phases: Counter,
    /// Legs given up because the host itself failed in them.
    pub broken_legs: Counter,
}

/// The core's handle on one media thread.
pub struct MediaShard {
    commands: commands::Sender<ShardCommand>,
    pub legs: usize,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl MediaShard {
    pub fn start(
        number: usize,
        lane: Arc<Lane>,
        budget: Duration,
        counters: ShardCounters,
        events: mpsc::UnboundedSender<ShardEvent>,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = commands::channel();
        let shard = Shard {
            commands: receiver,
            events,
            lane,
            schedule: Schedule::new(budget),
            seats: Vec::new(),
            free: Vec::new(),
            listening: Vec::new(),
            phase: 0,
            broken: Vec::with_capacity(BROKEN_LEGS_ROOM),
            scratch: Scratch::new(),
            counters,
        };
        let thread = std::thread::Builder::new().name(format!("media-{number}")).spawn(move || shard.run())?;
        Ok(Self { commands: sender, legs: 0, thread: Some(thread) })
    }

    pub fn command(&self, command: ShardCommand) {
        // The thread is gone only when the process ends.
        let _ = self.commands.send(command);
    }

    pub fn stop(&mut self) {
        self.command(ShardCommand::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

struct Shard {
    commands: commands::Receiver<ShardCommand>,
    events: mpsc::UnboundedSender<ShardEvent>,
    lane: Arc<Lane>,
    schedule: Schedule,
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    /// Seats whose senders are listened to.
    listening: Vec<usize>,
    /// The one that is run, or was last.
    phase: u64,
    /// Seats in which a panic of ours ended a turn; given up before the next phase.
    broken: Vec<usize>,
    scratch: Scratch,
    counters: ShardCounters,
}

impl Shard {
    fn run(mut self) {
        priority::media();
        let epoch = Instant::now();
        let mut phase = 0;
        loop {
            let due = schedule::due(epoch, phase);
            sleep_until(due);
            if !self.take_commands() {
                return;
            }
            self.count_lateness(due);
            self.run_phase(phase, due);
            let following = schedule::following_phase(epoch, phase, Instant::now());
            if following > phase + 1 {
                self.counters.skipped_phases.add(following - phase - 1);
            }
            phase = following;
        }
    }

    /// Sends first: departures are what callers hear, and a packet read 2 ms later is early enough.
    fn run_phase(&mut self, phase: u64, due: Instant) {
        self.phase = phase;
        let Self { schedule, seats, broken, scratch, events, listening, .. } = self;
        each(schedule.sending(phase), seats, broken, |_, seat| seat.send(due, scratch));
        let answer_due = due + schedule.budget();
        let now = Instant::now().max(due);
        let tick = phase / PHASES as u64;
        each(schedule.receiving(phase), seats, broken, |index, seat| {
            seat.receive(phase, now, answer_due, scratch, &mut |event| {
                let _ = events.send(event);
            });
            if (tick + index as u64).is_multiple_of(RTCP_EVERY_TICKS) {
                seat.exchange_rtcp(now, scratch);
            }
        });
        self.lane.wake((phase % PHASES as u64) as usize);
        // Who is read twice in a phase finds nothing the second time.
        each(listening, seats, broken, |_, seat| seat.read(phase, now, scratch));
        self.follow_beats(phase);
        while let Some(index) = self.broken.pop() {
            self.give_up(index);
        }
    }

    fn follow_beats(&mut self, phase: u64) {
        let Self { schedule, seats, listening, lane, .. } = self;
        listening.retain(|&index| {
            let Some(seat) = &mut seats[index] else { return false };
            let beat = seat.beat(phase);
            // Other ptimes go round another wheel than the sender's packets.
            if let (Beat::In(wanted), 20) = (beat, seat.ptime_ms) {
                let (from, to) = (seat.voice.ends.phase, schedule.uncrowded(wanted));
                if seat.follow_beat(to, lane) {
                    schedule.remove(index, from, seat.ptime_ms);
                    schedule.add(index, to, seat.ptime_ms);
                }
            }
            beat == Beat::NotYet
        });
    }

    /// A panic of ours in one leg costs that call, not the thread: unasked for, `Closed` ends it.
    fn give_up(&mut self, index: usize) {
        let Some(seat) = self.seats[index].take() else { return };
        self.schedule.remove(index, seat.voice.ends.phase, seat.ptime_ms);
        self.vacate(index);
        self.counters.broken_legs.add(1);
        let call = seat.call;
        // Whatever state it is in: reading or dropping it may fail again.
        let stats = catch_unwind(AssertUnwindSafe(move || seat.leg.stats())).unwrap_or_default();
        let _ = self.events.send(ShardEvent::Closed { call, stats: Box::new(stats) });
    }

    fn count_lateness(&self, due: Instant) {
        if Instant::now().saturating_duration_since(due) > schedule::PHASE {
            self.counters.late_phases.add(1);
        }
    }

    /// False once the host stops.
    fn take_commands(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(ShardCommand::Stop) | Err(commands::TryRecvError::Disconnected) => return false,
                Ok(command) => self.carry_out(command),
                Err(commands::TryRecvError::Empty) => return true,
            }
        }
    }

    fn carry_out(&mut self, command: ShardCommand) {
        match command {
            ShardCommand::Open { call, leg, ports, ends, ptime_ms, tap } => {
                stamp::begin(&ports.rtp);
                stamp::begin(&ports.rtcp);
                let seat = Seat {
                    call,
                    leg: *leg,
                    rtp: ports.rtp,
                    rtcp: ports.rtcp,
                    voice: Voice::new(*ends, ptime_ms),
                    tap,
                    ptime_ms,
                    heard: false,
                    listening: Some(Listening::new(self.phase)),
                    took: 0,
                    takes_from: 0,
                };
                self.sit(seat);
            }
            ShardCommand::Update { call, negotiated } => self.update(call, *negotiated),
            ShardCommand::Answered { call } => self.with(call, |seat| seat.heard = true),
            ShardCommand::SendDigits { call, id, keys } => self.send_digits(call, id, &keys),
            ShardCommand::Close { call } => self.close(call),
            ShardCommand::Stop => {}
        }
    }

    fn update(&mut self, call: CallId, negotiated: Negotiated) {
        let Some(index) = self.find(call) else { return };
        let ptime_ms = negotiated.send_ptime_ms;
        let mut moved = None;
        self.with(call, |seat| {
            seat.leg.renegotiate(negotiated, Instant::now());
            if seat.ptime_ms != ptime_ms {
                moved = Some((seat.voice.ends.phase, seat.ptime_ms));
                seat.ptime_ms = ptime_ms;
                seat.voice.set_ptime(ptime_ms);
            }
        });
        if let Some((phase, before)) = moved {
            self.schedule.remove(index, phase, before);
            self.schedule.add(index, phase, ptime_ms);
        }
    }

    fn send_digits(&mut self, call: CallId, id: u64, keys: &str) {
        let mut taken = false;
        self.with(call, |seat| taken = seat.leg.send_digits(id, keys).is_ok());
        if !taken {
            let _ = self.events.send(ShardEvent::Leg { call, event: LegEvent::DigitsCancelled { id } });
        }
    }

    fn sit(&mut self, seat: Seat) {
        let (phase, ptime_ms) = (seat.voice.ends.phase, seat.ptime_ms);
        let index = self.free.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.seats.len() - 1
        });
        if seat.listening.is_some() {
            self.listening.push(index);
        }
        self.seats[index] = Some(seat);
        self.schedule.add(index, phase, ptime_ms);
    }

    fn close(&mut self, call: CallId) {
        let Some(index) = self.find(call) else { return };
        let Some(mut seat) = self.seats[index].take() else { return };
        self.schedule.remove(index, seat.voice.ends.phase, seat.ptime_ms);
        self.vacate(index);
        let scratch = &mut self.scratch;
        // A failure of ours in its last words costs those words.
        let _ = catch_unwind(AssertUnwindSafe(|| seat.say_bye(Instant::now(), scratch)));
        let stats = Box::new(seat.leg.stats());
        // The sockets close before the core may give the ports to another call.
        drop(seat);
        let _ = self.events.send(ShardEvent::Closed { call, stats });
    }

    fn vacate(&mut self, index: usize) {
        self.free.push(index);
        self.listening.retain(|other| *other != index);
    }

    fn find(&self, call: CallId) -> Option<usize> {
        self.seats.iter().position(|seat| seat.as_ref().is_some_and(|seat| seat.call == call))
    }

    fn with(&mut self, call: CallId, act: impl FnOnce(&mut Seat)) {
        let Some(index) = self.find(call) else { return };
        let mut act = Some(act);
        each(&[index], &mut self.seats, &mut self.broken, |_, seat| {
            if let Some(act) = act.take() {
                act(seat);
            }
        });
    }
}

/// Does the same with each of these seats. One in which it panics is noted as broken, and the others go on.
fn each(indices: &[usize], seats: &mut [Option<Seat>], broken: &mut Vec<usize>, mut act: impl FnMut(usize, &mut Seat)) {
    for (at, &index) in indices.iter().enumerate() {
        let seat_at = |ahead: usize| indices.get(at + ahead).and_then(|&index| seats.get(index));
        seat_at(2).into_iter().for_each(touch);
        seat_at(1).and_then(Option::as_ref).into_iter().for_each(Seat::touch_rings);
        let Some(seat) = &mut seats[index] else { continue };
        if catch_unwind(AssertUnwindSafe(|| act(index, seat))).is_err() && !broken.contains(&index) {
            broken.push(index);
        }
    }
}

fn sleep_until(due: Instant) {
    let now = Instant::now();
    if due > now {
        std::thread::sleep(due - now);
    }
}
