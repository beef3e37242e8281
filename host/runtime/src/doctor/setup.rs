//! The configuration itself, and whether this machine has room for it.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use super::listeners::Host;
use super::{Case, Finding};
use crate::capacity::Room;
use crate::config::Problem;
use crate::serve::plugin_limits;

/// As `patchbay check` sees it. What it warns of works, but may not be meant.
pub(super) fn configuration(case: &Case) -> Vec<Finding> {
    let told =
        |problem: &Problem| (problem.path.clone(), problem.text.clone(), problem.hint.clone().unwrap_or_default());
    let wrong = case.report.problems.iter().map(told).map(|(path, text, hint)| Finding::wrong(path, text, hint));
    let odd = case.report.warnings.iter().map(told).map(|(path, text, hint)| Finding::unknown(path, text, hint));
    let findings: Vec<Finding> = wrong.chain(odd).collect();
    if !findings.is_empty() {
        return findings;
    }
    vec![Finding::well("", format!("{} has no mistake", case.args.config.display()))]
}

pub(super) fn capacity(case: &Case) -> Vec<Finding> {
    let calls = case.config.limits.calls;
    let room = Room::allowed().suffice_for(calls, plugin_limits(&case.config).reserved_bytes());
    vec![match room {
        Ok(()) => Finding::well("", format!("the system lets {calls} calls be held")),
        Err(lacks) => Finding::wrong("", lacks, "the limits of a service are those of its unit, not of this shell"),
    }]
}

/// Enough for `limits.calls`, and taken by nobody else.
pub(super) fn rtp_ports(case: &Case) -> Vec<Finding> {
    let ports = case.config.rtp.ports;
    let name = format!("{}-{}", ports.first, ports.last);
    let first_even = ports.first.saturating_add(ports.first % 2);
    let pairs: Vec<u16> = (first_even..ports.last).step_by(2).collect();
    let calls = case.config.limits.calls as usize;
    let mend = format!("widen `rtp.ports` to {calls} pairs, here and in the firewall, or lower `limits.calls`");
    if pairs.len() < calls {
        let why = format!("{} pairs, and `limits.calls` is {calls}: the calls beyond get 503", pairs.len());
        return vec![Finding::wrong(name, why, mend)];
    }
    if case.host == Host::Ready {
        return vec![Finding::well(name, format!("{} pairs, in use by the patchbay that runs", pairs.len()))];
    }
    let address = case.config.rtp.listen.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let is_free = |port: u16| UdpSocket::bind((address, port)).is_ok();
    let free = pairs.iter().filter(|port| is_free(**port) && is_free(**port + 1)).count();
    vec![match free {
        free if free < calls => {
            let why = format!("{free} of {} pairs are free, and `limits.calls` is {calls}", pairs.len());
            Finding::wrong(name, why, "end the programs that hold them (`ss -ulnp`), or move `rtp.ports`")
        }
        free => Finding::well(name, format!("{free} of {} pairs are free", pairs.len())),
    }]
}
