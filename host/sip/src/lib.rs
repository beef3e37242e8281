mod door;
pub use door::*;
