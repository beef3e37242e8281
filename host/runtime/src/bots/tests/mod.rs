//! The bot plane with real guests that misbehave, and what their neighbours notice of it.

mod lanes;
mod plane;
mod turns;
