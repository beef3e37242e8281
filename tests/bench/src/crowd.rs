//! Many callers who talk for as long as somebody wants them to, while he does something else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::figures::lateness;
use crate::leg::Ports;
use crate::tally::{Clock, Heard, Nanos, Sample};
use crate::traffic::Traffic;
use crate::uac::{Lost, Uac};

/// Few, so that no `start` waits long for those before it.
const IN_FLIGHT: usize = 8;
/// The longest that a crowd notices late that it shall go.
const LOOK: Duration = Duration::from_millis(50);
/// From the last packet of ours to the first BYE: until the host has taken it.
const TAIL: Duration = Duration::from_secs(1);
/// Callers whose packets are timed.
const TIMED: usize = 120;
/// A departure that is later is late: one phase of the host's tick.
const LATE: Nanos = 2_000_000;
/// No crowd stays longer, or frames after it do not count.
const STAY_MAX: Duration = Duration::from_secs(1800);

/// Calls that are up. Dropped without [`Crowd::leave`], they stay until the process ends.
pub struct Crowd {
    leaving: Arc<AtomicBool>,
    thread: JoinHandle<Result<Crowded>>,
}

/// What a crowd saw.
#[derive(Debug, Default)]
pub struct Crowded {
    pub callers: Vec<Caller>,
    /// Calls that the host refused or ended.
    pub lost: Vec<Lost>,
}

/// One caller's packets.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    pub sent: u64,
    pub heard: Heard,
    /// Frames that did not come back exactly once. Only an echo gives them back, and a jitter buffer may drop or double some.
    pub unreturned: u64,
    /// Packets of the host more than a phase of its tick after their place on the leg's own grid of 20 ms. Only of so many callers;
    /// of the others 0.
    pub late_departures: u64,
}

impl Crowd {
    /// Returns when all have been answered or refused, and have talked for `warm_up`: frames count from then on.
    pub fn come(host: SocketAddr, called: &str, calls: usize, warm_up: Duration) -> Result<Crowd> {
        let leaving = Arc::new(AtomicBool::new(false));
        let (here, arrived) = channel();
        let (called, until) = (called.to_owned(), Arc::clone(&leaving));
        let thread = std::thread::spawn(move || {
            let clock = Clock::new();
            let traffic = Traffic::start(clock.clone());
            let mut uac = Uac::connect(host, None, &called)?;
            uac.tolerant = true;
            uac.ports = Ports::sparse(calls);
            let mut timed = 0..TIMED;
            uac.place(calls, IN_FLIGHT, &mut |mut leg| {
                if timed.next().is_some() {
                    leg.make_sample()?;
                }
                traffic.add(leg);
                Ok(())
            })?;
            uac.wait_until(Instant::now() + warm_up)?;
            let from = Instant::now();
            traffic.measure(from, from + STAY_MAX);
            // Nobody waits for it if that one has given up.
            let _ = here.send(());
            stay(uac, traffic, &until, &clock, from)
        });
        let crowd = Crowd { leaving, thread };
        match arrived.recv() {
            Ok(()) => Ok(crowd),
            Err(_) => Err(crowd.leave().err().unwrap_or_else(|| anyhow!("a crowd that never came"))),
        }
    }

    /// All hang up.
    pub fn leave(self) -> Result<Crowded> {
        self.leaving.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the crowd's thread panicked")).and_then(|seen| seen.context("a crowd"))
    }
}

fn stay(mut uac: Uac, traffic: Traffic, until: &AtomicBool, clock: &Clock, from: Instant) -> Result<Crowded> {
    while !until.load(Ordering::Relaxed) {
        uac.wait_until(Instant::now() + LOOK)?;
    }
    let interval = (clock.of(from), clock.now());
    traffic.hush();
    uac.wait_until(Instant::now() + TAIL)?;
    uac.hang_up(IN_FLIGHT)?;
    let legs = traffic.stop()?;
    let late = |sample: &Sample| lateness(sample, interval).iter().filter(|late| **late > LATE).count() as u64;
    let callers = legs.iter().map(|leg| Caller {
        sent: leg.sent().into(),
        heard: leg.heard,
        unreturned: leg.returned.lost() as u64,
        late_departures: leg.sample.as_deref().map_or(0, late),
    });
    Ok(Crowded { callers: callers.collect(), lost: uac.lost })
}
