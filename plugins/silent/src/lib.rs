//! Takes every frame and never says a word: what is left of a call's cost when its bot does nothing. For measuring.

use patchbay_sdk::{Bot, Call, Frame};

#[derive(Default)]
struct Silent;

impl Bot for Silent {
    fn on_frame(&mut self, _call: &Call, _frame: Frame) -> Option<Vec<i16>> {
        None
    }
}

patchbay_sdk::export!(Silent);

#[cfg(test)]
mod tests {
    use patchbay_sdk::testing::FakeCall;
    use patchbay_sdk::{silence, tone};

    use super::*;

    #[test]
    fn whatever_the_caller_says_the_bot_stays_silent() {
        let mut call = FakeCall::<Silent>::dialled("silent").connect();
        call.say(&tone(440.0, 200));
        call.advance_ms(220);
        assert_eq!(call.take_heard().samples(), silence(220));
    }
}
