//! What kind of network an address belongs to. Source: the IANA registries of special-purpose addresses (RFC 6890 and what
//! updates it), and the addresses at which clouds serve credentials to their own machines.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The only one that needs no operator's word.
    Global,
    /// Serves credentials of the machine: nobody can open it.
    Metadata,
    Unspecified,
    Loopback,
    Private,
    CarrierGrade,
    LinkLocal,
    UniqueLocal,
    Multicast,
    Documentation,
    Benchmarking,
    /// An IPv4 address in the clothes of an IPv6 address: mapped, compatible, 6to4, Teredo.
    Translated,
    Reserved,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Global => "a global",
            Class::Metadata => "a metadata",
            Class::Unspecified => "an unspecified",
            Class::Loopback => "a loopback",
            Class::Private => "a private",
            Class::CarrierGrade => "a carrier-grade NAT",
            Class::LinkLocal => "a link-local",
            Class::UniqueLocal => "a unique-local",
            Class::Multicast => "a multicast",
            Class::Documentation => "a documentation",
            Class::Benchmarking => "a benchmarking",
            Class::Translated => "a translated IPv4",
            Class::Reserved => "a reserved",
        })
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

/// The first 64 bits as four groups; the rest is 0.
const fn v6(a: u16, b: u16, c: u16, d: u16, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), bits)
}

/// The first that holds the address says what it is.
const V4: &[(Ipv4Net, Class)] = &[
    // AWS, GCP, Azure and most others; AWS for containers; Alibaba; Oracle; Azure's wire server, which is a public address.
    (v4(169, 254, 169, 254, 32), Class::Metadata),
    (v4(169, 254, 170, 2, 32), Class::Metadata),
    (v4(169, 254, 170, 23, 32), Class::Metadata),
    (v4(100, 100, 100, 200, 32), Class::Metadata),
    (v4(192, 0, 0, 192, 32), Class::Metadata),
    (v4(168, 63, 129, 16, 32), Class::Metadata),
    (v4(0, 0, 0, 0, 8), Class::Unspecified),
    (v4(10, 0, 0, 0, 8), Class::Private),
    (v4(100, 64, 0, 0, 10), Class::CarrierGrade),
    (v4(127, 0, 0, 0, 8), Class::Loopback),
    (v4(169, 254, 0, 0, 16), Class::LinkLocal),
    (v4(172, 16, 0, 0, 12), Class::Private),
    (v4(192, 0, 0, 0, 24), Class::Reserved),
    (v4(192, 0, 2, 0, 24), Class::Documentation),
    (v4(192, 31, 196, 0, 24), Class::Reserved),
    (v4(192, 52, 193, 0, 24), Class::Reserved),
    (v4(192, 88, 99, 0, 24), Class::Reserved),
    (v4(192, 168, 0, 0, 16), Class::Private),
    (v4(192, 175, 48, 0, 24), Class::Reserved),
    (v4(198, 18, 0, 0, 15), Class::Benchmarking),
    (v4(198, 51, 100, 0, 24), Class::Documentation),
    (v4(203, 0, 113, 0, 24), Class::Documentation),
    (v4(224, 0, 0, 0, 4), Class::Multicast),
    (v4(240, 0, 0, 0, 4), Class::Reserved),
];

/// Likewise; what none of them holds is global in 2000::/3, and reserved elsewhere.
const V6: &[(Ipv6Net, Class)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128), Class::Metadata),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), 128), Class::Metadata),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128), Class::Metadata),
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), Class::Unspecified),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), Class::Loopback),
    // Compatible, mapped and SIIT, then NAT64 of one's own network, Teredo and 6to4.
    (v6(0, 0, 0, 0, 64), Class::Translated),
    (v6(0x64, 0xff9b, 1, 0, 48), Class::Translated),
    (v6(0x2001, 0, 0, 0, 32), Class::Translated),
    (v6(0x2002, 0, 0, 0, 16), Class::Translated),
    (v6(0x2001, 2, 0, 0, 48), Class::Benchmarking),
    (v6(0x2001, 0xdb8, 0, 0, 32), Class::Documentation),
    (v6(0x3fff, 0, 0, 0, 20), Class::Documentation),
    (v6(0x2001, 0, 0, 0, 23), Class::Reserved),
    (v6(0xfc00, 0, 0, 0, 7), Class::UniqueLocal),
    (v6(0xfe80, 0, 0, 0, 10), Class::LinkLocal),
    (v6(0xff00, 0, 0, 0, 8), Class::Multicast),
];

const GLOBAL: Ipv6Net = v6(0x2000, 0, 0, 0, 3);
/// How a network without IPv4 reaches it. Source: RFC 6052 2.1.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 0, 96);

/// Cost: two dozen comparisons.
pub fn class(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(address) => class_of_v4(address),
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            class_of_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(address) => {
            let known = V6.iter().find(|(network, _)| network.contains(&address));
            let otherwise = if GLOBAL.contains(&address) { Class::Global } else { Class::Reserved };
            known.map_or(otherwise, |(_, class)| *class)
        }
    }
}

fn class_of_v4(address: Ipv4Addr) -> Class {
    V4.iter().find(|(network, _)| network.contains(&address)).map_or(Class::Global, |(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &[(&str, Class)] = &[
        ("8.8.8.8", Class::Global),
        ("1.0.0.0", Class::Global),
        ("0.0.0.0", Class::Unspecified),
        ("0.255.255.255", Class::Unspecified),
        ("9.255.255.255", Class::Global),
        ("10.0.0.0", Class::Private),
        ("10.255.255.255", Class::Private),
        ("11.0.0.0", Class::Global),
        ("100.63.255.255", Class::Global),
        ("100.64.0.0", Class::CarrierGrade),
        ("100.127.255.255", Class::CarrierGrade),
        ("100.128.0.0", Class::Global),
        ("100.100.100.200", Class::Metadata),
        ("127.0.0.1", Class::Loopback),
        ("127.255.255.255", Class::Loopback),
        ("169.254.0.0", Class::LinkLocal),
        ("169.254.169.254", Class::Metadata),
        ("169.254.170.2", Class::Metadata),
        ("168.63.129.16", Class::Metadata),
        ("172.15.255.255", Class::Global),
        ("172.16.0.0", Class::Private),
        ("172.31.255.255", Class::Private),
        ("172.32.0.0", Class::Global),
        ("192.0.0.8", Class::Reserved),
        ("192.0.0.192", Class::Metadata),
        ("192.0.2.1", Class::Documentation),
        ("192.88.99.1", Class::Reserved),
        ("192.168.0.1", Class::Private),
        ("192.169.0.0", Class::Global),
        ("198.17.255.255", Class::Global),
        ("198.18.0.0", Class::Benchmarking),
        ("198.19.255.255", Class::Benchmarking),
        ("198.51.100.7", Class::Documentation),
        ("203.0.113.7", Class::Documentation),
        ("223.255.255.255", Class::Global),
        ("224.0.0.1", Class::Multicast),
        ("239.255.255.255", Class::Multicast),
        ("240.0.0.0", Class::Reserved),
        ("255.255.255.255", Class::Reserved),
        ("2606:4700::1111", Class::Global),
        ("::", Class::Unspecified),
        ("::1", Class::Loopback),
        ("::8.8.8.8", Class::Translated),
        ("::127.0.0.1", Class::Translated),
        ("::ffff:127.0.0.1", Class::Translated),
        ("::ffff:8.8.8.8", Class::Translated),
        ("::ffff:a9fe:a9fe", Class::Translated),
        ("::ffff:0:10.0.0.1", Class::Translated),
        ("64:ff9b::8.8.8.8", Class::Global),
        ("64:ff9b::127.0.0.1", Class::Loopback),
        ("64:ff9b::a9fe:a9fe", Class::Metadata),
        ("64:ff9b::10.0.0.1", Class::Private),
        ("64:ff9b:1::8.8.8.8", Class::Translated),
        ("2002:7f00:1::", Class::Translated),
        ("2002:808:808::1", Class::Translated),
        ("2001:0:53aa:64c::", Class::Translated),
        ("2001:2::1", Class::Benchmarking),
        ("2001:10::1", Class::Reserved),
        ("2001:20::1", Class::Reserved),
        ("2001:200::1", Class::Global),
        ("2001:db8::1", Class::Documentation),
        ("3fff::1", Class::Documentation),
        ("3fff:1000::1", Class::Global),
        ("100::1", Class::Reserved),
        ("1fff::1", Class::Reserved),
        ("4000::1", Class::Reserved),
        ("5f00::1", Class::Reserved),
        ("fc00::1", Class::UniqueLocal),
        ("fdff::1", Class::UniqueLocal),
        ("fd00:ec2::254", Class::Metadata),
        ("fd20:ce::254", Class::Metadata),
        ("fe00::1", Class::Reserved),
        ("fe80::1", Class::LinkLocal),
        ("febf::1", Class::LinkLocal),
        ("fec0::1", Class::Reserved),
        ("ff02::1", Class::Multicast),
    ];

    #[test]
    fn every_class_is_known_at_its_edges_and_in_every_spelling() {
        for (address, expected) in CASES {
            assert_eq!(class(address.parse().unwrap()), *expected, "{address}");
        }
    }
}
