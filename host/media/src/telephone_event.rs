//! Keys pressed by the caller and keys pressed for the bot: RFC 4733.

mod receive;
mod send;

pub use receive::{Presses, parse_event};
pub use send::{DigitSender, DigitTiming, DigitsRefused, Slot};

/// Events 0 to 15, in their order. Source: RFC 4733 3.2.
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// The key of an event code.
pub fn key_of(event: u8) -> Option<char> {
    KEYS.get(usize::from(event)).map(|&key| key as char)
}

/// The event code of a key; letters of either case.
pub fn event_of(key: char) -> Option<u8> {
    let key = key.to_ascii_uppercase();
    KEYS.iter().position(|&known| known as char == key).map(|place| place as u8)
}
