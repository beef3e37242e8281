//! One turn of a bot, between its rings and its guest: digits and events first, then the frames that wait.

use std::sync::atomic::Ordering;
use std::time::Instant;

use plugin::{Event, Fault, FrameAnswer};

use super::cell::{Bot, Ended, FRAMES_WAITING_MAX, Running, Turn};
use super::late;
use super::rings::{FromBot, FromCaller, Pressed};

impl Bot {
    pub(super) fn take_digits(&mut self) -> Result<(), Ended> {
        let (operations, mut refused) = (&self.operations, false);
        let overfull = self.ends.take_digits(|Pressed { key, tick }| {
            refused |= operations.lock().push(Event::Digit { key, tick }).is_err();
        });
        if overfull || refused { Err(Ended::Overfull) } else { Ok(()) }
    }

    pub(super) fn run_guest(&mut self, now: Instant, turn: Turn) -> Result<(), Fault> {
        self.operations.set_now(now);
        // Nothing has happened since the last turn: the operations are not even looked at.
        if let Some(quiet) = self.quiet.filter(|quiet| quiet.lasts(now) && !self.operations.is_stirred()) {
            return self.take_frames(now, turn, quiet.wants_frames, false);
        }
        self.quiet = None;
        // What the bot says in this tick counts from the next one on.
        let wanted = self.operations.advance(now).wants_frames();
        self.run_events(now, turn)?;
        let (over, events_wait) = {
            let operations = self.operations();
            (operations.is_over(), operations.has_events())
        };
        self.take_frames(now, turn, wanted && !over, events_wait)
    }

    fn take_frames(&mut self, now: Instant, turn: Turn, wanted: bool, events_wait: bool) -> Result<(), Fault> {
        match self.answered_at {
            _ if !wanted => self.drop_frames(),
            // A frame comes after its tick's events.
            Some(answered_at) if !events_wait => return self.run_frames(now, answered_at, turn),
            _ => self.keep_newest_frames(),
        }
        Ok(())
    }

    fn run_events(&mut self, now: Instant, turn: Turn) -> Result<(), Fault> {
        let Running::Bot(instance) = &mut self.running else { return Ok(()) };
        // Bounded: what a bot's own doing brings about (a timer of 0 ms in each timer event) becomes due in the next tick.
        loop {
            let next = self.operations.lock().next_event();
            let Some(event) = next else { return Ok(()) };
            if matches!(event, Event::Answered) {
                self.answered_at.get_or_insert(now);
            }
            self.stats.events += 1;
            if let Err(fault) = instance.on_event(event) {
                self.operations.lock().strike_last_delivered();
                return Err(fault);
            }
            if now.elapsed() >= turn.patience {
                return Ok(());
            }
        }
    }

    /// Audio from before the answer is kept, the oldest goes.
    fn keep_newest_frames(&mut self) {
        while self.ends.frames.slots() > FRAMES_WAITING_MAX && self.next_frame().is_some() {
            self.stats.overruns += 1;
        }
    }

    pub(super) fn drop_frames(&mut self) {
        while self.next_frame().is_some() {}
    }

    fn next_frame(&mut self) -> Option<FromCaller> {
        let frame = self.ends.frames.pop().ok()?;
        // Of one that has come since the turn began nothing is lost either.
        if let Some(ear) = &mut self.ear {
            ear.hear(&frame, Instant::now(), &self.operations);
        }
        Some(frame)
    }

    fn run_frames(&mut self, now: Instant, answered_at: Instant, turn: Turn) -> Result<(), Fault> {
        self.keep_newest_frames();
        let (mut first, mut samples) = (true, [0; 160]);
        while let Some(frame) = self.next_frame() {
            let Running::Bot(instance) = &mut self.running else { return Ok(()) };
            if !std::mem::take(&mut first) {
                instance.begin_tick();
            }
            let entered = instance.measured_time();
            let answer = instance.on_frame(frame.tick, &frame.samples, frame.kind, &mut samples)?;
            let used = instance.measured_time().saturating_sub(entered);
            self.stats.frames += 1;
            if used > self.stats.guest_time_max {
                self.stats.guest_time_max = used;
            }
            let finished = Instant::now();
            // What was kept from before the answer was due when nobody waited for it.
            if finished > frame.due && frame.due > answered_at {
                let budget = frame.due.saturating_duration_since(turn.woken);
                late::count(&mut self.stats.late_answers, used, turn.others, budget);
            }
            if answer == FrameAnswer::Frame {
                // A full ring means that nothing departs any more: the media thread is gone or the call held.
                let _ = self.ends.answers.push(FromBot { tick: frame.tick, samples });
            }
            self.stats.wrong_lengths += u64::from(answer == FrameAnswer::WrongLength);
            self.ends.shared.answered.store(frame.tick + 1, Ordering::Release);
            if finished.saturating_duration_since(now) >= turn.patience {
                break;
            }
        }
        Ok(())
    }
}
