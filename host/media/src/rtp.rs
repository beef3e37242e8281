//! Reading and writing the RTP header, RFC 3550 5.1.
//!
//! The reader is our own: the rtp crate's follows the lengths inside an RFC 8285 extension without checking them, and
//! panics on a packet that lies. Its `Header` writes what we send, and tells webrtc-srtp where the payload starts.

use std::ops::Range;

use webrtc_util::marshal::Marshal;

use crate::{DropReason, PayloadType};

pub const HEADER_BYTES: usize = 12;

/// A packet's header, and where in the datagram its payload lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    pub marker: bool,
    pub payload_type: PayloadType,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Fixed header, CSRC list and extension: 12 bytes and more.
    pub header_bytes: usize,
    /// The P bit. Padding can only be taken off after decryption.
    pub padded: bool,
}

/// Reads a header. Shape: a whole datagram. Errors: [`DropReason::BadRtpHeader`]. Cost: no allocation.
/// Source: RFC 3550 5.1, 5.3.1.
pub fn parse_header(datagram: &[u8]) -> Result<RtpHeader, DropReason> {
    let &[b0, b1, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3, ref rest @ ..] = datagram else {
        return Err(DropReason::BadRtpHeader);
    };
    if b0 >> 6 != 2 {
        return Err(DropReason::BadRtpHeader);
    }
    let csrc_bytes = usize::from(b0 & 0x0f) * 4;
    let mut header_bytes = HEADER_BYTES + csrc_bytes;
    if b0 & 0x10 != 0 {
        let Some(&[_, _, l0, l1]) = rest.get(csrc_bytes..csrc_bytes + 4) else {
            return Err(DropReason::BadRtpHeader);
        };
        header_bytes += 4 + usize::from(u16::from_be_bytes([l0, l1])) * 4;
    }
    if datagram.len() < header_bytes {
        return Err(DropReason::BadRtpHeader);
    }
    Ok(RtpHeader {
        marker: b1 & 0x80 != 0,
        payload_type: PayloadType(b1 & 0x7f),
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        header_bytes,
        padded: b0 & 0x20 != 0,
    })
}

/// Where the payload lies in a plain packet, its padding taken off. Errors: padding longer than the payload.
pub fn payload_range(packet: &[u8], header: &RtpHeader) -> Result<Range<usize>, DropReason> {
    let mut end = packet.len();
    if header.padded {
        let padding = packet.last().copied().map_or(0, usize::from);
        if padding == 0 || padding > end - header.header_bytes.min(end) {
            return Err(DropReason::BadRtpHeader);
        }
        end -= padding;
    }
    if header.header_bytes > end {
        return Err(DropReason::BadRtpHeader);
    }
    Ok(header.header_bytes..end)
}

/// Writes a header of 12 bytes to the front of `out`, which is emptied first. Cost: no allocation once `out` is warm.
pub fn write_header(header: &rtp::header::Header, out: &mut Vec<u8>) {
    out.clear();
    out.resize(HEADER_BYTES, 0);
    // 12 bytes are enough for a header without CSRC and extension, and that is all we ever send.
    let written = header.marshal_to(out);
    debug_assert!(matches!(written, Ok(HEADER_BYTES)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_bytes(first: u8) -> Vec<u8> {
        let mut packet = vec![first, 0x88, 0x12, 0x34];
        packet.extend([0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef]);
        packet
    }

    #[test]
    fn a_plain_header_is_read_and_its_payload_found() {
        let mut packet = header_bytes(0x80);
        packet.extend([0xd5; 160]);
        let header = parse_header(&packet).unwrap();
        assert_eq!(
            header,
            RtpHeader {
                marker: true,
                payload_type: PayloadType(8),
                sequence: 0x1234,
                timestamp: 160,
                ssrc: 0xdead_beef,
                header_bytes: 12,
                padded: false,
            }
        );
        assert_eq!(payload_range(&packet, &header), Ok(12..172));
    }

    #[test]
    fn csrc_list_extension_and_padding_are_stepped_over() {
        let mut packet = header_bytes(0x80 | 0x20 | 0x10 | 2);
        packet.extend([1, 1, 1, 1, 2, 2, 2, 2]);
        packet.extend([0xbe, 0xde, 0, 1, 0xff, 0xff, 0xff, 0xff]);
        packet.extend([7; 10]);
        packet.extend([0, 0, 0, 4]);
        let header = parse_header(&packet).unwrap();
        assert_eq!(payload_range(&packet, &header), Ok(28..38));
    }

    #[test]
    fn lies_about_lengths_are_refused() {
        for (first, rest) in [
            (0x40, vec![]),                       // version 1
            (0x8f, vec![0; 59]),                  // 15 CSRCs, one byte short
            (0x90, vec![0xbe, 0xde, 0]),          // half an extension header
            (0x90, vec![0xbe, 0xde, 0xff, 0xff]), // an extension of 256 KiB
        ] {
            let mut packet = header_bytes(first);
            packet.extend(rest);
            assert_eq!(parse_header(&packet), Err(DropReason::BadRtpHeader), "{first:#x}");
        }
        for padding in [0, 5, 255] {
            let mut packet = header_bytes(0xa0);
            packet.extend([1, 2, 3, padding]);
            let header = parse_header(&packet).unwrap();
            assert_eq!(payload_range(&packet, &header), Err(DropReason::BadRtpHeader), "{padding}");
        }
    }

    #[test]
    fn what_we_write_is_what_we_read() {
        let header = rtp::header::Header {
            version: 2,
            marker: true,
            payload_type: 96,
            sequence_number: 65535,
            timestamp: 0xffff_ffff,
            ssrc: 5,
            ..Default::default()
        };
        let mut out = vec![9; 40];
        write_header(&header, &mut out);
        let read = parse_header(&out).unwrap();
        assert_eq!((read.marker, read.payload_type, read.sequence), (true, PayloadType(96), 65535));
        assert_eq!((read.timestamp, read.ssrc, read.header_bytes, out.len()), (0xffff_ffff, 5, 12, 12));
    }
}
