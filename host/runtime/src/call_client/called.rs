//! Whom to call, and how to get there, by the URI.

use std::net::IpAddr;

use anyhow::{Context, anyhow, bail};
use sip::{Target, Transport};

/// Whom to call, as the URI says.
pub struct Called {
    pub host: String,
    pub port: Option<u16>,
    pub transport: Transport,
}

impl Called {
    pub fn parse(uri: &str) -> anyhow::Result<Self> {
        let parsed = sip::Uri::parse(uri.as_bytes())
            .map_err(|_| anyhow!("`{uri}` is not a SIP URI; write sip:echo@127.0.0.1:5070;transport=tcp"))?;
        let host = parsed.host().with_context(|| format!("`{uri}` names no host"))?.trim_matches(['[', ']']).to_owned();
        let transport = match parsed.transport() {
            Some(named) if named.eq_ignore_ascii_case("tcp") => Transport::Tcp,
            Some(named) if named.eq_ignore_ascii_case("tls") => Transport::Tls,
            Some(named) if named.eq_ignore_ascii_case("udp") => Transport::Udp,
            Some(named) => bail!("transport={named} is none of udp, tcp, tls"),
            None if parsed.scheme() == sip::Scheme::Sips => Transport::Tls,
            None => Transport::Udp,
        };
        Ok(Self { host, port: parsed.port(), transport })
    }

    pub fn way(&self) -> Target {
        Target {
            trunk: sip::TrunkId(0),
            listener: sip::ListenerId(0),
            transport: self.transport,
            host: self.host.clone(),
            port: self.port,
        }
    }

    /// Only to learn which of our addresses leads there; the edge resolves by RFC 3263.
    pub async fn first_address(&self) -> anyhow::Result<IpAddr> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port.unwrap_or(5060))).await;
        let first = found.with_context(|| self.host.clone())?.next();
        Ok(first.with_context(|| format!("{} has no address", self.host))?.ip())
    }
}
