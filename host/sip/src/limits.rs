//! The reader's bounds: how much one message may hold. What lies beyond is refused, and each bound has its test
//! in `tests/reader_bounds.rs`.

/// Start line, headers and body together, in bytes: what one UDP datagram can hold.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Header lines; a comma-joined line counts once.
pub const MAX_HEADERS: usize = 256;
/// One header with its folded lines, in bytes.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;
/// The start line, in bytes: room for the longest URI and a long reason phrase.
pub const MAX_START_LINE_BYTES: usize = MAX_URI_BYTES + 512;
/// A method's name, in bytes.
pub const MAX_METHOD_BYTES: usize = 128;
/// Via values, comma-joined ones counted singly. A request that travels by RFC 3261 16.6 passes 70 proxies at most.
pub const MAX_VIAS: usize = 70;
/// Values of Route, Record-Route or Contact, each.
pub const MAX_ROUTES: usize = 70;
/// One URI, in bytes.
pub const MAX_URI_BYTES: usize = 4 * 1024;
/// Parameters of one URI, or of one header value.
pub const MAX_PARAMS: usize = 64;
