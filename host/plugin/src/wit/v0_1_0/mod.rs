//! `patchbay:bot@0.1.0`: bindings made from `wit/0.1.0`, and the way from and to the host's own words.

use crate::contract::{CallInfo, Event, FrameKind, Pair, StartReason, Started};
use crate::host_state::HostState;
use crate::limits::FRAME_SAMPLES;
use std::cell::RefCell;
use wasmtime::Store;
use wasmtime::component::InstancePre;

mod handlers;

pub(crate) use handlers::Handled;
use handlers::{HandlerIndices, Handlers};

wasmtime::component::bindgen!({
    path: "../../wit/0.1.0",
    world: "conversation",
});

use exports::patchbay::bot::bot::{Guest, GuestIndices};
use patchbay::bot::types;

/// The name under which a component exports the bot.
pub(crate) const EXPORT: &str = "patchbay:bot/bot@0.1.0";

/// The package of the contract, and its version: what a component may import.
pub(crate) const PACKAGE: &str = "patchbay:bot/";
pub(crate) const VERSION: &str = "0.1.0";

/// The name under which a component exports the handler of a pair.
fn handler_of(pair: Pair) -> String {
    format!("{PACKAGE}{}-handler@{VERSION}", pair.name())
}

/// Longest reason of a refusal, in characters: it goes into a SIP header.
const REASON_CHARS_MAX: usize = 128;

thread_local! {
    /// The frame on its way into a guest. Kept, so that handing one over allocates nothing, and one for all guests of a thread, so that it
    /// is never cold.
    static FRAME: RefCell<types::Frame> = RefCell::new(types::Frame {
        tick: 0,
        samples: vec![0; FRAME_SAMPLES],
        kind: types::FrameKind::Absent,
    });
}

/// A component whose exports are found.
pub(crate) struct BotPre {
    component: InstancePre<HostState>,
    bot: GuestIndices,
    handlers: HandlerIndices,
}

impl BotPre {
    /// Errors: it lacks an export of the contract, or a part of one.
    pub(crate) fn new(component: InstancePre<HostState>) -> wasmtime::Result<Self> {
        let bot = GuestIndices::new(&component)?;
        let handlers = HandlerIndices::new(&component)?;
        Ok(Self { component, bot, handlers })
    }

    /// What of the interfaces beyond telephony the component has handlers for.
    pub(crate) fn handled(&self) -> Handled {
        self.handlers.handled()
    }
}

/// The exports of one instance, looked up once.
pub(crate) struct Bot {
    guest: Guest,
    /// None: it has none.
    handlers: Option<Box<Handlers>>,
}

impl Bot {
    pub(crate) fn instantiate(pre: &BotPre, store: &mut Store<HostState>) -> wasmtime::Result<Self> {
        let instance = pre.component.instantiate(&mut *store)?;
        let guest = pre.bot.load(&mut *store, &instance)?;
        Ok(Self { guest, handlers: pre.handlers.load(store, &instance)? })
    }

    pub(crate) fn start(
        &self,
        store: &mut Store<HostState>,
        call: &CallInfo,
        config: &str,
        reason: StartReason,
    ) -> wasmtime::Result<Started> {
        let call = types::CallInfo {
            id: call.id.clone(),
            caller: call.caller.clone(),
            called: call.called.clone(),
            trunk: call.trunk.clone(),
            tenant: call.tenant.clone(),
        };
        let reason = match reason {
            StartReason::Fresh => types::StartReason::Fresh,
            StartReason::Moved(state) => types::StartReason::Moved(state),
            StartReason::Restarted(state) => types::StartReason::Restarted(state),
        };
        Ok(match self.guest.call_start(store, &call, config, &reason)? {
            Ok(accept) => Started::Accepted {
                frames: accept.frames == types::Frames::All,
                ring: accept.answer == types::Answer::Ring,
            },
            Err(refusal) => refused(refusal),
        })
    }

    /// The samples that the bot returned. A `Vec` on purpose: wasmtime runs the guest's own clean-up (`post-return`) before it hands
    /// the result over, so a list read in place would show what the guest's allocator has written over it.
    pub(crate) fn on_frame(
        &self,
        store: &mut Store<HostState>,
        tick: u64,
        samples: &[i16; FRAME_SAMPLES],
        kind: FrameKind,
    ) -> wasmtime::Result<Option<Vec<i16>>> {
        let kind = match kind {
            FrameKind::Audio => types::FrameKind::Audio,
            FrameKind::Concealed => types::FrameKind::Concealed,
            FrameKind::Absent => types::FrameKind::Absent,
            FrameKind::Held => types::FrameKind::Held,
        };
        FRAME.with_borrow_mut(|frame| {
            (frame.tick, frame.kind) = (tick, kind);
            frame.samples.copy_from_slice(samples);
            self.guest.call_on_frame(store, frame)
        })
    }

    /// An outcome of an operation goes to its handler. Without one it is nothing: none was begun.
    pub(crate) fn on_event(&self, store: &mut Store<HostState>, event: Event) -> wasmtime::Result<()> {
        match (event, &self.handlers) {
            (Event::Outcome { id, outcome }, Some(handlers)) => handlers.on_outcome(store, id, *outcome),
            (Event::Voice(event), Some(handlers)) => handlers.on_voice(store, event),
            (event, _) => match into_wit(event) {
                Some(event) => self.guest.call_on_event(store, &event),
                None => Ok(()),
            },
        }
    }

    pub(crate) fn save(&self, store: &mut Store<HostState>) -> wasmtime::Result<Option<Vec<u8>>> {
        self.guest.call_save(store)
    }
}

/// A status outside 400 to 699 becomes 480; the reason becomes one short line without control characters.
fn refused(refusal: types::Refusal) -> Started {
    let status = if (400..=699).contains(&refusal.status) { refusal.status } else { 480 };
    let reason = refusal.reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    Started::Refused { status, reason }
}

/// None: it is one for a handler.
fn into_wit(event: Event) -> Option<types::Event> {
    Some(match event {
        Event::Answered => types::Event::Answered,
        Event::Digit { key, tick } => types::Event::Digit(types::Digit { key, tick }),
        Event::Mark { id, name } => types::Event::Mark(types::Marked { id, name }),
        Event::Cleared { id, played_ms, dropped_marks } => {
            types::Event::Cleared(types::Cleared { id, played_ms, dropped_marks })
        }
        Event::Timer { id } => types::Event::Timer(id),
        Event::DigitsSent { id } => types::Event::DigitsSent(id),
        Event::Hold => types::Event::Hold,
        Event::Resume => types::Event::Resume,
        Event::Hangup { by, cause } => types::Event::Hangup(types::HungUp { by, cause }),
        Event::Outcome { .. } | Event::Voice(_) => return None,
    })
}
