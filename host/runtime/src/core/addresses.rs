//! Where a call's RTP sockets bind, and what the peer is told of them.

use std::net::IpAddr;

use crate::config::{Network, Rtp};
use crate::signalling::address_towards;

/// The media addresses of one listener.
#[derive(Clone, Debug)]
pub struct MediaAddress {
    /// Where the listener is bound.
    pub listener: IpAddr,
    /// What its Contact says, if that is an address; else its peers are told the bound one.
    pub advertised: Option<IpAddr>,
    /// Peers that are told the bound address: those of the listener and of the `rtp` section.
    pub localnet: Vec<Network>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub bind: IpAddr,
    pub advertised: IpAddr,
}

impl MediaAddress {
    /// For a call from `peer`. None: the peer's address family is not the listener's.
    pub fn choose(&self, rtp: &Rtp, peer: IpAddr) -> Option<Chosen> {
        let peer = peer.to_canonical();
        let bind = rtp.listen.unwrap_or(self.listener);
        let local = if bind.is_unspecified() { address_towards(peer).ok()? } else { bind };
        let is_local = self.localnet.iter().chain(&rtp.localnet).any(|network| network.contains(peer));
        let told = rtp.advertised.or(self.advertised).filter(|told| !is_local && told.is_ipv4() == local.is_ipv4());
        Some(Chosen { bind: if bind.is_unspecified() { local } else { bind }, advertised: told.unwrap_or(local) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rtp(advertised: Option<&str>) -> Rtp {
        Rtp {
            ports: "10000-20000".parse().unwrap(),
            rest_ms: 2000,
            listen: None,
            advertised: advertised.map(|address| address.parse().unwrap()),
            localnet: Vec::new(),
        }
    }

    fn chosen(listener: &str, advertised: Option<&str>, peer: &str) -> (String, String) {
        let address = MediaAddress {
            listener: listener.parse().unwrap(),
            advertised: None,
            localnet: vec!["192.168.0.0/16".parse().unwrap(), "127.0.0.0/8".parse().unwrap()],
        };
        let chosen = address.choose(&rtp(advertised), peer.parse().unwrap()).unwrap();
        (chosen.bind.to_string(), chosen.advertised.to_string())
    }

    #[test]
    fn peers_outside_are_told_the_advertised_address_and_peers_inside_the_bound_one() {
        let pair = |bind: &str, told: &str| (bind.to_owned(), told.to_owned());
        assert_eq!(chosen("192.168.1.5", Some("203.0.113.9"), "198.51.100.1"), pair("192.168.1.5", "203.0.113.9"));
        assert_eq!(chosen("192.168.1.5", Some("203.0.113.9"), "192.168.7.7"), pair("192.168.1.5", "192.168.1.5"));
        assert_eq!(chosen("192.168.1.5", None, "198.51.100.1"), pair("192.168.1.5", "192.168.1.5"));
        assert_eq!(chosen("0.0.0.0", Some("203.0.113.9"), "127.0.0.1"), pair("127.0.0.1", "127.0.0.1"));
    }
}
