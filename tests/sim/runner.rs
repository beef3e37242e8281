//! Runs seeds and says which one failed, of what, and how to see it again.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::scenario::Scenario;
use crate::world::World;

/// The causes of [`call::Summary`] that the scenarios are made to reach.
pub const CAUSES: &[&str] = &[
    "bye",
    "cancel",
    "no-route",
    "quota",
    "overload",
    "no-ports",
    "drain",
    "media",
    "bot-refused",
    "bot-not-loadable",
    "bot-fault",
    "bot-timeout",
    "not-answered",
    "no-ack",
    "media-timeout",
    "session-expired",
    "gone",
    "too-long",
    "operator",
    "transferred",
    "internal",
];
/// Lines of the trace that a failure shows.
const LAST_LINES: usize = 60;

/// What became of one seed.
pub struct Run {
    pub violation: Option<String>,
    /// Empty unless it was asked for.
    pub trace: Vec<String>,
    /// Of every packet and message, and when it left.
    pub fingerprint: u64,
    pub causes: BTreeSet<&'static str>,
}

/// What the environment asks for.
pub enum Seeds {
    Default,
    One(u64),
    Range(Range<u64>),
}

impl Seeds {
    pub fn asked() -> Seeds {
        let number = |text: &str| text.trim().parse().unwrap_or_else(|_| panic!("`{text}` is no seed"));
        if let Ok(seed) = std::env::var("SIM_SEED") {
            return Seeds::One(number(&seed));
        }
        let Ok(range) = std::env::var("SIM_SEEDS") else { return Seeds::Default };
        let (first, last) = range.split_once("..").unwrap_or_else(|| panic!("SIM_SEEDS is FIRST..LAST, not `{range}`"));
        Seeds::Range(number(first)..number(last))
    }
}

/// Plays one seed to its end. A panic of the code under test is a violation like any other.
pub fn run(seed: u64, traced: bool) -> Run {
    let mut world = World::new(Scenario::of(seed), traced);
    let played = catch_unwind(AssertUnwindSafe(|| world.play()));
    let mut violation = world.sim.violation.take();
    if let Err(panic) = played {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        violation = Some(format!("panicked: {}", text.unwrap_or("without words")));
    }
    if let Some(violation) = &violation {
        world.sim.say(|| format!("VIOLATION  {violation}"));
    }
    Run {
        violation,
        fingerprint: world.sim.fingerprint,
        causes: std::mem::take(&mut world.host.books.causes),
        trace: std::mem::take(&mut world.sim.trace),
    }
}

/// All of them, on the cores there are; then the failures, smallest seed first and in full. Returns how their calls ended.
pub fn run_all(seeds: impl IntoIterator<Item = u64>) -> BTreeSet<&'static str> {
    let seeds: Vec<u64> = seeds.into_iter().collect();
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4));
    let parts = seeds.chunks(seeds.len().div_ceil(threads).max(1));
    let runs: Vec<(u64, Run)> = std::thread::scope(|scope| {
        let play = |part: &[u64]| part.iter().map(|seed| (*seed, run(*seed, false))).collect::<Vec<_>>();
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || play(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a run catches panics")).collect()
    });
    let failed = runs.iter().filter_map(|(seed, run)| Some((seed, run.violation.as_ref()?)));
    let mut failed: Vec<_> = failed.collect();
    failed.sort();
    let Some((seed, _)) = failed.first() else { return runs.iter().flat_map(|(_, run)| run.causes.clone()).collect() };
    let trace = run(**seed, true).trace;
    println!("{}", trace[trace.len().saturating_sub(LAST_LINES)..].join("\n"));
    let lines: Vec<String> = failed
        .iter()
        .map(|(seed, violation)| format!("seed {seed}: {violation}\n    replay: cargo xtask sim --seed {seed}"))
        .collect();
    panic!("{} of {} seeds failed\n{}", failed.len(), seeds.len(), lines.join("\n"));
}
