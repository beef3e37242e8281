//! What everybody in the simulation shares: the time, what is to happen when, chance, and the trace.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use call::CallId;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::bot::BotDo;
use crate::scenario::HostAct;
use crate::stream::PressTag;

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A party to the signalling of one caller's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Caller,
    Host,
}

impl End {
    pub fn other(self) -> End {
        if self == End::Caller { End::Host } else { End::Caller }
    }
}

/// Whose leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegOf {
    Caller(usize),
    Host(CallId),
}

/// A datagram of the media plane under way.
#[derive(Clone, Debug)]
pub struct MediaDatagram {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
    /// Which press it belongs to, if it is a telephone-event.
    pub press: Option<PressTag>,
}

/// What happens at a moment to come.
#[derive(Debug)]
pub enum Due {
    /// A SIP datagram arrives.
    Datagram {
        caller: usize,
        at: End,
        bytes: Vec<u8>,
    },
    /// A piece of a stream arrives.
    Stream {
        connection: u64,
        at: End,
        bytes: Vec<u8>,
    },
    /// One end learns that the connection is gone.
    Closed {
        connection: u64,
        at: End,
    },
    /// A connection that was asked for has come, or not.
    Connect {
        caller: usize,
        by: End,
        id: sip::ConnectId,
        works: bool,
    },
    Cut {
        caller: usize,
    },
    Media(MediaDatagram),
    ReceivePhase(LegOf),
    SendPhase(LegOf),
    /// The edge has something to tell the calls.
    Edge(Box<call::Input>),
    Bot {
        call: CallId,
        act: BotDo,
    },
    Dial {
        caller: usize,
    },
    Cancel {
        caller: usize,
    },
    Vanish {
        caller: usize,
    },
    GiveUp {
        caller: usize,
    },
    /// The caller's act of this number.
    Act {
        caller: usize,
        number: usize,
    },
    UpdateAgain {
        caller: usize,
        left: u32,
    },
    /// The caller's NOTIFY of this number.
    Notify {
        caller: usize,
        number: usize,
    },
    Host(HostAct),
}

pub struct Sim {
    pub begin: Instant,
    pub now: Instant,
    queue: BTreeMap<(Instant, u64), Due>,
    serial: u64,
    pub random: SmallRng,
    traced: bool,
    pub trace: Vec<String>,
    pub fingerprint: u64,
    pub violation: Option<String>,
}

impl Sim {
    pub fn new(seed: u64, traced: bool) -> Sim {
        let begin = Instant::now();
        Sim {
            begin,
            now: begin,
            queue: BTreeMap::new(),
            serial: 0,
            random: SmallRng::seed_from_u64(seed ^ 0x5e7_1de5),
            traced,
            trace: Vec::new(),
            fingerprint: 0xcbf2_9ce4_8422_2325,
            violation: None,
        }
    }

    pub fn at(&mut self, at: Instant, due: Due) {
        self.serial += 1;
        self.queue.insert((at.max(self.now), self.serial), due);
    }

    pub fn after(&mut self, after_ms: u64, due: Due) {
        self.at(self.now + ms(after_ms), due);
    }

    pub fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is due by now, one at a time.
    pub fn take_due(&mut self) -> Option<Due> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= self.now).then(|| entry.remove())
    }

    pub fn elapsed(&self) -> Duration {
        self.now - self.begin
    }

    pub fn permille(&mut self, chance: u32) -> bool {
        chance > 0 && self.random.random_range(0..1000) < chance
    }

    pub fn up_to(&mut self, most: u64) -> u64 {
        self.random.random_range(0..=most)
    }

    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if self.traced {
            let line = format!("{:.3}  {}", self.elapsed().as_secs_f64(), line());
            self.trace.push(line);
        }
    }

    /// A line that brings its own time.
    pub fn say_line(&mut self, line: impl FnOnce() -> String) {
        if self.traced {
            self.trace.push(line());
        }
    }

    /// Only the first one counts: what follows may be its consequence.
    pub fn fail(&mut self, violation: impl Into<String>) {
        self.violation.get_or_insert_with(|| violation.into());
    }

    pub fn must(&mut self, holds: bool, rule: impl FnOnce() -> String) {
        if !holds {
            self.fail(rule());
        }
    }

    pub fn take(&mut self, result: Result<(), String>) {
        if let Err(violation) = result {
            self.fail(violation);
        }
    }

    /// FNV-1a over what leaves, and when.
    pub fn stamp(&mut self, bytes: &[u8]) {
        let micros = self.elapsed().as_micros() as u64;
        for byte in micros.to_le_bytes().iter().chain(bytes) {
            self.fingerprint = (self.fingerprint ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}
