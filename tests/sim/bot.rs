//! A bot by script: plays, clears, presses keys, holds and hands over its caller, faults, hangs up; and the ring between it and the
//! leg's send phase.

use std::time::{Duration, Instant};

use call::{BotAct, BotEvent, CallId, ControlEvent, Limits};
use media::{PlayoutReader, PlayoutWriter, SoundSource, playout};

use crate::scenario::BotPlan;

const QUEUE_MS: u32 = 2000;
/// Samples say where they lie in the queue: position modulo this.
const MODULUS: u64 = 30_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BotDo {
    Answer,
    Play { for_ms: u32 },
    Clear,
    SendDigits(String),
    Note,
    Hold,
    Resume,
    Transfer(&'static str),
    Fault,
    HangUp { after_playout: bool },
    Done,
}

/// RFC 3261 16.6 item 11: as long as what it asks for may ring.
const LONGEST_TRANSFER: Duration = Duration::from_secs(180);

/// A hold, resume or transfer that the bot asked for.
#[derive(Debug)]
struct Control {
    /// None: a transfer.
    holds: Option<bool>,
    since: Instant,
    ended: Option<ControlEvent>,
}

pub struct Bot {
    pub call: CallId,
    pub plan: BotPlan,
    pub frames: bool,
    pub told: Vec<BotEvent>,
    writer: PlayoutWriter,
    reader: Option<PlayoutReader>,
    marks: Vec<u64>,
    last_played: u64,
    last_clear: Option<u64>,
    /// Hangs up when this position was played.
    pub hangup_at: Option<u64>,
    /// It faulted, and does nothing any more.
    pub dead: bool,
    /// Digits whose INFO was answered 200 while they count.
    pub info_expected: Vec<char>,
    pub info_told: Vec<char>,
    pub digit_orders: u64,
    pub orders_done: Vec<u64>,
    /// By its id.
    controls: Vec<Control>,
}

impl Bot {
    pub fn new(call: CallId, plan: BotPlan) -> Bot {
        let (writer, reader) = playout(QUEUE_MS);
        Bot {
            call,
            frames: plan.start.as_ref().is_ok_and(|accept| accept.frames),
            plan,
            told: Vec::new(),
            writer,
            reader: Some(reader),
            marks: Vec::new(),
            last_played: 0,
            last_clear: None,
            hangup_at: None,
            dead: false,
            info_expected: Vec::new(),
            info_told: Vec::new(),
            digit_orders: 0,
            orders_done: Vec::new(),
            controls: Vec::new(),
        }
    }

    /// A hold, a resume, or a transfer to this target.
    pub fn ask(&mut self, holds: Option<bool>, target: &str, now: Instant) -> BotAct {
        let id = self.controls.len() as u64;
        self.controls.push(Control { holds, since: now, ended: None });
        match holds {
            Some(true) => BotAct::Hold { id },
            Some(false) => BotAct::Resume { id },
            None => BotAct::Transfer { id, target: target.into(), headers: vec![("X-Ticket".into(), "7".into())] },
        }
    }

    /// Whether its caller is on hold by it. None: one is under way, or came to nothing in time.
    pub fn holds(&self) -> Option<bool> {
        let gave_up = |status| ControlEvent::Failed { status, reason: sip::message::reason_phrase(status) };
        let holds = self.controls.iter().filter_map(|control| Some((control.holds?, control.ended.as_ref())));
        // What came later counts, also after one that is not known.
        let mut known = Some(false);
        for (holds, ended) in holds {
            known = match ended {
                None => None,
                Some(ControlEvent::Done) => Some(holds),
                Some(failed) if *failed == gave_up(408) || *failed == gave_up(503) => None,
                Some(_) => known,
            };
        }
        known
    }

    /// Each is told its end in time, as long as the call lives and the bot does.
    pub fn check_controls(&self, limits: &Limits, now: Instant) -> Result<(), String> {
        let over = self.dead || self.told.iter().any(|told| matches!(told, BotEvent::Hangup { .. }));
        let overdue = self.controls.iter().find(|control| {
            let within = if control.holds.is_some() { limits.hold } else { LONGEST_TRANSFER };
            control.ended.is_none() && now > control.since + within
        });
        match overdue {
            Some(control) if !over => Err(format!("{:?}: {control:?} has no end", self.call)),
            _ => Ok(()),
        }
    }

    /// Progress is told of a transfer, and one end of each.
    fn control_told(&mut self, id: u64, event: &ControlEvent) -> bool {
        let Some(control) = self.controls.get_mut(id as usize).filter(|control| control.ended.is_none()) else {
            return false;
        };
        match event {
            ControlEvent::Progress { status, .. } => return control.holds.is_none() && (100..200).contains(status),
            ControlEvent::Done | ControlEvent::Failed { .. } => control.ended = Some(event.clone()),
        }
        true
    }

    /// The leg's end of the playout queue: there is one.
    pub fn voice(&mut self) -> Option<Voice> {
        Some(Voice { reader: self.reader.take()?, answer: None, last: None, broken: None })
    }

    /// It runs, and the call is up.
    pub fn hears(&self) -> bool {
        !self.dead && self.told.contains(&BotEvent::Answered)
    }

    pub fn play(&mut self, for_ms: u32) {
        let from = self.writer.position();
        let samples: Vec<i16> = (from..from + u64::from(for_ms) * 8).map(|at| (at % MODULUS) as i16).collect();
        self.writer.write(&samples);
        self.marks.push(self.writer.position());
    }

    pub fn clear(&mut self) {
        self.writer.clear();
    }

    pub fn hang_up_after_playout(&mut self) {
        self.hangup_at = Some(self.writer.position());
    }

    /// What the queue tells in each tick. True: what was to be played before the hangup has been.
    pub fn advance(&mut self) -> Result<bool, String> {
        let (played, written) = (self.writer.played(), self.writer.position());
        if played < self.last_played || played > written {
            return Err(format!("played {played} after {} of {written}", self.last_played));
        }
        self.last_played = played;
        while let Some(cleared) = self.writer.poll_cleared() {
            if self.last_clear.is_some_and(|last| last >= cleared.id) {
                return Err(format!("clear {} told after {:?}", cleared.id, self.last_clear));
            }
            self.last_clear = Some(cleared.id);
            let gone = cleared.until <= self.writer.played();
            if cleared.cut > cleared.until || cleared.until > written || cleared.played > cleared.cut || !gone {
                return Err(format!("a clear that cannot be: {cleared:?} of {written}"));
            }
        }
        self.marks.retain(|mark| *mark > played);
        Ok(self.hangup_at.take_if(|at| *at <= played).is_some())
    }

    /// Everything that was ordered under an id is told to be done once, in order.
    pub fn order_done(&mut self, id: u64) -> Result<(), String> {
        if id > self.digit_orders || self.orders_done.contains(&id) {
            return Err(format!("digits {id} of {} told done after {:?}", self.digit_orders, self.orders_done));
        }
        self.orders_done.push(id);
        Ok(())
    }

    /// Nothing comes after the hangup, and `answered` comes first and once.
    pub fn tell(&mut self, event: BotEvent) -> Result<(), String> {
        if self.told.iter().any(|told| matches!(told, BotEvent::Hangup { .. })) {
            return Err(format!("the bot was told {event:?} after the hangup"));
        }
        let answered = self.told.contains(&BotEvent::Answered);
        let fits = match &event {
            BotEvent::Answered => !answered,
            BotEvent::Hangup { .. } => true,
            BotEvent::Hold | BotEvent::Resume => {
                let last = self.told.iter().rev().find(|told| matches!(told, BotEvent::Hold | BotEvent::Resume));
                answered && last != Some(&event) && (last.is_some() || event == BotEvent::Hold)
            }
            BotEvent::Digit { .. } | BotEvent::DigitsSent { .. } => answered,
            BotEvent::Control { id, event } => answered && self.control_told(*id, event),
        };
        if !fits {
            return Err(format!("the bot was told {event:?} after {:?}", self.told));
        }
        match &event {
            BotEvent::Digit { key } => self.info_told.push(*key),
            BotEvent::DigitsSent { id } => self.order_done(*id)?,
            _ => {}
        }
        self.told.push(event);
        Ok(())
    }
}

/// What a host's leg sends: the bot's answer, else its queue, else silence.
pub struct Voice {
    reader: PlayoutReader,
    pub answer: Option<[i16; 160]>,
    last: Option<i16>,
    pub broken: Option<String>,
}

impl SoundSource for Voice {
    fn next_frame(&mut self, frame: &mut [i16; 160]) -> bool {
        if let Some(answer) = self.answer.take() {
            self.reader.act_on_clear();
            *frame = answer;
            return true;
        }
        let pulled = self.reader.pull(frame);
        for sample in &frame[..pulled] {
            let step = self.last.map_or(1, |last| (i64::from(*sample) - i64::from(last)).rem_euclid(MODULUS as i64));
            // A clear makes it step further, but never stand or go back.
            if !(1..=i64::from(QUEUE_MS) * 8 + 1).contains(&step) {
                self.broken = Some(format!("sample {sample} of the queue was played after {:?}", self.last));
            }
            self.last = Some(*sample);
        }
        frame[pulled..].fill(0);
        pulled > 0
    }
}

/// A caller's voice, and a source for a host's leg without a bot.
pub struct Tone(pub i16);

impl SoundSource for Tone {
    fn next_frame(&mut self, frame: &mut [i16; 160]) -> bool {
        for sample in frame.iter_mut() {
            self.0 = self.0.wrapping_add(97);
            *sample = self.0 / 8;
        }
        true
    }
}
