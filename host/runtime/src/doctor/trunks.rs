//! The trunk's side, from here: where its signalling address leads, and whether it answers. Only for whom `--live` names.

use std::net::SocketAddr;

use sip::Transport;

use super::probe::{self, Failure};
use super::{Case, Finding};
use crate::call_client::Called;
use crate::config::{Trunk, scheme};
use crate::tls;

pub(super) fn check(case: &Case) -> Vec<Finding> {
    case.args.live.iter().flat_map(|uri| live(case, uri)).collect()
}

fn live(case: &Case, uri: &str) -> Vec<Finding> {
    let called = match Called::parse(uri) {
        Ok(called) => called,
        Err(error) => {
            return vec![Finding::wrong(uri, format!("{error:#}"), "--live 'sip:trunk.example:5061;transport=tls'")];
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![Finding::unknown(uri, error.to_string(), "")],
    };
    let found = crate::signalling::addresses(&case.config.dns, &called.host, called.port, called.transport);
    match runtime.block_on(found) {
        Ok(addresses) => addresses.into_iter().map(|address| one(case, uri, &called, address)).collect(),
        Err(error) => {
            let mend = "look at the name, and at `dns` of the configuration";
            vec![Finding::wrong(uri, format!("does not resolve: {error}"), mend)]
        }
    }
}

fn one(case: &Case, uri: &str, called: &Called, address: SocketAddr) -> Finding {
    let what = format!("{uri} at {address}");
    let Some(trunk) = case.config.trunk_of(address.ip()).and_then(|id| case.config.trunks.get(usize::from(id.0)))
    else {
        let mend = format!("add \"{}\" to the networks of its [[trunks]]", address.ip());
        return Finding::wrong(what, "is in no trunk's networks: its calls would not be answered", mend);
    };
    let connected = match called.transport {
        // What a trunk makes of an OPTIONS from a stranger is its own business.
        Transport::Udp => {
            return Finding::well(what, format!("is of trunk {}; over UDP there is nothing to connect to", trunk.name));
        }
        Transport::Tcp => probe::connect(address).map(drop),
        Transport::Tls => secured(trunk, called, address),
    };
    let how = scheme(called.transport);
    match connected {
        Ok(()) => Finding::well(what, format!("is of trunk {}, and takes a {how} connection", trunk.name)),
        Err(Failure::NoConnection(error)) => Finding::wrong(
            what,
            format!("no connection: {error}"),
            "look at port, firewall, and whether the trunk lets our address in",
        ),
        Err(Failure::NoAnswer(error)) => {
            Finding::wrong(what, error, format!("tls_ca and tls_server_name of trunk {} say whom we trust", trunk.name))
        }
    }
}

fn secured(trunk: &Trunk, called: &Called, address: SocketAddr) -> Result<(), Failure> {
    let config = tls::client_config(trunk).map_err(Failure::NoAnswer)?;
    let name = trunk.tls_server_name.as_deref().unwrap_or(&called.host);
    let name = tls::server_name(name).map_err(Failure::NoAnswer)?;
    probe::handshake(probe::connect(address)?, name, config).map(drop)
}
