//! 20 ms into the echo bot and out of it again, the way into the guest included.

use anyhow::Context;
use plugin::{
    CallInfo, CallPort, Engine, Event, FrameAnswer, FrameKind, HostError, Limits, LogLevel, StartReason, Written,
};

use crate::Piece;

pub const PIECES: &[Piece] = &[Piece {
    name: "on_frame_echo",
    make: |path| {
        let bytes = std::fs::read(path).with_context(|| format!("the echo bot `{path}`"))?;
        let engine = Engine::new(Limits::default()).map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let plugin = engine.load("echo", &bytes)?;
        let mut bot = plugin.instantiate(Box::new(NoCall), usize::MAX)?;
        bot.start(&CallInfo::default(), "{}", StartReason::Fresh)?;
        bot.on_event(Event::Answered)?;
        let (samples, mut answer) = ([1000; 160], [0; 160]);
        Ok(Box::new(move |tick, meter| {
            bot.begin_tick();
            meter.count(|| {
                let answered = bot.on_frame(tick.into(), &samples, FrameKind::Audio, &mut answer);
                assert_eq!((answered, answer[80]), (Ok(FrameAnswer::Frame), 1000));
            });
        }))
    },
}];

/// A call on which nothing happens.
struct NoCall;

impl CallPort for NoCall {
    fn header(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
    fn attribute(&self, _: &str) -> Option<String> {
        None
    }
    fn answer(&mut self) {}
    fn hangup(&mut self, _: bool) {}
    fn send_digits(&mut self, _: &str) -> Result<u64, HostError> {
        Ok(0)
    }
    fn note(&mut self, _: &str, _: &str) -> Result<(), HostError> {
        Ok(())
    }
    fn want_frames(&mut self, _: bool) {}
    fn done(&mut self) {}
    fn playout_write(&mut self, samples: &[i16]) -> Written {
        Written { accepted: samples.len() as u32, queued_ms: 0 }
    }
    fn playout_clear(&mut self) -> u64 {
        0
    }
    fn playout_mark(&mut self, _: &str) -> Result<u64, HostError> {
        Ok(0)
    }
    fn timer_set(&mut self, _: u64) -> Result<u64, HostError> {
        Ok(0)
    }
    fn timer_cancel(&mut self, _: u64) -> bool {
        false
    }
    fn now_ms(&self) -> u64 {
        0
    }
    fn wall_ms(&self) -> u64 {
        0
    }
    fn random(&mut self, out: &mut [u8]) {
        out.fill(4);
    }
    fn config(&self, _: &str) -> Option<String> {
        None
    }
    fn log(&mut self, _: LogLevel, _: &str, _: u32, _: &str) {}
    fn overstayed(&mut self) {}
}
