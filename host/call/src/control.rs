//! The one door to all calls: takes inputs to the call they concern, keeps the deadlines, and holds what is common to all calls.
//!
//! What a call does in each stage is in `setup`, `talk`, `offers`, `signalling`, `transfer` and `teardown`, each an `impl Calls` of its own.
//! Nothing here but `teardown` ends a call, and a call that has ended is kept only until its parts are given back.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::admission::Quotas;
use crate::call::{Bot, Call, Dialog, End, Leg};
use crate::cause::{By, Cause};
use crate::door::{CallId, Input, Live, Output};
use crate::outbound::Outbound;
use crate::routing::Routing;
use crate::settings::{Limits, Settings, Trunk, WallClock};

/// All calls of this host, as one state machine.
pub struct Calls {
    pub(crate) trunks: Vec<Trunk>,
    pub(crate) routing: Arc<Routing>,
    pub(crate) limits: Limits,
    pub(crate) quotas: Quotas,
    pub(crate) wall: WallClock,
    /// Media keys, SSRCs, the bots' seeds. The edge seeds it with the system's entropy, a test with a number.
    pub(crate) rng: StdRng,
    pub(crate) calls: HashMap<CallId, Call>,
    pub(crate) outbound: Outbound,
    pub(crate) overloaded: bool,
    pub(crate) drain: Drain,
    /// The earliest deadline of each call. At most one entry a call.
    deadlines: BTreeSet<(Instant, CallId)>,
    indexed: HashMap<CallId, Instant>,
    pub(crate) outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    No,
    Until(Instant),
    /// The limit has passed, and what lived got its BYE; nobody is waited for beyond this.
    Forced(Instant),
    Done,
}

/// After the drain's limit: for the answers to our BYEs and for bots to end.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Calls {
    pub fn new(settings: Settings, seed: [u8; 32], wall: WallClock) -> Self {
        Calls {
            quotas: Quotas::new(settings.tenants, wall.at),
            trunks: settings.trunks,
            routing: settings.routing,
            limits: settings.limits,
            wall,
            rng: StdRng::from_seed(seed),
            calls: HashMap::new(),
            outbound: Outbound::default(),
            overloaded: false,
            drain: Drain::No,
            deadlines: BTreeSet::new(),
            indexed: HashMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input. What concerns a call that is no more is dropped, but for ports, which are given back.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Sip(event) => self.handle_sip(event, now),
            Input::PortsOpened { call, ports } => self.ports_opened(call, ports, now),
            Input::PortsExhausted { call } => {
                self.ports_refused(call, End::host(Cause::NoPorts, "no RTP ports are free"), now);
            }
            Input::NoAddress { call } => {
                self.ports_refused(call, End::host(Cause::Media, "no address of the offer's family"), now);
            }
            Input::BotStarted { call, result } => self.bot_started(call, result, now),
            Input::Bot { call, act } => self.bot_acts(call, act, now),
            Input::BotFaulted { call, why } => self.bot_faulted(call, Cause::BotFault, why, now),
            Input::FallbackPlayed { call } => self.fallback_played(call, now),
            Input::BotEnded { call, stats } => self.bot_ended(call, *stats, now),
            Input::Leg { call, event } => self.leg_event(call, event, now),
            Input::LegClosed { call, stats } => self.leg_closed(call, *stats, now),
            Input::Outbound(input) => self.outbound_input(input, now),
            Input::Hangup { call } => self.end_one(call, End::new(By::Operator, Cause::Operator, ""), now),
            Input::Replaced { call } => {
                self.end_one(call, End::host(Cause::Replaced, "its bot's build was replaced"), now);
            }
            Input::Drain { limit } => self.start_drain(now + limit),
            Input::Overload(overloaded) => self.overloaded = overloaded,
            Input::Routing(routing) => self.routing = routing,
            Input::Tenants(tenants) => self.quotas.replace(tenants, now),
            Input::GuestCpu { tenant, over } => self.quotas.guest_cpu(tenant, over),
            Input::WallClock(wall) => self.wall = wall,
        }
        self.check_drained(now);
    }

    fn handle_sip(&mut self, event: sip::Event, now: Instant) {
        use sip::Event;
        match event {
            Event::Invite { dialog, flow, request } => self.invite(dialog, flow, &request, now),
            Event::Acknowledged { dialog, sdp } => self.acknowledged(dialog, sdp, now),
            Event::Offer { dialog, sdp } => self.offered(dialog, sdp, now),
            Event::OfferAnswered { dialog, sdp } => self.offer_answered(dialog, &sdp, now),
            Event::OfferRejected { dialog, status } => self.offer_rejected(dialog, status, now),
            Event::OfferWithdrawn { dialog } => self.offer_withdrawn(dialog),
            Event::InfoDigit { dialog, digit, .. } => self.info_digit(dialog, digit, now),
            Event::ReferProgress { dialog, status, phrase } => self.transfer_progress(dialog, status, phrase),
            Event::ReferEnded { dialog, status, phrase } => self.transfer_ended(dialog, status, phrase, now),
            Event::Ended { dialog, ending } => self.dialog_ended(dialog, ending, now),
            // Of calls that we make: there are none here, `patchbay call` has its own small machine.
            Event::Ringing { .. } | Event::Accepted { .. } => {}
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Calls::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let drain = match self.drain {
            Drain::Until(limit) | Drain::Forced(limit) => Some(limit),
            Drain::No | Drain::Done => None,
        };
        let call = self.deadlines.first().map(|(at, _)| *at);
        [call, drain, self.outbound.poll_timeout()].into_iter().flatten().min()
    }

    /// Fires everything that is due at `now`. Each firing moves its call on, so that this ends.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, call)) = self.deadlines.first() {
            if at > now {
                break;
            }
            self.deadlines.pop_first();
            self.indexed.remove(&call);
            self.expire(call, now);
        }
        self.outbound_timeout(now);
        if matches!(self.drain, Drain::Until(limit) if limit <= now) {
            self.drain = Drain::Forced(now + LAST_WORDS);
            self.end_all(End::host(Cause::Drain, "the time for draining is over"), now);
        }
        self.check_drained(now);
    }

    /// What exists right now.
    pub fn live(&self) -> Live {
        let count = |of: fn(&Call) -> bool| self.calls.values().filter(|call| of(call)).count();
        Live {
            calls: self.calls.len(),
            dialogs: count(|call| call.dialog != Dialog::Ended),
            ports: count(|call| call.ports.is_some()),
            legs: count(|call| matches!(call.leg, Leg::Open | Leg::Closing { .. })),
            bots: count(|call| !matches!(call.bot, Bot::None | Bot::Gone)),
            timers: self.deadlines.len(),
        }
    }

    /// Runs `change` on a call and puts its new deadline into the index. Without such a call nothing happens.
    pub(crate) fn with(&mut self, id: CallId, change: impl FnOnce(&mut Calls, &mut Call)) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        change(self, &mut call);
        self.keep(call);
    }

    /// Puts a call back, or writes its record if nothing of it is left.
    pub(crate) fn keep(&mut self, call: Call) {
        let due = if call.is_finished() { None } else { call.deadlines().min() };
        debug_assert!(due.is_some() || call.is_finished(), "a call without a deadline would stay for ever");
        let before = match due {
            Some(due) => self.indexed.insert(call.id, due),
            None => self.indexed.remove(&call.id),
        };
        if before != due {
            if let Some(before) = before {
                self.deadlines.remove(&(before, call.id));
            }
            if let Some(due) = due {
                self.deadlines.insert((due, call.id));
            }
        }
        match due {
            Some(_) => drop(self.calls.insert(call.id, call)),
            None => self.write_summary(call),
        }
    }

    pub(crate) fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }
}
