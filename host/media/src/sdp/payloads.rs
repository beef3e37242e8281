//! Which payload type means what.

use super::description::{Level, RtpLine, RtpMap};
use crate::{Codec, PayloadType};

/// What we can make of a payload type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Audio(Codec),
    TelephoneEvent,
    ComfortNoise,
}

/// Encoding name, static payload type if it has one, meaning. All at 8000 Hz, mono.
/// Source: RFC 3551 6; RFC 4733 7.1.1; RFC 3389 4.
const FORMATS: [(&str, Option<u8>, Format); 4] = [
    ("PCMA", Some(8), Format::Audio(Codec::Pcma)),
    ("PCMU", Some(0), Format::Audio(Codec::Pcmu)),
    ("telephone-event", None, Format::TelephoneEvent),
    ("CN", Some(13), Format::ComfortNoise),
];

/// Our own number for telephone-event, where we are the first to name one.
pub(super) const TELEPHONE_EVENT: PayloadType = PayloadType(101);

pub(super) fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Pcma => "PCMA",
        Codec::Pcmu => "PCMU",
    }
}

pub(super) fn static_number(codec: Codec) -> PayloadType {
    match codec {
        Codec::Pcma => PayloadType(8),
        Codec::Pcmu => PayloadType(0),
    }
}

fn format_of_map(map: &RtpMap) -> Option<Format> {
    let known = FORMATS.iter().find(|(name, ..)| map.encoding.eq_ignore_ascii_case(name))?;
    (map.clock_rate == 8000 && map.channels <= 1).then_some(known.2)
}

/// The payload types of an m-line that we know, in its order. An rtpmap counts before the static meaning.
pub(super) fn formats(line: &RtpLine, level: &Level) -> Vec<(PayloadType, Format)> {
    let format_of = |pt: PayloadType| match level.rtpmaps.iter().find(|map| map.payload_type == pt) {
        Some(map) => format_of_map(map),
        None => FORMATS.iter().find(|(_, number, _)| *number == Some(pt.0)).map(|known| known.2),
    };
    line.payloads.iter().filter_map(|&pt| Some((pt, format_of(pt)?))).collect()
}

/// The first payload type with that meaning.
pub(super) fn first(formats: &[(PayloadType, Format)], wanted: Format) -> Option<PayloadType> {
    formats.iter().find(|(_, format)| *format == wanted).map(|(pt, _)| *pt)
}

/// All G.711 payload types.
pub(super) fn audio(formats: &[(PayloadType, Format)]) -> Vec<(PayloadType, Codec)> {
    let codec = |&(pt, format)| match format {
        Format::Audio(codec) => Some((pt, codec)),
        _ => None,
    };
    formats.iter().filter_map(codec).collect()
}
