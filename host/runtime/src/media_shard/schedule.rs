//! The 20 ms tick, cut into phases of 2 ms. No clock in here: time is a phase number since the shard's epoch.
//!
//!     phase    0    1    2    3    4    5    6    7    8    9 |  10 ...
//!     leg A    receive ------- bot budget ------> send          receive
//!     leg B         receive ------- bot budget ------> send
//!
//! At the beginning of a call both may move once, so that the receive phase comes soon after the sender's packets.
//!
//! A leg sends every ptime; all ptimes are multiples of 10 ms, so a wheel of 120 ms holds every pattern.

use std::time::{Duration, Instant};

use crate::bots::PHASES;

pub const PHASE: Duration = Duration::from_millis(2);
/// 120 ms: the least common multiple of 10, 20, 30, 40 and 60 ms.
const WHEEL: usize = 60;
/// After a stall of more than a tick, what was missed is skipped, never sent in a burst.
const CATCH_UP_PHASES_MAX: u64 = PHASES as u64;
/// A gateway may send all its packets at one moment. A phase with so many legs, or twice the mean, takes no more if
/// one of the next three has fewer: 6 ms of delay buy an even load.
const CROWD: usize = 32;
const CROWDED_PHASES: usize = 4;

/// Which legs do what in which phase. Legs are named by their index in the shard's table.
pub struct Schedule {
    receive: [Vec<usize>; PHASES],
    send: Vec<Vec<usize>>,
    budget_phases: usize,
}

impl Schedule {
    /// `budget`: from a leg's receive phase to its send phase, at least one phase, less than a tick.
    pub fn new(budget: Duration) -> Self {
        let phases = budget.as_micros().div_ceil(PHASE.as_micros()) as usize;
        Self { receive: Default::default(), send: vec![Vec::new(); WHEEL], budget_phases: phases.clamp(1, PHASES - 1) }
    }

    pub fn add(&mut self, leg: usize, receive_phase: usize, ptime_ms: u32) {
        self.receive[receive_phase % PHASES].push(leg);
        for slot in self.send_slots(receive_phase, ptime_ms) {
            self.send[slot].push(leg);
        }
    }

    pub fn remove(&mut self, leg: usize, receive_phase: usize, ptime_ms: u32) {
        self.receive[receive_phase % PHASES].retain(|other| *other != leg);
        for slot in self.send_slots(receive_phase, ptime_ms) {
            self.send[slot].retain(|other| *other != leg);
        }
    }

    fn send_slots(&self, receive_phase: usize, ptime_ms: u32) -> impl Iterator<Item = usize> + use<> {
        let step = (ptime_ms as usize / 2).clamp(5, WHEEL);
        let first = (receive_phase + self.budget_phases) % step.max(PHASES);
        (first % step..WHEEL).step_by(step)
    }

    /// This receive phase, or one soon after it with fewer legs.
    pub fn uncrowded(&self, receive_phase: usize) -> usize {
        let legs: usize = self.receive.iter().map(Vec::len).sum();
        let crowd = CROWD.max(2 * legs / PHASES);
        let load = |phase: &usize| self.receive[*phase].len() / crowd;
        (receive_phase..receive_phase + CROWDED_PHASES)
            .map(|phase| phase % PHASES)
            .min_by_key(load)
            .unwrap_or(receive_phase)
    }

    pub fn receiving(&self, phase: u64) -> &[usize] {
        &self.receive[(phase % PHASES as u64) as usize]
    }

    pub fn sending(&self, phase: u64) -> &[usize] {
        &self.send[(phase % WHEEL as u64) as usize]
    }

    /// From a leg's receive phase to the departure of the answer. Units: time.
    pub fn budget(&self) -> Duration {
        PHASE * self.budget_phases as u32
    }
}

/// The next phase to run when `due` has been run, and it is `now`: the following one, or later if a tick or more was lost.
pub fn following_phase(epoch: Instant, ran: u64, now: Instant) -> u64 {
    let current = (now.saturating_duration_since(epoch).as_nanos() / PHASE.as_nanos()) as u64;
    (ran + 1).max(current.saturating_sub(CATCH_UP_PHASES_MAX - 1))
}

pub fn due(epoch: Instant, phase: u64) -> Instant {
    epoch + Duration::from_nanos(PHASE.as_nanos() as u64 * phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_of_20_ms_sends_once_a_tick_one_budget_after_it_receives() {
        let mut schedule = Schedule::new(Duration::from_millis(10));
        schedule.add(7, 3, 20);
        for phase in 0..120 {
            assert_eq!(schedule.receiving(phase).contains(&7), phase % 10 == 3, "receive in phase {phase}");
            assert_eq!(schedule.sending(phase).contains(&7), phase % 10 == 8, "send in phase {phase}");
        }
    }

    #[test]
    fn every_ptime_sends_at_its_own_even_pace() {
        for (ptime_ms, phases) in [(10, 5), (20, 10), (30, 15), (40, 20), (60, 30)] {
            for receive_phase in 0..PHASES {
                let mut schedule = Schedule::new(Duration::from_millis(10));
                schedule.add(0, receive_phase, ptime_ms);
                let sends: Vec<u64> = (0..240).filter(|phase| schedule.sending(*phase).contains(&0)).collect();
                assert!(sends.windows(2).all(|pair| pair[1] - pair[0] == phases), "{ptime_ms} ms: {sends:?}");
                schedule.remove(0, receive_phase, ptime_ms);
                assert!(
                    (0..240).all(|phase| schedule.sending(phase).is_empty() && schedule.receiving(phase).is_empty())
                );
            }
        }
    }

    #[test]
    fn senders_that_all_send_at_once_are_spread_over_four_phases() {
        let mut schedule = Schedule::new(Duration::from_millis(10));
        for leg in 0..400 {
            schedule.add(leg, schedule.uncrowded(8), 20);
        }
        let legs = |phase: u64| schedule.receiving(phase).len();
        assert_eq!([8, 9, 0, 1].map(legs).iter().sum::<usize>(), 400);
        assert!([8, 9, 0, 1].map(legs).iter().all(|legs| (70..=160).contains(legs)), "{:?}", [8, 9, 0, 1].map(legs));
        assert_eq!(schedule.uncrowded(4), 4);
    }

    #[test]
    fn after_a_stall_missed_ticks_are_skipped_not_burst() {
        let epoch = Instant::now();
        let at = |ms| epoch + Duration::from_millis(ms);
        assert_eq!(following_phase(epoch, 10, at(21)), 11, "on time");
        assert_eq!(following_phase(epoch, 10, at(30)), 11, "a few phases late: all are run");
        assert_eq!(following_phase(epoch, 10, at(200)), 91, "100 - 9: each leg's phase once");
    }
}
