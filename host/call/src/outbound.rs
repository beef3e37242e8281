//! Calls that the trunk makes for us. Its API is asked, it dials the customer, and once the customer answers it dials us: the INVITE
//! that follows is the second leg. Here it is decided which INVITE belongs to which request, so that its bot gets the right context.
//!
//! The trunk's own name of the call decides. An INVITE may be faster than the API's answer that tells the name: it waits for it, half a
//! second at most. Where the name does not tell, customer and called number do, if one request alone fits; else nobody gets a context,
//! for the wrong one would be another customer's. An INVITE is only ever given a request of its own trunk, and of the tenant whose route
//! takes it.
//!
//! Sans-IO, `(input, now) -> outputs`. A request is forgotten two minutes after it was made, whatever became of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::door::CallId;
use crate::settings::Limits;

/// What the bot of the second leg is told. Bounded by whoever takes the request in.
pub type Context = Arc<[(String, String)]>;

/// A request, as it is told to the trunk's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    pub id: String,
    pub tenant: String,
    pub trunk: String,
    /// The customer, whom the trunk dials first.
    pub to: String,
    /// Our number, which the trunk dials second.
    pub from: String,
    pub context: Context,
}

/// What the edge says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboundInput {
    /// The API is being asked.
    Dialled(Box<Dial>),
    /// The API has answered, or is not waited for any longer. `call_sid`: the trunk's name of the call; None: it did not tell one.
    Answered { id: String, call_sid: Option<String> },
    /// There will be no second leg: the API refused, or the trunk says that the call is over.
    Over { id: String },
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboundEvent {
    /// Its second leg is there. `call`: as in the log.
    Connected { id: String, call: String },
    /// No INVITE came in its time.
    Expired { id: String },
}

/// An INVITE that was admitted and routed.
#[derive(Clone, Debug)]
pub(crate) struct SecondLeg {
    pub call: CallId,
    pub trunk: String,
    pub tenant: String,
    pub call_sid: Option<String>,
    /// Empty if withheld.
    pub caller: String,
    pub called: String,
}

/// How a request was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    CallSid,
    Numbers,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No request is for these numbers.
    Unrelated,
    Matched {
        dial: Dial,
        by: By,
    },
    /// It may be the second leg of more than one request, or not the only one of a request.
    Ambiguous,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Decided(Verdict),
    /// The API's answer is still out. A `Decided` follows, or the caller gives up at that time.
    Wait {
        until: Instant,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Decided { call: CallId, verdict: Verdict },
    Expired { id: String },
}

/// Who may still have a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Open,
    /// An INVITE came that may have been its second leg: from now on only the trunk's name of the call tells.
    Contested,
    /// It has its second leg. Should the trunk try again, the name finds it once more.
    Taken,
}

#[derive(Debug)]
struct Pending {
    dial: Dial,
    call_sid: Option<String>,
    answer_is_out: bool,
    claim: Claim,
    until: Instant,
}

/// All requests whose second leg may still come.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// In the order in which they were made, so that a replay gives the same outputs.
    pending: BTreeMap<u64, Pending>,
    next: u64,
    waiting: Vec<SecondLeg>,
    outcomes: VecDeque<Outcome>,
}

impl Outbound {
    /// Nobody has asked for a call: what arrives is inbound. Cost: a comparison.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    pub fn handle(&mut self, input: OutboundInput, limits: &Limits, now: Instant) {
        match input {
            OutboundInput::Dialled(dial) => self.dialled(*dial, limits, now),
            OutboundInput::Answered { id, call_sid } => {
                let Some(pending) = self.pending.values_mut().find(|pending| pending.dial.id == id) else { return };
                pending.answer_is_out = false;
                if pending.claim != Claim::Taken || pending.call_sid.is_none() {
                    pending.call_sid = call_sid;
                }
                self.settle();
            }
            OutboundInput::Over { id } => {
                self.pending.retain(|_, pending| pending.dial.id != id);
                self.settle();
            }
        }
    }

    fn dialled(&mut self, dial: Dial, limits: &Limits, now: Instant) {
        if self.pending.len() >= limits.outbound_pending
            && let Some((_, oldest)) = self.pending.pop_first()
        {
            self.forget(oldest);
        }
        let until = now + limits.outbound;
        let pending = Pending { dial, call_sid: None, answer_is_out: true, claim: Claim::Open, until };
        self.pending.insert(self.next, pending);
        self.next += 1;
    }

    fn forget(&mut self, pending: Pending) {
        if pending.claim != Claim::Taken {
            self.outcomes.push_back(Outcome::Expired { id: pending.dial.id });
        }
    }

    /// An INVITE, before its bot starts.
    pub fn arrive(&mut self, leg: SecondLeg, limits: &Limits, now: Instant) -> Arrival {
        if let Some(verdict) = self.by_call_sid(&leg) {
            return Arrival::Decided(verdict);
        }
        if self.may_be_named(&leg) {
            self.waiting.push(leg);
            return Arrival::Wait { until: now + limits.outbound_answer };
        }
        Arrival::Decided(self.by_numbers(&leg))
    }

    /// The INVITE has waited long enough.
    pub fn give_up(&mut self, call: CallId) -> Verdict {
        let Some(at) = self.waiting.iter().position(|leg| leg.call == call) else { return Verdict::Unrelated };
        let leg = self.waiting[at].clone();
        let verdict = self.by_numbers(&leg);
        self.waiting.remove(at);
        verdict
    }

    /// The INVITE is no more.
    pub fn leave(&mut self, call: CallId) {
        self.waiting.retain(|leg| leg.call != call);
    }

    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    /// When [`Outbound::handle_timeout`] is due. All requests have the same time, so the oldest is the first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.first_key_value().map(|(_, pending)| pending.until)
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let mut expired = false;
        while self.poll_timeout().is_some_and(|until| until <= now) {
            let Some((_, pending)) = self.pending.pop_first() else { break };
            self.forget(pending);
            expired = true;
        }
        if expired {
            self.settle();
        }
    }

    /// Those that wait for an answer, and whom none that is still out can concern.
    fn settle(&mut self) {
        let named: Vec<(CallId, Verdict)> =
            self.waiting.clone().iter().filter_map(|leg| Some((leg.call, self.by_call_sid(leg)?))).collect();
        named.iter().for_each(|(call, _)| self.leave(*call));
        // Judged while all of them are there: two that want the same request get none.
        let nameless: Vec<SecondLeg> = self.waiting.iter().filter(|leg| !self.may_be_named(leg)).cloned().collect();
        let judged: Vec<(CallId, Verdict)> = nameless.iter().map(|leg| (leg.call, self.by_numbers(leg))).collect();
        judged.iter().for_each(|(call, _)| self.leave(*call));
        let decided = named.into_iter().chain(judged);
        self.outcomes.extend(decided.map(|(call, verdict)| Outcome::Decided { call, verdict }));
    }

    /// An answer that is still out may tell the name that this INVITE bears.
    fn may_be_named(&self, leg: &SecondLeg) -> bool {
        leg.call_sid.is_some() && self.pending.values().any(|pending| pending.answer_is_out && pending.is_for(leg))
    }

    fn by_call_sid(&mut self, leg: &SecondLeg) -> Option<Verdict> {
        let named = leg.call_sid.as_ref()?;
        let its = |pending: &&mut Pending| pending.is_for(leg) && pending.call_sid.as_ref() == Some(named);
        let pending = self.pending.values_mut().find(its)?;
        pending.claim = Claim::Taken;
        Some(Verdict::Matched { dial: pending.dial.clone(), by: By::CallSid })
    }

    fn by_numbers(&mut self, leg: &SecondLeg) -> Verdict {
        let rivals = self.waiting.iter().any(|other| other.call != leg.call && other.wants_the_same_as(leg));
        let mut fitting: Vec<&mut Pending> =
            self.pending.values_mut().filter(|pending| pending.fits_by_numbers(leg)).collect();
        match &mut fitting[..] {
            [] => Verdict::Unrelated,
            [one] if one.claim == Claim::Open && !rivals => {
                one.claim = Claim::Taken;
                one.call_sid.clone_from(&leg.call_sid);
                Verdict::Matched { dial: one.dial.clone(), by: By::Numbers }
            }
            several => {
                several.iter_mut().for_each(|pending| pending.claim = Claim::Contested);
                Verdict::Ambiguous
            }
        }
    }
}

impl SecondLeg {
    fn wants_the_same_as(&self, other: &SecondLeg) -> bool {
        (&self.trunk, &self.tenant) == (&other.trunk, &other.tenant)
            && same_number(&self.caller, &other.caller)
            && same_number(&self.called, &other.called)
    }
}

impl Pending {
    fn is_for(&self, leg: &SecondLeg) -> bool {
        (&self.dial.trunk, &self.dial.tenant) == (&leg.trunk, &leg.tenant)
    }

    /// A request that the trunk names otherwise than this INVITE is another call, whoever calls whom.
    fn fits_by_numbers(&self, leg: &SecondLeg) -> bool {
        self.is_for(leg)
            && self.claim != Claim::Taken
            && (self.call_sid.is_none() || leg.call_sid.is_none())
            && same_number(&self.dial.to, &leg.caller)
            && same_number(&self.dial.from, &leg.called)
    }
}

/// Digits that a number has without its country code, at least.
const NATIONAL_DIGITS: usize = 10;

/// Trunks write the same number as `+919999999999`, `919999999999` and `09999999999`. Names are the same to the letter.
fn same_number(one: &str, other: &str) -> bool {
    let (Some(a), Some(b)) = (digits(one), digits(other)) else { return !one.is_empty() && one == other };
    let (longer, shorter) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    longer == shorter || (shorter.len() >= NATIONAL_DIGITS && longer.ends_with(shorter))
}

fn digits(number: &str) -> Option<&str> {
    let digits = number.trim_start_matches('+').trim_start_matches('0');
    (!digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())).then_some(digits)
}

#[cfg(test)]
mod tests;
