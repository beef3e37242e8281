//! What the tests with real clients and the demo share: processes with deadlines, certificates for a run, and an ear that
//! knows a voice again. Nothing here knows the host.

use std::path::{Path, PathBuf};

pub mod certificates;
pub mod running;
pub mod sound;

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the repository").to_owned()
}
