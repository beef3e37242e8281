//! The beat of a leg's sender: when, within the tick, its packets arrive. Looked for once, at the beginning of a call, by reading the
//! leg's socket in every phase; no clock and no socket in here. See docs/decisions/receive-phase.md.

use super::schedule::PHASE;
use crate::bots::PHASES;

/// So many packets show the beat: 80 ms, as many as settle the source.
const PACKETS: usize = 5;
/// Of these, one may be later than what is taken for the beat.
const TYPICAL: usize = PACKETS - 2;
/// Whose packets lie further apart than this has none.
const SCATTER_MAX_US: i64 = 8_000;
/// From a packet's arrival to the phase that reads it, at least.
const MARGIN_US: i64 = 500;
/// A caller that says nothing for so long is read once a tick, like everybody: 2 s.
const PHASES_MAX: u64 = 100 * PHASES as u64;

const PHASE_US: i64 = PHASE.as_micros() as i64;
const TICK_US: i64 = PHASE_US * PHASES as i64;

/// What became of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    NotYet,
    /// Packets are best read in this phase of the tick.
    In(usize),
    /// There is none to be found.
    Nowhere,
}

#[derive(Debug)]
pub struct Listening {
    since: u64,
    arrivals_us: [i64; PACKETS],
    heard: usize,
}

impl Listening {
    pub fn new(phase: u64) -> Self {
        Self { since: phase, arrivals_us: [0; PACKETS], heard: 0 }
    }

    /// A packet was read in this phase and had waited for so long.
    pub fn heard(&mut self, phase: u64, waited_us: i64) {
        if let Some(arrival) = self.arrivals_us.get_mut(self.heard) {
            *arrival = phase as i64 * PHASE_US - waited_us.clamp(0, TICK_US);
            self.heard += 1;
        }
    }

    pub fn beat(&self, phase: u64) -> Beat {
        if self.heard < PACKETS {
            return if phase >= self.since + PHASES_MAX { Beat::Nowhere } else { Beat::NotYet };
        }
        // How much later than the first each came, the short way round the tick.
        let first = self.arrivals_us[0];
        let mut late = self.arrivals_us.map(|at| (at - first + TICK_US / 2).rem_euclid(TICK_US) - TICK_US / 2);
        late.sort_unstable();
        if late[TYPICAL] - late[1] > SCATTER_MAX_US {
            return Beat::Nowhere;
        }
        let wanted = (first + late[TYPICAL] + MARGIN_US).rem_euclid(TICK_US);
        Beat::In((wanted + PHASE_US - 1).div_euclid(PHASE_US) as usize % PHASES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(arrivals_us: &[i64]) -> Beat {
        let mut listening = Listening::new(0);
        let mut last = 0;
        for (n, at) in arrivals_us.iter().enumerate() {
            let at = 100_000 + n as i64 * TICK_US + at;
            let phase = (at + PHASE_US - 1) / PHASE_US;
            listening.heard(phase as u64, phase * PHASE_US - at);
            last = phase as u64;
        }
        listening.beat(last)
    }

    #[test]
    fn packets_are_read_in_the_first_phase_that_begins_half_a_millisecond_after_most_of_them() {
        for (arrivals_us, found) in [
            ([0; 5], Beat::In(1)),
            ([1400; 5], Beat::In(1)),
            ([1600; 5], Beat::In(2)),
            ([19_000; 5], Beat::In(0)),
            // Some before the turn of the tick and some after it.
            ([-300, 300, -200, 200, 0], Beat::In(1)),
            // One that was held up says nothing about the others, one that was early neither.
            ([3000, 3100, 9900, 3000, 3200], Beat::In(2)),
            ([3000, 3100, 1000, 3000, 3200], Beat::In(2)),
            ([0, 9500, -9000, 4000, -5000], Beat::Nowhere),
        ] {
            assert_eq!(beat(&arrivals_us), found, "{arrivals_us:?}");
        }
    }

    #[test]
    fn four_packets_are_too_few_and_a_silent_caller_is_listened_to_for_two_seconds() {
        assert_eq!(beat(&[0; 4]), Beat::NotYet);
        let listening = Listening::new(7);
        assert_eq!((listening.beat(1006), listening.beat(1007)), (Beat::NotYet, Beat::Nowhere));
    }
}
