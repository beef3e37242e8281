//! Plays back whatever the caller says, 20 ms at a time: the smallest bot, and the one a new trunk is tried with.

use patchbay_sdk::{Bot, Call, Frame};

#[derive(Default)]
struct Echo;

impl Bot for Echo {
    fn on_frame(&mut self, _call: &Call, frame: Frame) -> Option<Vec<i16>> {
        Some(frame.samples)
    }
}

patchbay_sdk::export!(Echo);
