//! Writing our own descriptions. Strict, and the same bytes for the same content.

use std::fmt::Write;
use std::net::IpAddr;

use super::description::{MediaLine, Profile};
use super::payloads::{Format, codec_name};
use super::sdes::CryptoLine;
use crate::{Direction, LocalMedia, PayloadType};

/// What o= says besides the address. Source: RFC 8866 5.2; RFC 3264 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub session_id: u64,
    pub version: u64,
}

/// One m-line of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Port 0.
    Declined(MediaLine),
    Audio(Audio),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audio {
    pub profile: Profile,
    pub payloads: Vec<(PayloadType, Format)>,
    pub direction: Direction,
    pub rtcp_mux: bool,
    pub crypto: Option<CryptoLine>,
}

pub(super) fn write(local: &LocalMedia, origin: Origin, streams: &[Stream]) -> Vec<u8> {
    let mut lines = Lines::default();
    let address = match local.address {
        IpAddr::V4(ip) => format!("IN IP4 {ip}"),
        IpAddr::V6(ip) => format!("IN IP6 {ip}"),
    };
    lines.add("v=0");
    lines.add(format_args!("o=- {} {} {address}", origin.session_id, origin.version));
    lines.add("s=-");
    lines.add(format_args!("c={address}"));
    lines.add("t=0 0");
    for stream in streams {
        match stream {
            Stream::Declined(MediaLine { media, proto, formats }) => {
                lines.add(format_args!("m={media} 0 {proto} {}", formats.join(" ")));
            }
            Stream::Audio(audio) => write_audio(&mut lines, local, audio),
        }
    }
    lines.0.into_bytes()
}

fn write_audio(lines: &mut Lines, local: &LocalMedia, audio: &Audio) {
    let numbers: Vec<String> = audio.payloads.iter().map(|(pt, _)| pt.0.to_string()).collect();
    lines.add(format_args!("m=audio {} {} {}", local.rtp_port, audio.profile.name(), numbers.join(" ")));
    for (PayloadType(pt), format) in &audio.payloads {
        match format {
            Format::Audio(codec) => lines.add(format_args!("a=rtpmap:{pt} {}/8000", codec_name(*codec))),
            Format::TelephoneEvent => {
                lines.add(format_args!("a=rtpmap:{pt} telephone-event/8000"));
                lines.add(format_args!("a=fmtp:{pt} 0-15"));
            }
            Format::ComfortNoise => lines.add(format_args!("a=rtpmap:{pt} CN/8000")),
        }
    }
    lines.add("a=ptime:20");
    lines.add(match audio.direction {
        Direction::SendRecv => "a=sendrecv",
        Direction::SendOnly => "a=sendonly",
        Direction::RecvOnly => "a=recvonly",
        Direction::Inactive => "a=inactive",
    });
    if audio.rtcp_mux {
        lines.add("a=rtcp-mux");
    } else if local.rtp_port.checked_add(1) != Some(local.rtcp_port) {
        lines.add(format_args!("a=rtcp:{}", local.rtcp_port));
    }
    if let Some(crypto) = &audio.crypto {
        lines.add(crypto.write());
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, line: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{line}\r\n");
    }
}
