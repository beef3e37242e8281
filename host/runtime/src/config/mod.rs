//! The configuration: one struct, built from `patchbay.toml` or from the flags of `patchbay serve`.
//! Reading is pure and reports every mistake at once; what the file refers to is looked at by [`check`](crate::check).

mod engines;
mod flags;
mod outbound;
mod read;
mod section;
mod value;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use engines::{Engines, Scope};
pub use flags::from_flags;
pub use outbound::{Callbacks, Outbound};
pub use read::{load, read, read_file};
pub use store::{Problem, Problems, nearest};
pub use value::{HostPattern, HostPort, ListenUrl, Network, PortRange, Secret, read_bounded, scheme};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// The folder of the bots' .wasm files, which `routes` name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bots: Option<PathBuf>,
    /// Where the state of tenants is kept; None: there are no tenants but those that `routes` name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Tenants kept in files, one folder each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants_dir: Option<PathBuf>,
    /// From a leg's receive phase to its send phase.
    pub bot_budget_ms: u32,
    /// How long live calls may go on after SIGTERM.
    pub drain_seconds: u64,
    /// A call without RTP for so long ends.
    pub media_timeout_s: u32,
    pub sip_trace: bool,
    /// Name servers; empty: those of the system.
    pub dns: Vec<SocketAddr>,
    pub rtp: Rtp,
    pub jitter: Jitter,
    pub admin: Admin,
    pub callbacks: Callbacks,
    pub log: Log,
    pub pcap: Pcap,
    pub limits: Limits,
    pub egress: Egress,
    /// Of the operator's own routes' bots; tenants of `data` have theirs there.
    pub secrets: BTreeMap<String, BotSecret>,
    /// Sounds that tenants' routes may name as their fall-back. WAV, 8 kHz, mono, 16 bit.
    pub prompts: BTreeMap<String, PathBuf>,
    /// Of tenants that have none of their own.
    #[serde(flatten)]
    pub engines: Engines,
    pub listeners: Vec<Listener>,
    pub trunks: Vec<Trunk>,
    /// The called number itself goes before a prefix, a longer prefix before a shorter, a named trunk before any.
    pub routes: Vec<Route>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listener {
    pub listen: ListenUrl,
    /// What Contact and Via say to peers outside `localnet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised: Option<HostPort>,
    /// Peers that reach us without NAT and are told our own address.
    pub localnet: Vec<Network>,
    /// TLS only; the first is for clients that ask for no name or an unknown one.
    pub certificates: Vec<Certificate>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Certificate {
    /// PEM, the chain from the leaf up.
    pub cert: PathBuf,
    /// PEM.
    pub key: Secret,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rtp {
    pub ports: PortRange,
    /// A port rests for so long before it serves another call.
    pub rest_ms: u32,
    /// Where RTP sockets bind; None: the address of the listener that the call came by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<IpAddr>,
    /// What SDP says to peers outside `localnet`; None: the listener's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised: Option<IpAddr>,
    pub localnet: Vec<Network>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Jitter {
    pub min_ms: u32,
    pub max_ms: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Admin {
    /// /health, /ready, /metrics and, with `data`, the admin API; None: not served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Without one it is plain HTTP, on loopback only.
    pub certificates: Vec<Certificate>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Log {
    /// `info`, or a filter such as `info,sip=debug`.
    pub level: String,
    pub json: bool,
    /// Numbers, names, addresses and digits are shown.
    pub personal: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pcap {
    /// From the start on; SIGUSR2 turns it on and off.
    pub enabled: bool,
    pub dir: PathBuf,
    pub file_mb_max: u32,
    /// All files of this run together.
    pub total_mb_max: u32,
}

/// Every bound of the edge that an operator may move.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limits {
    pub calls: u32,
    pub connections: usize,
    pub connections_per_address: usize,
    pub unfinished_handshakes: usize,
    pub handshake_s: u64,
    pub unfinished_message_s: u64,
    /// A connection without dialogs on which nothing arrives.
    pub idle_s: u64,
    pub connect_s: u64,
    pub keep_alive_s: u64,
    /// What waits to be written to one connection.
    pub send_buffer_bytes: usize,
    /// Messages that wait for the core.
    pub queued_messages: usize,
    pub bots: usize,
    pub bot_mb: u64,
    pub guest_memory_mb: u32,
}

/// Where bots may connect to: nowhere that is not named here, whatever a tenant asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Egress {
    pub allow: Vec<HostPattern>,
    /// PEM; trusted beside the system's certificate authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    pub private: Vec<PrivateRange>,
}

/// Hosts that may have addresses other than those of the public Internet, such as an engine of one's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrivateRange {
    pub name: String,
    pub hosts: Vec<HostPattern>,
    pub networks: Vec<Network>,
    /// `http://` and `ws://` too. Secrets never go there.
    pub plain: bool,
}

/// What the operator's own bots may put into a header, and never see.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BotSecret {
    pub value: Secret,
    pub hosts: Vec<HostPattern>,
    pub header: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Codec {
    Pcma,
    Pcmu,
}

impl From<Codec> for media::Codec {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::Pcma => media::Codec::Pcma,
            Codec::Pcmu => media::Codec::Pcmu,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Srtp {
    Require,
    Prefer,
    Off,
}

impl From<Srtp> for media::SrtpPolicy {
    fn from(policy: Srtp) -> Self {
        match policy {
            Srtp::Require => media::SrtpPolicy::Require,
            Srtp::Prefer => media::SrtpPolicy::Prefer,
            Srtp::Off => media::SrtpPolicy::Off,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trunk {
    pub name: String,
    /// Sources of signalling; a source in none of any trunk's is not answered.
    pub networks: Vec<Network>,
    /// Sources of RTP; empty: `networks`, and the address in the SDP.
    pub media_networks: Vec<Network>,
    /// In order of preference.
    pub codecs: Vec<Codec>,
    pub srtp: Srtp,
    /// INVITE without P-Asserted-Identity: 403.
    pub require_pai: bool,
    /// Its P-Asserted-Identity and X- headers are believed. Source: RFC 3325 5.
    pub trusted: bool,
    /// PEM; None: the system's certificate authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
    /// The name its certificate must bear when we connect; None: the host that we connect to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// How it is asked to make calls; None: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Outbound>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Route {
    /// None: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// The whole user part of the request-URI; None with no prefix: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called_prefix: Option<String>,
    pub tenant: String,
    /// The name of a .wasm file without its ending; `{called}`: the called user part names it.
    pub plugin: String,
    /// Calls at a time; None: as many as the host takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    /// Played when the bot cannot go on. WAV, 8 kHz, mono, 16 bit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_prompt: Option<PathBuf>,
    /// 180 while the bot starts.
    pub ring: bool,
    /// Handed to the bot as JSON; `{ file = ".." }` and `{ env = ".." }` within it are replaced by what they name.
    pub config: toml::Table,
}

impl Config {
    /// The trunk that a source belongs to: the first whose networks hold it. Cost: linear in the networks.
    pub fn trunk_of(&self, source: IpAddr) -> Option<sip::TrunkId> {
        trunk_of(&self.trunks, source)
    }
}

pub fn trunk_of(trunks: &[Trunk], source: IpAddr) -> Option<sip::TrunkId> {
    let index = trunks.iter().position(|trunk| trunk.networks.iter().any(|network| network.contains(source)))?;
    u16::try_from(index).ok().map(sip::TrunkId)
}

impl Route {
    /// `called` is the user part as it came, its `+` kept.
    pub fn fits(&self, trunk: &str, called: &str) -> bool {
        self.trunk.as_deref().is_none_or(|name| name == trunk)
            && self.called.as_deref().is_none_or(|whole| whole == called)
            && self.called_prefix.as_deref().is_none_or(|prefix| called.starts_with(prefix))
    }

    pub fn plugin_for<'a>(&'a self, called: &'a str) -> &'a str {
        if self.plugin == CALLED { called } else { &self.plugin }
    }

    /// The configuration that the bot reads, secrets in place. Empty table: empty string.
    pub fn bot_config(&self) -> Result<String, String> {
        if self.config.is_empty() {
            return Ok(String::new());
        }
        let value = json_of(&toml::Value::Table(self.config.clone()))?;
        Ok(value.to_string())
    }
}

/// As a route's plugin: the called user part names the bot.
pub const CALLED: &str = "{called}";

fn json_of(value: &toml::Value) -> Result<serde_json::Value, String> {
    use serde_json::Value as Json;
    Ok(match value {
        toml::Value::String(text) => Json::from(text.as_str()),
        toml::Value::Integer(number) => Json::from(*number),
        toml::Value::Float(number) => Json::from(*number),
        toml::Value::Boolean(truth) => Json::from(*truth),
        toml::Value::Datetime(time) => Json::from(time.to_string()),
        toml::Value::Array(items) => Json::Array(items.iter().map(json_of).collect::<Result<_, _>>()?),
        toml::Value::Table(table) => match secret_in(table) {
            Some(secret) => Json::from(secret.read()?.trim_end_matches(['\r', '\n'])),
            None => Json::Object(
                table.iter().map(|(key, value)| Ok((key.clone(), json_of(value)?))).collect::<Result<_, String>>()?,
            ),
        },
    })
}

/// A table that is nothing but a reference to a secret.
fn secret_in(table: &toml::Table) -> Option<Secret> {
    if table.len() != 1 {
        return None;
    }
    toml::Value::Table(table.clone()).try_into().ok()
}
