//! How a bot goes on after a fault: saved now and then, and started again from its last save, with back-off and a bound.
//!
//!     runs --fault--> down --back-off--> `start(restarted(state))` on a starter --> runs
//!                       | no save, too often, refused: the route's fall-back
//!
//! Saves are taken at the end of a turn on the thread that has the bot anyway: for a compiled bot another thread would cost more
//! than the save, and one of lower priority would hold the bot's next frame up. A bot whose save is slow is saved on the slow lane.

use std::time::{Duration, Instant};

use plugin::{Fault, Plugin};

use super::cell::{Bot, FAST_TICK_MAX, OVERFULL, Pace, Report, Running, TICKS_TO_PROVE_ITSELF, Tell};
use super::operations::Queue;

/// How long each restart waits; there are no more than these until the bot has run for `CLEAN`.
pub const BACK_OFF: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1600)];
/// A bot that ran so long without a fault has its restarts back.
pub const CLEAN: Duration = Duration::from_secs(60);
pub const SAVE_EVERY: Duration = Duration::from_secs(1);
/// One that has nothing to save is asked less and less often.
const SAVE_EVERY_MAX: Duration = Duration::from_secs(8);
/// So many times what a save cost passes before the next one: a thousandth of the bot's time at most.
const SAVE_COST_SHARE: u32 = 1000;

/// The last save, and when the next one is due.
#[derive(Default)]
#[repr(C)]
pub struct Saves {
    due: Option<Instant>,
    state: Option<Vec<u8>>,
    wait: Duration,
    slow: bool,
}

impl Saves {
    pub fn begin(&mut self, now: Instant) {
        self.wait = SAVE_EVERY;
        self.due = Some(now + SAVE_EVERY);
    }

    /// Another instance runs, which goes on from this state; none: from one that it has not saved itself.
    pub fn replace(&mut self, now: Instant, state: Option<Vec<u8>>, due_in: Duration) {
        *self = Self { state, due: Some(now + due_in), wait: SAVE_EVERY, slow: false };
    }

    /// What came of one, and its cost.
    fn note(&mut self, now: Instant, state: Option<Vec<u8>>, cost: Duration) {
        self.slow = cost > FAST_TICK_MAX;
        self.wait = match (&state, &self.state) {
            (None, None) => (self.wait * 2).min(SAVE_EVERY_MAX),
            _ => SAVE_EVERY,
        };
        self.due = Some(now + self.wait.max(cost * SAVE_COST_SHARE));
        if state.is_some() {
            self.state = state;
        }
    }
}

/// Restarts used up, and since when the instance runs.
#[derive(Default)]
pub struct Restarts {
    used: usize,
    runs_since: Option<Instant>,
}

impl Restarts {
    pub fn begin(&mut self, now: Instant) {
        self.runs_since = Some(now);
    }

    /// The wait before one more, if there is one more.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        let ran = self.runs_since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if ran >= CLEAN {
            self.used = 0;
        }
        let after = *BACK_OFF.get(self.used)?;
        self.used += 1;
        Some(after)
    }
}

impl Bot {
    /// At the end of a turn that went well.
    pub(super) fn save_if_due(&mut self, now: Instant, tell: Tell) {
        if self.saves.due.is_none_or(|due| now < due) || self.frozen.is_some() {
            return;
        }
        if self.saves.slow && self.pace == Pace::Kept {
            self.pace = Pace::SetAside(TICKS_TO_PROVE_ITSELF);
            return;
        }
        // Not on top of a turn that took its time already.
        if now.elapsed() > FAST_TICK_MAX / 2 && self.pace == Pace::Kept || self.operations().is_over() {
            return;
        }
        let Running::Bot(instance) = &mut self.running else { return };
        let before = instance.measured_time();
        match instance.save() {
            Ok(state) => {
                let cost = instance.measured_time().saturating_sub(before);
                self.used += cost;
                if state.is_some() {
                    self.operations().note_save();
                }
                self.saves.note(now, state, cost);
            }
            Err(fault) => self.fall(now, &fault, tell),
        }
    }

    /// The instance is dead.
    pub(super) fn fall(&mut self, now: Instant, fault: &Fault, tell: Tell) {
        if let Fault::TooLong { .. } = fault {
            // The next ones of this generation begin on the slow lane again.
            self.proved.store(false, std::sync::atomic::Ordering::Relaxed);
        }
        let why = fault.to_string();
        if !self.put_back(now, &why, tell) && !self.go_down(now, &why, tell) {
            self.give_up(why, tell);
        }
    }

    /// The caller hears silence until the next instance runs; that one knows of nothing that was begun since the save.
    pub(super) fn go_down(&mut self, now: Instant, why: &str, tell: Tell) -> bool {
        let plugin = match &self.running {
            Running::Bot(instance) => instance.plugin().clone(),
            Running::Down(plugin) => plugin.clone(),
            Running::Waiting | Running::Fallback(_) | Running::Gone => return false,
            #[cfg(feature = "native-bot")]
            Running::Native => return false,
        };
        if self.saves.state.is_none() || self.operations().is_over() {
            return false;
        }
        let Some(after) = self.restarts.take(now) else { return false };
        if !self.operations().go_back(Queue::Cleared) {
            return false;
        }
        self.report_tasks(tell);
        self.ends.shared.wants_frames.store(false, std::sync::atomic::Ordering::Relaxed);
        if let Running::Bot(failed) = std::mem::replace(&mut self.running, Running::Down(plugin)) {
            self.discard(failed, tell);
        }
        tell(Report::Fell { after, why: why.to_owned() });
        true
    }

    /// A turn without an instance: digits, and what the caller's voice tells, wait for the next one, sound does not.
    pub(super) fn stay_down(&mut self, now: Instant, tell: Tell) {
        if self.take_digits().and_then(|()| self.hear(now, tell)).is_err() {
            return self.give_up(OVERFULL.to_owned(), tell);
        }
        self.drop_frames();
        let change = self.operations.look().take_change();
        change.into_iter().for_each(|change| self.attend(change));
    }

    /// What the next instance is made from. None: nobody waits for one any more.
    pub fn to_restart(&self) -> Option<(Plugin, Vec<u8>)> {
        match (&self.running, &self.saves.state) {
            (Running::Down(plugin), Some(state)) => Some((plugin.clone(), state.clone())),
            _ => None,
        }
    }

    /// The restart failed like the instance before it.
    pub fn fall_again(&mut self, now: Instant, why: String, tell: Tell) {
        if matches!(self.running, Running::Down(_)) && !self.go_down(now, &why, tell) {
            self.give_up(why, tell);
        }
    }

    /// The restart was refused.
    pub fn refuse_restart(&mut self, why: String, tell: Tell) {
        if matches!(self.running, Running::Down(_)) {
            self.give_up(why, tell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn restarts_wait_longer_and_longer_and_the_fourth_is_none() {
        let mut restarts = Restarts::default();
        let now = Instant::now();
        restarts.begin(now);
        let waits = [(); 4].map(|()| restarts.take(now));
        assert_eq!(waits, [Some(100 * MS), Some(400 * MS), Some(1600 * MS), None]);
    }

    #[test]
    fn a_minute_without_a_fault_gives_them_back_and_less_does_not() {
        let now = Instant::now();
        for (ran, next) in [(CLEAN - MS, None), (CLEAN, Some(BACK_OFF[0]))] {
            let mut restarts = Restarts::default();
            restarts.begin(now);
            assert_eq!([(); 3].map(|()| restarts.take(now)), BACK_OFF.map(Some));
            assert_eq!(restarts.take(now + 10 * CLEAN), None, "the time that it was down is no clean time");
            restarts.begin(now);
            assert_eq!(restarts.take(now + ran), next);
        }
    }

    #[test]
    fn saves_come_every_second_less_often_where_there_is_nothing_and_where_they_cost_much() {
        let now = Instant::now();
        let wait = |saves: &mut Saves, state: Option<Vec<u8>>, cost| {
            saves.note(now, state, cost);
            saves.due.unwrap() - now
        };
        let mut saves = Saves::default();
        saves.begin(now);
        assert_eq!(saves.due, Some(now + SAVE_EVERY));
        let waits = [(); 5].map(|()| wait(&mut saves, None, Duration::ZERO).as_secs());
        assert_eq!(waits, [2, 4, 8, 8, 8]);
        assert_eq!(wait(&mut saves, Some(vec![1]), MS / 10), SAVE_EVERY);
        assert!(!saves.slow);
        assert_eq!(wait(&mut saves, None, MS / 10), SAVE_EVERY, "it saves, but not at this moment");
        assert_eq!(saves.state, Some(vec![1]), "what it saved before is still its last save");
        assert_eq!(wait(&mut saves, Some(vec![2]), 5 * MS), 5 * SAVE_EVERY);
        assert!(saves.slow);
    }
}
