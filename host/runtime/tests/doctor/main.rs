//! `patchbay doctor`: of each thing that can be wrong with a set-up one that has it, and the finding that names it.

mod calls;
mod certificates;
mod folder;
mod setup;
mod tenants;
mod trunks;
