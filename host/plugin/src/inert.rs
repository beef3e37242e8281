//! A call with nobody on the line, for dry runs and for measuring a guest alone: accepts everything that is within bounds, and nothing comes of it.

use crate::{CallPort, Header, HostError, LogLevel, Pair, Request, VoiceRules, WebSocketRequest, Written};
use std::cell::Cell;

/// What a playout queue of ten seconds would take, so that a bot which writes until it is full comes to an end.
const QUEUE_SAMPLES: usize = 80_000;

/// What a bot asks of it is granted, and nothing happens.
#[derive(Default)]
pub struct InertPort {
    next_id: u64,
    queued: usize,
    random: u64,
    now_ms: Cell<u64>,
}

impl InertPort {
    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl CallPort for InertPort {
    fn header(&self, _name: &str) -> Vec<String> {
        Vec::new()
    }

    fn attribute(&self, _name: &str) -> Option<String> {
        None
    }

    fn answer(&mut self) {}

    fn hangup(&mut self, _after_playout: bool) {}

    fn send_digits(&mut self, _keys: &str) -> Result<u64, HostError> {
        Ok(self.id())
    }

    fn note(&mut self, _key: &str, _value: &str) -> Result<(), HostError> {
        Ok(())
    }

    fn want_frames(&mut self, _wanted: bool) {}

    fn done(&mut self) {}

    fn playout_write(&mut self, samples: &[i16]) -> Written {
        let accepted = samples.len().min(QUEUE_SAMPLES - self.queued);
        self.queued += accepted;
        Written { accepted: accepted as u32, queued_ms: (self.queued / 8) as u32 }
    }

    fn playout_clear(&mut self) -> u64 {
        self.queued = 0;
        self.id()
    }

    fn playout_mark(&mut self, _name: &str) -> Result<u64, HostError> {
        Ok(self.id())
    }

    fn timer_set(&mut self, _after_ms: u64) -> Result<u64, HostError> {
        Ok(self.id())
    }

    fn timer_cancel(&mut self, _id: u64) -> bool {
        true
    }

    /// A tick later at every reading: nothing in a dry run shares its allowance of CPU with what came before.
    fn now_ms(&self) -> u64 {
        self.now_ms.replace(self.now_ms.get() + 20)
    }

    fn wall_ms(&self) -> u64 {
        0
    }

    /// A fixed sequence (splitmix64): a dry run need not be unguessable.
    fn random(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.random;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }

    fn config(&self, _key: &str) -> Option<String> {
        None
    }

    fn log(&mut self, _level: LogLevel, _file: &str, _line: u32, _message: &str) {}

    fn begin(&mut self, _request: Request) -> Result<u64, HostError> {
        Ok(self.id())
    }

    fn proceed(&mut self, _id: u64, _request: WebSocketRequest) -> Result<(), HostError> {
        Ok(())
    }

    fn cancel(&mut self, _pair: Pair, _id: u64) -> bool {
        true
    }

    fn watch_voice(&mut self, _rules: Option<VoiceRules>) -> Result<(), HostError> {
        Ok(())
    }

    fn answer_headers(&mut self, _headers: Vec<Header>) -> Result<(), HostError> {
        Ok(())
    }

    fn bye_headers(&mut self, _headers: Vec<Header>) -> Result<(), HostError> {
        Ok(())
    }

    fn hangup_with(&mut self, _status: u16, _reason: &str, _after_playout: bool) -> Result<(), HostError> {
        Ok(())
    }

    fn overstayed(&mut self) {}
}
