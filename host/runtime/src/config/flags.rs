//! The configuration of a first try: `patchbay serve --bots DIR`, no file. The called user part names the bot.

use std::net::{IpAddr, Ipv4Addr};

use sip::Transport;

use super::*;
use crate::cli::ServeArgs;

/// Who may call when nobody was named: loopback, private and link-local addresses. Source: RFC 1918, 4193, 3927.
const LOCAL_NETWORKS: [&str; 8] = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

const DEFAULT_PORT: u16 = 5070;

/// Builds the configuration from the flags. Errors: what a file would be refused for too.
pub fn from_flags(args: &ServeArgs) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let loopback = (IpAddr::from(Ipv4Addr::LOCALHOST), DEFAULT_PORT).into();
    let mut urls = args.listen.clone();
    if urls.is_empty() {
        urls = [Transport::Tcp, Transport::Udp].map(|transport| ListenUrl { transport, address: loopback }).into();
    }
    let certificates = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => vec![Certificate { cert: cert.clone(), key: Secret::File(key.clone()) }],
        _ => Vec::new(),
    };
    let tls = urls.iter().any(|url| url.transport == Transport::Tls);
    if tls && certificates.is_empty() {
        problems.push(Problem::new("--listen", "tls:// needs a certificate").hint("add --tls-cert F --tls-key F"));
    }
    if !tls && !certificates.is_empty() {
        problems.push(Problem::new("--tls-cert", "no listener is tls://").hint("add --listen tls://127.0.0.1:5061"));
    }
    if args.admin.is_some_and(|address| !address.ip().is_loopback()) {
        problems.push(Problem::new("--admin", "has no TLS and is served on loopback only").hint("127.0.0.1:8080"));
    }
    let listeners = urls.into_iter().map(|listen| Listener {
        listen,
        advertised: args.advertised.clone(),
        localnet: local_networks(),
        certificates: if listen.transport == Transport::Tls { certificates.clone() } else { Vec::new() },
    });
    let mut config = Config { listeners: listeners.collect(), ..Config::default() };
    config.trunks.push(Trunk {
        name: "local".into(),
        networks: if args.allow.is_empty() { local_networks() } else { args.allow.clone() },
        media_networks: Vec::new(),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        srtp: args.srtp,
        require_pai: false,
        trusted: true,
        tls_ca: None,
        tls_server_name: None,
        outbound: None,
    });
    who_is_called(&mut config, args);
    config.egress.allow = args.egress.clone();
    config.rtp.ports = args.rtp_ports;
    config.rtp.advertised = args.advertised.as_ref().and_then(|advertised| advertised.host.parse().ok());
    config.rtp.localnet = local_networks();
    config.admin.listen = args.admin;
    config.drain_seconds = args.drain_seconds;
    config.log.level = args.log.clone();
    config.log.personal = args.personal;
    config.sip_trace = args.sip_trace;
    if let Some(dir) = &args.pcap {
        config.pcap.enabled = true;
        config.pcap.dir = dir.clone();
    }
    if crate::observe::parse_filter(&config.log.level).is_err() {
        problems.push(Problem::new("--log", format!("`{}` is not a log filter", config.log.level)));
    }
    if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
}

/// The bots of a folder, each under its own name, and the tenants of a data folder.
fn who_is_called(config: &mut Config, args: &ServeArgs) {
    // Who keeps tenants and names no folder has none.
    config.bots = match (&args.bots, &args.data) {
        (Some(bots), _) => Some(bots.clone()),
        (None, None) => config.bots.take(),
        (None, Some(_)) => None,
    };
    config.data = args.data.clone();
    config.tenants_dir = args.tenants_dir.clone();
    config.routes.extend(config.bots.is_some().then(|| Route {
        trunk: None,
        called: None,
        called_prefix: None,
        tenant: "default".into(),
        plugin: CALLED.into(),
        calls: None,
        fallback_prompt: None,
        ring: false,
        config: toml::Table::new(),
    }));
}

fn local_networks() -> Vec<Network> {
    LOCAL_NETWORKS.iter().filter_map(|network| network.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn bots_reach_what_egress_names_and_nothing_without_it() {
        for hosts in [&["a.example:443", "*.b.example:8443"][..], &[]] {
            let flags = hosts.iter().flat_map(|host| ["--egress", host]);
            let parsed = Cli::try_parse_from(["patchbay", "serve"].into_iter().chain(flags)).unwrap();
            let Command::Serve(args) = parsed.command else { panic!("{hosts:?}") };
            let allowed = from_flags(&args).unwrap().egress.allow;
            assert_eq!(allowed.iter().map(HostPattern::to_string).collect::<Vec<_>>(), hosts);
        }
    }
}
