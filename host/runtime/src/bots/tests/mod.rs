//! The bot plane with real guests that misbehave, and what their neighbours notice of it.

mod conversation;
mod ear;
mod ear_in_calls;
mod lanes;
mod lives;
mod moves;
mod plane;
mod turns;
mod utterances;
