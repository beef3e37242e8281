//! What bots may reach outside, and how: HTTP with streamed responses, WebSockets, TLS, secrets and limits, each for one tenant and
//! under two lists of rules, its own and the operator's. Knows neither calls nor bots: whoever asks gets events.
//!
//!     Outside -- tenant --> Tenant -- http ------> Response, a stream of Event
//!                                  -- websocket -> Sender, Socket: a stream of SocketEvent
//!
//! A response or a socket that is dropped is given up, and its connection with it.

pub mod address;
mod connect;
pub mod egress;
mod error;
pub mod http;
mod limits;
pub mod resolver;
pub mod secrets;
mod target;
mod task;
mod tenant;
pub mod tls;
pub mod websocket;

pub use egress::{OperatorRules, Pattern, Private};
pub use error::{Code, Error, Refusal};
pub use limits::{Limits, Usage};
pub use secrets::Secret;
pub use tenant::{CONNECTIONS_MAX, Outside, Tenant, TenantRules};
