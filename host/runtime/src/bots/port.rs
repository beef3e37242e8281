//! The guest's way to its call: host functions arrive here and act on the call's operations.

use std::sync::{Arc, MutexGuard, Weak};

use plugin::{CallPort, Header, HostError, LogLevel, Pair, Request, VoiceRules, WebSocketRequest, Written};

use super::Enlisted;
use super::lane::{self, Lane};
use super::operations::{Affairs, Operations};

pub struct Port {
    pub operations: Arc<Affairs>,
    pub lane: Arc<Lane>,
    /// It holds the instance, and the instance this port.
    pub bot: Weak<Enlisted>,
}

impl Port {
    fn operations(&self) -> MutexGuard<'_, Operations> {
        self.operations.lock()
    }
}

impl CallPort for Port {
    fn header(&self, name: &str) -> Vec<String> {
        self.operations().header(name)
    }

    fn attribute(&self, name: &str) -> Option<String> {
        self.operations().attribute(name)
    }

    fn answer(&mut self) {
        self.operations().answer();
    }

    fn hangup(&mut self, after_playout: bool) {
        self.operations().hangup(after_playout);
    }

    fn send_digits(&mut self, keys: &str) -> Result<u64, HostError> {
        self.operations().send_digits(keys)
    }

    fn note(&mut self, key: &str, value: &str) -> Result<(), HostError> {
        self.operations().note(key, value)
    }

    fn want_frames(&mut self, wanted: bool) {
        self.operations().want_frames(wanted);
    }

    fn done(&mut self) {
        self.operations().done();
    }

    fn playout_write(&mut self, samples: &[i16]) -> Written {
        self.operations().playout_write(samples)
    }

    fn playout_clear(&mut self) -> u64 {
        self.operations().playout_clear()
    }

    fn playout_mark(&mut self, name: &str) -> Result<u64, HostError> {
        self.operations().playout_mark(name)
    }

    fn timer_set(&mut self, after_ms: u64) -> Result<u64, HostError> {
        self.operations().timer_set(after_ms)
    }

    fn timer_cancel(&mut self, id: u64) -> bool {
        self.operations().timer_cancel(id)
    }

    fn now_ms(&self) -> u64 {
        self.operations.now_ms()
    }

    fn wall_ms(&self) -> u64 {
        self.operations().wall_ms()
    }

    fn random(&mut self, out: &mut [u8]) {
        self.operations().random(out);
    }

    fn config(&self, key: &str) -> Option<String> {
        self.operations().config(key)
    }

    fn log(&mut self, level: LogLevel, file: &str, line: u32, message: &str) {
        self.operations().write_log(level, file, line, message);
    }

    fn begin(&mut self, request: Request) -> Result<u64, HostError> {
        if let Some(bot) = self.bot.upgrade() {
            bot.services.check(bot.caller(), &request)?;
        }
        self.operations().begin(request)
    }

    fn proceed(&mut self, id: u64, request: WebSocketRequest) -> Result<(), HostError> {
        self.operations().proceed(id, request)
    }

    fn cancel(&mut self, pair: Pair, id: u64) -> bool {
        self.operations().cancel(pair, id)
    }

    fn watch_voice(&mut self, rules: Option<VoiceRules>) -> Result<(), HostError> {
        self.operations().watch_voice(rules)
    }

    fn answer_headers(&mut self, headers: Vec<Header>) -> Result<(), HostError> {
        self.operations().answer_headers(headers)
    }

    fn bye_headers(&mut self, headers: Vec<Header>) -> Result<(), HostError> {
        self.operations().bye_headers(headers)
    }

    fn hangup_with(&mut self, status: u16, reason: &str, after_playout: bool) -> Result<(), HostError> {
        self.operations().hangup_with(status, reason, after_playout);
        Ok(())
    }

    fn overstayed(&mut self) {
        if let Some(bot) = self.bot.upgrade() {
            lane::overstayed(&self.lane, &bot.cell);
        }
    }
}
