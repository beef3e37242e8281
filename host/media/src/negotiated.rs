//! What offer and answer settled for one leg: the meeting point of [`sdp`](crate::sdp) and [`Leg`](crate::Leg).

use std::net::{IpAddr, SocketAddr};

/// G.711, in its two laws. Source: ITU-T G.711; RFC 3551 4.5.14.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    Pcma,
    Pcmu,
}

/// An RTP payload type, 0 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PayloadType(pub u8);

/// Source: RFC 4568 6.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrtpSuite {
    AesCm128HmacSha1_80,
    AesCm128HmacSha1_32,
}

/// A master key and salt, 16 + 14 bytes. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKey(pub [u8; 30]);

impl std::fmt::Debug for SrtpKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SrtpKey(..)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srtp {
    pub suite: SrtpSuite,
    /// The crypto line's tag, echoed in the answer.
    pub tag: u32,
    pub ours: SrtpKey,
    pub theirs: SrtpKey,
}

/// Direction of the stream, as seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

/// The session of one leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The codec that we send, and its payload type.
    pub codec: Codec,
    pub payload_type: PayloadType,
    /// Every G.711 payload type that the offer named: what we accept from the peer.
    pub receive: Vec<(PayloadType, Codec)>,
    /// RFC 4733, at 8000 Hz, both ways.
    pub telephone_event: Option<PayloadType>,
    /// Comfort noise, counted and ignored.
    pub comfort_noise: Option<PayloadType>,
    /// Where the peer wants its RTP. None while on hold by c=0.0.0.0, and where it named no address that we can send to (a
    /// host name, nothing): until a source is learnt there is nowhere to send.
    pub remote_rtp: Option<SocketAddr>,
    /// Where the peer wants its RTCP; equal to `remote_rtp` with rtcp-mux. None if it cannot be known or a=rtcp says 0.
    pub remote_rtcp: Option<SocketAddr>,
    pub rtcp_mux: bool,
    /// Our own direction, as we answered.
    pub direction: Direction,
    /// The peer put us on hold: it doesn't want our sound (sendonly, inactive, c=0.0.0.0), whether it sends its own (music)
    /// or not. Frames are `held`, as they are while we hold it. Always so when `direction` is RecvOnly, or Inactive without that.
    pub held: bool,
    /// What we send, in ms: 10, 20, 30, 40 or 60.
    pub send_ptime_ms: u32,
    pub srtp: Option<Srtp>,
}

/// Our side of the media description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// The address that goes into c= and o=.
    pub address: IpAddr,
    pub rtp_port: u16,
    pub rtcp_port: u16,
    /// In order of preference.
    pub codecs: Vec<Codec>,
    pub srtp: SrtpPolicy,
    /// We hold the peer: it hears us, and we take none of its sound.
    pub holds: bool,
}

/// Per trunk; the table is in docs and in `sdp::offer_answer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SrtpPolicy {
    Require,
    #[default]
    Prefer,
    Off,
}
