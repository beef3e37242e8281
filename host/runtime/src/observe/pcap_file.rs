//! Packets in the classic capture format that Wireshark, tshark and sngrep read.
//! Everything is written as UDP in Ethernet: SIP that came over TCP or TLS too, one message per datagram, so that tools show
//! the ladder whatever the transport was. Source: the libpcap file format 2.4; RFC 768, 791, 8200.

use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;

/// The most payload that fits a datagram of either family.
pub const PAYLOAD_BYTES_MAX: usize = 65_535 - IPV4 - UDP;

/// The head of a file: microseconds, version 2.4, packets whole, LINKTYPE_ETHERNET.
pub fn file_header() -> [u8; 24] {
    let mut header = [0; 24];
    header[0..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    header[4..6].copy_from_slice(&2u16.to_le_bytes());
    header[6..8].copy_from_slice(&4u16.to_le_bytes());
    header[16..20].copy_from_slice(&262_144_u32.to_le_bytes());
    header[20..24].copy_from_slice(&1u32.to_le_bytes());
    header
}

/// One record: header, Ethernet, IP, UDP, payload (cut to what fits).
pub fn record(at: SystemTime, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(PAYLOAD_BYTES_MAX)];
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let udp = udp(from, to, payload);
    let (kind, ip) = match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (0x0800_u16, ipv4(from.octets(), to.octets(), udp.len())),
        (from, to) => (0x86dd, ipv6(octets_v6(from), octets_v6(to), udp.len())),
    };
    let length = (ETHERNET + ip.len() + udp.len()) as u32;
    let mut out = Vec::with_capacity(16 + length as usize);
    out.extend_from_slice(&(since.as_secs() as u32).to_le_bytes());
    out.extend_from_slice(&since.subsec_micros().to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    // Locally administered addresses: 02:.. for the destination and the source.
    out.extend_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&ip);
    out.extend_from_slice(&udp);
    out
}

fn octets_v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn ipv4(from: [u8; 4], to: [u8; 4], payload_bytes: usize) -> Vec<u8> {
    let mut header = vec![0; IPV4];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((IPV4 + payload_bytes) as u16).to_be_bytes());
    header[6] = 0x40; // don't fragment
    header[8] = 64;
    header[9] = 17;
    header[12..16].copy_from_slice(&from);
    header[16..20].copy_from_slice(&to);
    let sum = checksum([&header[..]]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

fn ipv6(from: [u8; 16], to: [u8; 16], payload_bytes: usize) -> Vec<u8> {
    let mut header = vec![0; IPV6];
    header[0] = 0x60;
    header[4..6].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
    header[6] = 17;
    header[7] = 64;
    header[8..24].copy_from_slice(&from);
    header[24..40].copy_from_slice(&to);
    header
}

/// Header and payload, with the checksum that IPv6 demands.
fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = (UDP + payload.len()) as u16;
    let mut datagram = Vec::with_capacity(UDP + payload.len());
    datagram.extend_from_slice(&from.port().to_be_bytes());
    datagram.extend_from_slice(&to.port().to_be_bytes());
    datagram.extend_from_slice(&length.to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(payload);
    let mut pseudo = Vec::with_capacity(36);
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => pseudo.extend([from.octets(), to.octets()].concat()),
        (from, to) => pseudo.extend([octets_v6(from), octets_v6(to)].concat()),
    }
    pseudo.extend([0, 17]);
    pseudo.extend(length.to_be_bytes());
    let sum = match checksum([&pseudo[..], &datagram[..]]) {
        0 => 0xffff, // zero would mean "none". Source: RFC 768.
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// Source: RFC 1071. All parts but the last are of even length.
fn checksum<const N: usize>(parts: [&[u8]; N]) -> u16 {
    let mut sum = 0u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_record_carries_addresses_ports_time_and_checksums_that_add_up() {
        let at = UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
        let v4 = record(at, "192.0.2.1:5060".parse().unwrap(), "192.0.2.2:5070".parse().unwrap(), b"odd");
        assert_eq!(v4.len(), 16 + ETHERNET + IPV4 + UDP + 3);
        assert_eq!(u32::from_le_bytes(v4[0..4].try_into().unwrap()), 1_700_000_000);
        assert_eq!(u32::from_le_bytes(v4[4..8].try_into().unwrap()), 123_456);
        let ip = &v4[16 + ETHERNET..];
        assert_eq!(checksum([&ip[..IPV4]]), 0, "a header with its checksum sums to nothing");
        assert_eq!(&ip[12..20], &[192, 0, 2, 1, 192, 0, 2, 2]);
        assert_eq!(&ip[IPV4..IPV4 + 6], &[0x13, 0xc4, 0x13, 0xce, 0, 11]);
        assert_eq!(&ip[IPV4 + UDP..], b"odd");

        let v6 = record(at, "[2001:db8::1]:5060".parse().unwrap(), "192.0.2.2:5070".parse().unwrap(), b"even");
        let ip = &v6[16 + ETHERNET..];
        assert_eq!(ip[0], 0x60);
        assert_eq!(&ip[24..40], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 2]);
        let pseudo = [&ip[8..40], &[0, 17, 0, 12]].concat();
        assert_eq!(checksum([&pseudo[..], &ip[IPV6..]]), 0);
    }

    #[test]
    fn a_message_longer_than_a_datagram_is_cut() {
        let long = vec![b'x'; 100_000];
        let out = record(UNIX_EPOCH, "192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap(), &long);
        assert_eq!(out.len(), 16 + ETHERNET + 65_535);
    }
}
