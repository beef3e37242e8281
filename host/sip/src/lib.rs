//! RFC 3261 signalling without IO: bytes and time go in, bytes and events come out.
//!
//! It reads messages tolerantly and writes them strictly, runs the transaction machines and their timers, and keeps
//! dialogs from INVITE to BYE. It is the UAS for the trunk's calls, and the UAC for `patchbay call` and tests.
//!
//! It never opens a socket, asks for the time, starts a thread, looks at SDP or knows of a bot: time is a parameter,
//! bodies are bytes, and whoever drives it does the IO.
//!
//! Start reading at [`Endpoint`], [`Input`] and [`Output`] (the one door), then [`reader`] and [`framing`] for how bytes become
//! messages, [`message`] for what they hold, [`limits`] for how much of it.

mod body;
mod dialog;
mod door;
mod endpoint;
pub mod framing;
#[doc(hidden)]
pub mod fuzzing;
pub mod limits;
pub mod message;
mod name_addr;
mod params;
pub mod reader;
mod refer;
pub mod session_timer;
mod sipfrag;
pub mod timers;
mod transaction;
mod uac;
mod uas;
mod uri;
mod via;
mod writer;

pub use body::{session_of, session_of_response};
pub use door::*;
pub use endpoint::Endpoint;
pub use endpoint::config::{EndpointConfig, Limits, ListenerConfig, Network, TrunkConfig};
pub use endpoint::counters::{Counters, DropReason};
pub use message::{HeaderName, Message, Request, Response};
pub use name_addr::{NameAddr, NameAddrError};
pub use reader::{ParseError, Problem, Refusal};
pub use refer::{MAX_REFER_TARGET_BYTES, ReferTarget, ReferTargetError};
pub use sipfrag::{MAX_PHRASE_BYTES, Sipfrag};
pub use uri::{Scheme, Uri, UriError};
pub use via::{MAGIC_COOKIE, Via, ViaError};
pub use writer::{RequestBuilder, ResponseBuilder};
