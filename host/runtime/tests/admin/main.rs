//! The admin port over real sockets, with a real store in a temporary folder.

mod bad_input;
mod binary;
mod changes;
mod connections;
mod description;
mod open;
mod rates;
mod schema;
mod scopes;
mod support;
