//! A bot as one async function: it says, asks, waits and fetches in the order in which a conversation goes.
//!
//!     async fn run(call: Call) {
//!         let question = Some("Your order's number, please.".into());
//!         let Answer::Digits(number) = call.gather(Gather { question, digits_max: 6, ..Gather::default() }).await else { return };
//!         let line = match call.fetch(Fetch::get(format!("https://shop.example.com/orders/{number}"))).await {
//!             Ok(order) => order.text(),
//!             Err(_) => "I cannot look it up now.".to_owned(),
//!         };
//!         let _ = call.say(line).await;
//!     }
//!     patchbay_sdk::converse!(run);
//!
//! There is no runtime beneath: the function is entered at every event of the call and goes on where what it waits for has come.
//! Whatever takes time is a future, and to drop one is to cancel it: [`select`] and [`Call::within`] do so with what came second.
//!
//! The function begins in `start`, before the call is answered. A [`Refusal`](crate::Refusal) returned before it first waits refuses the
//! call; otherwise the call is answered at once, or, after [`Call::ring`], when it says [`answer`](crate::Call::answer). When it returns, the
//! call ends with what still plays. At the caller's hangup it is dropped where it waits, unless it uses [`Call::until_hangup`].
//! A conversation cannot be saved: at a new build of the bot, calls that are under way end with the build they began with.

mod asking;
mod control;
mod fetching;
mod gather;
mod hearing;
mod inbox;
mod keeping;
mod operation;
mod socket;
mod speaker;
mod speaking;
mod talk;
mod waiting;

use std::ops::Deref;
use std::rc::Rc;

pub use crate::outcome::chat::{Message, Request as ChatRequest, Role, Tool, ToolCall};
pub use crate::outcome::http::Header;
pub use crate::outcome::speech::{ListenOptions, SayOptions};
pub use crate::outcome::voice::{BargeIn, Rules};
pub use asking::{Asking, Piece};
pub use fetching::{Arrived, Fetch, Fetching, Response};
pub use gather::{Answer, Gather, Turn};
pub use hearing::Heard;
pub use socket::{Said as SocketSaid, Socket};
pub use speaker::Speaker;
pub use speaking::{Line, Said, Saying};
pub use talk::{Ended, Talk};
pub use waiting::{Either, Sleep, select};

use inbox::Inbox;

/// The call of a conversation: what [`crate::Call`] can do, and all that takes time. Its clones are the same call.
#[derive(Clone)]
pub struct Call {
    call: crate::Call,
    inbox: Rc<Inbox>,
    configuration: Rc<str>,
}

impl Deref for Call {
    type Target = crate::Call;

    fn deref(&self) -> &crate::Call {
        &self.call
    }
}

impl Call {
    /// The route's whole configuration, one JSON object.
    pub fn configuration(&self) -> &str {
        &self.configuration
    }

    /// The caller hears ringing until [`answer`](crate::Call::answer). Does something only before the function first waits.
    pub fn ring(&self) {
        self.inbox.ring();
    }
}

/// Makes the component's exports from an async function of a [`Call`](conversation::Call) that returns nothing, or
/// `Result<(), Refusal>`: `patchbay_sdk::converse!(run);`, once in a `cdylib` crate.
#[macro_export]
macro_rules! converse {
    ($run:path) => {
        $crate::component!(conversation, $crate::conversation::Talk, (|| { $crate::conversation::Talk::new($run) }));
    };
}

#[cfg(test)]
mod tests;
