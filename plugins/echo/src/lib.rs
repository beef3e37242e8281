//! Plays back whatever the caller says, 20 ms at a time: the smallest bot, and the one a new trunk is tried with.

use patchbay_sdk::{Bot, Call, Frame};

#[derive(Default)]
struct Echo;

impl Bot for Echo {
    fn on_frame(&mut self, _call: &Call, frame: Frame) -> Option<Vec<i16>> {
        Some(frame.samples)
    }

    /// It remembers nothing, so any build of it can go on from here.
    fn save(&self) -> Option<Vec<u8>> {
        Some(Vec::new())
    }
}

patchbay_sdk::export!(Echo);

#[cfg(test)]
mod tests {
    use patchbay_sdk::testing::FakeCall;
    use patchbay_sdk::{silence, tone};

    use super::*;

    #[test]
    fn the_caller_hears_what_the_caller_said() {
        let mut call = FakeCall::<Echo>::dialled("echo").connect();
        let said = [silence(60), tone(440.0, 200)].concat();
        call.say(&said);
        call.advance_ms(260);
        assert_eq!(call.take_heard().samples(), said);
    }

    #[test]
    fn another_build_can_go_on_with_the_call() {
        let call = FakeCall::<Echo>::dialled("echo").connect();
        assert_eq!(call.save(), Some(Vec::new()));
    }
}
