//! The trait a bot implements, and the macro which makes a component of it.

use crate::{Accept, Answer, Call, Event, Frame, Frames, HungUp, Outcome, Refusal, StartReason};

/// What `start` is told besides the call itself.
#[derive(Clone, Debug)]
pub struct Start {
    /// The route's whole configuration, one JSON object; single values are read with [`Call::config`].
    pub config: String,
    /// A new call, or a live one that this instance takes over with what the one before it saved.
    pub reason: StartReason,
}

/// One call's bot. The host makes one instance per call, and enters it from one thread at a time.
///
/// Every event goes to exactly one method: a key to [`on_digit`](Bot::on_digit), the end of the call to
/// [`on_hangup`](Bot::on_hangup), every other to [`on_event`](Bot::on_event). What comes of requests beyond telephony goes to
/// [`on_outcome`](Bot::on_outcome); a bot that makes many of them reads better as an async function, see [`conversation`](crate::conversation).
pub trait Bot: 'static {
    /// Decides about the call before it is answered; has 200 ms. By default: answer now, and be entered for every frame.
    fn start(&mut self, _call: &Call, _start: Start) -> Result<Accept, Refusal> {
        Ok(Accept::default())
    }

    /// 160 samples from the caller; returns 160 for the caller, or `None` to let the playout queue or silence play.
    /// Any other length is silence and counted; 50 in a row are a trap.
    fn on_frame(&mut self, _call: &Call, _frame: Frame) -> Option<Vec<i16>> {
        None
    }

    /// The caller pressed a key: `0` to `9`, `*`, `#`, `A` to `D`.
    fn on_digit(&mut self, _call: &Call, _key: char) {}

    /// Everything else: answered, marks, cleared, timers, digits sent, hold and resume.
    fn on_event(&mut self, _call: &Call, _event: Event) {}

    /// What comes of `http`, `speech` and the other pairs of the world `conversation`, to a bot exported with
    /// `export!(MyBot, conversation)`.
    fn on_outcome(&mut self, _call: &Call, _outcome: Outcome) {}

    /// The call is over, whoever ended it. A bot that has something to finish overrides this and calls
    /// [`Call::done`] later; it has 10 s.
    fn on_hangup(&mut self, call: &Call, _hung_up: HungUp) {
        call.done();
    }

    /// What another instance needs to go on from here, 64 KiB at most; `None`: let this one finish. Not asked while sound
    /// given to [`Call::play`] has not all gone into the host's queue.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }
}

impl Default for Accept {
    /// Answer now, be entered for every frame.
    fn default() -> Accept {
        Accept { frames: Frames::All, answer: Answer::Now }
    }
}

impl Accept {
    /// Answer now, be entered for events only: such a bot costs nothing while nothing happens.
    pub fn events_only() -> Accept {
        Accept { frames: Frames::None, answer: Answer::Now }
    }

    /// Let it ring until [`Call::answer`].
    pub fn ringing(self) -> Accept {
        Accept { answer: Answer::Ring, ..self }
    }
}

impl Refusal {
    /// Refuses with a SIP status of 400 to 699 and one line for the log and the Reason header.
    pub fn new(status: u16, reason: impl Into<String>) -> Refusal {
        Refusal { status, reason: reason.into() }
    }
}

/// Makes the component's exports from a [`Bot`] that is `Default`: `patchbay_sdk::export!(MyBot);`, once in a `cdylib` crate. With
/// `export!(MyBot, conversation)` it may use what is beyond telephony, and is told what came of it.
#[macro_export]
macro_rules! export {
    ($bot:ty) => {
        $crate::component!(telephony, $bot, <$bot as ::std::default::Default>::default);
    };
    ($bot:ty, conversation) => {
        $crate::component!(conversation, $bot, <$bot as ::std::default::Default>::default);
    };
}

/// A component of a bot's type and of what makes one: what [`export!`] and [`converse!`](crate::converse) come to.
#[doc(hidden)]
#[macro_export]
macro_rules! component {
    ($world:ident, $bot:ty, $make:expr) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::running::Slot;
            use $crate::{Accept, CallInfo, Event, Frame, Refusal, StartReason};

            ::std::thread_local! {
                static SLOT: Slot<$bot> = const { Slot::empty() };
            }
            struct Component;
            impl $crate::bindings::exports::patchbay::bot::bot::Guest for Component {
                fn start(
                    call: CallInfo,
                    config: ::std::string::String,
                    reason: StartReason,
                ) -> ::std::result::Result<Accept, Refusal> {
                    SLOT.with(|slot| slot.start($make(), call, config, reason))
                }
                fn on_frame(frame: Frame) -> ::std::option::Option<::std::vec::Vec<i16>> {
                    SLOT.with(|slot| slot.running(|running| running.on_frame(frame)))
                }
                fn on_event(event: Event) {
                    SLOT.with(|slot| slot.running(|running| running.on_event(event)))
                }
                fn save() -> ::std::option::Option<::std::vec::Vec<u8>> {
                    SLOT.with(|slot| slot.running(|running| running.save()))
                }
            }
    $crate::bindings::export_component!(Component with_types_in $crate::bindings);
            $crate::handlers!($world, SLOT, Component);
        };
        // Off Wasm nothing is exported, but the type is held to the trait all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $bot = || $crate::running::is_bot($make());
    };
}

/// What a component of this world exports besides `bot`.
#[doc(hidden)]
#[macro_export]
macro_rules! handlers {
    (telephony, $slot:ident, $component:ident) => {};
    (conversation, $slot:ident, $component:ident) => {
        use $crate::Outcome;
        use $crate::beyond_telephony::exports::patchbay::bot as handlers;
        $crate::handlers!(@one $slot, $component: http_handler, on_http, HttpEvent, Http;
            websocket_handler, on_websocket, WebsocketEvent, WebSocket;
            store_handler, on_store, StoreEvent, Store;
            speech_handler, on_speech, SpeechEvent, Speech;
            chat_handler, on_chat, ChatEvent, Chat;
            control_handler, on_control, ControlEvent, Control;);
        impl handlers::voice_handler::Guest for $component {
            fn on_voice(event: handlers::voice_handler::VoiceEvent) {
                $slot.with(|slot| slot.running(|running| running.on_outcome(Outcome::Voice(event))))
            }
        }
        $crate::beyond_telephony::export_handlers!($component with_types_in $crate::beyond_telephony);
    };
    (@one $slot:ident, $component:ident: $($module:ident, $function:ident, $event:ident, $outcome:ident;)*) => {
        $(impl handlers::$module::Guest for $component {
            fn $function(id: u64, event: handlers::$module::$event) {
                $slot.with(|slot| slot.running(|running| running.on_outcome(Outcome::$outcome(id, event))))
            }
        })*
    };
}
