//! A simulator of the trunk: its Make-a-Call API, its SIP messages with all their oddities, its media, and its status callbacks.
//! What it sends follows Exotel's public guides to the letter; what it is answered is judged by whoever drives it.
//!
//! Blocking, a thread for whoever wants to do two things at once. Start reading at `second_leg`: one call, step by step.

pub mod api;
pub mod callback;
pub mod connection;
pub mod http;
pub mod media;
pub mod message;
pub mod sdp;
pub mod second_leg;
pub mod spelling;

pub use api::{Api, Asked, Conduct};
pub use media::Media;
pub use second_leg::{Plan, SecondLeg};
pub use spelling::Spelling;
