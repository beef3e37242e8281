//! Values that are written as one string in the file and on the command line.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sip::Transport;

/// Serde by way of `FromStr` and `Display`.
macro_rules! written_as_string {
    ($($name:ty),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
written_as_string!(ListenUrl, Network, HostPort, HostPattern, PortRange);

/// `tcp://0.0.0.0:5070`: where a listener binds. Port 0 asks the system for a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenUrl {
    pub transport: Transport,
    pub address: SocketAddr,
}

impl FromStr for ListenUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "write transport://address:port, for instance tcp://0.0.0.0:5070 or tls://[::]:443";
        let (scheme, address) = text.split_once("://").ok_or(wanted)?;
        let transport = match scheme {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            other => return Err(format!("`{other}` is not a transport: tcp, tls or udp")),
        };
        let address = address.parse().map_err(|_| format!("`{address}` is not address:port; {wanted}"))?;
        Ok(Self { transport, address })
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", scheme(self.transport), self.address)
    }
}

/// `tcp`, `tls` or `udp`.
pub fn scheme(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
    }
}

/// `203.0.113.0/24`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl Network {
    /// IPv4 addresses mapped into IPv6 count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| "not a network; write 203.0.113.0/24, 2001:db8::/32 or one address".to_owned())?;
        if network.trunc() != network {
            return Err(format!("has bits beyond its prefix; write {}", network.trunc()));
        }
        Ok(Self(network))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `api.example.com:443`, `*.example.com:443`: where bots may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(pub outside::Pattern);

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What peers are told: an address or a name, and a port if it differs from the listener's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// IPv6 without brackets.
    pub host: String,
    pub port: Option<u16>,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { host: address.to_string(), port: None });
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: Some(address.port()) });
        }
        let (host, port) = match text.split_once(':') {
            None => (text, None),
            Some((host, port)) => (host, Some(port.parse().map_err(|_| format!("`{port}` is not a port"))?)),
        };
        let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if host.is_empty() || host.len() > 253 || !host.chars().all(named) {
            return Err("not an address or a host name, with or without :port".to_owned());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// `10000-20000`, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |part: &str| part.trim().parse::<u16>().ok().filter(|port| *port >= 1024);
        let (first, last) = text
            .split_once('-')
            .and_then(|(first, last)| Some((read(first)?, read(last)?)))
            .ok_or("not a range of ports from 1024 up; write 10000-20000")?;
        // An RTP port is even and its RTCP port follows it. Source: RFC 3550 11.
        if first.next_multiple_of(2).checked_add(1).is_none_or(|rtcp| rtcp > last) {
            return Err("holds no pair of an even port and the odd one after it".to_owned());
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// A value kept out of the file: `{ file = "path" }` or `{ env = "NAME" }`. Never printed, only its place is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Secret {
    File(std::path::PathBuf),
    Env(String),
}

/// The longest secret that is read from a file, in bytes.
const SECRET_BYTES_MAX: u64 = 1 << 20;

impl Secret {
    /// Reads it now. Errors: the file or the variable is not there, or not text.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Secret::File(path) => read_bounded(path, SECRET_BYTES_MAX)
                .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned()))
                .map_err(|error| format!("{}: {error}", path.display())),
            Secret::Env(name) => std::env::var(name).map_err(|_| format!("environment variable {name} is not set")),
        }
    }
}

/// A whole file, unless it is longer than `bytes_max`.
pub fn read_bounded(path: &std::path::Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("is longer than {bytes_max} bytes"));
    }
    Ok(bytes)
}
