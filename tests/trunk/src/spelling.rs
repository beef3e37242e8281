//! What is odd in the trunk's messages, each in both spellings: as its guides print it, and as others would write it.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// `Record-Route: <sip:...;lr>`, or without the brackets, which makes `lr` a parameter of the header.
    pub bracketed: bool,
    /// Record-Route names the transport that the call came by, or TLS in any case.
    pub route_transport_matches: bool,
    /// Contact names the transport that the call came by, or another.
    pub contact_transport_matches: bool,
    /// SDP has its line `s=`.
    pub session_name: bool,
    /// telephone-event: 96 as in the guides, or 101.
    pub event_type: u8,
}

impl Spelling {
    /// As the guides print it.
    pub const PRINTED: Spelling = Spelling {
        bracketed: false,
        route_transport_matches: false,
        contact_transport_matches: true,
        session_name: false,
        event_type: 96,
    };

    /// Each oddity in both spellings, with all spellings of the others.
    pub fn all() -> impl Iterator<Item = Spelling> {
        (0..32_u8).map(|bits| Spelling {
            bracketed: bits & 1 != 0,
            route_transport_matches: bits & 2 != 0,
            contact_transport_matches: bits & 4 != 0,
            session_name: bits & 8 != 0,
            event_type: if bits & 16 != 0 { 101 } else { 96 },
        })
    }
}
