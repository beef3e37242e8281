mod negotiated;
pub mod sdp;
pub use negotiated::*;
