//! Reading a description that anyone may have written.
//!
//! webrtc-sdp judges one line at a time here, and sees only lines that we have a use for: it refuses a whole description
//! without s= or t=, with e=, p=, u=, z=, k= or r=, or with `a=ptime:20.0`, and it drops a=crypto and m-lines that it
//! does not know. So the pre-pass keeps every m-line, lifts a=crypto, mends what can be mended, and a line that still can't
//! be read is as if it were not there.

use webrtc_sdp::SdpType;
use webrtc_sdp::address::ExplicitlyTypedAddress;
use webrtc_sdp::attribute_type::SdpAttribute;
use webrtc_sdp::media_type::SdpMediaValue;

use super::description::{Connection, Description, Level, Media, MediaLine, Profile, RtpLine, RtpMap};
use super::sdes::CryptoLine;
use crate::{Direction, PayloadType};

/// A description longer than this is refused. A browser's longest offers have 10 kB.
pub const MAX_BYTES: usize = 32 * 1024;
/// More non-empty lines than this are refused.
pub const MAX_LINES: usize = 1000;
/// More m-lines than this are refused: an answer has to repeat them.
pub const MAX_MEDIA: usize = 16;
/// A longer line is ignored, unless it is an m-line.
pub const MAX_LINE_BYTES: usize = 512;
/// Formats of one m-line beyond this are ignored: there are 128 payload types.
pub const MAX_FORMATS: usize = 128;
/// a=rtpmap lines of one m-line beyond this are ignored.
pub const MAX_RTPMAPS: usize = 128;
/// Usable a=crypto lines of one m-line beyond this are ignored.
pub const MAX_CRYPTO_LINES: usize = 16;

/// Why a description cannot be read at all: the peer's fault, each time. One odd line is never a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("not a session description: neither v=0 nor an m-line")]
    NotSdp,
    #[error("session description of more than {MAX_BYTES} bytes")]
    TooLong,
    #[error("session description of more than {MAX_LINES} lines")]
    TooManyLines,
    #[error("session description of more than {MAX_MEDIA} media")]
    TooManyMedia,
}

impl SdpError {
    /// The SIP status that says so.
    pub fn status(self) -> u16 {
        match self {
            SdpError::NotSdp => 400,
            SdpError::TooLong => 413,
            SdpError::TooManyLines | SdpError::TooManyMedia => 488,
        }
    }
}

/// Reads an offer or an answer.
/// Shape: any bytes; lines end with CR LF, LF or CR. Errors: [`SdpError`], for what is no description or beyond our bounds.
/// Cost: linear in the bytes; memory bounded by the constants above. Source: RFC 8866 5.
pub fn read(bytes: &[u8]) -> Result<Description, SdpError> {
    if bytes.len() > MAX_BYTES {
        return Err(SdpError::TooLong);
    }
    let mut description = Description::default();
    let mut version_seen = false;
    let lines = bytes.split(|b| matches!(b, b'\r' | b'\n')).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate() {
        if number >= MAX_LINES {
            return Err(SdpError::TooManyLines);
        }
        let [kind, b'=', value @ ..] = line else {
            continue;
        };
        let kind = kind.to_ascii_lowercase();
        let value = String::from_utf8_lossy(value.trim_ascii());
        if kind == b'm' {
            if description.media.len() == MAX_MEDIA {
                return Err(SdpError::TooManyMedia);
            }
            description.media.push(read_media_line(&value));
            continue;
        }
        if value.len() > MAX_LINE_BYTES {
            continue;
        }
        let level = match description.media.last_mut() {
            Some(media) => &mut media.level,
            None => &mut description.session,
        };
        match kind {
            b'v' => version_seen = true,
            b'c' if level.connection.is_none() => level.connection = read_connection(&value),
            b'a' => read_attribute(level, &value),
            _ => {}
        }
    }
    if !version_seen && description.media.is_empty() {
        return Err(SdpError::NotSdp);
    }
    Ok(description)
}

/// The typed form of one line, if webrtc-sdp can read it.
fn typed(line: &str) -> Option<SdpType> {
    webrtc_sdp::parse_sdp_line(line, 0).ok().map(|line| line.sdp_type)
}

fn read_media_line(value: &str) -> Media {
    // What is repeated in an answer must not carry strange bytes there.
    let mut tokens = value
        .split_ascii_whitespace()
        .map(|token| token.chars().filter(char::is_ascii_graphic).collect::<String>())
        .filter(|token| !token.is_empty());
    let media = tokens.next().unwrap_or_else(|| "unknown".into());
    let port = tokens.next().unwrap_or_default();
    let proto = tokens.next().unwrap_or_else(|| "unknown".into());
    let mut formats: Vec<String> = tokens.take(MAX_FORMATS).collect();
    let rtp = read_rtp_line(&media, &port, &proto, &formats);
    if formats.is_empty() {
        formats.push("0".into());
    }
    Media { line: MediaLine { media, proto, formats }, rtp, level: Level::default() }
}

/// One format that is no payload type would cost the whole m-line: only numbers are passed on. So too with `port/count`.
fn read_rtp_line(media: &str, port: &str, proto: &str, formats: &[String]) -> Option<RtpLine> {
    let mut numbers: Vec<&str> = Vec::new();
    for format in formats {
        if format.parse::<u8>().is_ok_and(|pt| pt < 128) && !numbers.contains(&format.as_str()) {
            numbers.push(format);
        }
    }
    let port = port.split('/').next().unwrap_or_default();
    let SdpType::Media(line) = typed(&format!("m={media} {port} {proto} {}", numbers.join(" ")))? else {
        return None;
    };
    if line.media != SdpMediaValue::Audio {
        return None;
    }
    Some(RtpLine {
        port: u16::try_from(line.port).ok()?,
        profile: Profile::from_proto(&line.proto)?,
        payloads: numbers.iter().filter_map(|n| n.parse().ok()).map(PayloadType).collect(),
    })
}

fn read_connection(value: &str) -> Option<Connection> {
    match typed(&format!("c={value}"))? {
        SdpType::Connection(c) => match c.address {
            ExplicitlyTypedAddress::Ip(ip) => Some(Connection::Ip(ip)),
            ExplicitlyTypedAddress::Fqdn { .. } => Some(Connection::Name),
        },
        _ => None,
    }
}

/// Takes one attribute if it is among those that we have a use for. ICE, DTLS and all others end here.
fn read_attribute(level: &mut Level, value: &str) {
    let (name, parameter) = value.split_once(':').unwrap_or((value, ""));
    let (name, parameter) = (name.trim().to_ascii_lowercase(), parameter.trim());
    let line = match name.as_str() {
        "crypto" => {
            if level.crypto.len() < MAX_CRYPTO_LINES {
                level.crypto.extend(CryptoLine::read(parameter));
            }
            return;
        }
        // A real number is allowed since RFC 8866 6.4; webrtc-sdp reads whole ones only.
        "ptime" | "maxptime" => format!("a={name}:{}", without_zero_fraction(parameter)),
        "rtpmap" | "rtcp" => format!("a={name}:{parameter}"),
        "rtcp-mux" | "sendrecv" | "sendonly" | "recvonly" | "inactive" => format!("a={name}"),
        _ => return,
    };
    let Some(SdpType::Attribute(attribute)) = typed(&line) else {
        return;
    };
    match attribute {
        SdpAttribute::Sendrecv => level.direction = level.direction.or(Some(Direction::SendRecv)),
        SdpAttribute::Sendonly => level.direction = level.direction.or(Some(Direction::SendOnly)),
        SdpAttribute::Recvonly => level.direction = level.direction.or(Some(Direction::RecvOnly)),
        SdpAttribute::Inactive => level.direction = level.direction.or(Some(Direction::Inactive)),
        SdpAttribute::Ptime(ms) => level.ptime = level.ptime.or(Some(ms)),
        SdpAttribute::MaxPtime(ms) => level.maxptime = level.maxptime.or(Some(ms)),
        SdpAttribute::RtcpMux => level.rtcp_mux = true,
        SdpAttribute::Rtcp(rtcp) => {
            let address = match rtcp.unicast_addr {
                Some(ExplicitlyTypedAddress::Ip(ip)) => Some(ip),
                _ => None,
            };
            level.rtcp = level.rtcp.or(Some((rtcp.port, address)));
        }
        SdpAttribute::Rtpmap(map) if level.rtpmaps.len() < MAX_RTPMAPS => level.rtpmaps.push(RtpMap {
            payload_type: PayloadType(map.payload_type),
            encoding: map.codec_name,
            clock_rate: map.frequency,
            channels: map.channels.unwrap_or(1),
        }),
        _ => {}
    }
}

fn without_zero_fraction(number: &str) -> &str {
    match number.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b == b'0') => whole,
        _ => number,
    }
}
