//! From the INVITE to our final answer.

use std::time::Instant;

use media::Negotiated;
use rand::RngCore;
use sip::{Command, Flow, Rejection, Request};

use crate::call::{Bot, Call, Dialog, End, Leg, Stage};
use crate::cause::{By, Cause};
use crate::control::Calls;
use crate::digits::InfoDigits;
use crate::door::{
    Accept, Attributes, BotStart, CallId, LegOpening, Milestone, Output, Ports, PortsWanted, StartFailure,
};
use crate::record::{Facts, call_name, codec_name, summary, transport_name};
use crate::routing::Route;
use crate::second_leg::Origin;
use crate::session::{Session, Unusable};
use crate::settings::Trunk;
use crate::teardown::rejection;

impl Calls {
    /// A new INVITE. What can be refused is refused before anything is opened for it.
    pub(crate) fn invite(&mut self, id: CallId, flow: Flow, request: &Request, now: Instant) {
        let Some(trunk) = self.trunks.get(usize::from(flow.trunk.0)).cloned() else {
            debug_assert!(false, "the endpoint knows the same trunks as the calls");
            let rejection = Rejection { status: 500, phrase: None, reason: None, retry_after_s: None };
            return self.emit(Output::Sip(Command::Reject { dialog: id, rejection }));
        };
        let facts = Facts::read(request, flow, &trunk, &self.limits, now, self.wall.unix_ms_at(now));
        let received = Milestone::Received {
            sip_call_id: facts.sip_call_id.clone(),
            trunk: trunk.name.clone(),
            transport: flow.transport,
        };
        self.emit(Output::Milestone { call: id, milestone: received });

        let route = match self.admit(&trunk, &facts, now) {
            Ok(route) => route,
            Err((end, route)) => return self.turn_away(id, facts, route.as_deref(), end, now),
        };
        // A body of another type that matters was refused by the endpoint (415).
        let session = match Session::read(sip::session_of(request), &trunk, flow.remote.ip(), &mut self.rng) {
            Ok(session) => session,
            Err(why) => {
                self.quotas.leave(&trunk, &route);
                return self.turn_away(id, facts, Some(&route), unusable(why), now);
            }
        };
        self.emit(Output::Milestone { call: id, milestone: routed(&route) });
        let want = PortsWanted {
            ipv6: session.wants_ipv6(),
            trunk: flow.trunk,
            listener: flow.listener,
            peer: flow.remote.ip(),
        };
        self.emit(Output::OpenPorts { call: id, want });
        self.keep(Call {
            id,
            stage: Stage::OpeningPorts { until: now + self.limits.open_ports },
            dialog: Dialog::Open,
            ports: None,
            leg: Leg::None,
            bot: Bot::None,
            route,
            session,
            digits: InfoDigits::default(),
            hold: None,
            transfer: None,
            answer_headers: Vec::new(),
            answer_asked: false,
            fallback: None,
            frames: false,
            facts,
            end: None,
        });
    }

    /// Refuses a call that holds nothing: nothing of it is kept, only its record written.
    fn turn_away(&mut self, id: CallId, mut facts: Facts, route: Option<&Route>, end: End, now: Instant) {
        facts.status = Some(end.status);
        if let Some(route) = route {
            self.emit(Output::Milestone { call: id, milestone: routed(route) });
        }
        let refused = Milestone::Refused { status: end.status, cause: end.cause, why: end.why.clone() };
        self.emit(Output::Sip(Command::Reject { dialog: id, rejection: rejection(&end, &self.limits) }));
        self.emit(Output::Milestone { call: id, milestone: refused });
        let over = Milestone::Over { lasted: now.saturating_duration_since(facts.started) };
        self.emit(Output::Milestone { call: id, milestone: over });
        self.emit(Output::Summary(Box::new(summary(id, facts, route, end, now))));
    }

    /// With the ports the answer is known; the bot is asked before it is sent.
    pub(crate) fn ports_opened(&mut self, id: CallId, ports: Ports, now: Instant) {
        let waiting = self.calls.get(&id).is_some_and(|call| matches!(call.stage, Stage::OpeningPorts { .. }));
        if !waiting {
            let in_use = self.calls.get(&id).is_some_and(|call| call.ports == Some(ports));
            return if in_use {
                debug_assert!(false, "opened twice")
            } else {
                self.emit(Output::FreePorts { call: id })
            };
        }
        self.with(id, |calls, call| {
            call.ports = Some(ports);
            if let Err(why) = call.session.open(ports) {
                return calls.close(call, unusable(why), now);
            }
            if call.route.ring {
                calls.emit(Output::Sip(Command::Ring { dialog: id }));
            }
            calls.find_request(call, now);
        });
    }

    pub(crate) fn start_bot(&mut self, call: &mut Call, now: Instant) {
        let start = self.bot_start(call);
        self.emit(Output::StartBot { call: call.id, start: Box::new(start) });
        call.bot = Bot::Starting;
        call.stage = Stage::StartingBot { until: now + self.limits.start };
    }

    pub(crate) fn ports_refused(&mut self, id: CallId, end: End, now: Instant) {
        self.with(id, |calls, call| {
            if matches!(call.stage, Stage::OpeningPorts { .. }) {
                calls.close(call, end, now);
            }
        });
    }

    fn bot_start(&mut self, call: &Call) -> BotStart {
        let facts = &call.facts;
        let known = [
            ("sip-call-id", facts.sip_call_id.clone()),
            ("transport", transport_name(facts.flow.transport).to_owned()),
            ("tenant", call.route.tenant.clone()),
            ("trunk", facts.trunk.clone()),
            ("route", call.route.name.clone()),
            ("identity", facts.identity.verdict.as_str().to_owned()),
        ];
        let mut attributes: Attributes = known.into_iter().map(|(name, value)| (name.into(), value)).collect();
        attributes
            .extend(facts.identity.asserted.first().map(|asserted| ("asserted-identity".into(), asserted.clone())));
        if let Some(negotiated) = call.session.negotiated() {
            attributes.push(("codec".into(), codec_name(negotiated.codec).to_owned()));
            attributes.push(("srtp".into(), if negotiated.srtp.is_some() { "yes" } else { "no" }.to_owned()));
        }
        attributes.extend(facts.origin.iter().flat_map(Origin::attributes));
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        BotStart {
            route: call.route.clone(),
            id: call_name(call.id),
            caller: facts.identity.caller.clone(),
            called: facts.called.clone(),
            trunk: facts.trunk.clone(),
            headers: facts.headers.clone(),
            attributes,
            seed,
        }
    }

    /// The bot's word on the call. One that comes after the deadline changes nothing: the fall-back has the call.
    pub(crate) fn bot_started(&mut self, id: CallId, result: Result<Accept, StartFailure>, now: Instant) {
        self.with(id, |calls, call| {
            if !matches!(call.stage, Stage::StartingBot { .. }) || call.bot != Bot::Starting {
                return;
            }
            match result {
                Ok(accept) => calls.bot_accepted(call, accept, now),
                Err(StartFailure::Refused { status, reason }) => {
                    let status = if (400..700).contains(&status) { status } else { 480 };
                    call.bot = Bot::Dead;
                    let end = End { status, ..End::new(By::Bot, Cause::BotRefused, reason) };
                    calls.close(call, end, now);
                }
                Err(StartFailure::NotLoadable { why }) => {
                    call.bot = Bot::Dead;
                    calls.close(call, End::host(Cause::BotNotLoadable, why), now);
                }
                Err(StartFailure::Faulted { why }) => calls.bot_failed(call, Cause::BotFault, why, now),
                Err(StartFailure::TimedOut) => calls.start_timed_out(call, now),
            }
        });
    }

    fn bot_accepted(&mut self, call: &mut Call, accept: Accept, now: Instant) {
        call.bot = Bot::Running;
        call.frames = accept.frames;
        let after = now.saturating_duration_since(call.facts.started);
        self.emit(Output::Milestone { call: call.id, milestone: Milestone::BotStarted { ring: accept.ring, after } });
        if !accept.ring || call.answer_asked {
            return self.answer(call, now);
        }
        if !call.route.ring {
            self.emit(Output::Sip(Command::Ring { dialog: call.id }));
        }
        call.stage = Stage::Ringing { until: now + self.limits.ring };
    }

    pub(crate) fn start_timed_out(&mut self, call: &mut Call, now: Instant) {
        let why = format!("start took more than {} ms", self.limits.start.as_millis());
        self.bot_failed(call, Cause::BotTimeout, why, now);
    }

    /// The 200, and from then on a packet every ptime: the leg opens first.
    pub(crate) fn answer(&mut self, call: &mut Call, now: Instant) {
        if let Some(negotiated) = call.session.negotiated().cloned() {
            self.open_leg(call, negotiated);
        }
        let (sdp, headers) = (call.session.for_answer(), std::mem::take(&mut call.answer_headers));
        self.emit(Output::Sip(Command::Answer { dialog: call.id, sdp, headers }));
        let after = now.saturating_duration_since(call.facts.started);
        let (codec, srtp) = (call.facts.codec, call.facts.srtp);
        self.emit(Output::Milestone { call: call.id, milestone: Milestone::Answered { after, codec, srtp } });
        call.facts.answered = Some(now);
        call.facts.status = Some(200);
        call.stage = Stage::Answered { until: now + self.limits.acknowledge };
    }

    pub(crate) fn open_leg(&mut self, call: &mut Call, negotiated: Negotiated) {
        call.facts.codec = Some(negotiated.codec);
        call.facts.srtp = negotiated.srtp.is_some();
        let trunk: &Trunk = &self.trunks[usize::from(call.facts.flow.trunk.0)];
        let mut cname = [0; 12];
        self.rng.fill_bytes(&mut cname);
        let leg = LegOpening {
            negotiated,
            ssrc: self.rng.next_u32(),
            first_sequence: (self.rng.next_u32() & 0x7fff) as u16,
            first_timestamp: self.rng.next_u32(),
            cname: cname.iter().map(|byte| format!("{byte:02x}")).collect(),
            media_networks: trunk.media_networks.clone(),
            sdp_address_allowed: trunk.sdp_address_allowed,
            media_timeout: self.limits.media_timeout,
            frames: call.frames,
        };
        self.emit(Output::OpenLeg { call: call.id, leg: Box::new(leg) });
        call.leg = Leg::Open;
    }
}

fn routed(route: &Route) -> Milestone {
    Milestone::Routed { route: route.name.clone(), tenant: route.tenant.clone(), plugin: route.plugin.clone() }
}

fn unusable(unusable: Unusable) -> End {
    End { status: unusable.status, ..End::host(Unusable::CAUSE, unusable.why) }
}
