mod contract;
mod port;
pub use contract::*;
pub use port::*;
