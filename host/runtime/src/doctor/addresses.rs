//! What peers are told: names that lead somewhere, addresses that a peer can reach.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};

use super::{Case, Finding};
use crate::config::{Listener, Network, Trunk};
use crate::signalling::address_towards;

/// Addresses looked at of one name.
const ADDRESSES_MAX: usize = 8;

/// Advertised names, by this machine's resolver.
pub(super) fn names(case: &Case) -> Vec<Finding> {
    let told = case.config.listeners.iter().filter_map(|listener| listener.advertised.as_ref());
    let names: BTreeSet<&str> =
        told.map(|told| told.host.as_str()).filter(|host| host.parse::<IpAddr>().is_err()).collect();
    names.into_iter().map(|name| resolved(name, case.config.rtp.advertised)).collect()
}

fn resolved(name: &str, advertised: Option<IpAddr>) -> Finding {
    let found: Vec<IpAddr> = match (name, 0).to_socket_addrs() {
        Ok(found) => found.map(|address| address.ip().to_canonical()).take(ADDRESSES_MAX).collect(),
        Err(error) => {
            let mend = format!("add an A or AAAA record for `{name}`, or advertise an address");
            return Finding::wrong(name, format!("does not resolve: {error}"), mend);
        }
    };
    let list = found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    match advertised {
        Some(own) if found.contains(&own) => Finding::well(name, format!("resolves to {list}")),
        Some(own) => {
            let mend = format!("let `{name}` lead to {own}, or set rtp.advertised to where it leads");
            Finding::wrong(name, format!("resolves to {list}, and rtp.advertised is {own}"), mend)
        }
        None if found.iter().any(|address| is_ours(*address)) => {
            Finding::well(name, format!("resolves to {list}, an address of this machine"))
        }
        None => Finding::unknown(
            name,
            format!("resolves to {list}, none of this machine's"),
            "set rtp.advertised, if it is NAT",
        ),
    }
}

/// What SDP and Contact tell each trunk of each listener.
pub(super) fn advertised(case: &Case) -> Vec<Finding> {
    let listeners = case.config.listeners.iter();
    listeners
        .flat_map(|listener| case.config.trunks.iter().filter_map(move |trunk| told(case, listener, trunk)))
        .collect()
}

/// None: the trunk is local to this listener, or of another address family.
fn told(case: &Case, listener: &Listener, trunk: &Trunk) -> Option<Finding> {
    let rtp = &case.config.rtp;
    let bound = rtp.listen.unwrap_or(listener.listen.address.ip());
    let outside = outside(trunk, rtp.localnet.iter().chain(&listener.localnet), bound)?;
    let by_listener = listener.advertised.as_ref().and_then(|told| told.host.parse::<IpAddr>().ok());
    let explicit = rtp.advertised.or(by_listener).filter(|told| told.is_ipv4() == bound.is_ipv4());
    let own = if bound.is_unspecified() { address_towards(outside.0.addr()).ok() } else { Some(bound) };
    let what = format!("{} to trunk {}", listener.listen, trunk.name);
    let Some(told) = explicit.or(own) else {
        let why = format!("this machine has no way to {outside}");
        return Some(Finding::wrong(what, why, "look at its routes and addresses"));
    };
    let mend = "write advertised = \"your public address\" under [rtp] and each listener, and let the NAT forward signalling and RTP";
    Some(if !is_public(told) {
        Finding::wrong(what, format!("{told} is told, which nobody at {outside} can reach: no sound would come"), mend)
    } else if is_ours(told) {
        Finding::well(what, format!("{told} is told, an address of this machine"))
    } else {
        let ports = rtp.ports;
        let mend = format!("the NAT must forward UDP {}-{} and {} here", ports.first, ports.last, listener.listen);
        Finding::unknown(what, format!("{told} is told, which is not this machine's: NAT"), mend)
    })
}

/// A network of a trunk that is on the other side of the internet, and not told our own address.
fn outside<'a>(
    trunk: &Trunk,
    mut localnet: impl Iterator<Item = &'a Network> + Clone,
    bound: IpAddr,
) -> Option<Network> {
    let networks = trunk.networks.iter().chain(&trunk.media_networks);
    let same_family = networks.filter(|network| network.0.addr().is_ipv4() == bound.is_ipv4());
    let mut far = same_family.filter(|network| network.0.prefix_len() == 0 || is_public(network.0.addr()));
    far.find(|network| !localnet.any(|local| local.0.contains(&network.0))).copied()
}

/// Source: RFC 1918, 4193, 3927, 6598.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let carrier = ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1]);
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || carrier)
        }
        IpAddr::V6(ip) => {
            let first = ip.segments()[0];
            !(ip.is_loopback() || ip.is_unspecified() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80)
        }
    }
}

pub(super) fn is_ours(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}
