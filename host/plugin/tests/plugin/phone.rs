//! A call as the tests see it: a port that writes down what the bot did, and the engine that all tests share.

use plugin::{
    CallInfo, CallPort, Engine, Fault, FrameAnswer, FrameKind, Header, HostError, Instance, Limits, LogLevel, Pair,
    Plugin, Request, StartReason, Started, VoiceRules, WebSocketRequest, Written,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// What the bot did to its call, in order, one line each; and, apart, how often it overstayed, which on a busy machine any bot may.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<String>>>, Arc<AtomicU32>);

impl Journal {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub fn overstayed(&self) -> u32 {
        self.1.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Default)]
pub struct Phone {
    pub journal: Journal,
    pub now_ms: Arc<Mutex<u64>>,
    pub panics_in_answer: bool,
}

impl CallPort for Phone {
    fn header(&self, name: &str) -> Vec<String> {
        self.journal.note(format!("header {} bytes", name.len()));
        vec!["one".to_owned(), "two".to_owned()]
    }
    fn attribute(&self, name: &str) -> Option<String> {
        self.journal.note(format!("attribute {} bytes", name.len()));
        Some("PCMA".to_owned())
    }
    fn answer(&mut self) {
        assert!(!self.panics_in_answer, "a defect of the host");
        self.journal.note("answer".to_owned());
    }
    fn hangup(&mut self, after_playout: bool) {
        self.journal.note(format!("hangup {after_playout}"));
    }
    fn send_digits(&mut self, keys: &str) -> Result<u64, HostError> {
        self.journal.note(format!("send-digits {keys}"));
        Ok(77)
    }
    fn note(&mut self, key: &str, value: &str) -> Result<(), HostError> {
        self.journal.note(format!("note {} {} bytes", key.len(), value.len()));
        Ok(())
    }
    fn want_frames(&mut self, wanted: bool) {
        self.journal.note(format!("want-frames {wanted}"));
    }
    fn done(&mut self) {
        self.journal.note("done".to_owned());
    }
    fn playout_write(&mut self, samples: &[i16]) -> Written {
        self.journal.note(format!("write {}", samples.len()));
        Written { accepted: 5, queued_ms: 6 }
    }
    fn playout_clear(&mut self) -> u64 {
        self.journal.note("clear".to_owned());
        78
    }
    fn playout_mark(&mut self, name: &str) -> Result<u64, HostError> {
        self.journal.note(format!("mark {} bytes", name.len()));
        Ok(79)
    }
    fn timer_set(&mut self, after_ms: u64) -> Result<u64, HostError> {
        self.journal.note(format!("timer {after_ms}"));
        Err(HostError { code: "too-many", message: "64 wait".to_owned() })
    }
    fn timer_cancel(&mut self, id: u64) -> bool {
        self.journal.note(format!("cancel {id}"));
        true
    }
    fn now_ms(&self) -> u64 {
        *self.now_ms.lock().unwrap()
    }
    fn wall_ms(&self) -> u64 {
        1_234_567
    }
    fn random(&mut self, out: &mut [u8]) {
        self.journal.note(format!("random {}", out.len()));
        out.fill(4);
    }
    fn config(&self, key: &str) -> Option<String> {
        self.journal.note(format!("config {} bytes", key.len()));
        Some("value".to_owned())
    }
    fn log(&mut self, level: LogLevel, file: &str, line: u32, message: &str) {
        let message = if message.len() > 40 { format!("{} bytes", message.len()) } else { message.to_owned() };
        let file = if file.len() > 40 { format!("{} bytes", file.len()) } else { file.to_owned() };
        self.journal.note(format!("log {level:?} {file}:{line} {message}"));
    }
    fn begin(&mut self, request: Request) -> Result<u64, HostError> {
        self.journal.note(format!("begin {} {} bytes", request.pair().name(), request.bytes()));
        Ok(80)
    }
    fn proceed(&mut self, id: u64, request: WebSocketRequest) -> Result<(), HostError> {
        self.journal.note(format!("proceed {id} {request:?}"));
        Ok(())
    }
    fn cancel(&mut self, pair: Pair, id: u64) -> bool {
        self.journal.note(format!("cancel {} {id}", pair.name()));
        true
    }
    fn watch_voice(&mut self, rules: Option<VoiceRules>) -> Result<(), HostError> {
        self.journal.note(format!("watch {rules:?}"));
        Ok(())
    }
    fn answer_headers(&mut self, headers: Vec<Header>) -> Result<(), HostError> {
        self.journal.note(format!("answer-headers {}", headers.len()));
        Ok(())
    }
    fn bye_headers(&mut self, headers: Vec<Header>) -> Result<(), HostError> {
        self.journal.note(format!("bye-headers {}", headers.len()));
        Ok(())
    }
    fn hangup_with(&mut self, status: u16, reason: &str, after_playout: bool) -> Result<(), HostError> {
        self.journal.note(format!("hangup {status} {reason} {after_playout}"));
        Ok(())
    }
    fn overstayed(&mut self) {
        self.journal.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// The engine of all tests, with its ticking thread.
pub fn engine() -> &'static Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| ticking(Limits::default()));
    &ENGINE
}

/// An engine with limits of its own and a thread that ticks for as long as the tests run.
pub fn ticking(limits: Limits) -> Engine {
    let engine = Engine::new(limits).expect("the settings fit together");
    let ticked = engine.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(1));
            ticked.tick();
        }
    });
    engine
}

pub fn load(component: &[u8]) -> Plugin {
    engine().load("test", component).unwrap_or_else(|error| panic!("{error}"))
}

/// An instance that has been started on a call of its own.
pub fn answered(plugin: &Plugin) -> (Instance, Journal) {
    let phone = Phone::default();
    let journal = phone.journal.clone();
    let mut bot = plugin.instantiate(Box::new(phone), usize::MAX).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(start(&mut bot), Ok(Started::Accepted { frames: true, ring: false }));
    (bot, journal)
}

pub fn start(bot: &mut Instance) -> Result<Started, Fault> {
    bot.start(&CallInfo::default(), "{}", StartReason::Fresh)
}

/// One frame of these samples: the bot's answer, and what it said.
pub fn frame(bot: &mut Instance, tick: u64, sample: i16) -> Result<(FrameAnswer, i16), Fault> {
    let mut answer = [0; 160];
    let kind = bot.on_frame(tick, &[sample; 160], FrameKind::Audio, &mut answer)?;
    Ok((kind, answer[159]))
}
