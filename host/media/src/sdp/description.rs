//! What a description says, as far as we can use it. Filled by [`read`](super::read).

use std::net::IpAddr;

use webrtc_sdp::media_type::SdpProtocolValue;

use super::sdes::CryptoLine;
use crate::{Direction, PayloadType};

/// One session description, offer or answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// What stands before the first m-line and holds for all of them.
    pub session: Level,
    /// Every m-line, in order, those we don't speak included: an answer must have as many.
    pub media: Vec<Media>,
}

impl Description {
    /// The address that the peer's first RTP audio is to be sent to, so that the caller of
    /// [`answer`](super::answer) can choose a local address of the same family.
    pub fn audio_address(&self) -> Option<IpAddr> {
        let media = self.media.iter().find(|m| m.rtp.as_ref().is_some_and(|r| r.port != 0))?;
        match self.connection(media) {
            Some(Connection::Ip(ip)) => Some(ip),
            _ => None,
        }
    }

    pub(super) fn connection(&self, media: &Media) -> Option<Connection> {
        media.level.connection.or(self.session.connection)
    }
}

/// One m-line with its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// As it was sent, for an answer that declines it.
    pub line: MediaLine,
    /// Present for audio over a profile that we speak.
    pub rtp: Option<RtpLine>,
    pub level: Level,
}

/// The parts of an m-line that an answer repeats when it declines it. Printable ASCII, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLine {
    pub media: String,
    pub proto: String,
    pub formats: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpLine {
    /// 0: declined or removed.
    pub port: u16,
    pub profile: Profile,
    /// In the peer's order of preference, each once.
    pub payloads: Vec<PayloadType>,
}

/// The RTP profiles that we speak. The two with feedback (RFC 4585, RFC 5124) are answered under their own name and without
/// any `a=rtcp-fb`: then they differ from the plain ones only in when RTCP may be sent, and a sender of regular
/// RTCP keeps their rules too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Avp,
    Avpf,
    Savp,
    Savpf,
}

impl Profile {
    pub fn name(self) -> &'static str {
        match self {
            Profile::Avp => "RTP/AVP",
            Profile::Avpf => "RTP/AVPF",
            Profile::Savp => "RTP/SAVP",
            Profile::Savpf => "RTP/SAVPF",
        }
    }

    pub fn is_secure(self) -> bool {
        matches!(self, Profile::Savp | Profile::Savpf)
    }

    pub(super) fn from_proto(proto: &SdpProtocolValue) -> Option<Profile> {
        match proto {
            SdpProtocolValue::RtpAvp => Some(Profile::Avp),
            SdpProtocolValue::RtpAvpf => Some(Profile::Avpf),
            SdpProtocolValue::RtpSavp => Some(Profile::Savp),
            SdpProtocolValue::RtpSavpf => Some(Profile::Savpf),
            _ => None,
        }
    }
}

/// c= and the attributes of the session or of one m-line. Of anything that may stand once, the first readable one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Level {
    pub connection: Option<Connection>,
    /// As seen from the peer.
    pub direction: Option<Direction>,
    /// ms.
    pub ptime: Option<u64>,
    /// ms.
    pub maxptime: Option<u64>,
    /// RFC 3605: port, and address if it differs from c=.
    pub rtcp: Option<(u16, Option<IpAddr>)>,
    pub rtcp_mux: bool,
    pub rtpmaps: Vec<RtpMap>,
    /// Those that we could use, in order.
    pub crypto: Vec<CryptoLine>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Ip(IpAddr),
    /// A host name. Not resolved here: the leg waits for the first packet to learn where the peer is.
    Name,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpMap {
    pub payload_type: PayloadType,
    /// As sent; compared without regard to case.
    pub encoding: String,
    pub clock_rate: u32,
    /// 1 if none was given.
    pub channels: u32,
}
