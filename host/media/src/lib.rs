mod negotiated;
pub use negotiated::*;
