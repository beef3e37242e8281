//! The signalling task: the one place where SIP, calls, media and bots meet. It owns every state machine and no socket;
//! each input is handed to the machine it concerns, and all outputs are carried out before the next one is taken.
//!
//!     sockets --EdgeEvent--> Endpoint --Event--> Calls --Output--> media shards, bots, ports
//!        ^------Output::Send----|  ^----Command----|  ^-----ShardEvent, BotPlaneEvent-----|

mod addresses;
mod capture;
mod head_room;
mod record;
mod requests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use call::{CallId, Calls, Input, LegOpening, Output, Ports, PortsWanted};
use media::{DigitTiming, JitterBounds, Leg, LegEvent, LegParams};
use tokio::sync::mpsc;

pub use addresses::MediaAddress;
pub use capture::Witness;
pub use head_room::{HeadRoom, Sample, process_cpu};
pub use record::Record;
pub use requests::{CanaryFailed, LiveCall, NewQuotas, Replaced, Request};

use crate::bots::{Allowance, BotPlaneEvent, Bots, Voice};
use crate::config;
use crate::hosting::{LogLine, LogTails, Tap};
use crate::media_shard::{self, MediaShard, ShardCommand, ShardCounters, ShardEvent};
use crate::observe::{Direction, SipTrace};
use crate::outbound::Desk;
use crate::rtp_ports::{PortPair, RtpPorts};
use crate::signalling::{Edge, EdgeEvent};

/// Inputs taken in one go before the outputs are carried out.
const BATCH_MAX: usize = 64;
/// Counters are copied to the metrics, and the wall clock looked at, so often.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Everything that the task owns.
pub struct Core {
    pub endpoint: sip::Endpoint,
    pub calls: Calls,
    pub edge: Edge,
    pub trace: SipTrace,
    pub bots: Bots,
    pub shards: Vec<MediaShard>,
    pub shard_counters: ShardCounters,
    pub head_room: HeadRoom,
    pub ports: RtpPorts,
    /// Pairs in use. Apart from the seats, because a pair may be given back after its call's record is closed.
    pub pairs: HashMap<CallId, Pair>,
    pub registry: Arc<plugin::Registry>,
    /// What the bots of each tenant may use; those of a tenant that is not named are the operator's own.
    pub allowances: HashMap<String, Allowance>,
    pub tails: LogTails,
    /// Told of each canary that has failed too often.
    pub canaries: mpsc::UnboundedSender<CanaryFailed>,
    /// Told of the second legs of the calls that were asked for.
    pub outbound: Arc<Desk>,
    pub witness: Witness,
    pub record: Record,
    pub addresses: Vec<MediaAddress>,
    pub rtp: config::Rtp,
    pub jitter: config::Jitter,
    pub seats: HashMap<CallId, Seat>,
    pub edge_events: mpsc::Receiver<EdgeEvent>,
    pub bot_events: mpsc::UnboundedReceiver<BotPlaneEvent>,
    pub shard_events: mpsc::UnboundedReceiver<ShardEvent>,
    pub requests: mpsc::Receiver<Request>,
}

/// A call's port pair: the sockets until its leg has them, the number until it is given back.
pub struct Pair {
    sockets: Option<PortPair>,
    port: u16,
    local: Option<SocketAddr>,
}

/// What the host holds for one call.
#[derive(Default)]
pub struct Seat {
    span: Option<tracing::Span>,
    sip_call_id: String,
    shard: usize,
    build: Option<Build>,
}

/// What a call's bot is an instance of.
struct Build {
    key: String,
    /// None: there is none that can run.
    generation: Option<u64>,
    /// Which of the canary's calls this is.
    canary_call: Option<u32>,
    tap: Arc<Tap>,
}

impl Core {
    /// Runs until the host has drained.
    pub async fn run(mut self) {
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let due = self.poll_timeout();
            tokio::select! {
                Some(event) = self.edge_events.recv() => {
                    self.take_edge(event);
                    for _ in 1..BATCH_MAX {
                        let Ok(event) = self.edge_events.try_recv() else { break };
                        self.take_edge(event);
                    }
                }
                Some(event) = self.bot_events.recv() => self.take_bot(event),
                Some(event) = self.shard_events.recv() => self.take_shard(event),
                Some(request) = self.requests.recv() => self.take_request(request),
                () = tokio::time::sleep_until(due.into()) => self.fire_timers(),
                _ = housekeeping.tick() => self.keep_house(),
            }
            if self.carry_out_all() {
                break;
            }
        }
        self.shards.iter_mut().for_each(MediaShard::stop);
        self.bots.stop();
        // What is still queued for a peer, the answer to its last BYE for one, is written first.
        drop(self.edge_events);
        self.edge.close_all().await;
    }

    fn poll_timeout(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        [self.endpoint.poll_timeout(), self.calls.poll_timeout()].into_iter().flatten().min().unwrap_or(far)
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        self.endpoint.handle_timeout(now);
        self.calls.handle_timeout(now);
    }

    fn keep_house(&mut self) {
        self.calls.handle(Input::WallClock(wall_clock()), Instant::now());
        let now = Instant::now();
        self.bots.keep_house(now);
        self.look_at_head_room(now);
        for call in self.bots.overdue(now) {
            self.calls.handle(Input::Replaced { call }, now);
        }
        self.witness.close_ended(Instant::now());
        self.record.endpoint(self.endpoint.counters());
        self.record.calls_active.set(self.seats.len() as i64);
        self.record.rtp_ports_free.set((self.ports.pairs() - self.ports.taken()) as i64);
    }

    fn look_at_head_room(&mut self, now: Instant) {
        let counters = &self.shard_counters;
        let phases_late = counters.late_phases.get() + counters.skipped_phases.get();
        let turned = self.head_room.look(Sample { at: now, phases_late, cpu: process_cpu() });
        self.record.head_room.set(self.head_room.percent());
        if let Some(overloaded) = turned {
            self.record.overload(overloaded);
            self.calls.handle(Input::Overload(overloaded), now);
        }
    }

    fn take_edge(&mut self, event: EdgeEvent) {
        let now = Instant::now();
        match event {
            EdgeEvent::Message { flow, bytes } => {
                self.witness.message(Direction::Received, &flow, &bytes);
                self.endpoint.handle(sip::Input::Message { flow, bytes: &bytes }, now);
                if let Some(connection) = flow.connection {
                    self.edge.set_carries_dialogs(connection, self.endpoint.flow_carries_dialogs(connection));
                }
            }
            EdgeEvent::Closed { connection } => self.endpoint.handle(sip::Input::Closed { connection }, now),
            EdgeEvent::Connected { id, flow } => self.endpoint.handle(sip::Input::Connected { id, flow }, now),
            EdgeEvent::ConnectFailed { id } => self.endpoint.handle(sip::Input::ConnectFailed { id }, now),
        }
    }

    fn take_bot(&mut self, event: BotPlaneEvent) {
        self.note_failure(&event);
        let input = match event {
            BotPlaneEvent::Started { call, result } => Input::BotStarted { call, result },
            BotPlaneEvent::Act { call, act } => Input::Bot { call, act },
            BotPlaneEvent::Faulted { call, why } => Input::BotFaulted { call, why },
            BotPlaneEvent::Restarted { .. } | BotPlaneEvent::Moved { .. } | BotPlaneEvent::NotMoved { .. } => {
                return self.note_bot(&event);
            }
            BotPlaneEvent::BargedIn { call, times } => {
                let span = self.seats.get(&call).and_then(|seat| seat.span.as_ref());
                return self.record.barge_in(span, times);
            }
            BotPlaneEvent::GuestCpu { tenant, over } => {
                self.record.guest_cpu(&tenant, over);
                Input::GuestCpu { tenant, over }
            }
            BotPlaneEvent::FallbackPlayed { call } => Input::FallbackPlayed { call },
            BotPlaneEvent::Ended { call, stats } => Input::BotEnded { call, stats },
        };
        self.calls.handle(input, Instant::now());
    }

    /// What a bot went through that changes nothing for its call.
    fn note_bot(&mut self, event: &BotPlaneEvent) {
        let (call, note) = match event {
            BotPlaneEvent::Restarted { call, why } => {
                (call, format!("the bot failed and goes on from its last save: {why}"))
            }
            BotPlaneEvent::Moved { call, generation } => {
                if let Some(build) = self.seats.get_mut(call).and_then(|seat| seat.build.as_mut()) {
                    (build.generation, build.canary_call) = (Some(*generation), None);
                }
                (call, format!("moved to generation {generation}"))
            }
            BotPlaneEvent::NotMoved { call, why } => (call, format!("stays on its generation: {why}")),
            BotPlaneEvent::GuestCpu { tenant, over } => {
                return tracing::warn!(tenant, over, "guest CPU against the quota of all of the tenant's calls");
            }
            _ => return,
        };
        let span = self.seats.get(call).and_then(|seat| seat.span.clone()).unwrap_or_else(tracing::Span::none);
        let _entered = span.enter();
        tracing::info!("{note}");
    }

    /// A bot that failed is told to whoever listens to its plugin, and counts against its generation if that is a canary.
    fn note_failure(&self, event: &BotPlaneEvent) {
        let (call, why) = match event {
            BotPlaneEvent::Faulted { call, why } | BotPlaneEvent::Restarted { call, why } => (call, why.clone()),
            BotPlaneEvent::Started { call, result: Err(failure) } => (call, failure.to_string()),
            _ => return,
        };
        let Some(build) = self.seats.get(call).and_then(|seat| seat.build.as_ref()) else { return };
        let generation = build.generation.unwrap_or(0);
        build.tap.say(|| LogLine {
            at_ms: wall_clock().unix_ms,
            call: call::call_name(*call),
            generation,
            level: "error",
            file: String::new(),
            line: 0,
            message: why.clone(),
        });
        let failed = |canary_call| self.registry.canary_failed(&build.key, generation, canary_call);
        if build.canary_call.is_some_and(failed) {
            // Nobody listens only while the host ends.
            let _ = self.canaries.send(CanaryFailed { key: build.key.clone(), generation, why });
        }
    }

    fn take_shard(&mut self, event: ShardEvent) {
        let input = match event {
            ShardEvent::Leg { call, event } => {
                if let LegEvent::DigitsSent { id } | LegEvent::DigitsCancelled { id } = event {
                    self.bots.event(call, plugin::Event::DigitsSent { id });
                }
                Input::Leg { call, event }
            }
            ShardEvent::Closed { call, stats } => {
                self.record.leg(&stats);
                Input::LegClosed { call, stats }
            }
        };
        self.calls.handle(input, Instant::now());
    }

    /// Carries out what the machines ask for until none asks for more. True: the host has drained.
    fn carry_out_all(&mut self) -> bool {
        let mut drained = false;
        loop {
            let mut idle = true;
            while let Some(output) = self.endpoint.poll_output() {
                idle = false;
                self.carry_out_sip(output);
            }
            while let Some(output) = self.calls.poll_output() {
                idle = false;
                drained |= matches!(output, Output::Drained);
                self.carry_out_call(output);
            }
            if idle {
                return drained;
            }
        }
    }

    fn carry_out_sip(&mut self, output: sip::Output) {
        match output {
            sip::Output::Send { flow, bytes } => {
                self.witness.message(Direction::Sent, &flow, &bytes);
                self.edge.send(flow, bytes);
            }
            sip::Output::Connect { id, target } => self.edge.connect(id, target),
            sip::Output::Event(event) => self.calls.handle(Input::Sip(event), Instant::now()),
        }
    }

    fn carry_out_call(&mut self, output: Output) {
        let now = Instant::now();
        match output {
            Output::Sip(command) => self.endpoint.handle(sip::Input::Command(command), now),
            Output::OpenPorts { call, want } => self.open_ports(call, &want, now),
            Output::FreePorts { call } => self.free_ports(call, now),
            Output::StartBot { call, start } => self.start_bot(call, &start),
            Output::OpenLeg { call, leg } => self.open_leg(call, *leg, now),
            Output::UpdateLeg { call, negotiated } => self.command(call, ShardCommand::Update { call, negotiated }),
            Output::CloseLeg { call } => self.command(call, ShardCommand::Close { call }),
            Output::SendDigits { call, id, keys } => self.command(call, ShardCommand::SendDigits { call, id, keys }),
            Output::BotEvent { call, event } => self.tell_bot(call, event),
            Output::PlayFallback { call, prompt } => self.bots.play_fallback(call, &prompt),
            Output::CloseBot { call } => {
                if let Some(seat) = self.seats.get(&call) {
                    self.shards[seat.shard].legs -= 1;
                }
                self.bots.close(call);
            }
            Output::Milestone { call, milestone } => self.note_milestone(call, &milestone),
            Output::Outbound(event) => self.outbound.report(event),
            Output::Summary(summary) => {
                if let Some(request) = &summary.outbound {
                    self.outbound.call_ended(request, summary.cause.as_str());
                }
                self.record.summary(&summary);
                self.witness.end(&summary.sip_call_id, now);
            }
            Output::Drained => tracing::info!("drained: no call is left"),
        }
    }

    fn command(&self, call: CallId, command: ShardCommand) {
        if let Some(seat) = self.seats.get(&call) {
            self.shards[seat.shard].command(command);
        }
    }

    fn note_milestone(&mut self, call: CallId, milestone: &call::Milestone) {
        if let call::Milestone::Received { sip_call_id, trunk, .. } = milestone {
            let shown = if self.record.shows_personal() {
                sip_call_id.as_str()
            } else {
                sip_call_id.split('@').next().unwrap_or("")
            };
            let span = tracing::info_span!(
                "call",
                call = call::call_name(call),
                sip_call_id = shown,
                trunk,
                tenant = tracing::field::Empty,
                generation = tracing::field::Empty
            );
            let seat = self.seats.entry(call).or_default();
            seat.sip_call_id.clone_from(sip_call_id);
            seat.span = Some(span);
        }
        let span = self.seats.get(&call).and_then(|seat| seat.span.clone()).unwrap_or_else(tracing::Span::none);
        if let call::Milestone::Routed { tenant, .. } = milestone {
            span.record("tenant", tenant.as_str());
        }
        self.record.milestone(&span, milestone);
        if let call::Milestone::Over { .. } = milestone {
            self.seats.remove(&call);
        }
    }

    fn open_ports(&mut self, call: CallId, want: &PortsWanted, now: Instant) {
        let chosen =
            self.addresses.get(usize::from(want.listener.0)).and_then(|address| address.choose(&self.rtp, want.peer));
        let Some(chosen) = chosen.filter(|chosen| chosen.bind.is_ipv6() == want.ipv6) else {
            return self.calls.handle(Input::NoAddress { call }, now);
        };
        let Some(pair) = self.ports.open(chosen.bind, now) else {
            return self.calls.handle(Input::PortsExhausted { call }, now);
        };
        let ports = Ports { advertised: chosen.advertised, rtp: pair.rtp_port, rtcp: pair.rtp_port + 1 };
        let local = pair.rtp.local_addr().ok();
        self.pairs.insert(call, Pair { port: pair.rtp_port, sockets: Some(pair), local });
        self.calls.handle(Input::PortsOpened { call, ports }, now);
    }

    fn free_ports(&mut self, call: CallId, now: Instant) {
        if let Some(pair) = self.pairs.remove(&call) {
            // Closed before the number may go to another call.
            drop(pair.sockets);
            self.ports.release(pair.port, now);
        }
    }

    fn start_bot(&mut self, call: CallId, start: &call::BotStart) {
        let seat = self.seats.entry(call).or_default();
        // The leg and its bot share a number: the media thread wakes the lane that runs the bot.
        seat.shard = (0..self.shards.len()).min_by_key(|shard| self.shards[*shard].legs).unwrap_or(0);
        self.shards[seat.shard].legs += 1;
        let key = &start.route.bot;
        let chosen = self.registry.choose(key);
        let tap = self.tails.tap(key);
        let span = seat.span.clone().unwrap_or_else(tracing::Span::none);
        let number = chosen.as_ref().map(|chosen| chosen.generation.number);
        if let Some(number) = number {
            span.record("generation", number);
        }
        let canary_call = chosen.as_ref().and_then(|chosen| chosen.canary_call);
        seat.build = Some(Build { key: key.clone(), generation: number, canary_call, tap: Arc::clone(&tap) });
        let voice = Voice { span, tap, call: call::call_name(call) };
        let generation = chosen.map(|chosen| chosen.generation);
        let generation = generation.ok_or_else(|| format!("there is no build of `{key}` that can run"));
        // The operator's own bots: as much memory as the engine gives anyone.
        let own = Allowance { memory_bytes: usize::MAX, ..Allowance::default() };
        let allowance = self.allowances.get(&start.route.tenant).copied().unwrap_or(own);
        self.bots.start_bot(call, seat.shard, start, generation, allowance, voice, wall_clock());
    }

    fn open_leg(&mut self, call: CallId, opening: LegOpening, now: Instant) {
        let Some(seat) = self.seats.get_mut(&call) else { return };
        let pair = self.pairs.get_mut(&call);
        let local = pair.as_ref().and_then(|pair| pair.local);
        let (Some(ports), Some(ends)) = (pair.and_then(|pair| pair.sockets.take()), self.bots.take_media_ends(call))
        else {
            // A bug of ours; it costs this call, at once.
            return self.calls.handle(Input::LegClosed { call, stats: Box::default() }, now);
        };
        let ptime_ms = opening.negotiated.send_ptime_ms;
        let tap = local
            .and_then(|local| Some(media_shard::Tap { capture: self.witness.capture_of(&seat.sip_call_id)?, local }));
        let leg = Box::new(Leg::new(leg_params(opening, self.jitter), now));
        self.shards[seat.shard].command(ShardCommand::Open { call, leg, ports, ends: Box::new(ends), ptime_ms, tap });
    }

    fn tell_bot(&mut self, call: CallId, event: call::BotEvent) {
        let event = match event {
            call::BotEvent::Answered => {
                self.command(call, ShardCommand::Answered { call });
                plugin::Event::Answered
            }
            call::BotEvent::Hold => plugin::Event::Hold,
            call::BotEvent::Resume => plugin::Event::Resume,
            call::BotEvent::Digit { key } => plugin::Event::Digit { key, tick: self.bots.tick(call) },
            call::BotEvent::DigitsSent { id } => plugin::Event::DigitsSent { id },
            call::BotEvent::Control { id, event } => return self.bots.control(call, id, control_event(event)),
            call::BotEvent::Hangup { by, cause } => {
                plugin::Event::Hangup { by: by.as_str().to_owned(), cause: cause.as_str().to_owned() }
            }
        };
        self.bots.event(call, event);
    }
}

fn control_event(event: call::ControlEvent) -> plugin::ControlEvent {
    match event {
        call::ControlEvent::Progress { status, reason } => plugin::ControlEvent::Progress { status, reason },
        call::ControlEvent::Done => plugin::ControlEvent::Done,
        call::ControlEvent::Failed { status, reason } => plugin::ControlEvent::Failed { status, reason },
    }
}

fn leg_params(opening: LegOpening, jitter: config::Jitter) -> LegParams {
    LegParams {
        seed: u64::from(opening.ssrc),
        negotiated: opening.negotiated,
        ssrc: opening.ssrc,
        first_sequence: opening.first_sequence,
        first_timestamp: opening.first_timestamp,
        cname: opening.cname,
        media_networks: opening.media_networks,
        sdp_address_allowed: opening.sdp_address_allowed,
        jitter: JitterBounds { min_ms: jitter.min_ms, max_ms: jitter.max_ms, ..JitterBounds::default() },
        media_timeout: opening.media_timeout,
        digits: DigitTiming::default(),
    }
}

pub fn wall_clock() -> call::WallClock {
    let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    call::WallClock { at: Instant::now(), unix_ms }
}
