//! Whether each listener can be bound, or is, by a patchbay that runs.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::net::{TcpListener, UdpSocket};

use sip::Transport;

use super::probe::{self, Failure};
use super::{Case, Finding};
use crate::config::Config;

/// The patchbay that is to run with this configuration, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Ready,
    /// It runs and takes no calls: what /ready says.
    NotReady(String),
    Absent,
    /// `admin.listen` is not set, or some other program answers there.
    Unknown,
}

/// Asks /ready.
pub(super) fn ask_host(config: &Config) -> Host {
    let Some(admin) = config.admin.listen.filter(|address| address.port() != 0) else { return Host::Unknown };
    match probe::get(admin, "/ready", None, &config.admin.certificates) {
        Ok((200, body)) if body.trim() == "ready" => Host::Ready,
        Ok((503, body)) => Host::NotReady(body.trim().to_owned()),
        Err(Failure::NoConnection(_)) => Host::Absent,
        Ok(_) | Err(Failure::NoAnswer(_)) => Host::Unknown,
    }
}

pub(super) fn bound(case: &Case) -> Vec<Finding> {
    let listeners = case.config.listeners.iter().map(|listener| listener.listen);
    listeners.map(|listen| one(&listen.to_string(), bind(listen.transport, listen.address), &case.host)).collect()
}

pub(super) fn admin(case: &Case) -> Vec<Finding> {
    let Some(admin) = case.config.admin.listen else {
        let why = "is not set: nobody can ask whether the host is ready";
        return vec![Finding::unknown("", why, "[admin] listen = \"127.0.0.1:8080\"")];
    };
    vec![one(&admin.to_string(), bind(Transport::Tcp, admin), &case.host)]
}

pub(super) fn callbacks(case: &Case) -> Vec<Finding> {
    let listen = case.config.callbacks.listen.into_iter();
    listen.map(|listen| one(&listen.to_string(), bind(Transport::Tcp, listen), &case.host)).collect()
}

fn bind(transport: Transport, address: SocketAddr) -> std::io::Result<()> {
    match transport {
        Transport::Udp => UdpSocket::bind(address).map(drop),
        // Std sets SO_REUSEADDR: connections in TIME_WAIT are no obstacle, here or there.
        Transport::Tcp | Transport::Tls => TcpListener::bind(address).map(drop),
    }
}

fn one(name: &str, bound: std::io::Result<()>, host: &Host) -> Finding {
    let error = match (bound, host) {
        (Ok(()), Host::Ready | Host::NotReady(_)) if !name.ends_with(":0") => {
            let why = "is free, though a patchbay runs: it listens elsewhere";
            return Finding::wrong(name, why, "restart the host, so that it reads this configuration");
        }
        (Ok(()), _) => return Finding::well(name, "can be bound"),
        (Err(error), _) => error,
    };
    match (error.kind(), host) {
        (ErrorKind::AddrInUse, Host::Ready) => Finding::well(name, "is bound, and the patchbay that runs is ready"),
        (ErrorKind::AddrInUse, Host::NotReady(said)) => {
            Finding::wrong(name, format!("is bound by a patchbay that is {said}"), "wait for it, or start it again")
        }
        (ErrorKind::AddrInUse, Host::Unknown) => Finding::unknown(
            name,
            "is bound, by a patchbay or by another program",
            "`ss -lnp` names it; with [admin] listen the doctor asks by itself",
        ),
        (ErrorKind::AddrInUse, Host::Absent) => {
            Finding::wrong(name, "is bound by another program", "`ss -lnp` names it: end it, or take another port")
        }
        (ErrorKind::AddrNotAvailable, _) => {
            let mend = "`ip address` names ours; 0.0.0.0 or [::] is all of them";
            Finding::wrong(name, "is no address of this machine", mend)
        }
        (ErrorKind::PermissionDenied, _) => {
            let mend = "AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit, or a port above 1023";
            Finding::wrong(name, "may not be bound by this user", mend)
        }
        _ => Finding::wrong(name, error.to_string(), ""),
    }
}
