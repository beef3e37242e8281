//! A host of many tenants as its operator, its tenants and their callers meet it: the binary, its command line over its API, and
//! real calls.

mod builds;
mod engines;
mod folders;
mod host;
mod life;
mod outside;
