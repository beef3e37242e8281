//! What an operator touches: configuration, command line, bot folder, admin port, examples.

mod bot_folder;
mod calls;
mod cli;
mod config;
mod examples;
mod operate;
