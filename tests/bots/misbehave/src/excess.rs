//! Too much of everything, asked of the host directly: the SDK would ask in reasonable pieces.

use std::hint::black_box;

use patchbay_sdk::Call;
use patchbay_sdk::bindings::patchbay::bot::{call as host, config, log, playout, random, timer};

use crate::conduct::Conduct;

const MANY: u64 = 100_000;

/// The notes of what the host let pass are the test's evidence.
pub fn at_answer(conduct: Conduct, call: &Call) {
    match conduct {
        Conduct::HugeWrite => {
            let written = playout::write(&vec![1; 4_000_000]);
            call.note("accepted", &written.accepted.to_string());
        }
        Conduct::HugeLog => {
            let message = "x".repeat(64 << 10);
            (0..1_000).for_each(|line| log::write(log::Level::Info, "huge", line, &message));
        }
        Conduct::HugeNote => {
            let value = "x".repeat(64 << 10);
            let long = u64::from(host::note("long", &value).is_ok());
            call.note(
                "taken",
                &(long + taken(100, |at| host::note(&format!("key {at}"), "value").is_ok())).to_string(),
            );
        }
        Conduct::HugeDigits => {
            call.note("taken", &host::send_digits(&"1".repeat(1_000)).is_ok().to_string());
        }
        Conduct::HugeRandom => {
            call.note("bytes", &random::bytes(u32::MAX).len().to_string());
        }
        Conduct::HugeNames => {
            let name = "x".repeat(512 << 10);
            let found = [
                !host::header(&name).is_empty(),
                host::attribute(&name).is_some(),
                config::get(&name).is_some(),
                playout::mark(&name).is_ok(),
            ];
            call.note("taken", &found.iter().filter(|found| **found).count().to_string());
        }
        Conduct::HugerName => {
            call.note("taken", &host::header(&"x".repeat(2 << 20)).len().to_string());
        }
        Conduct::FarTimer => {
            call.note("taken", &timer::set(u64::MAX / 2).is_ok().to_string());
        }
        Conduct::ManyTimers => {
            call.note("taken", &taken(MANY, |_| timer::set(60_000).is_ok()).to_string());
        }
        Conduct::ManyMarks => {
            playout::write(&[1; 8_000]);
            call.note("taken", &taken(MANY, |_| playout::mark("again").is_ok()).to_string());
        }
        Conduct::ManyClears => {
            (0..MANY).for_each(|_| {
                playout::clear();
            });
        }
        _ => {}
    }
}

/// One of everything that a bot can have under way; the ids of timer and mark are noted.
pub fn begin_everything(call: &Call) {
    playout::write(&[1; 800]);
    let ids = [timer::set(100), playout::mark("said")].map(|id| id.map_or(0, |id| id));
    call.note("began", &format!("{} {}", ids[0], ids[1]));
    log::write(log::Level::Info, "busy", 1, "began everything");
    if host::send_digits("1").is_err() {
        call.note("digits", "refused");
    }
}

fn taken(tries: u64, attempt: impl Fn(u64) -> bool) -> u64 {
    (0..tries).filter(|&at| attempt(at)).count() as u64
}

pub fn fill_for_ever() -> ! {
    let mut memory = vec![0_u8; 8 << 20];
    let mut value = 0_u8;
    loop {
        value = value.wrapping_add(1);
        memory.fill(value);
        black_box(&memory);
    }
}

/// Not a loop to the compiler: each level needs the one below.
pub fn recurse(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    if black_box(true) { recurse(depth + 1) + room[7] } else { depth }
}

/// Blocks that long, as a language runtime's sleep does.
pub fn wait(ms: u64) {
    waits::wasi::clocks::monotonic_clock::subscribe_duration(ms * 1_000_000).block();
}

/// As a runtime does that waits for several things.
pub fn poll(ms: u64) {
    let pollable = waits::wasi::clocks::monotonic_clock::subscribe_duration(ms * 1_000_000);
    black_box(waits::wasi::io::poll::poll(&[&pollable]));
}

pub fn poll_for_ever() -> ! {
    let ready = waits::wasi::clocks::monotonic_clock::subscribe_duration(0);
    loop {
        black_box(waits::wasi::io::poll::poll(&[&ready]));
    }
}

mod waits {
    wit_bindgen::generate!({ world: "waits", path: "wit", generate_all });
}
