//! The state of a host with many tenants: who they are, what they uploaded, which build of it answers, and who changed what.
//!
//! A change is all or nothing, with its entry in the audit log, and survives a kill at any moment. Every list, name and value has a
//! bound. Time is a parameter. This crate never compiles or runs a bot, speaks HTTP, or watches a folder; it may block on
//! the disk, so neither a call nor its media ever waits for it: the runtime keeps a picture of its own and follows [`Store::changes`].
//!
//! Start reading at `store` (the verbs), then `model` (what there is) and `plugin` (which build answers, a pure function); `sqlite` and
//! `components` keep it on one host's disk; `folder` reads tenants from files instead of the API.

mod bounds;
mod components;
mod error;
mod folder;
mod host_key;
mod model;
mod name;
mod overlap;
mod plugin;
mod problem;
mod sqlite;
mod store;
mod token;

pub use bounds::*;
pub use error::{Error, Result};
pub use folder::{FolderBot, FolderSecret, FolderTenant, TenantFiles, read_folder, read_tenant};
pub use host_key::HostKey;
pub use model::*;
pub use name::{Digest, Name};
pub use overlap::Overlap;
pub use plugin::{Activate, Canary, Generation, Live, LivePolicy, Plugin, RollBack, Version};
pub use problem::{Problem, Problems, nearest};
pub use sqlite::{Found, Settings, SqliteStore};
pub use store::{Change, Changes, Pairs, Store};
pub use token::{Scope, Token, TokenText};
