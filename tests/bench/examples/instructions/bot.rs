//! 20 ms into the echo bot and out of it again, the way into the guest included.

use anyhow::Context;
use plugin::{CallInfo, Engine, Event, FrameAnswer, FrameKind, InertPort, Limits, StartReason};

use crate::Piece;

pub const PIECES: &[Piece] = &[Piece {
    name: "on_frame_echo",
    make: |path| {
        let bytes = std::fs::read(path).with_context(|| format!("the echo bot `{path}`"))?;
        let engine = Engine::new(Limits::default()).map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let plugin = engine.load("echo", &bytes)?;
        let mut bot = plugin.instantiate(Box::new(InertPort::default()), usize::MAX)?;
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
