//! A menu walked with keys, as an example of a bot that lives on events and the playout queue alone.
//!
//!     menu   1 enter digits   2 hear it again   9 or 0 goodbye   * back here   else: no such choice
//!     enter  up to 8 digits, ended by #, read back, then the menu again   * back to the menu
//!
//! A key cuts off what is playing. Who presses nothing is asked three times in all, then hears the goodbye; the call
//! ends when that has been heard. The summary gets the notes `choice` and `digits`, the last of each.

mod prompts;
mod saved;

use patchbay_sdk::{
    Accept, Bot, Call, Event, Gather, GatherRules, Gathered, Prompt, Refusal, Start, StartReason, info, warn,
};

const MENU_RULES: GatherRules =
    GatherRules { max_digits: 1, terminator: None, first_digit_ms: 6_000, inter_digit_ms: 6_000 };
const ENTER_RULES: GatherRules =
    GatherRules { max_digits: 8, terminator: Some('#'), first_digit_ms: 8_000, inter_digit_ms: 4_000 };
/// Questions that may go unanswered in a row, until the goodbye.
const SILENCES_MAX: u32 = 3;

/// Where in the menu the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Not answered yet.
    Outside,
    Menu,
    Enter,
    /// The goodbye plays; keys change nothing any more.
    Leaving,
}

struct Menu {
    place: Place,
    gather: Gather,
    /// Questions in a row that no key answered.
    silences: u32,
    /// Counts the questions; names the mark at the end of each, so that the mark of one that was cut off means nothing.
    question: u32,
}

impl Default for Menu {
    fn default() -> Menu {
        Menu { place: Place::Outside, gather: Gather::new(MENU_RULES), silences: 0, question: 0 }
    }
}

impl Bot for Menu {
    fn start(&mut self, call: &Call, start: Start) -> Result<Accept, Refusal> {
        match start.reason {
            StartReason::Fresh => {}
            StartReason::Moved(state) => match saved::read(&state) {
                Some(menu) => *self = menu,
                // The old instance then goes on.
                None => {
                    return Err(Refusal::new(480, "cannot go on from what the other build saved"));
                }
            },
            StartReason::Restarted(state) => self.restart(call, &state),
        }
        Ok(Accept::events_only())
    }

    fn on_digit(&mut self, call: &Call, key: char) {
        self.silences = 0;
        match (self.place, key) {
            (Place::Outside | Place::Leaving, _) => {}
            (Place::Enter, '*') => {
                self.interrupt(call);
                self.ask(call, Place::Menu, &[]);
            }
            // Keys that no telephone has on its front.
            (Place::Enter, 'A'..='D') => {}
            (Place::Menu | Place::Enter, _) => {
                call.clear();
                if let Some(gathered) = self.gather.on_digit(call, key) {
                    self.gathered(call, gathered);
                }
            }
        }
    }

    fn on_event(&mut self, call: &Call, event: Event) {
        match event {
            Event::Answered => self.ask(call, Place::Menu, &[]),
            Event::Mark(mark) if mark.name == self.mark_name() => self.gather.wait_for_first(call),
            Event::Timer(id) => {
                if let Some(gathered) = self.gather.on_timer(call, id) {
                    self.gathered(call, gathered);
                }
            }
            _ => {}
        }
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(saved::write(self))
    }
}

impl Menu {
    /// After a trap: what was playing is gone, so the question is asked again.
    fn restart(&mut self, call: &Call, state: &[u8]) {
        let place = saved::read(state).map_or(Place::Menu, |menu| menu.place);
        warn!("started again, at {place:?}");
        match place {
            Place::Outside => {}
            Place::Menu | Place::Enter => self.ask(call, place, &[]),
            Place::Leaving => self.leave(call),
        }
    }

    /// Plays something, then the question of that place; keys count from now on.
    fn ask(&mut self, call: &Call, place: Place, first: &[Prompt]) {
        let (rules, question) = match place {
            Place::Enter => (ENTER_RULES, prompts::ENTER),
            Place::Menu | Place::Outside | Place::Leaving => (MENU_RULES, prompts::MENU),
        };
        self.place = place;
        self.gather = Gather::new(rules);
        self.question += 1;
        for &prompt in first {
            call.play(prompt);
        }
        call.play(question);
        call.mark(&self.mark_name());
    }

    fn interrupt(&mut self, call: &Call) {
        call.clear();
        self.gather.stop(call);
    }

    fn gathered(&mut self, call: &Call, gathered: Gathered) {
        match (self.place, gathered) {
            (_, Gathered::TimedOut(digits)) if digits.is_empty() => self.nothing_came(call),
            (Place::Menu, Gathered::Complete(choice) | Gathered::TimedOut(choice)) => self.chosen(call, &choice),
            (Place::Enter, Gathered::Complete(digits) | Gathered::TimedOut(digits)) => self.entered(call, &digits),
            (Place::Outside | Place::Leaving, _) => {}
        }
    }

    fn chosen(&mut self, call: &Call, choice: &str) {
        call.note("choice", choice);
        match choice {
            "1" => self.ask(call, Place::Enter, &[]),
            "2" | "*" => self.ask(call, Place::Menu, &[]),
            "9" | "0" => self.leave(call),
            _ => self.ask(call, Place::Menu, &[prompts::INVALID]),
        }
    }

    fn entered(&mut self, call: &Call, digits: &str) {
        call.note("digits", digits);
        info!("{} digits were entered", digits.len());
        let spoken = digits.chars().filter_map(prompts::digit);
        let first: Vec<Prompt> = match digits {
            "" => vec![prompts::NOTHING],
            _ => [prompts::YOU_ENTERED].into_iter().chain(spoken).collect(),
        };
        self.ask(call, Place::Menu, &first);
    }

    fn nothing_came(&mut self, call: &Call) {
        self.silences += 1;
        if self.silences < SILENCES_MAX {
            self.ask(call, self.place, &[prompts::STILL_THERE]);
        } else {
            self.leave(call);
        }
    }

    fn leave(&mut self, call: &Call) {
        self.place = Place::Leaving;
        call.play(prompts::GOODBYE);
        call.hangup_after_playout();
    }

    fn mark_name(&self) -> String {
        format!("question {}", self.question)
    }
}

patchbay_sdk::export!(Menu);

#[cfg(test)]
mod tests;
