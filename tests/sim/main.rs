//! Calls in virtual time: real [`sip::Endpoint`]s, [`call::Calls`] and [`media::Leg`]s on both sides, over networks that lose,
//! copy, reorder, delay and cut. A seed decides everything: who calls, what each party does when, and what the network does to it.
//! After every step the rules of `books` and `stream` must hold, and at the end nothing may be left.
//!
//! One seed again, with its ladder: `cargo xtask sim --seed N` (or `SIM_SEED=N cargo test -p patchbay-tests --test sim --
//! --nocapture`). A range: `SIM_SEEDS=1000..2000`.
//!
//! Start reading at [`scenario`] (what a seed comes to), then [`world`] (how time passes), then who takes part: [`caller`],
//! [`host`], [`bot`], [`network`]; what one leg does on its media thread is [`talker`].

mod books;
mod bot;
mod caller;
mod description;
mod host;
mod network;
mod offers;
mod runner;
mod scenario;
mod sim;
mod stream;
mod talker;
mod transfer;
mod world;

use runner::{Seeds, run, run_all};

/// Seeds that found something once. What each found is in the commit that fixed it.
const REGRESSIONS: &[u64] = &[214, 764, 1862, 2062, 2528];
/// What a plain `cargo test` goes through.
const DEFAULT_SEEDS: u64 = 800;

#[test]
fn no_seed_breaks_a_rule() {
    match Seeds::asked() {
        Seeds::One(seed) => {
            let run = run(seed, true);
            println!("{}", run.trace.join("\n"));
            assert_eq!(run.violation, None, "seed {seed}");
        }
        Seeds::Range(range) => drop(run_all(range)),
        Seeds::Default => {
            let causes = run_all(0..DEFAULT_SEEDS);
            // So that a change of the scenarios does not quietly take away what they are for.
            let missing: Vec<_> = runner::CAUSES.iter().filter(|cause| !causes.contains(*cause)).collect();
            assert!(missing.is_empty(), "no default seed ends a call by {missing:?}");
        }
    }
}

#[test]
fn seeds_that_once_broke_a_rule_do_so_no_more() {
    run_all(REGRESSIONS.iter().copied());
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 2, 3, 5, 8, 13, 21, 34] {
        let (first, second) = (run(seed, true), run(seed, true));
        assert!(first.trace.len() > 10, "seed {seed} has a trace");
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.fingerprint, second.fingerprint, "seed {seed}: the same packets at the same times");
    }
}
