//! Before its bot starts: is this call the second leg of one that we asked for? See `outbound` for how that is decided.

use std::time::Instant;

use serde_json::{Map, Value};

use crate::call::{Call, Stage};
use crate::control::Calls;
use crate::door::{Attributes, Milestone, Output};
use crate::outbound::{Arrival, By, Context, Dial, OutboundEvent, OutboundInput, Outcome, SecondLeg, Verdict};
use crate::record::call_name;

/// What a call is told of the request behind it.
#[derive(Debug)]
pub(crate) enum Origin {
    Request {
        id: String,
        context: Context,
    },
    /// There is one, and which is not known.
    Unknown,
}

impl Calls {
    /// Starts the bot, now or once it is known what for.
    pub(crate) fn find_request(&mut self, call: &mut Call, now: Instant) {
        if self.outbound.is_idle() {
            return self.start_bot(call, now);
        }
        let facts = &call.facts;
        let leg = SecondLeg {
            call: call.id,
            trunk: facts.trunk.clone(),
            tenant: call.route.tenant.clone(),
            call_sid: facts.call_sid.clone(),
            caller: facts.identity.caller.clone(),
            called: facts.called.clone(),
        };
        match self.outbound.arrive(leg, &self.limits, now) {
            Arrival::Wait { until } => call.stage = Stage::Matching { until },
            Arrival::Decided(verdict) => self.decided(call, verdict, now),
        }
    }

    /// The API's answer did not come in time.
    pub(crate) fn stop_matching(&mut self, call: &mut Call, now: Instant) {
        let verdict = self.outbound.give_up(call.id);
        self.decided(call, verdict, now);
    }

    fn decided(&mut self, call: &mut Call, verdict: Verdict, now: Instant) {
        let told = match verdict {
            Verdict::Unrelated => None,
            Verdict::Ambiguous => {
                call.facts.origin = Some(Origin::Unknown);
                Some((None, "more than one request or call fits: it starts without context"))
            }
            Verdict::Matched { dial: Dial { id, context, .. }, by } => {
                let connected = OutboundEvent::Connected { id: id.clone(), call: call_name(call.id) };
                self.emit(Output::Outbound(connected));
                call.facts.origin = Some(Origin::Request { id: id.clone(), context });
                Some((Some(id), if by == By::CallSid { "by the trunk's name of the call" } else { "by its numbers" }))
            }
        };
        if let Some((request, how)) = told {
            self.emit(Output::Milestone { call: call.id, milestone: Milestone::SecondLeg { request, how } });
        }
        self.start_bot(call, now);
    }

    pub(crate) fn outbound_input(&mut self, input: OutboundInput, now: Instant) {
        self.outbound.handle(input, &self.limits, now);
        self.take_outcomes(now);
    }

    pub(crate) fn outbound_timeout(&mut self, now: Instant) {
        self.outbound.handle_timeout(now);
        self.take_outcomes(now);
    }

    fn take_outcomes(&mut self, now: Instant) {
        while let Some(outcome) = self.outbound.poll_outcome() {
            match outcome {
                Outcome::Expired { id } => self.emit(Output::Outbound(OutboundEvent::Expired { id })),
                Outcome::Decided { call, verdict } => self.with(call, |calls, call| {
                    if matches!(call.stage, Stage::Matching { .. }) {
                        calls.decided(call, verdict, now);
                    }
                }),
            }
        }
    }
}

impl Origin {
    pub fn request(&self) -> Option<&str> {
        match self {
            Origin::Request { id, .. } => Some(id),
            Origin::Unknown => None,
        }
    }

    /// `call.attribute`.
    pub fn attributes(&self) -> Attributes {
        let Origin::Request { id, context } = self else { return vec![("outbound".into(), "unmatched".into())] };
        let whole: Map<String, Value> =
            context.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        let mut attributes = vec![
            ("outbound".into(), "matched".to_owned()),
            ("outbound-id".into(), id.clone()),
            ("context".into(), Value::Object(whole).to_string()),
        ];
        attributes.extend(context.iter().map(|(key, value)| (format!("context.{key}").into(), value.clone())));
        attributes
    }
}
