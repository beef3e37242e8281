//! Names to addresses: SRV, then A and AAAA, each kept for its TTL. Source: RFC 3263 4; RFC 2782.
//! NAPTR is not asked for: the transport is always known.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use rand::Rng;
use sip::Transport;

/// Addresses tried for one target.
const ADDRESSES_MAX: usize = 8;
/// SRV records looked at.
const SERVERS_MAX: usize = 8;

pub(super) struct Resolver(TokioResolver);

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    priority: u16,
    weight: u16,
    port: u16,
    host: String,
}

impl Resolver {
    pub fn new(servers: &[SocketAddr]) -> Result<Self, String> {
        name_servers(servers).map(Self)
    }

    /// Where to try, in order. Errors: no address.
    pub async fn addresses(
        &self,
        host: &str,
        port: Option<u16>,
        transport: Transport,
    ) -> Result<Vec<SocketAddr>, String> {
        let default_port = if transport == Transport::Tls { 5061 } else { 5060 };
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port.unwrap_or(default_port))]);
        }
        if let Some(port) = port {
            return self.hosts(host, port).await;
        }
        let service = match transport {
            Transport::Udp => "_sip._udp",
            Transport::Tcp => "_sip._tcp",
            Transport::Tls => "_sips._tcp",
        };
        let servers = self.servers(&format!("{service}.{}.", host.trim_end_matches('.'))).await;
        if servers.is_empty() {
            return self.hosts(host, default_port).await;
        }
        let mut addresses = Vec::new();
        let mut last = "the service is not offered there".to_owned();
        // A target of "." says so. Source: RFC 2782.
        for server in servers.iter().filter(|server| server.host != ".") {
            match self.hosts(&server.host, server.port).await {
                Ok(found) => addresses.extend(found),
                Err(error) => last = error,
            }
            if addresses.len() >= ADDRESSES_MAX {
                break;
            }
        }
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() { Err(last) } else { Ok(addresses) }
    }

    async fn hosts(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let found = self.0.lookup_ip(host).await.map_err(|error| error.to_string())?;
        Ok(found.iter().take(ADDRESSES_MAX).map(|address| SocketAddr::new(address, port)).collect())
    }

    /// In the order in which they are to be tried; empty if there are none, or no answer.
    async fn servers(&self, name: &str) -> Vec<Server> {
        let Ok(found) = self.0.lookup(name, RecordType::SRV).await else { return Vec::new() };
        let records = found.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(Server {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                host: srv.target.to_string(),
            }),
            _ => None,
        });
        let records = records.take(SERVERS_MAX).collect();
        in_order(records, |total| rand::rng().random_range(0..=total))
    }
}

/// Asks these name servers; with none given, those of the system, and without those only /etc/hosts.
pub fn name_servers(servers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let from = |config| TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let builder = if servers.is_empty() {
        TokioResolver::builder_tokio()
            .unwrap_or_else(|_| from(ResolverConfig::from_parts(None, Vec::new(), Vec::new())))
    } else {
        let servers = servers.iter().map(name_server).collect();
        from(ResolverConfig::from_parts(None, Vec::new(), servers))
    };
    builder.build().map_err(|error| error.to_string())
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// By priority, and within one at random by weight. `pick(total)` draws from 0 to total. Source: RFC 2782.
fn in_order(mut servers: Vec<Server>, mut pick: impl FnMut(u32) -> u32) -> Vec<Server> {
    // Weight 0 first, so that it is drawn only by a 0.
    servers.sort_by_key(|server| (server.priority, server.weight));
    let mut ordered = Vec::with_capacity(servers.len());
    while let Some(priority) = servers.first().map(|server| server.priority) {
        let equals = servers.iter().take_while(|server| server.priority == priority).count();
        let total = servers[..equals].iter().map(|server| u32::from(server.weight)).sum();
        let drawn = pick(total);
        let mut sum = 0;
        let index = servers[..equals].iter().position(|server| {
            sum += u32::from(server.weight);
            sum >= drawn
        });
        ordered.push(servers.remove(index.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_tried_by_priority_and_then_by_weight() {
        let server = |priority, weight, host: &str| Server { priority, weight, port: 5060, host: host.into() };
        let servers =
            || vec![server(20, 0, "last"), server(10, 60, "heavy"), server(10, 0, "rare"), server(10, 20, "light")];
        let check = |draw: fn(u32) -> u32, expect: [&str; 4]| {
            let hosts: Vec<_> = in_order(servers(), draw).into_iter().map(|server| server.host).collect();
            assert_eq!(hosts, expect);
        };
        check(|_| 0, ["rare", "light", "heavy", "last"]);
        check(|total| total, ["heavy", "light", "rare", "last"]);
        check(|total| total.min(20), ["light", "heavy", "rare", "last"]);
    }
}
