//! Session descriptions (RFC 8866), offer and answer (RFC 3264), keys in them (RFC 4568): bytes in, bytes and a
//! [`Negotiated`](crate::Negotiated) out.
//!
//! Everything here is a pure function: no clock, no socket, no randomness of its own ([`Fresh`] brings what must be new).
//! It never resolves a name, never speaks ICE or DTLS, never puts a key into `Debug` output or an error.
//!
//! Start at [`offer_answer`]; what one offer says is [`read`]; the crypto lines and the policy table are in [`sdes`].

mod description;
#[doc(hidden)]
pub mod fuzzing;
pub mod offer_answer;
mod payloads;
mod peer_side;
mod read;
mod redact;
pub mod sdes;
mod write;

pub use description::{Connection, Description, Level, Media, MediaLine, Profile, RtpLine, RtpMap};
pub use offer_answer::{Fresh, Offer, Refusal, Session, accept_answer, answer, offer};
pub use read::{
    MAX_BYTES, MAX_CRYPTO_LINES, MAX_FORMATS, MAX_LINE_BYTES, MAX_LINES, MAX_MEDIA, MAX_RTPMAPS, SdpError, read,
};
pub use redact::redact_crypto;
