//! What the menu says; `plugins/prompts/make` recorded it.

use patchbay_sdk::{Prompt, prompt};

pub const MENU: Prompt = prompt!("../prompts/menu.wav");
pub const ENTER: Prompt = prompt!("../prompts/enter.wav");
pub const YOU_ENTERED: Prompt = prompt!("../prompts/you-entered.wav");
pub const NOTHING: Prompt = prompt!("../prompts/nothing.wav");
pub const INVALID: Prompt = prompt!("../prompts/invalid.wav");
pub const STILL_THERE: Prompt = prompt!("../prompts/still-there.wav");
pub const GOODBYE: Prompt = prompt!("../prompts/goodbye.wav");

const DIGITS: [Prompt; 10] = [
    prompt!("../prompts/0.wav"),
    prompt!("../prompts/1.wav"),
    prompt!("../prompts/2.wav"),
    prompt!("../prompts/3.wav"),
    prompt!("../prompts/4.wav"),
    prompt!("../prompts/5.wav"),
    prompt!("../prompts/6.wav"),
    prompt!("../prompts/7.wav"),
    prompt!("../prompts/8.wav"),
    prompt!("../prompts/9.wav"),
];

/// How a digit is read out.
pub fn digit(key: char) -> Option<Prompt> {
    DIGITS.get(key.to_digit(10)? as usize).copied()
}
