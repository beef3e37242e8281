//! Every way a call can go, in virtual time: what the calls tell the edge, word by word, and that nothing is left behind.

mod bounds;
mod chaos;
mod offers;
mod outbound;
mod record;
mod scene;
mod setup;
mod signalling;
mod talk;
mod teardown;
mod tenants;
