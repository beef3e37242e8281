//! The menu walked in virtual time.

use patchbay_sdk::testing::FakeCall;

use super::*;

/// Long enough for everything that is said in one go, short of the next time-out.
const HEARD_MS: u64 = 12_000;

fn known() -> Vec<(&'static str, Prompt)> {
    let named = [
        ("menu", prompts::MENU),
        ("enter", prompts::ENTER),
        ("you-entered", prompts::YOU_ENTERED),
        ("nothing", prompts::NOTHING),
        ("invalid", prompts::INVALID),
        ("still-there", prompts::STILL_THERE),
        ("goodbye", prompts::GOODBYE),
    ];
    let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let digits = digits.map(|name| (name, prompts::digit(name.chars().next().expect("a digit")).expect("its prompt")));
    named.into_iter().chain(digits).collect()
}

/// Presses keys, then listens; what was heard whole.
fn after(call: &mut FakeCall<Menu>, keys: &str, listen_ms: u64) -> Vec<&'static str> {
    call.press(keys);
    call.advance_ms(listen_ms);
    call.take_heard().prompts(&known())
}

fn connected() -> FakeCall<Menu> {
    FakeCall::dialled("dtmf-menu").connect()
}

#[test]
fn digits_are_read_back_and_noted_then_the_menu_comes_again() {
    let mut call = connected();
    assert_eq!(after(&mut call, "", 8_000), ["menu"]);
    assert_eq!(after(&mut call, "1", 5_000), ["enter"]);
    assert_eq!(after(&mut call, "4071#", HEARD_MS), ["you-entered", "4", "0", "7", "1", "menu"]);
    assert_eq!(call.note("choice").as_deref(), Some("1"));
    assert_eq!(call.note("digits").as_deref(), Some("4071"));
}

#[test]
fn goodbye_is_heard_whole_before_the_call_ends() {
    for key in ["9", "0"] {
        let mut call = connected();
        assert_eq!(after(&mut call, key, 4_000), ["goodbye"]);
        assert_eq!(call.ended().map(|hung_up| hung_up.by), Some("bot".to_owned()));
        assert!(call.is_done());
    }
}

#[test]
fn a_key_cuts_off_what_plays() {
    let mut call = connected();
    call.advance_ms(1_000);
    assert_eq!(after(&mut call, "2", 8_000), ["menu"], "the first one was not heard whole");
    let heard = after(&mut call, "112345678", HEARD_MS);
    assert_eq!(heard[..3], ["you-entered", "1", "2"]);
}

#[test]
fn eight_digits_need_no_hash() {
    let mut call = connected();
    let heard = after(&mut call, "112345678", HEARD_MS);
    assert_eq!(heard[..9], ["you-entered", "1", "2", "3", "4", "5", "6", "7", "8"]);
    assert_eq!(call.note("digits").as_deref(), Some("12345678"));
}

#[test]
fn an_unknown_choice_is_named_and_asked_again() {
    for key in ["3", "#", "A"] {
        assert_eq!(after(&mut connected(), key, HEARD_MS), ["invalid", "menu"], "key {key}");
    }
}

#[test]
fn a_star_goes_back_to_the_menu() {
    let mut call = connected();
    assert_eq!(after(&mut call, "112*", 8_000), ["menu"]);
    assert_eq!(call.note("digits"), None);
    assert_eq!(after(&mut call, "12#", 10_000), ["you-entered", "2", "menu"], "the digits before the star are gone");
}

#[test]
fn a_hash_alone_enters_nothing() {
    assert_eq!(after(&mut connected(), "1#", HEARD_MS), ["nothing", "menu"]);
}

#[test]
fn who_stops_in_the_middle_hears_what_there_was() {
    let mut call = connected();
    assert_eq!(after(&mut call, "142", 3_800), [""; 0]);
    assert_eq!(after(&mut call, "", HEARD_MS), ["you-entered", "4", "2", "menu"]);
}

#[test]
fn who_presses_nothing_is_asked_three_times_then_hears_the_goodbye() {
    let mut call = connected();
    let asked = ["menu", "still-there", "menu", "still-there", "menu", "goodbye"];
    assert_eq!(after(&mut call, "", 60_000), asked);
    assert!(call.ended().is_some());
}

#[test]
fn a_key_makes_earlier_silences_count_no_more() {
    let mut call = connected();
    after(&mut call, "", 30_000);
    assert_eq!(after(&mut call, "2", 31_000), ["menu", "still-there", "menu", "still-there"]);
    assert!(call.is_up());
}

#[test]
fn keys_after_the_goodbye_began_change_nothing() {
    assert_eq!(after(&mut connected(), "912", 4_000), ["goodbye"]);
}

#[test]
fn a_call_moves_to_a_new_build_in_the_middle_of_an_entry() {
    let mut call = connected();
    call.press("142");
    assert!(call.move_over());
    assert_eq!(after(&mut call, "7#", 10_500), ["you-entered", "4", "2", "7", "menu"]);
    call.press("15");
    assert!(call.move_over());
    assert_eq!(after(&mut call, "", 14_000), ["you-entered", "5", "menu"], "the time-out went along");
}

#[test]
fn after_a_trap_the_question_is_asked_again() {
    let mut call = connected();
    call.press("14");
    let saved = call.save().expect("a state");
    assert!(call.restart_from(saved));
    assert_eq!(after(&mut call, "", 5_000), ["enter"]);
    assert!(call.restart_from(b"1 leaving 0 1 - ".to_vec()));
    assert_eq!(after(&mut call, "", 3_000), ["goodbye"]);
    assert!(call.ended().is_some());
}

#[test]
fn a_state_of_another_form_is_refused_so_the_old_build_goes_on() {
    for state in ["", "2 menu 0 0 - ", "1 cellar 0 0 - ", "1 menu x 0 - ", "1 menu 0 0 - ".trim_end()] {
        let reason = StartReason::Moved(state.as_bytes().to_vec());
        assert!(FakeCall::<Menu>::dialled("1").reason(reason).start().is_err(), "{state:?}");
    }
}
