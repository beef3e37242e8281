//! What a bot in Rust is written with: implement [`Bot`], name it in [`export!`], and build for Wasm.
//!
//! A bot gets 20 ms of sound, digits and events of one call, and answers with 20 ms of sound or with sound for the
//! playout queue. Everything it can ask of its call is a method of [`Call`]; the contract behind it is
//! `wit/0.1.0/bot.wit`, and that file says what each item means.
//! The crate never uses `std::time`, `std::net`, `std::fs` or threads: a bot has none of them.
//! Off Wasm the same code runs against [`testing::FakeCall`], in virtual time, so a bot's tests need no host.
//!
//! A bot that converses reads better as one async function: see [`conversation`].
//! Start reading at [`bot`], then [`call`]; [`gather`], [`prompt`] and [`sound`] are conveniences built on the two.

pub mod bot;
pub mod call;
pub mod conversation;
pub mod gather;
mod imports;
pub mod log;
pub mod outcome;
mod player;
pub mod prompt;
pub mod running;
pub mod sentences;
pub mod sound;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

/// The contract as wit-bindgen reads it: what every bot needs.
#[allow(missing_docs, reason = "the WIT documents each item")]
pub mod bindings {
    wit_bindgen::generate!({
        world: "telephony",
        path: "../../wit/0.1.0",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "patchbay_sdk::bindings",
        additional_derives: [PartialEq],
    });
}

/// The rest of the contract: the world `conversation` without what is in `telephony`. A bot that uses nothing of it has nothing of it:
/// imports that are not called are dropped, and only [`converse!`] and `export!(MyBot, conversation)` export handlers.
#[allow(missing_docs, reason = "the WIT documents each item")]
pub mod beyond_telephony {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        inline: "
            package patchbay:sdk;
            world beyond-telephony {
                import patchbay:bot/http@0.1.0;
                import patchbay:bot/websocket@0.1.0;
                import patchbay:bot/store@0.1.0;
                import patchbay:bot/voice@0.1.0;
                import patchbay:bot/speech@0.1.0;
                import patchbay:bot/chat@0.1.0;
                import patchbay:bot/control@0.1.0;
                export patchbay:bot/http-handler@0.1.0;
                export patchbay:bot/websocket-handler@0.1.0;
                export patchbay:bot/store-handler@0.1.0;
                export patchbay:bot/voice-handler@0.1.0;
                export patchbay:bot/speech-handler@0.1.0;
                export patchbay:bot/chat-handler@0.1.0;
                export patchbay:bot/control-handler@0.1.0;
            }
        ",
        world: "patchbay:sdk/beyond-telephony",
        with: { "patchbay:bot/types@0.1.0": crate::bindings::patchbay::bot::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_handlers",
        default_bindings_module: "patchbay_sdk::beyond_telephony",
        additional_derives: [PartialEq],
    });
}

pub use bindings::patchbay::bot::types::{
    Accept, Answer, CallInfo, Cleared, Digit, Error, Event, Frame, FrameKind, Frames, HungUp, Marked, Refusal,
    StartReason,
};
pub use bot::{Bot, Start};
pub use call::Call;
pub use gather::{Gather, GatherRules, Gathered};
pub use outcome::{Happened, Outcome};
pub use prompt::Prompt;
pub use sentences::Sentences;
pub use sound::{FRAME_SAMPLES, SAMPLES_PER_MS, Sound, silence, tone};
