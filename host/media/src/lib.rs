//! The media side of a call: offer and answer ([`sdp`]), and what happens on the wire afterwards ([`Leg`]).
//!
//! A leg takes datagrams and gives 20 ms frames, takes frames and gives datagrams; time is a parameter of every call. It
//! opens no socket, reads no clock, starts no thread, and allocates nothing per frame once it is warm (SRTP excepted:
//! its crate copies). Whatever comes from outside is checked, and if it is wrong counted under a [`DropReason`] and
//! forgotten; nothing from outside ends a call.
//!
//! Start reading at [`Leg`], then follow one packet through `receive_path` and one frame through `send_path`; the
//! caller's sound waits in `jitter_buffer`, the bot's in [`playout`]. Whether the caller speaks is told by [`voice_activity`], to who asks.

mod clock;
mod concealment;
mod drop_reason;
#[doc(hidden)]
pub mod fuzzing;
pub mod g711;
mod jitter_buffer;
mod leg;
mod negotiated;
mod playout;
mod receive_path;
mod rtcp;
mod rtp;
pub mod sdp;
mod send_path;
mod source;
mod srtp;
mod stats;
mod streams;
mod telephone_event;
pub mod voice_activity;

pub use clock::{FRAME, FRAME_SAMPLES, RtpTimestamp};
pub use drop_reason::{DropReason, Drops};
pub use jitter_buffer::{JitterBounds, SoundStats};
pub use leg::{Frame, FrameKind, Leg, LegEvent, LegParams, SoundSource};
pub use negotiated::*;
pub use playout::{Cleared, PlayoutReader, PlayoutWriter, Written, playout};
pub use stats::LegStats;
pub use telephone_event::{DigitTiming, DigitsRefused};
