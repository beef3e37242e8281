//! One bot for every kind of misconduct that a host must survive.
//!
//! Which one is said by the route's configuration (`conduct`), else by the INVITE's header `X-Conduct`, else by the
//! number that was dialled: a copy of this component named `loop-in-frame.wasm` loops in its frames. `Conduct` lists
//! them all. An unknown one is refused with 404, so that a misspelt test fails. Like a bot that means it, this one behaves while
//! the host tries it out, unless the conduct is one of the dry run's own.
//!
//! Every conduct writes the note `conduct`, and after a restart or a move the note `reason`. `tell` in the configuration names
//! attributes, apart by commas: each that the call has is noted.

mod conduct;
mod excess;

use std::hint::black_box;

use conduct::{Conduct, Fate, Place};
use patchbay_sdk::{Accept, Bot, Call, Event, Frame, HungUp, Refusal, Start, StartReason};

/// The call of the host that tries a component out before it serves it.
const DRY_RUN: &str = "dry-run";
/// Frames and events misbehave from here on, so that the call is up and heard before.
const GOOD_FRAMES: u64 = 10;
const GOOD_MS: u64 = 200;
/// For `slow`: steps of `spin` in one frame, unless the configuration's `spin` says otherwise. Some 20 ms.
const SPIN_STEPS: u64 = 7_000_000;

#[derive(Default)]
struct Misbehave {
    conduct: Conduct,
    spin_steps: u64,
    digits: u8,
    hoard: Vec<Vec<u8>>,
}

impl Bot for Misbehave {
    fn start(&mut self, call: &Call, start: Start) -> Result<Accept, Refusal> {
        let header = || call.header("X-Conduct").into_iter().next();
        let word = call.config("conduct").or_else(header).unwrap_or_else(|| call.info().called.clone());
        let Some(conduct) = Conduct::read(&word) else {
            return Err(Refusal::new(404, format!("no conduct is called {word}")));
        };
        let conduct = match (call.info().id == DRY_RUN, conduct) {
            (false, _) => conduct,
            (true, Conduct::Loop(Place::DryRun)) => spin_for_ever(),
            (true, Conduct::Trap(Place::DryRun)) => panic!("told to trap in the dry run"),
            (true, _) => Conduct::Good,
        };
        self.conduct = conduct;
        self.spin_steps = call.config("spin").and_then(|steps| steps.parse().ok()).unwrap_or(SPIN_STEPS);
        call.note("conduct", &word);
        for name in call.config("tell").unwrap_or_default().split(',') {
            if let Some(value) = call.attribute(name) {
                call.note(name, &value);
            }
        }
        self.take_over(call, start.reason)?;
        match conduct {
            Conduct::Loop(Place::Start) => spin_for_ever(),
            Conduct::Trap(Place::Start) => panic!("told to trap in start"),
            Conduct::Refuse(status) => return Err(Refusal::new(status, "told to refuse")),
            Conduct::Ring => {
                call.timer(1_000).map_err(|error| Refusal::new(500, error.message))?;
                return Ok(Accept::default().ringing());
            }
            Conduct::RingForEver => return Ok(Accept::default().ringing()),
            Conduct::HangupInStart => call.hangup(),
            Conduct::Deaf | Conduct::Loop(Place::Event) | Conduct::Trap(Place::Event) => {
                return Ok(Accept::events_only());
            }
            _ => {}
        }
        Ok(Accept::default())
    }

    fn on_frame(&mut self, _call: &Call, frame: Frame) -> Option<Vec<i16>> {
        if frame.tick < GOOD_FRAMES {
            return Some(frame.samples);
        }
        match self.conduct {
            Conduct::Loop(Place::Frame) => spin_for_ever(),
            Conduct::Trap(Place::Frame) => panic!("told to trap in frame {}", frame.tick),
            Conduct::GrowMemory => self.hoard.push(vec![1; 1 << 20]),
            Conduct::FillMemory => excess::fill_for_ever(),
            Conduct::Recurse => {
                black_box(excess::recurse(frame.tick));
            }
            Conduct::WrongLength(samples) => return Some(vec![0; samples]),
            Conduct::HugeFrame => return Some(vec![0; 1 << 20]),
            Conduct::Slow => spin(self.spin_steps),
            Conduct::Sleep => std::thread::sleep(std::time::Duration::from_millis(100)),
            Conduct::Wait => excess::wait(100),
            Conduct::Poll => excess::poll(100),
            Conduct::PollForEver => excess::poll_for_ever(),
            _ => {}
        }
        Some(frame.samples)
    }

    fn on_digit(&mut self, call: &Call, key: char) {
        self.digits = self.digits.saturating_add(1);
        match self.conduct {
            // Longer than it takes to press the next key.
            Conduct::Deaf => spin(self.spin_steps),
            Conduct::Busy => excess::begin_everything(call),
            Conduct::TrapOnNine | Conduct::RefuseRestart if key == '9' => panic!("told to trap on 9"),
            Conduct::PressBack => {
                if let Err(error) = call.send_digits(&key.to_string()) {
                    call.note("refused", &error.message);
                }
            }
            _ => self.misbehave_in_event(),
        }
        call.note("digits", &self.digits.to_string());
    }

    fn on_event(&mut self, call: &Call, event: Event) {
        match event {
            Event::Answered => {
                excess::at_answer(self.conduct, call);
                // Something to misbehave in, whatever the caller does.
                if call.timer(GOOD_MS).is_err() {
                    call.note("timer", "refused");
                }
            }
            Event::Timer(id) if self.conduct == Conduct::Busy => call.note("timer", &id.to_string()),
            Event::Mark(mark) if self.conduct == Conduct::Busy => call.note("mark", &mark.id.to_string()),
            Event::Timer(_) if self.conduct == Conduct::Ring => call.answer(),
            Event::Timer(_) if self.conduct == Conduct::Hangup => call.hangup(),
            _ => self.misbehave_in_event(),
        }
    }

    fn on_hangup(&mut self, call: &Call, _hung_up: HungUp) {
        match self.conduct {
            Conduct::Linger => {}
            Conduct::Loop(Place::Hangup) => spin_for_ever(),
            Conduct::Trap(Place::Hangup) => panic!("told to trap in hangup"),
            _ => call.done(),
        }
    }

    fn save(&self) -> Option<Vec<u8>> {
        match self.conduct {
            Conduct::Save(bytes) => Some(vec![1; bytes]),
            Conduct::Loop(Place::Save) => spin_for_ever(),
            Conduct::Trap(Place::Save) => panic!("told to trap in save"),
            Conduct::NoSave => None,
            _ => Some(vec![self.digits]),
        }
    }
}

impl Misbehave {
    fn take_over(&mut self, call: &Call, reason: StartReason) -> Result<(), Refusal> {
        let (word, state) = match reason {
            StartReason::Fresh => return Ok(()),
            StartReason::Moved(state) => ("moved", state),
            StartReason::Restarted(state) => ("restarted", state),
        };
        self.digits = state.first().copied().unwrap_or(0);
        call.note("reason", word);
        if (word, self.conduct) == ("restarted", Conduct::RefuseRestart) {
            return Err(Refusal::new(500, "told to refuse"));
        }
        let Conduct::WhenMoved(fate) = self.conduct else { return Ok(()) };
        match fate {
            _ if word != "moved" => {}
            Fate::Refuse => return Err(Refusal::new(500, "told to refuse the move")),
            Fate::Trap => panic!("told to trap when moved"),
            Fate::Loop => spin_for_ever(),
            Fate::Busy => excess::begin_everything(call),
            Fate::BusyAndRefuse => {
                excess::begin_everything(call);
                return Err(Refusal::new(500, "told to refuse the move"));
            }
        }
        Ok(())
    }

    fn misbehave_in_event(&mut self) {
        match self.conduct {
            Conduct::Loop(Place::Event) => spin_for_ever(),
            Conduct::Trap(Place::Event) => panic!("told to trap in event"),
            _ => {}
        }
    }
}

/// Busy for that many steps, each waiting for the one before: 2 to 3 ns.
fn spin(steps: u64) {
    let mut state = black_box(1_u64);
    for _ in 0..steps {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
}

fn spin_for_ever() -> ! {
    loop {
        spin(1_000_000);
    }
}

patchbay_sdk::export!(Misbehave);
