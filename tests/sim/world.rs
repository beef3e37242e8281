//! How time passes: it jumps to what happens next, one thing at a time; then everybody does what that makes them do, and then
//! every rule must hold.

use std::time::Duration;

use media::Direction;
use sip::{Output, Transport};

use crate::bot::Bot;
use crate::caller::{Caller, State};
use crate::description::Hold;
use crate::host::Host;
use crate::network::Network;
use crate::scenario::Scenario;
use crate::sim::{Due, End, LegOf, MediaDatagram, Sim};

/// Longer than any call may last, with all that may follow.
const LONGEST: Duration = Duration::from_secs(600);
/// After the last message: a transaction of ours runs out (Timer B or F), its dialog's BYE as well, and what absorbs ends.
const QUIET_AFTER: Duration = Duration::from_secs(32 + 32 + 5 + 1);
/// A machine that never comes to rest within one moment.
const STEPS_AT_ONCE: u32 = 100_000;

pub struct World {
    pub sim: Sim,
    pub host: Host,
    callers: Vec<Caller>,
    network: Network,
    pairs: usize,
}

impl World {
    pub fn new(scenario: Scenario, traced: bool) -> World {
        let mut sim = Sim::new(scenario.seed, traced);
        sim.say(|| format!("seed {}: {scenario:?}", scenario.seed));
        let host = Host::new(&scenario, &sim);
        let network = Network::new(&scenario.callers, sim.begin);
        for (index, plan) in scenario.callers.iter().enumerate() {
            sim.after(plan.dials_at_ms, Due::Dial { caller: index });
            for (at_ms, _) in &plan.network.cuts {
                sim.after(*at_ms, Due::Cut { caller: index });
            }
        }
        for (at_ms, act) in &scenario.host_acts {
            sim.after(*at_ms, Due::Host(*act));
        }
        let (seed, pairs) = (scenario.seed, scenario.edge.port_pairs);
        let callers = scenario.callers.into_iter().enumerate();
        let callers = callers.map(|(index, plan)| Caller::new(index, plan, seed)).collect();
        World { sim, host, callers, network, pairs }
    }

    /// To the end, or to the first rule that is broken.
    pub fn play(&mut self) {
        let (mut quiet_since, mut busy_until) = (self.sim.now, self.sim.now);
        let mut at_once = 0;
        while self.sim.violation.is_none() {
            let Some(next) = self.next() else { break };
            at_once = if next > self.sim.now { 0 } else { at_once + 1 };
            self.sim.now = self.sim.now.max(next);
            let messages = (self.network.requests_to_host, self.network.responses_to_host);
            self.step();
            self.pump();
            self.host.check(&mut self.sim);
            if messages != (self.network.requests_to_host, self.network.responses_to_host) || !self.host.legs.is_empty()
            {
                quiet_since = self.sim.now;
            }
            if self.is_busy() {
                busy_until = self.sim.now;
            }
            let elapsed = self.sim.elapsed();
            self.sim.must(elapsed < LONGEST, || format!("not over after {LONGEST:?}"));
            self.sim.must(at_once < STEPS_AT_ONCE, || "time stands still".into());
        }
        if self.sim.violation.is_none() {
            self.end(busy_until.saturating_duration_since(quiet_since));
        }
    }

    fn next(&self) -> Option<std::time::Instant> {
        let host = [self.host.endpoint.poll_timeout(), self.host.calls.poll_timeout(), self.sim.next()];
        let callers = self.callers.iter().filter(|caller| caller.state != State::Vanished);
        callers.map(|caller| caller.endpoint.poll_timeout()).chain(host).flatten().min()
    }

    fn step(&mut self) {
        let now = self.sim.now;
        if let Some(due) = self.sim.take_due() {
            return self.happen(due);
        }
        if self.host.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            self.host.endpoint.handle_timeout(now);
        }
        if self.host.calls.poll_timeout().is_some_and(|at| at <= now) {
            self.host.calls.handle_timeout(now);
        }
        for caller in self.callers.iter_mut().filter(|caller| caller.state != State::Vanished) {
            caller.endpoint.handle_timeout(now);
        }
    }

    fn happen(&mut self, due: Due) {
        let (sim, network) = (&mut self.sim, &mut self.network);
        match due {
            Due::Datagram { caller, at, bytes } => self.deliver(caller, at, None, &bytes),
            Due::Stream { connection, at, bytes } => {
                let arrived = network.arrived(sim, connection, at, &bytes);
                let Some((caller, messages)) = arrived else { return };
                for message in messages {
                    self.deliver(caller, at, Some(connection), &message);
                    // The next one in the same piece finds what the first one caused.
                    self.pump();
                }
            }
            Due::Closed { connection, at } => self.closed(connection, at),
            Due::Connect { caller, by, id, works } => self.connect(caller, by, id, works),
            Due::Cut { caller } => network.cut(sim, caller),
            Due::Media(datagram) => self.media(datagram),
            Due::ReceivePhase(LegOf::Caller(index)) => self.callers[index].receive_phase(sim),
            Due::ReceivePhase(LegOf::Host(call)) => self.host.receive_phase(sim, call),
            Due::SendPhase(LegOf::Caller(index)) => self.callers[index].send_phase(sim, network),
            Due::SendPhase(LegOf::Host(call)) => {
                self.check_hold(call);
                self.host.send_phase(&mut self.sim, &self.network, call);
            }
            Due::Edge(input) => self.host.input(sim, *input),
            Due::Bot { call, act } => self.host.bot_acts(sim, call, act),
            Due::Dial { caller } => self.callers[caller].dial(sim, network),
            Due::Cancel { caller } => self.callers[caller].cancel(sim),
            Due::Vanish { caller } => self.callers[caller].vanish(sim),
            Due::GiveUp { caller } => self.callers[caller].give_up(sim),
            Due::Act { caller, number } => self.callers[caller].act(sim, network, number),
            Due::UpdateAgain { caller, left } => self.callers[caller].send_update(sim, network, left),
            Due::Notify { caller, number } => self.callers[caller].notify(sim, network, number),
            Due::Host(act) => self.host.acts(sim, network, act),
        }
    }

    fn deliver(&mut self, caller: usize, at: End, connection: Option<u64>, bytes: &[u8]) {
        let flow = self.network.flow(caller, at, connection);
        let now = self.sim.now;
        if at == End::Host {
            self.network.count_to_host(bytes);
            self.host.note_info(caller, bytes);
            return self.host.endpoint.handle(sip::Input::Message { flow, bytes }, now);
        }
        let to = &mut self.callers[caller];
        let served = to.state == State::Vanished
            || to.update_answered(&mut self.sim, bytes)
            || to.referred(&mut self.sim, &mut self.network, bytes);
        if !served {
            let bytes = to.numbers.received(bytes);
            to.endpoint.handle(sip::Input::Message { flow, bytes: &bytes }, now);
        }
    }

    fn closed(&mut self, connection: u64, at: End) {
        let Some(caller) = self.network.closed(connection, at) else { return };
        let input = sip::Input::Closed { connection: sip::ConnectionId(connection) };
        match at {
            End::Host => self.host.endpoint.handle(input, self.sim.now),
            End::Caller => {
                let caller = &mut self.callers[caller];
                caller.connection = caller.connection.filter(|current| *current != connection);
                caller.endpoint.handle(input, self.sim.now);
            }
        }
    }

    /// A connection that `by` asked for.
    fn connect(&mut self, caller: usize, by: End, id: sip::ConnectId, works: bool) {
        let udp = self.callers[caller].plan.transport == Transport::Udp;
        let works = works && self.network.works(&self.sim, caller);
        let connection = works.then(|| self.network.open(&mut self.sim, caller)).flatten();
        let endpoint = if by == End::Host { &mut self.host.endpoint } else { &mut self.callers[caller].endpoint };
        if connection.is_none() && !(udp && works) {
            return endpoint.handle(sip::Input::ConnectFailed { id }, self.sim.now);
        }
        let flow = self.network.flow(caller, by, connection);
        endpoint.handle(sip::Input::Connected { id, flow }, self.sim.now);
        if let Some(connection) = connection {
            self.callers[caller].connection = Some(connection);
        }
    }

    /// To whoever has that address: the host's port, or the caller's, under either name of it.
    fn media(&mut self, datagram: MediaDatagram) {
        let rtp_port = datagram.to.port() & !1;
        let meant = |of: std::net::SocketAddr| of.ip() == datagram.to.ip() && of.port() == rtp_port;
        if let Some(leg) = self.host.legs.values_mut().find(|leg| meant(leg.talker.source)) {
            return leg.talker.arrive(datagram);
        }
        let talkers = self.callers.iter_mut().filter_map(|caller| caller.talker.as_mut());
        if let Some(talker) = talkers.into_iter().find(|talker| meant(talker.source)) {
            talker.arrive(datagram);
        }
    }

    /// Once the caller has its answer, both sides must think the same of the hold.
    fn check_hold(&mut self, call: call::CallId) {
        let Some(leg) = self.host.legs.get(&call) else { return };
        let Some(agreed) = self.callers[leg.caller].agreed_hold() else { return };
        let negotiated = leg.talker.leg.negotiated();
        let held = negotiated.held;
        self.sim.must(held == (agreed != Hold::No), || {
            format!("{call:?}: held is {held}, the caller agreed on {agreed:?}")
        });
        let Some(holds) = self.host.bots.get(&call).filter(|bot| !bot.dead).and_then(Bot::holds) else { return };
        let hears = matches!(negotiated.direction, Direction::SendRecv | Direction::RecvOnly);
        let sends = match agreed {
            Hold::SendOnly => true,
            Hold::Inactive => false,
            Hold::No | Hold::Zero => !self.callers[leg.caller].desk.listens,
        };
        let expected = sends && !holds;
        self.sim.must(hears == expected, || {
            format!(
                "{call:?}: {:?} though its bot holds is {holds} and the caller agreed on {agreed:?}",
                negotiated.direction
            )
        });
    }

    /// Carries out what everybody wants until nobody wants more.
    fn pump(&mut self) {
        loop {
            let mut idle = true;
            while let Some(output) = self.host.endpoint.poll_output() {
                idle = false;
                self.host_wants(output);
            }
            while let Some(output) = self.host.calls.poll_output() {
                idle = false;
                self.host.carry_out(&mut self.sim, &self.network, output);
            }
            for index in 0..self.callers.len() {
                while let Some(output) = self.callers[index].endpoint.poll_output() {
                    idle = false;
                    self.caller_wants(index, output);
                }
            }
            if idle || self.sim.violation.is_some() {
                return;
            }
        }
    }

    fn host_wants(&mut self, output: Output) {
        match output {
            Output::Send { flow, bytes } => {
                let Some(caller) = caller_at(&flow.remote.ip().to_string()) else {
                    return self.sim.fail(format!("sent to nobody: {flow:?}"));
                };
                self.host.note_answer(caller, &bytes);
                self.network.send(&mut self.sim, caller, End::Host, flow, bytes);
            }
            Output::Connect { id, target } => {
                let Some(caller) = caller_at(&target.host) else {
                    return self.sim.fail(format!("asked for a way to nobody: {target:?}"));
                };
                let works = self.callers[caller].plan.reachable && self.callers[caller].state != State::Vanished;
                let after_ms = 1 + self.sim.up_to(if works { 100 } else { 6000 });
                self.sim.after(after_ms, Due::Connect { caller, by: End::Host, id, works });
            }
            Output::Event(event) => self.host.event(&mut self.sim, event),
        }
    }

    fn caller_wants(&mut self, index: usize, output: Output) {
        let caller = &mut self.callers[index];
        if caller.state == State::Vanished {
            return;
        }
        match output {
            Output::Send { flow, bytes } => {
                let bytes = caller.numbers.sent(bytes);
                caller.note_sent(&bytes);
                self.network.send(&mut self.sim, index, End::Caller, flow, bytes);
            }
            Output::Connect { id, .. } => {
                let after_ms = 1 + self.sim.up_to(200);
                self.sim.after(after_ms, Due::Connect { caller: index, by: End::Caller, id, works: true });
            }
            Output::Event(event) => caller.event(&mut self.sim, event),
        }
    }

    /// Something waits for its time: a transaction, a dialog, a call.
    fn is_busy(&self) -> bool {
        let callers = self.callers.iter().filter(|caller| caller.state != State::Vanished);
        let mut endpoints = callers.map(|caller| &caller.endpoint).chain([&self.host.endpoint]);
        endpoints.any(|endpoint| endpoint.timer_count() > 0) || self.host.calls.poll_timeout().is_some()
    }

    /// `lasted`: from the last message until nobody waited for anything.
    fn end(&mut self, lasted: Duration) {
        self.sim.must(lasted <= QUIET_AFTER, || format!("came to rest {lasted:?} after the last message"));
        for caller in 0..self.callers.len() {
            self.network.cut(&mut self.sim, caller);
        }
        while let Some(next) = self.sim.next() {
            self.sim.now = next;
            self.step();
            self.pump();
        }
        self.host.check_end(&mut self.sim, self.pairs);
        for caller in self.callers.iter().filter(|caller| caller.state != State::Vanished) {
            let endpoint = &caller.endpoint;
            let counts = (endpoint.dialog_count(), endpoint.transaction_count(), endpoint.timer_count());
            self.sim.must(counts == (0, 0, 0), || {
                format!("uac{}'s dialogs, transactions, timers: {counts:?}", caller.index)
            });
        }
        let counters = self.host.endpoint.counters();
        let requests: u64 = counters.requests_received.values().sum();
        let responses: u64 = counters.responses_received.values().sum();
        let given = (self.network.requests_to_host, self.network.responses_to_host);
        self.sim.must((requests, responses) == given, || {
            format!("counted {requests} requests and {responses} responses of {given:?}")
        });
    }
}

fn caller_at(host: &str) -> Option<usize> {
    host.strip_prefix("192.0.2.")?.parse::<usize>().ok()?.checked_sub(10)
}
