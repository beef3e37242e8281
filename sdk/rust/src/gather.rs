//! Collects the digits of one answer, with time-outs.
//!
//! Sans-IO: a bot passes keys and timer events in, and learns when the answer is complete. Keys may come before the
//! question was heard to its end; the wait for the first one begins when the bot says so.

use crate::Call;

/// When an answer is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatherRules {
    /// Complete at this many digits.
    pub max_digits: usize,
    /// Complete at this key, which is not part of the answer.
    pub terminator: Option<char>,
    /// How long to wait for the first key, from [`Gather::wait_for_first`] on.
    pub first_digit_ms: u64,
    /// How long to wait for each further key.
    pub inter_digit_ms: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// By count, or by the terminator; after the terminator alone the answer is empty.
    Complete(String),
    /// No further key came in time: what there was, which may be nothing.
    TimedOut(String),
}

#[derive(Clone, Debug)]
pub struct Gather {
    rules: GatherRules,
    digits: String,
    timer: Option<u64>,
}

impl Gather {
    pub fn new(rules: GatherRules) -> Gather {
        Gather { rules, digits: String::new(), timer: None }
    }

    /// Goes on where another instance stood: these digits are in, and this timer runs.
    pub fn resumed(rules: GatherRules, digits: String, timer: Option<u64>) -> Gather {
        Gather { rules, digits, timer }
    }

    /// What has been pressed so far.
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// The timer that runs, for [`Gather::resumed`].
    pub fn timer(&self) -> Option<u64> {
        self.timer
    }

    /// The question has been heard: the wait for the first key begins. Does nothing if a key came before.
    pub fn wait_for_first(&mut self, call: &Call) {
        if self.digits.is_empty() {
            self.rearm(call, self.rules.first_digit_ms);
        }
    }

    /// A key was pressed.
    pub fn on_digit(&mut self, call: &Call, key: char) -> Option<Gathered> {
        if self.rules.terminator != Some(key) {
            self.digits.push(key);
            if self.digits.len() < self.rules.max_digits {
                self.rearm(call, self.rules.inter_digit_ms);
                return None;
            }
        }
        Some(Gathered::Complete(self.take(call)))
    }

    /// A timer rang, which may be another's.
    pub fn on_timer(&mut self, call: &Call, id: u64) -> Option<Gathered> {
        if self.timer != Some(id) {
            return None;
        }
        self.timer = None;
        Some(Gathered::TimedOut(self.take(call)))
    }

    /// Forgets digits and timer.
    pub fn stop(&mut self, call: &Call) {
        self.take(call);
    }

    fn take(&mut self, call: &Call) -> String {
        if let Some(id) = self.timer.take() {
            call.cancel_timer(id);
        }
        std::mem::take(&mut self.digits)
    }

    fn rearm(&mut self, call: &Call, after_ms: u64) {
        if let Some(id) = self.timer.take() {
            call.cancel_timer(id);
        }
        match call.timer(after_ms) {
            Ok(id) => self.timer = Some(id),
            Err(error) => crate::error!("waiting for digits without a time-out: {}", error.message),
        }
    }
}
