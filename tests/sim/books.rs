//! The host's books, kept from what goes in and out of [`call::Calls`] and the endpoint, and compared with what they say of
//! themselves after every step: who is there, what each holds, and that every state ends by its deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use call::{CallId, Calls, Input, Limits, Live, Milestone, Output};

/// Room for what takes no time in the rules.
const SLACK: Duration = Duration::from_millis(1);
/// RFC 3261 13.3.1.4: 64*T1.
const NO_ACK: Duration = Duration::from_secs(32);

/// A part of a call: ports, leg or bot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    None,
    Open,
    /// It was told to end.
    Closing,
    Gone,
}

#[derive(Debug)]
struct Book {
    received: Instant,
    answered: Option<Instant>,
    acknowledged: bool,
    established: Option<Instant>,
    ended: Option<Instant>,
    over: bool,
    kept: bool,
    dialog_ended: bool,
    ports: Part,
    leg: Part,
    bot: Part,
}

pub struct Books {
    limits: Limits,
    calls: BTreeMap<CallId, Book>,
    /// From `Invite` to `Ended`.
    dialogs: BTreeSet<CallId>,
    pub causes: BTreeSet<&'static str>,
    pub summaries: usize,
}

type Checked = Result<(), String>;

fn rule(holds: bool, text: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(text()) }
}

impl Books {
    pub fn new(limits: Limits) -> Books {
        Books { limits, calls: BTreeMap::new(), dialogs: BTreeSet::new(), causes: BTreeSet::new(), summaries: 0 }
    }

    /// What the endpoint tells the calls: one end for each INVITE, and nothing after it.
    pub fn sip_event(&mut self, event: &sip::Event) -> Checked {
        use sip::Event;
        match event {
            Event::Invite { dialog, .. } => rule(self.dialogs.insert(*dialog), || format!("{dialog:?} began twice")),
            Event::Ended { dialog, .. } => {
                if let Some(book) = self.calls.get_mut(dialog) {
                    book.dialog_ended = true;
                }
                rule(self.dialogs.remove(dialog), || format!("{dialog:?} ended, but there was none"))
            }
            Event::Acknowledged { dialog, .. } => {
                if let Some(book) = self.calls.get_mut(dialog) {
                    book.acknowledged = true;
                }
                rule(self.dialogs.contains(dialog), || format!("{event:?} of a dialog that is no more"))
            }
            Event::Offer { dialog, .. } | Event::OfferAnswered { dialog, .. } | Event::InfoDigit { dialog, .. } => {
                rule(self.dialogs.contains(dialog), || format!("{event:?} of a dialog that is no more"))
            }
            _ => Ok(()),
        }
    }

    pub fn input(&mut self, input: &Input) {
        let change = match input {
            Input::PortsOpened { call, .. } => self.part(*call, |book| &mut book.ports, Part::Open),
            Input::LegClosed { call, .. } => self.part(*call, |book| &mut book.leg, Part::Gone),
            Input::BotEnded { call, .. } => self.part(*call, |book| &mut book.bot, Part::Gone),
            _ => Ok(()),
        };
        debug_assert!(change.is_ok(), "answers to what is no more are no fault of the calls");
    }

    fn part(&mut self, call: CallId, part: fn(&mut Book) -> &mut Part, to: Part) -> Checked {
        if let Some(book) = self.calls.get_mut(&call) {
            *part(book) = to;
        }
        Ok(())
    }

    fn open(&mut self, call: CallId, what: &str, part: fn(&mut Book) -> &mut Part) -> Checked {
        let book = self.calls.get_mut(&call).ok_or_else(|| format!("{what} for an unknown {call:?}"))?;
        let before = std::mem::replace(part(book), Part::Open);
        rule(before == Part::None && book.ended.is_none(), || format!("{what} of {call:?} opened while {before:?}"))
    }

    fn close(&mut self, call: CallId, what: &str, part: fn(&mut Book) -> &mut Part, to: Part) -> Checked {
        let book = self.calls.get_mut(&call).ok_or_else(|| format!("{what} for an unknown {call:?}"))?;
        let before = std::mem::replace(part(book), to);
        rule(before == Part::Open, || format!("{what} of {call:?} closed while {before:?}"))
    }

    pub fn output(&mut self, output: &Output, now: Instant) -> Checked {
        match output {
            Output::OpenLeg { call, .. } => self.open(*call, "leg", |book| &mut book.leg),
            Output::StartBot { call, .. } => self.open(*call, "bot", |book| &mut book.bot),
            Output::CloseLeg { call } => self.close(*call, "leg", |book| &mut book.leg, Part::Closing),
            Output::CloseBot { call } => self.close(*call, "bot", |book| &mut book.bot, Part::Closing),
            Output::FreePorts { call } => self.close(*call, "ports", |book| &mut book.ports, Part::Gone),
            Output::Milestone { call, milestone } => self.milestone(*call, milestone, now),
            Output::Summary(summary) => {
                self.causes.insert(summary.cause.as_str());
                self.summaries += 1;
                let call = self.calls.iter_mut().find(|(call, _)| call::call_name(**call) == summary.call);
                let (_, book) = call.ok_or("a summary of no call")?;
                book.kept = false;
                let holds =
                    [book.ports, book.leg, book.bot].iter().any(|part| matches!(part, Part::Open | Part::Closing));
                rule(!holds, || format!("{} is over and holds {book:?}", summary.call))?;
                rule(book.over, || format!("a summary before the end: {book:?}"))
            }
            Output::BotEvent { call, .. } | Output::UpdateLeg { call, .. } | Output::SendDigits { call, .. } => {
                let kept = self.calls.get(call).is_some_and(|book| book.kept);
                rule(kept, || format!("{output:?} for a call that is over"))
            }
            _ => Ok(()),
        }
    }

    fn milestone(&mut self, call: CallId, milestone: &Milestone, now: Instant) -> Checked {
        if let Milestone::Received { .. } = milestone {
            let book = Book {
                received: now,
                answered: None,
                acknowledged: false,
                established: None,
                ended: None,
                over: false,
                kept: true,
                dialog_ended: false,
                ports: Part::None,
                leg: Part::None,
                bot: Part::None,
            };
            return rule(self.calls.insert(call, book).is_none(), || format!("{call:?} was received twice"));
        }
        let book = self.calls.get_mut(&call).ok_or_else(|| format!("{milestone:?} of no call"))?;
        let first =
            |slot: &mut Option<Instant>| rule(slot.replace(now).is_none(), || format!("{call:?}: {milestone:?} twice"));
        match milestone {
            Milestone::Answered { .. } => first(&mut book.answered),
            Milestone::Established { .. } => first(&mut book.established),
            Milestone::Refused { .. } | Milestone::HungUp { .. } => first(&mut book.ended),
            Milestone::Over { .. } => {
                rule(!std::mem::replace(&mut book.over, true), || format!("{call:?} was over twice"))
            }
            Milestone::Overdue { what } => {
                match *what {
                    "leg" => book.leg = Part::Gone,
                    "bot" => book.bot = Part::Gone,
                    "dialog" => return Err(format!("{call:?}: the endpoint never ended its dialog")),
                    "acknowledgement" => {
                        return Err(format!("{call:?}: the endpoint never gave up waiting for the ACK"));
                    }
                    _ => {}
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether a digit by INFO counts now.
    pub fn is_talking(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|book| book.established.is_some() && book.ended.is_none())
    }

    /// The caller was there.
    pub fn is_acknowledged(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|book| book.established.is_some())
    }

    /// After every step: what the calls and the endpoint say of themselves is what the books say.
    pub fn check(&self, calls: &Calls, endpoint: &sip::Endpoint, now: Instant) -> Checked {
        let count = |of: fn(&Book) -> bool| self.calls.values().filter(|book| book.kept && of(book)).count();
        let held = |part: Part| matches!(part, Part::Open | Part::Closing);
        let expected = Live {
            calls: count(|_| true),
            dialogs: count(|book| !book.dialog_ended),
            ports: self.calls.values().filter(|book| book.kept && held(book.ports)).count(),
            legs: self.calls.values().filter(|book| book.kept && held(book.leg)).count(),
            bots: self.calls.values().filter(|book| book.kept && held(book.bot)).count(),
            timers: count(|_| true),
        };
        let live = calls.live();
        rule(live == expected, || format!("live is {live:?} where {expected:?} is"))?;
        let dialogs = endpoint.dialog_count();
        rule(dialogs == self.dialogs.len(), || format!("{dialogs} dialogs where {:?} are", self.dialogs))?;
        self.calls.iter().filter(|(_, book)| book.kept).try_for_each(|(call, book)| self.in_time(*call, book, now))
    }

    /// Every stage ends by its deadline.
    fn in_time(&self, call: CallId, book: &Book, now: Instant) -> Checked {
        let limits = &self.limits;
        let (since, within, what) = match book {
            Book { ended: Some(at), .. } => (*at, limits.dialog_end.max(limits.linger + limits.close), "over"),
            // Sound alone does not keep it: the dialog is not confirmed.
            Book { answered: Some(at), acknowledged: false, .. } => (*at, NO_ACK, "acknowledged or ended"),
            Book { established: Some(at), .. } => (*at, limits.call + limits.fallback, "ended"),
            Book { answered: Some(at), .. } => (*at, Duration::ZERO, "established, though acknowledged"),
            _ => (book.received, limits.open_ports + limits.start + limits.ring, "answered or refused"),
        };
        rule(now <= since + within + SLACK, || format!("{call:?} is not {what} after {within:?}: {book:?}"))
    }
}
