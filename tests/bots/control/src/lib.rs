//! Does with its caller what its route tells it, one thing after the other, notes what came of each, and hangs up.
//!
//! The route's `steps` are text, a step a line; the note `1` is what came of the first.
//!
//!     play PROMPT       one of plugins/prompts: `whole` once it has been heard
//!     hear              `voice` once the caller speaks
//!     hold | resume     `done`, or the code that refused it and what was said
//!     transfer URI      as above; after `done` the hangup follows
//!     wait MS           `waited`

use patchbay_sdk::conversation::{BargeIn, Call, Heard, Rules, Said};
use patchbay_sdk::{Error, Prompt, prompt};

const PROMPTS: [(&str, Prompt); 3] = [
    ("apology", prompt!("../../../plugins/prompts/apology.wav")),
    ("goodbye", prompt!("../../../plugins/prompts/goodbye.wav")),
    ("invalid", prompt!("../../../plugins/prompts/invalid.wav")),
];
const RULES: Rules = Rules { strictness: 1, start_ms: 60, hang_over_ms: 500, barge_in: BargeIn::Off };

async fn run(call: Call) {
    call.answered().await;
    let steps = call.config("steps").unwrap_or_default();
    for (number, step) in (1..).zip(steps.lines()) {
        let came = take(&call, step).await.unwrap_or_else(|error| format!("{} {}", error.code, error.message));
        call.note(&format!("{number}"), &came);
    }
}

patchbay_sdk::converse!(run);

async fn take(call: &Call, step: &str) -> Result<String, Error> {
    let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
    let done = |()| "done".to_owned();
    match verb {
        "play" => {
            let (_, prompt) = PROMPTS.into_iter().find(|(name, _)| *name == rest).expect("a prompt of that name");
            Ok(if call.say(prompt).await? == Said::Whole { "whole" } else { "cut off" }.to_owned())
        }
        "hear" => {
            call.watch(RULES)?;
            while call.next().await != Heard::Speaking {}
            call.watch_no_more();
            Ok("voice".to_owned())
        }
        "hold" => call.hold().await.map(done),
        "resume" => call.take_back().await.map(done),
        "transfer" => call.transfer(rest, &[]).await.map(done),
        "wait" => {
            call.sleep(rest.parse().expect("a number of ms")).await;
            Ok("waited".to_owned())
        }
        other => panic!("no step is called {other}"),
    }
}
