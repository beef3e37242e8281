//! One bot for one call: the only way into a guest.
//!
//! Every entry goes through `Cell::enter`: meter, guest, meter, and whatever went wrong becomes one `Fault`. After a fault the
//! instance is dead: every further call answers with the same fault without entering the guest.

use crate::host_state::HostState;
use crate::limits::{FRAME_SAMPLES, WRONG_LENGTHS_MAX};
use crate::load_error::one_line;
use crate::meter::{EPOCHS_BEFORE_FIRST_LOOK, Verdict};
use crate::ticking::Inside;
use crate::wit::v0_1_0::Bot;
use crate::{CallInfo, CallPort, Engine, Event, Fault, FrameAnswer, FrameKind, LogLevel, Plugin, StartReason, Started};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use wasmtime::{Store, StoreContextMut, UpdateDeadline, WasmBacktrace};

/// Length of a tick, in ms of the port's clock: the span that shares one allowance of CPU.
const TICK_MS: u64 = 20;

/// A bot at work on its call. May move between threads from one call to the next; each call of the guest runs on the thread that
/// makes it, which needs `Limits::stack_bytes` and 512 KiB of stack.
pub struct Instance {
    cell: Cell,
    bot: Bot,
    wrong_lengths: u64,
    wrong_lengths_in_a_row: u32,
    /// Keeps the generation's code for as long as the instance lives.
    plugin: Plugin,
}

impl Instance {
    pub(crate) fn new(plugin: Plugin, port: Box<dyn CallPort>, memory_bytes: usize) -> Result<Self, Fault> {
        let mut cell = Cell::new(&plugin, port, memory_bytes);
        let bot =
            cell.enter(Purpose::Start, |store| Bot::instantiate(plugin.bot(), store)).map_err(|fault| match fault {
                Fault::Trapped(reason) => Fault::NotInstantiated(reason),
                told => told,
            })?;
        Ok(Self { cell, bot, wrong_lengths: 0, wrong_lengths_in_a_row: 0, plugin })
    }

    /// Asks the bot whether it takes the call. `config`: one JSON object.
    pub fn start(&mut self, call: &CallInfo, config: &str, reason: StartReason) -> Result<Started, Fault> {
        let bot = &self.bot;
        self.cell.enter(Purpose::Start, |store| bot.start(store, call, config, reason))
    }

    /// The same while its call waits for it: with so much CPU and no more.
    pub fn start_within(
        &mut self,
        allowance: Duration,
        call: &CallInfo,
        config: &str,
        reason: StartReason,
    ) -> Result<Started, Fault> {
        let bot = &self.bot;
        self.cell.enter(Purpose::StartWithin(allowance), |store| bot.start(store, call, config, reason))
    }

    /// Hands the bot 20 ms of sound and takes 20 ms from it.
    /// Shape: 160 samples each way, 8 kHz mono i16; `answer` is written only if the result is `FrameAnswer::Frame`.
    /// Errors: any fault ends the instance; another length than 160 is counted, and `Fault::WrongLengths` when 50 came in a row.
    /// Cost: about a microsecond and one allocation of 320 bytes (see `examples/frame_cost.rs`).
    pub fn on_frame(
        &mut self,
        tick: u64,
        samples: &[i16; FRAME_SAMPLES],
        kind: FrameKind,
        answer: &mut [i16; FRAME_SAMPLES],
    ) -> Result<FrameAnswer, Fault> {
        let bot = &self.bot;
        let returned = self.cell.enter(Purpose::Frame, |store| bot.on_frame(store, tick, samples, kind))?;
        match returned {
            None => Ok(FrameAnswer::Nothing),
            Some(samples) if samples.len() == FRAME_SAMPLES => {
                self.wrong_lengths_in_a_row = 0;
                answer.copy_from_slice(&samples);
                Ok(FrameAnswer::Frame)
            }
            Some(_) => self.wrong_length(),
        }
    }

    /// What the host keeps beside the guest: touched in every entry.
    pub fn state(&self) -> &impl Sized {
        self.cell.store.data()
    }

    fn wrong_length(&mut self) -> Result<FrameAnswer, Fault> {
        self.wrong_lengths += 1;
        self.wrong_lengths_in_a_row += 1;
        if self.wrong_lengths_in_a_row < WRONG_LENGTHS_MAX {
            return Ok(FrameAnswer::WrongLength);
        }
        Err(self.cell.die(Fault::WrongLengths))
    }

    pub fn on_event(&mut self, event: Event) -> Result<(), Fault> {
        let bot = &self.bot;
        self.cell.enter(Purpose::Event, |store| bot.on_event(store, event))
    }

    /// What another instance needs to go on from here; none if the bot would rather finish itself.
    /// A state above `Limits::save_bytes` is none as well, with a line in the bot's log.
    pub fn save(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let bot = &self.bot;
        let state = self.cell.enter(Purpose::Save, |store| bot.save(store))?;
        let limit = self.cell.engine.limits().save_bytes;
        match state {
            Some(state) if state.len() > limit => {
                let message = format!("save returned {} bytes, more than {limit}: not used", state.len());
                self.port_mut().log(LogLevel::Warn, "save", 0, &message);
                Ok(None)
            }
            state => Ok(state),
        }
    }

    /// From here on the guest has its whole allowance of CPU for one tick, until the next call of this. Whoever never calls it has ticks of
    /// 20 ms of the port's clock, which would make one of all the frames that have waited.
    pub fn begin_tick(&mut self) {
        self.cell.store.data_mut().meter.begin_tick();
    }

    /// CPU that the guest has used so far, host functions included: measured for events, estimated from samples for frames.
    pub fn guest_time(&self) -> Duration {
        self.cell.store.data().meter.guest_time()
    }

    /// The part of it that was measured: what one call used is the difference, 0 for a quick frame that was not sampled.
    pub fn measured_time(&self) -> Duration {
        self.cell.store.data().meter.measured_time()
    }

    /// Linear memory that the guest holds, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.cell.store.data().memory.bytes()
    }

    /// Frames of another length than 160 samples, since the beginning.
    pub fn wrong_lengths(&self) -> u64 {
        self.wrong_lengths
    }

    /// Why the instance is dead, if it is.
    pub fn fault(&self) -> Option<&Fault> {
        self.cell.fault.as_ref()
    }

    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    pub fn port_mut(&mut self) -> &mut dyn CallPort {
        &mut *self.cell.store.data_mut().port
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("plugin", &self.plugin.name()).finish_non_exhaustive()
    }
}

/// The store and whether it may still be entered.
struct Cell {
    store: Store<HostState>,
    fault: Option<Fault>,
    engine: Engine,
}

/// Why the guest is entered, which says what it may cost.
#[derive(Clone, Copy)]
enum Purpose {
    Start,
    StartWithin(Duration),
    Frame,
    Event,
    Save,
}

impl Cell {
    fn new(plugin: &Plugin, port: Box<dyn CallPort>, memory_bytes: usize) -> Self {
        let engine = plugin.engine().clone();
        let mut limits = engine.limits().clone();
        limits.memory_bytes = limits.memory_bytes.min(memory_bytes);
        let mut store = Store::new(plugin.engine().wasmtime(), HostState::new(port, plugin.bot().handled(), &limits));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.payload_bytes);
        store.set_max_component_handles(limits.handles);
        store.epoch_deadline_callback(on_epoch);
        Self { store, fault: None, engine }
    }

    /// Runs the guest once. A panic of a host function ends here too: it costs this instance, not the thread.
    fn enter<R>(
        &mut self,
        purpose: Purpose,
        run: impl FnOnce(&mut Store<HostState>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let inside = Inside::enter(self.engine.timers());
        let _inside =
            inside.map_err(|error| self.die(Fault::Trapped(format!("the host has no timer for it: {error}"))))?;
        self.store.set_epoch_deadline(EPOCHS_BEFORE_FIRST_LOOK);
        let state = self.store.data_mut();
        state.memory.refused = false;
        match purpose {
            Purpose::Start => state.meter.enter(self.engine.limits().start_cpu()),
            Purpose::StartWithin(allowance) => state.meter.enter(allowance),
            Purpose::Save => state.meter.enter(self.engine.limits().hard_cpu()),
            Purpose::Event => {
                state.meter.enter_event(|| state.port.now_ms() / TICK_MS, self.engine.limits().hard_cpu())
            }
            Purpose::Frame => {
                state.meter.enter_frame(|| state.port.now_ms() / TICK_MS, self.engine.limits().hard_cpu())
            }
        }
        let store = &mut self.store;
        let result = catch_unwind(AssertUnwindSafe(|| run(store)));
        self.store.data_mut().meter.leave();
        match result {
            Ok(Ok(returned)) => Ok(returned),
            Ok(Err(error)) => Err(self.die_of(purpose, &error)),
            Err(_) => Err(self.die(Fault::Trapped("a host function panicked".to_owned()))),
        }
    }

    fn die_of(&mut self, purpose: Purpose, error: &wasmtime::Error) -> Fault {
        let memory = &self.store.data().memory;
        let fault = match error.downcast_ref::<Fault>() {
            Some(Fault::TooLong { .. }) => Fault::TooLong { limit_ms: self.limit_ms(purpose) },
            Some(told) => told.clone(),
            // A guest that is refused memory usually gives up at once, by a trap of its own.
            None if memory.refused => memory.fault(),
            None => Fault::Trapped(trapped(error)),
        };
        self.die(fault)
    }

    fn die(&mut self, fault: Fault) -> Fault {
        self.fault = Some(fault.clone());
        fault
    }

    fn limit_ms(&self, purpose: Purpose) -> u32 {
        match purpose {
            Purpose::Start => self.engine.limits().start_cpu_ms,
            Purpose::StartWithin(allowance) => u32::try_from(allowance.as_millis()).unwrap_or(u32::MAX),
            Purpose::Frame | Purpose::Event | Purpose::Save => self.engine.limits().hard_cpu_ms,
        }
    }
}

/// Runs on the guest's thread, inside the guest's call, whenever an epoch has passed.
fn on_epoch(mut context: StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    let state = context.data_mut();
    match state.meter.on_epoch() {
        Verdict::TooLong => return Err(Fault::TooLong { limit_ms: 0 }.into()),
        Verdict::Overstayed => state.port.overstayed(),
        Verdict::GoOn => {}
    }
    Ok(UpdateDeadline::Continue(1))
}

/// The innermost cause and the guest's own function where it happened, in one line.
fn trapped(error: &wasmtime::Error) -> String {
    let cause = one_line(&wasmtime::Error::msg(error.root_cause().to_string()));
    let place = error
        .downcast_ref::<WasmBacktrace>()
        .and_then(|backtrace| backtrace.frames().iter().find_map(|frame| frame.func_name()));
    match place {
        Some(place) => {
            format!("{cause} in {}", place.chars().filter(|c| !c.is_control()).take(120).collect::<String>())
        }
        None => cause,
    }
}
