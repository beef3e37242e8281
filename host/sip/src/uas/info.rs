//! INFO: digits. Source: RFC 6086; application/dtmf-relay and application/dtmf are custom, not in any RFC.

use std::time::Instant;

use crate::dialog::State;
use crate::door::{DialogId, Event};
use crate::endpoint::Endpoint;
use crate::endpoint::transactions::{Answer, TransactionId};
use crate::message::{HeaderName, Request};

/// How long a digit lasts whose sender does not say.
const DEFAULT_DURATION_MS: u32 = 160;
/// The longest we believe.
const MAX_DURATION_MS: u32 = 10_000;

impl Endpoint {
    /// A digit is told and answered 200; an INFO without a body is answered 200 (RFC 2976 2.2); others get 415.
    pub(super) fn serve_info(&mut self, id: TransactionId, dialog: DialogId, request: &Request, now: Instant) {
        let Some(found) = self.dialogs.get(&dialog) else {
            return;
        };
        let established = matches!(found.state, State::Established);
        let tag = found.local_tag.clone();
        let digit = match request.content_type().as_deref() {
            _ if request.body().is_empty() => None,
            Some("application/dtmf-relay") => Some(read_relay(request.body())),
            Some("application/dtmf") => Some(read_plain(request.body())),
            _ => {
                let answer = Answer::new(415).with(HeaderName::Accept, "application/dtmf-relay, application/dtmf");
                return self.respond(id, answer.tagged(&tag), now);
            }
        };
        let status = if digit == Some(None) { 400 } else { 200 };
        self.respond(id, Answer::new(status).tagged(&tag), now);
        if let (Some(Some((digit, duration_ms))), true) = (digit, established) {
            self.tell(Event::InfoDigit { dialog, digit, duration_ms });
        }
    }
}

/// `Signal=5` and `Duration=160`, in any order and case, with white space. Errors: None without a readable Signal.
fn read_relay(body: &[u8]) -> Option<(char, u32)> {
    let text = std::str::from_utf8(body).ok()?;
    let field = |wanted: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once('='));
        fields.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let duration_ms = field("Duration").and_then(|value| value.parse().ok()).unwrap_or(DEFAULT_DURATION_MS);
    Some((digit(field("Signal")?)?, duration_ms.min(MAX_DURATION_MS)))
}

fn read_plain(body: &[u8]) -> Option<(char, u32)> {
    Some((digit(std::str::from_utf8(body).ok()?.trim())?, DEFAULT_DURATION_MS))
}

/// A key, or its event number as some gateways write it. Source: RFC 4733 3.2, table 3.
fn digit(text: &str) -> Option<char> {
    match text {
        "10" => return Some('*'),
        "11" => return Some('#'),
        _ => {}
    }
    let mut letters = text.chars();
    match (letters.next()?.to_ascii_uppercase(), letters.next()) {
        (key @ ('0'..='9' | 'A'..='D' | '*' | '#'), None) => Some(key),
        _ => None,
    }
}
