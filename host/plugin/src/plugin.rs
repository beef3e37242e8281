//! A component that was compiled and checked: what instances are made from.

use crate::inert::InertPort;
use crate::limits::FRAME_SAMPLES;
use crate::wit::v0_1_0::BotPre;
use crate::{CallInfo, CallPort, Digest, Engine, Event, Fault, FrameKind, Instance, LoadError, StartReason, Started};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// One second of sound in a dry run.
const DRY_RUN_FRAMES: u64 = 50;

/// One uploaded build of a bot. A clone is the same plugin; its code is freed with the last clone and the last instance.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    name: String,
    digest: String,
    bot: BotPre,
}

impl Plugin {
    pub(crate) fn new(engine: Engine, name: &str, component: &Digest, bot: BotPre) -> Self {
        Self { inner: Arc::new(Inner { engine, name: name.to_owned(), digest: component.to_string(), bot }) }
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// SHA-256 of the component, in hex.
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// The version of the contract that it was checked against.
    pub fn wit(&self) -> &'static str {
        crate::wit::v0_1_0::VERSION
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn bot(&self) -> &BotPre {
        &self.inner.bot
    }

    /// A fresh instance for one call, with so much linear memory at most, and never more than the engine's limits allow.
    /// Cost: some 30 us for a compiled bot.
    pub fn instantiate(&self, port: Box<dyn CallPort>, memory_bytes: usize) -> Result<Instance, Fault> {
        Instance::new(self.clone(), port, memory_bytes)
    }

    /// A dry run with nobody on the line and the limits of a call: start, a second of silence, digits, save, another instance
    /// started from what was saved, hangup. A refusal is an answer like any other; a fault at any step makes the plugin unfit to be
    /// activated.
    pub fn try_out(&self) -> Result<(), LoadError> {
        let _ticking = Ticking::start(self.engine());
        let failed = |during| move |fault| LoadError::DryRun { name: self.name().to_owned(), during, fault };
        let Some((mut bot, frames)) = self.try_start(StartReason::Fresh).map_err(failed("start"))? else {
            return Ok(());
        };
        bot.on_event(Event::Answered).map_err(failed("on-event"))?;
        if frames {
            self.try_frames(&mut bot, 0).map_err(failed("on-frame"))?;
        }
        for (tick, key) in ['1', '#'].into_iter().enumerate() {
            bot.begin_tick();
            bot.on_event(Event::Digit { key, tick: DRY_RUN_FRAMES + tick as u64 }).map_err(failed("on-event"))?;
        }
        if let Some(state) = bot.save().map_err(failed("save"))? {
            // A refusal here means that live calls will stay where they are.
            let moved = self.try_start(StartReason::Moved(state)).map_err(failed("start, moved"))?;
            if let Some((mut moved, true)) = moved {
                self.try_frames(&mut moved, DRY_RUN_FRAMES).map_err(failed("on-frame, moved"))?;
            }
        }
        bot.begin_tick();
        let hangup = Event::Hangup { by: "caller".to_owned(), cause: "bye".to_owned() };
        bot.on_event(hangup).map_err(failed("on-event"))
    }

    /// With whether it wants frames. None: it refused.
    fn try_start(&self, reason: StartReason) -> Result<Option<(Instance, bool)>, Fault> {
        let mut bot = self.instantiate(Box::new(InertPort::default()), self.engine().limits().memory_bytes)?;
        let call = CallInfo { id: "dry-run".to_owned(), called: self.name().to_owned(), ..CallInfo::default() };
        Ok(match bot.start(&call, "{}", reason)? {
            Started::Accepted { frames, .. } => Some((bot, frames)),
            Started::Refused { .. } => None,
        })
    }

    fn try_frames(&self, bot: &mut Instance, first: u64) -> Result<(), Fault> {
        let mut answer = [0; FRAME_SAMPLES];
        for tick in first..first + DRY_RUN_FRAMES {
            bot.begin_tick();
            bot.on_frame(tick, &[0; FRAME_SAMPLES], FrameKind::Audio, &mut answer)?;
        }
        Ok(())
    }

    /// Seen by tests: whether the compiled code is still held by anyone.
    pub fn watch(&self) -> PluginWatch {
        PluginWatch(Arc::downgrade(&self.inner))
    }
}

/// Tells whether a plugin is still in memory, without keeping it there.
pub struct PluginWatch(Weak<Inner>);

impl PluginWatch {
    pub fn is_dropped(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// Ticks the epoch while a dry run lasts, so that it ends even where nobody else ticks (a configuration check).
/// Where the host ticks too, epochs come at most twice as often, which the CPU clock makes good.
struct Ticking {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Ticking {
    fn start(engine: &Engine) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, engine) = (stop.clone(), engine.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(2));
                engine.tick();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread does nothing that could panic.
            let _ = thread.join();
        }
    }
}
