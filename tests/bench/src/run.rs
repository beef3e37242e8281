//! One measurement, from the first call to the figures.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::figures::{self, Seen};
use crate::leg::{Leg, Ports};
use crate::rush::Rush;
use crate::tally::Clock;
use crate::traffic::Traffic;
use crate::uac::Uac;
use crate::{Load, measured};

/// Legs whose packets are timed: all, if there are not so many.
const SAMPLED_LEGS: usize = 120;
/// Calls placed one at a time, before the others are placed ...
const SINGLE_CALLS: usize = 100;
/// ... so many at a time.
const IN_FLIGHT: usize = 20;
/// Jitter buffers remember the rush of the set-up for 4 s, and then correct themselves within a second.
const WARM_UP: Duration = Duration::from_secs(6);
/// Until the last frames are back.
const TAIL: Duration = Duration::from_secs(1);
/// Until the memory of calls that are over is given back.
const REST: Duration = Duration::from_secs(2);

pub fn run(load: &Load) -> Result<()> {
    let clock = Clock::new();
    let traffic = Traffic::start(clock.clone());
    let rss_base_kib = measured::rss_kib(load.pid)?;
    let (mut uac, setups_per_second) = bring_up(load, &traffic, Refused::Never)?;
    let mut held = load.sip.filter(|_| load.held > 0).map(|host| hold(load, host)).transpose()?;
    let mut rush = None;
    let from = Instant::now() + WARM_UP;
    let until = from + Duration::from_secs(load.seconds);
    traffic.measure(from, until);
    wait_until(&mut uac, &mut rush, from)?;
    let before = measured::look(load.pid)?;
    rush = load.sip.filter(|_| load.setups > 0).map(|host| Rush::begin(load, host)).transpose()?;
    wait_until(&mut uac, &mut rush, until)?;
    let after = measured::look(load.pid)?;
    let rss_kib = measured::rss_kib(load.pid)?;
    let rushed = rush.take().map(Rush::end).transpose()?;
    wait_until(&mut uac, &mut None, until + TAIL)?;
    let legs = traffic.stop()?;
    let setups = uac.as_ref().map(|uac| uac.setups.clone()).unwrap_or_default();
    if let Some((held, _)) = &mut held {
        held.hang_up(IN_FLIGHT)?;
    }
    if let Some(uac) = &mut uac {
        uac.hang_up(IN_FLIGHT)?;
        uac.wait_until(Instant::now() + REST)?;
    }
    let seen = Seen {
        calls: load.calls,
        seconds: load.seconds,
        interval: (clock.of(from), clock.of(until)),
        budget_ms: load.budget_ms,
        legs,
        cpu: (before, after),
        rss_kib: [rss_base_kib, rss_kib, measured::rss_kib(load.pid)?],
        setups: setups.into_iter().take(SINGLE_CALLS).collect(),
        setups_per_second,
    };
    let mut figures = figures::of(&seen);
    // Its sockets make room for the second wave's.
    drop(seen);
    if let Some((_, up)) = held {
        figures["held_calls"] = up.into();
        figures["held_calls_refused"] = (load.held - up).into();
    }
    if let Some((placed, failed, setups)) = rushed {
        figures["rush_calls"] = placed.into();
        figures["rush_calls_failed"] = failed.into();
        figures::add_setups(&mut figures, "rush_setup", setups);
    }
    if load.sip.is_some() {
        let (rss_kib, refused) = second_wave(load, &clock)?;
        figures["rss_after_second_kib"] = rss_kib.into();
        figures["second_wave_refused"] = refused.into();
    }
    println!("{figures}");
    Ok(())
}

fn wait_until(uac: &mut Option<Uac>, rush: &mut Option<Rush>, moment: Instant) -> Result<()> {
    while let Some(rush) = rush.as_mut().filter(|_| Instant::now() < moment) {
        rush.turn()?;
        if let Some(uac) = uac {
            uac.wait_until(Instant::now())?;
        }
    }
    match uac {
        Some(uac) => uac.wait_until(moment),
        None => {
            std::thread::sleep(moment.saturating_duration_since(Instant::now()));
            Ok(())
        }
    }
}

/// Calls on hold, and how many of them are up.
fn hold(load: &Load, host: SocketAddr) -> Result<(Uac, usize)> {
    let mut uac = Uac::connect(host, load.srtp.as_deref(), &load.bot)?;
    uac.tolerant = true;
    let up = uac.hold(load.held, IN_FLIGHT)?;
    Ok((uac, up))
}

/// As many calls once more, for a few seconds: what the host holds after them is what it keeps, not what it had to grow. With those that a host
/// refused, which the first wave had brought to its limits.
fn second_wave(load: &Load, clock: &Clock) -> Result<(u64, usize)> {
    let traffic = Traffic::start(clock.clone());
    let (mut uac, _) = bring_up(load, &traffic, Refused::AtTimes)?;
    wait_until(&mut uac, &mut None, Instant::now() + WARM_UP)?;
    traffic.stop()?;
    if let Some(uac) = &mut uac {
        uac.hang_up(IN_FLIGHT)?;
        uac.wait_until(Instant::now() + REST)?;
    }
    Ok((measured::rss_kib(load.pid)?, uac.map_or(0, |uac| uac.lost.len())))
}

/// Whether calls that the host refuses or ends are part of what is measured.
#[derive(PartialEq)]
enum Refused {
    Never,
    AtTimes,
}

/// All legs send. With SIP: the calls, and how many a second were set up while several were in flight.
fn bring_up(load: &Load, traffic: &Traffic, refused: Refused) -> Result<(Option<Uac>, f64)> {
    let mut started = 0;
    let sampled = load.calls.min(SAMPLED_LEGS);
    let mut up = |mut leg: Leg| {
        // Spread over the phases, and over early and late calls.
        if started * sampled / load.calls != (started + 1) * sampled / load.calls {
            leg.make_sample()?;
        }
        started += 1;
        traffic.add(leg);
        Ok(())
    };
    if let Some(first_port) = load.echo_port {
        let mut ports = Ports::new();
        for number in 0..load.calls {
            let mut leg = Leg::bind(number, &mut ports)?;
            leg.connect(first_port + 2 * number as u16, None)?;
            up(leg)?;
        }
        return Ok((None, 0.0));
    }
    let host = load.sip.context("neither a host nor an echo")?;
    let mut uac = Uac::connect(host, load.srtp.as_deref(), &load.bot)?;
    uac.tolerant = refused == Refused::AtTimes;
    let mut began = (Instant::now(), 0);
    uac.place(load.calls.min(SINGLE_CALLS), 1, &mut up)?;
    if load.calls > SINGLE_CALLS {
        began = (Instant::now(), SINGLE_CALLS);
        uac.place(load.calls, IN_FLIGHT, &mut up)?;
    }
    let per_second = (load.calls - began.1) as f64 / began.0.elapsed().as_secs_f64();
    Ok((Some(uac), per_second))
}
