//! A bot plane without legs: tests play the media thread. The bots are `misbehave`'s, which `cargo xtask bots --tests` builds.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use call::{Called, Route, WallClock};
use plugin::{Engine, FrameKind, Generation, Limits};
use tokio::sync::mpsc;

use crate::bots::cell::Turn;
use crate::bots::{
    Allowance, BotPlaneEvent, Bots, FromCaller, LivePolicy, MediaEnds, NoServices, PHASES, Pressed, Services,
};

/// Only a hang takes as long.
const PATIENCE: Duration = Duration::from_secs(30);
pub const PROMPT: &str = "sorry.wav";

/// Compiled once for all tests; its epoch ticks until they are over.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let engine = Engine::new(Limits::default()).unwrap();
    let ticker = engine.ticker().unwrap();
    std::thread::spawn(move || ticker.run(&AtomicBool::new(false)));
    engine
});

static GENERATION: LazyLock<Generation> = LazyLock::new(|| named("misbehave"));

/// The same component under another name: another bot.
pub fn named(name: &str) -> Generation {
    Generation { number: 1, plugin: load(name) }
}

/// A component of its own in memory, though its bytes are the same.
pub fn load(name: &str) -> plugin::Plugin {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bots-test/misbehave.wasm");
    let bytes = std::fs::read(&path).expect("target/bots-test/misbehave.wasm: run `cargo xtask bots --tests`");
    ENGINE.load(name, &bytes).unwrap()
}

/// A bot of the test's own.
pub fn load_component(name: &str, component: &[u8]) -> plugin::Plugin {
    ENGINE.load(name, component).unwrap()
}

pub struct Plane {
    pub bots: Bots,
    events: mpsc::UnboundedReceiver<BotPlaneEvent>,
    seen: Vec<BotPlaneEvent>,
    calls: u64,
    pub generation: Generation,
}

/// One call, without its leg.
pub struct Line {
    pub call: call::CallId,
    pub ends: MediaEnds,
}

impl Plane {
    /// Of a generation that has proved itself.
    pub fn new() -> Self {
        let mut plane = Self::of_newcomers();
        plane.bots.proving.of(&plane.generation).store(true, Ordering::Relaxed);
        plane
    }

    pub fn of_newcomers() -> Self {
        Self::of(GENERATION.clone(), Arc::new(NoServices))
    }

    pub fn of(generation: Generation, services: Arc<dyn Services>) -> Self {
        let prompts = HashMap::from([(PROMPT.to_owned(), Arc::from([1; 400]))]);
        let (bots, events) = Bots::start(1, prompts, services).unwrap();
        Self { bots, events, seen: Vec::new(), calls: 0, generation }
    }

    /// Begins a call; its bot starts meanwhile.
    pub fn begin(&mut self, conduct: &str, config: &str) -> Line {
        self.calls += 1;
        let call = sip::DialogId(self.calls);
        let route = Route {
            name: "0".into(),
            trunk: None,
            called: Called::Prefix(String::new()),
            tenant: "t".into(),
            plugin: "misbehave".into(),
            bot: "misbehave".into(),
            config: serde_json::from_str(config).unwrap(),
            fallback: None,
            ring: false,
            max_calls: None,
        };
        let start = call::BotStart {
            route: Arc::new(route),
            id: call::call_name(call),
            caller: String::new(),
            called: conduct.to_owned(),
            trunk: "test".into(),
            headers: Arc::from([]),
            attributes: Vec::new(),
            seed: [1; 32],
        };
        let clock = WallClock { at: Instant::now(), unix_ms: 0 };
        self.bots.start_bot(
            call,
            0,
            &start,
            Ok(self.generation.clone()),
            Allowance::default(),
            crate::bots::Voice::none(),
            clock,
        );
        Line { call, ends: self.bots.take_media_ends(call).unwrap() }
    }

    /// Begins a call and waits for its bot's word.
    pub fn call(&mut self, conduct: &str) -> Line {
        self.call_with(conduct, "{}")
    }

    pub fn call_with(&mut self, conduct: &str, config: &str) -> Line {
        let line = self.begin(conduct, config);
        self.await_event(|event| matches!(event, BotPlaneEvent::Started { call, result: Ok(_) } if *call == line.call));
        let bot = Arc::clone(&self.bots.seats[&line.call].bot);
        until("the bot to be enlisted", || bot.enlisted.load(Ordering::Acquire));
        line
    }

    pub fn answer(&mut self, line: &Line) {
        self.bots.event(line.call, plugin::Event::Answered);
    }

    pub fn wake_all(&self) {
        (0..PHASES).for_each(|phase| self.bots.lanes()[0].wake(phase));
    }

    /// Wakes the lane again and again, as media threads do, until it is so.
    pub fn wake_until(&self, what: &str, mut so: impl FnMut() -> bool) {
        until(what, || {
            self.wake_all();
            so()
        });
    }

    /// The events of the plane up to and with the one that fits; it is the last.
    pub fn await_event(&mut self, fits: impl Fn(&BotPlaneEvent) -> bool) -> &[BotPlaneEvent] {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Ok(event) = self.events.try_recv() {
                self.seen.push(event);
            }
            if let Some(at) = self.seen.iter().position(&fits) {
                return &self.seen[..=at];
            }
            assert!(Instant::now() < deadline, "it never came; {:?}", self.seen);
            self.wake_all();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn await_fault(&mut self, line: &Line) -> String {
        let seen = self.await_event(|event| matches!(event, BotPlaneEvent::Faulted { call, .. } if *call == line.call));
        match seen.last() {
            Some(BotPlaneEvent::Faulted { why, .. }) => why.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub fn end(&mut self, line: &Line) -> call::BotStats {
        self.bots.close(line.call);
        let seen = self.await_event(|event| matches!(event, BotPlaneEvent::Ended { call, .. } if *call == line.call));
        match seen.last() {
            Some(BotPlaneEvent::Ended { stats, .. }) => (**stats).clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Activates another build, which has proved itself elsewhere. Returns its number.
    pub fn activate(&mut self, live: LivePolicy, limit: Option<Duration>) -> u64 {
        let plugin = load("misbehave");
        self.generation = Generation { number: self.generation.number + 1, plugin };
        self.bots.proving.of(&self.generation).store(true, Ordering::Relaxed);
        self.bots.replace("misbehave", &self.generation, live, limit, Instant::now());
        self.generation.number
    }

    pub fn await_moved(&mut self, line: &Line) {
        self.await_event(|event| matches!(event, BotPlaneEvent::Moved { call, .. } if *call == line.call));
    }

    pub fn await_not_moved(&mut self, line: &Line) -> String {
        let seen =
            self.await_event(|event| matches!(event, BotPlaneEvent::NotMoved { call, .. } if *call == line.call));
        match seen.last() {
            Some(BotPlaneEvent::NotMoved { why, .. }) => why.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub fn told_not_moved(&mut self, line: &Line) -> bool {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push(event);
        }
        self.seen.iter().any(|event| matches!(event, BotPlaneEvent::NotMoved { call, .. } if *call == line.call))
    }

    /// Forgets what was seen, so that the next wait is for something new.
    pub fn forget(&mut self) {
        while self.events.try_recv().is_ok() {}
        self.seen.clear();
    }

    /// What the bot noted last under this key.
    pub fn noted(&mut self, line: &Line, key: &str) -> Option<String> {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push(event);
        }
        self.seen.iter().rev().find_map(|event| match event {
            BotPlaneEvent::Act { call, act: call::BotAct::Note { key: noted, value } }
                if *call == line.call && noted == key =>
            {
                Some(value.clone())
            }
            _ => None,
        })
    }

    /// Turns of the bot until it has noted that.
    pub fn await_note(&mut self, line: &Line, key: &str, value: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.noted(line, key).as_deref() != Some(value) {
            assert!(Instant::now() < deadline, "{key} is {:?}, not {value}; {:?}", self.noted(line, key), self.seen);
            self.wake_all();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// One turn of the bot as at that time, by whoever has it now.
    pub fn turn_at(&self, line: &Line, now: Instant) {
        let bot = Arc::clone(&self.bots.seats[&line.call].bot);
        let turn = Turn { woken: now, others: Duration::ZERO, patience: Duration::from_secs(10), suspect: false };
        bot.cell.enter().run(now, turn, &mut |report| bot.tell(report));
    }

    /// What has been told of one call so far, in order.
    pub fn told(&mut self, line: &Line) -> Vec<String> {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push(event);
        }
        let told = self.seen.iter().filter_map(|event| match event {
            BotPlaneEvent::Started { call, result } if *call == line.call => Some(format!("{result:?}")),
            BotPlaneEvent::Act { call, act } if *call == line.call => Some(format!("{act:?}")),
            BotPlaneEvent::Faulted { call, why } if *call == line.call => Some(why.clone()),
            BotPlaneEvent::FallbackPlayed { call } if *call == line.call => Some("FallbackPlayed".into()),
            _ => None,
        });
        told.collect()
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.bots.stop();
    }
}

impl Line {
    /// A frame from the caller, its answer due in a year: nothing is late here.
    pub fn frame(&mut self, tick: u64) {
        let due = Instant::now() + Duration::from_secs(31_536_000);
        let frame =
            FromCaller { tick, kind: FrameKind::Audio, budget_ms: 10, delay_ms: 0, samples: [tick as i16; 160], due };
        assert!(self.ends.frames.push(frame).is_ok(), "the ring is full");
    }

    /// Whether the bot is done with this tick.
    pub fn answered(&self, tick: u64) -> bool {
        self.ends.shared.answered.load(Ordering::Acquire) > tick
    }

    pub fn press(&mut self, key: char) {
        self.ends.press(Pressed { key, tick: 0 });
    }
}

pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_micros(500));
    }
}
