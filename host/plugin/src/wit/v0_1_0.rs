//! `patchbay:bot@0.1.0`: bindings made from `wit/0.1.0`, and the way from and to the host's own words.

use crate::contract::{CallInfo, Event, FrameKind, StartReason, Started};
use crate::host_state::HostState;
use crate::limits::FRAME_SAMPLES;
use std::cell::RefCell;
use wasmtime::Store;

wasmtime::component::bindgen!({
    path: "../../wit/0.1.0",
    world: "telephony",
});

use exports::patchbay::bot::bot::Guest;
use patchbay::bot::types;

/// The name under which a component exports the bot.
pub(crate) const EXPORT: &str = "patchbay:bot/bot@0.1.0";

/// The package of the contract, and its version: what a component may import.
pub(crate) const PACKAGE: &str = "patchbay:bot/";
pub(crate) const VERSION: &str = "0.1.0";

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

/// The exports of one instance, looked up once.
pub(crate) struct Bot {
    exports: Telephony,
}

impl Bot {
    pub(crate) fn instantiate(pre: &TelephonyPre<HostState>, store: &mut Store<HostState>) -> wasmtime::Result<Self> {
        Ok(Self { exports: pre.instantiate(store)? })
    }

    fn guest(&self) -> &Guest {
        self.exports.patchbay_bot_bot()
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
        Ok(match self.guest().call_start(store, &call, config, &reason)? {
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
            self.guest().call_on_frame(store, frame)
        })
    }

    pub(crate) fn on_event(&self, store: &mut Store<HostState>, event: Event) -> wasmtime::Result<()> {
        self.guest().call_on_event(store, &into_wit(event))
    }

    pub(crate) fn save(&self, store: &mut Store<HostState>) -> wasmtime::Result<Option<Vec<u8>>> {
        self.guest().call_save(store)
    }
}

/// A status outside 400 to 699 becomes 480; the reason becomes one short line without control characters.
fn refused(refusal: types::Refusal) -> Started {
    let status = if (400..=699).contains(&refusal.status) { refusal.status } else { 480 };
    let reason = refusal.reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    Started::Refused { status, reason }
}

fn into_wit(event: Event) -> types::Event {
    match event {
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
    }
}
