//! The caller's side of the media description, written and read as text, so that nothing of `media::sdp` vouches for itself.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media::{Codec, Direction, Negotiated, PayloadType, Srtp, SrtpKey, SrtpSuite};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    No,
    SendOnly,
    Inactive,
    /// c=0.0.0.0, as before RFC 3264.
    Zero,
}

#[derive(Clone, Debug)]
pub struct Crypto {
    pub tag: u32,
    pub suite: SrtpSuite,
    pub key: SrtpKey,
}

/// What the caller says of itself.
#[derive(Clone, Debug)]
pub struct Desk {
    pub address: SocketAddr,
    pub version: u32,
    /// In order of preference; 18 is G.729, which the host does not speak.
    pub codecs: Vec<u8>,
    pub events: Option<u8>,
    /// What it asks for.
    pub ptime_ms: Option<u32>,
    /// What it sends.
    pub packet_ms: u32,
    pub crypto: Option<Crypto>,
    /// RTP/SAVP.
    pub secure: bool,
    pub hold: Hold,
    /// It listens only.
    pub listens: bool,
    /// A second m-line, which the host declines.
    pub video: bool,
    pub mux: bool,
}

impl Desk {
    pub fn offer(&self) -> Vec<u8> {
        let pts: Vec<String> = self.codecs.iter().chain(&self.events).map(u8::to_string).collect();
        self.write(&pts.join(" "))
    }

    /// The answer to an offer of the host's: its own numbers, what both know, and no sound to whom it holds.
    pub fn answer(&self, offer: &Session) -> Vec<u8> {
        let (hold, listens) = match self.hold {
            Hold::SendOnly if offer.holds() => (Hold::Inactive, false),
            hold => (hold, self.listens || offer.holds()),
        };
        let ours = Desk { hold, listens, ..self.clone() };
        let ours = Desk { events: offer.events, video: false, mux: self.mux && offer.mux, ..ours };
        let taken = self.taken(offer);
        let codec = taken.payloads.first().copied().unwrap_or(18);
        let pts: Vec<String> = [codec].iter().chain(&ours.events).map(u8::to_string).collect();
        let ours = Desk { crypto: ours.crypto.filter(|_| taken.crypto.is_some()), secure: offer.secure, ..ours };
        ours.write(&pts.join(" "))
    }

    /// What of an offer of the host's this caller speaks.
    pub fn taken(&self, offer: &Session) -> Session {
        let fits =
            |theirs: &Crypto| self.crypto.as_ref().is_some_and(|c| c.tag == theirs.tag && c.suite == theirs.suite);
        Session {
            payloads: offer.payloads.iter().copied().filter(|pt| self.codecs.contains(pt)).collect(),
            crypto: offer.crypto.clone().filter(fits),
            ..offer.clone()
        }
    }

    /// Whether the answer to such an offer can make a session.
    pub fn can_take(&self, offer: &Session) -> bool {
        let taken = self.taken(offer);
        !taken.payloads.is_empty() && (taken.crypto.is_some() || !offer.secure)
    }

    fn write(&self, payloads: &str) -> Vec<u8> {
        let ip = if self.hold == Hold::Zero { "0.0.0.0".to_owned() } else { self.address.ip().to_string() };
        let profile = if self.secure { "RTP/SAVP" } else { "RTP/AVP" };
        let mut text = format!(
            "v=0\r\no=caller 7 {} IN IP4 {}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} {profile} {payloads}\r\n",
            self.version,
            self.address.ip(),
            self.address.port(),
        );
        if let Some(events) = self.events {
            text += &format!("a=rtpmap:{events} telephone-event/8000\r\na=fmtp:{events} 0-15\r\n");
        }
        if let Some(crypto) = &self.crypto {
            let suite = SUITES.iter().find(|(suite, _)| *suite == crypto.suite).map_or("", |(_, name)| name);
            text += &format!("a=crypto:{} {suite} inline:{}\r\n", crypto.tag, STANDARD.encode(crypto.key.0));
        }
        text += &self.ptime_ms.map(|ptime| format!("a=ptime:{ptime}\r\n")).unwrap_or_default();
        text += if self.mux { "a=rtcp-mux\r\n" } else { "" };
        text += match (self.hold, self.listens) {
            (Hold::SendOnly, _) => "a=sendonly\r\n",
            (Hold::Inactive, _) => "a=inactive\r\n",
            (_, true) => "a=recvonly\r\n",
            _ => "a=sendrecv\r\n",
        };
        text += if self.video { "m=video 5004 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\n" } else { "" };
        text.into_bytes()
    }

    /// What the caller's leg does by the host's description. Errors: what of it cannot be.
    pub fn settle(&self, theirs: &Session) -> Result<Negotiated, String> {
        let known = |pt: &&u8| matches!(pt, 0 | 8) && self.codecs.contains(pt);
        let audio = theirs.payloads.iter().find(known).ok_or("no codec in the host's description")?;
        let codec = |pt: u8| if pt == 0 { Codec::Pcmu } else { Codec::Pcma };
        let crypto = match (&self.crypto, &theirs.crypto) {
            (Some(ours), Some(theirs)) if ours.tag == theirs.tag && ours.suite == theirs.suite => {
                Some(Srtp { suite: ours.suite, tag: ours.tag, ours: ours.key.clone(), theirs: theirs.key.clone() })
            }
            (_, Some(_)) => return Err("a=crypto in an answer that was not offered so".into()),
            (_, None) if theirs.secure => return Err("RTP/SAVP answered without a key".into()),
            (_, None) => None,
        };
        Ok(Negotiated {
            codec: codec(*audio),
            payload_type: PayloadType(*audio),
            receive: vec![(PayloadType(8), Codec::Pcma), (PayloadType(0), Codec::Pcmu)],
            telephone_event: theirs.events.map(PayloadType),
            comfort_noise: None,
            remote_rtp: Some(theirs.address),
            remote_rtcp: Some(match theirs.mux {
                true => theirs.address,
                false => SocketAddr::new(theirs.address.ip(), theirs.address.port() + 1),
            }),
            rtcp_mux: theirs.mux,
            direction: match (self.hold, self.listens || theirs.holds()) {
                (Hold::SendOnly, _) if theirs.holds() => Direction::Inactive,
                (Hold::SendOnly, _) => Direction::SendOnly,
                (Hold::Inactive, _) => Direction::Inactive,
                (_, true) => Direction::RecvOnly,
                _ => Direction::SendRecv,
            },
            held: false,
            send_ptime_ms: self.packet_ms,
            srtp: crypto,
        })
    }
}

const SUITES: [(SrtpSuite, &str); 2] = [
    (SrtpSuite::AesCm128HmacSha1_80, "AES_CM_128_HMAC_SHA1_80"),
    (SrtpSuite::AesCm128HmacSha1_32, "AES_CM_128_HMAC_SHA1_32"),
];

/// What the host says of itself.
#[derive(Clone, Debug)]
pub struct Session {
    pub address: SocketAddr,
    pub payloads: Vec<u8>,
    pub events: Option<u8>,
    pub crypto: Option<Crypto>,
    pub secure: bool,
    pub mux: bool,
    pub direction: String,
    /// Media lines, declined ones included.
    pub lines: usize,
}

impl Session {
    /// It takes no sound.
    pub fn holds(&self) -> bool {
        matches!(self.direction.as_str(), "sendonly" | "inactive")
    }

    pub fn read(body: &[u8]) -> Result<Session, String> {
        let text = std::str::from_utf8(body).map_err(|_| "a description that is no text")?;
        let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
        let audio: Vec<&str> = line("m=audio ").ok_or("no m=audio")?.split(' ').collect();
        let [port, profile, payloads @ ..] = &audio[..] else { return Err("a short m= line".into()) };
        let ip = line("c=IN IP4 ").ok_or("no c= line")?;
        let address = format!("{ip}:{port}").parse().map_err(|_| format!("no address: {ip} {port}"))?;
        let mapped =
            text.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")?.strip_suffix(" telephone-event/8000"));
        let crypto = line("a=crypto:").map(read_crypto).transpose()?;
        let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
        Ok(Session {
            address,
            payloads: payloads.iter().filter_map(|pt| pt.parse().ok()).collect(),
            events: mapped.filter_map(|pt| pt.parse().ok()).next(),
            crypto,
            secure: profile.contains("SAVP"),
            mux: text.contains("a=rtcp-mux\r\n"),
            direction: text
                .lines()
                .filter_map(|line| line.strip_prefix("a="))
                .find(|line| directions.contains(line))
                .unwrap_or("sendrecv")
                .to_owned(),
            lines: text.lines().filter(|line| line.starts_with("m=")).count(),
        })
    }
}

fn read_crypto(line: &str) -> Result<Crypto, String> {
    let mut words = line.split(' ');
    let (Some(tag), Some(suite), Some(inline)) = (words.next(), words.next(), words.next()) else {
        return Err(format!("a=crypto:{line}"));
    };
    let suite = SUITES.iter().find(|(_, name)| *name == suite).ok_or(format!("suite {suite}"))?.0;
    let key = inline.strip_prefix("inline:").and_then(|key| STANDARD.decode(key).ok()).ok_or("no key")?;
    let key = key.try_into().map_err(|_| "a key of another length")?;
    Ok(Crypto { tag: tag.parse().map_err(|_| "no tag")?, suite, key: SrtpKey(key) })
}
