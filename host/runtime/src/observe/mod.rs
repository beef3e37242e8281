//! What an operator sees of the host: logs, metrics, the SIP trace, captures of calls.
//! None of them makes a call wait: what cannot be written at once is dropped and counted.

mod logs;
mod metrics;
mod pcap;
mod pcap_file;
mod personal;
mod sip_trace;

pub use logs::{LogLimit, flush_logs, parse_filter, start_logs};
pub use metrics::{Counter, Gauge, Histogram, Metrics};
pub use pcap::{Capture, Captures};
pub use personal::{Personal, PersonalAddress, show_personal};
pub use sip_trace::{Direction, SipTrace};
