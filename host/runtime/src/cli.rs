//! The command line: what may be written, and nothing of what it does.

mod builds;
mod operate;
mod tenants;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{HostPattern, HostPort, ListenUrl, Network, PortRange, Srtp};

pub use builds::*;
pub use operate::*;
pub use tenants::*;

/// Source: sysexits.h, EX_USAGE. A wrong command line, or a configuration with mistakes.
pub const EXIT_USAGE: u8 = 64;
/// Source: sysexits.h, EX_UNAVAILABLE. The host that was to be operated is not reached.
pub const EXIT_UNREACHED: u8 = 69;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 refused or failed, 64 wrong usage or configuration, 69 the host to operate is not reached.";

/// Answers phone calls and plugs each one into a bot: a WebAssembly component.
#[derive(Debug, Parser)]
#[command(name = "patchbay", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answers calls until SIGTERM.
    Serve(Box<ServeArgs>),
    /// Looks for mistakes in a configuration and in what it refers to, and names all of them.
    Check(CheckArgs),
    /// Looks a set-up over, from the configuration to a call, and says what is wrong and what mends it.
    Doctor(DoctorArgs),
    /// Prints the whole configuration, defaults included; secrets only by their place.
    PrintConfig(PrintConfigArgs),
    /// Places one call and says how it went.
    Call(Box<CallArgs>),
    #[command(flatten)]
    Operate(Operate),
    /// What the host runs to compile a component. Not for people.
    #[command(hide = true, disable_help_flag = true)]
    CompileComponent(CompileComponentArgs),
}

const SERVE_EXAMPLES: &str = "\
Examples:
  patchbay serve --config /etc/patchbay/patchbay.toml
  patchbay serve --bots target/bots
      then call sip:echo@127.0.0.1:5070 over TCP or UDP
  patchbay serve --bots target/bots --egress api.example.com:443 --egress '*.example.org:443'
  patchbay serve --data /var/lib/patchbay --admin 127.0.0.1:8080
      then patchbay login http://127.0.0.1:8080 --token-file /var/lib/patchbay/operator.token
  patchbay serve --listen tcp://0.0.0.0:5070 --listen tls://0.0.0.0:5061 \\
      --tls-cert cert.pem --tls-key key.pem --allow 203.0.113.0/24
Signals: SIGTERM and SIGINT drain, a second one ends at once; SIGUSR1 turns the SIP trace on and off,
SIGUSR2 the capture of new calls.";

#[derive(Args, Debug)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// The configuration; without one the flags below are all there is.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "bots", "data", "tenants_dir", "listen", "tls_cert", "tls_key", "srtp", "rtp_ports", "admin", "drain_seconds", "allow", "egress",
        "advertised", "log", "personal", "sip_trace", "pcap",
    ])]
    pub config: Option<PathBuf>,
    /// The folder of the bots' .wasm files; the called user part names the bot. [default: ./bots]
    #[arg(long, value_name = "DIR")]
    pub bots: Option<PathBuf>,
    /// Where tenants and what they upload are kept; with --admin they are managed over HTTP.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Tenants kept in files, a folder each with tenant.toml and bots/*.wasm, watched for changes.
    #[arg(long, value_name = "DIR", requires = "data")]
    pub tenants_dir: Option<PathBuf>,
    /// tcp://, tls:// or udp:// and address:port; replaces the defaults, TCP and UDP on 127.0.0.1:5070.
    #[arg(long, value_name = "URL")]
    pub listen: Vec<ListenUrl>,
    /// The certificate chain of the TLS listeners, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "prefer")]
    pub srtp: Srtp,
    #[arg(long, value_name = "RANGE", default_value = "10000-20000")]
    pub rtp_ports: PortRange,
    /// Serves /health, /ready, /metrics and, with --data, the admin API; loopback only.
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<SocketAddr>,
    /// How long live calls may go on after SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub drain_seconds: u64,
    /// Who may call; replaces the default, loopback and private addresses.
    #[arg(long, value_name = "CIDR")]
    pub allow: Vec<Network>,
    /// Where bots may connect to, over TLS; tenants of --data where their own list names it too. [default: nowhere]
    #[arg(long, value_name = "HOST:PORT")]
    pub egress: Vec<HostPattern>,
    /// The address that peers outside private networks are told.
    #[arg(long, value_name = "ADDRESS")]
    pub advertised: Option<HostPort>,
    /// What is logged to stderr, for instance debug or info,runtime=debug.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// Logs numbers, names, addresses and digits.
    #[arg(long)]
    pub personal: bool,
    /// Logs every SIP message.
    #[arg(long)]
    pub sip_trace: bool,
    /// Writes a capture of every call, SIP and decrypted RTP, into this folder.
    #[arg(long, value_name = "DIR")]
    pub pcap: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  patchbay check --config patchbay.toml\n  patchbay check --config patchbay.toml --no-files --json"
)]
pub struct CheckArgs {
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Does not look at the files and environment variables that it refers to.
    #[arg(long)]
    pub no_files: bool,
    #[arg(long)]
    pub json: bool,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  patchbay doctor --config patchbay.toml                            while the host runs: it is asked and called too
  patchbay doctor --config patchbay.toml --called +912261234567     which bot answers, by each trunk
  patchbay doctor --config patchbay.toml --live 'sip:trunk.example:5061;transport=tls'
  patchbay doctor --config patchbay.toml --json
Not checked: firewalls and NAT between this machine and the trunk, for it calls from here and not from there; what the trunk itself is
set to (the number and address that it dials, whether it takes a transfer); its Make-a-Call API, key and token, beyond that they can be
read; whether the callbacks' URL is reached from outside; engines, and what bots connect to; tenants' routes while no host runs; sound
under load (`patchbay_media_phases_late_total` on /metrics).
Exit code: 0 nothing is wrong, 1 something is, 64 wrong usage or no configuration.";

#[derive(Args, Debug)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub struct DoctorArgs {
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// A number that is to be answered; several times for several.
    #[arg(long, value_name = "NUMBER")]
    pub called: Vec<String>,
    /// The trunk's signalling address: it is resolved and connected to. Without this nothing leaves for the trunk.
    #[arg(long, value_name = "URI")]
    pub live: Vec<String>,
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct PrintConfigArgs {
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

const CALL_EXAMPLES: &str = "\
Examples:
  patchbay call sip:echo@127.0.0.1:5070;transport=tcp --play hello.wav --record heard.wav
  patchbay call 'sip:dtmf-menu@127.0.0.1:5070' --digits 12# --ladder
  patchbay call 'sip:echo@localhost:5061;transport=tls' --tls-ca ca.pem --srtp --json
Exit code: 0 answered and ended normally, 1 refused or failed, 64 wrong usage.";

#[derive(Args, Debug)]
#[command(after_help = CALL_EXAMPLES)]
pub struct CallArgs {
    /// Whom to call; ;transport=tcp or tls as in SIP, UDP without.
    #[arg(value_name = "URI")]
    pub uri: String,
    /// Whom to trust on TLS, PEM. [default: the system's authorities]
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// The name that the certificate must bear. [default: the URI's host]
    #[arg(long, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Offers SRTP and nothing else.
    #[arg(long)]
    pub srtp: bool,
    /// Plays this once answered. WAV, 8 kHz, mono, 16 bit.
    #[arg(long, value_name = "F.wav")]
    pub play: Option<PathBuf>,
    /// Writes what is heard.
    #[arg(long, value_name = "F.wav")]
    pub record: Option<PathBuf>,
    /// Presses these keys once answered: 0-9 * # A-D, and `,` to wait half a second.
    #[arg(long, value_name = "KEYS", value_parser = parse_digits)]
    pub digits: Option<String>,
    /// Hangs up after so long. [default: when the recording was played, or the peer hangs up]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub duration: Option<f64>,
    /// Prints the SIP messages as a ladder.
    #[arg(long)]
    pub ladder: bool,
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct CompileComponentArgs {
    /// As `plugin::Compiler` writes them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub order: Vec<OsString>,
}

fn parse_digits(text: &str) -> Result<String, String> {
    let key = |c: &char| c.is_ascii_digit() || matches!(c, '*' | '#' | 'A'..='D' | ',');
    match text.chars().find(|c| !key(c)) {
        Some(wrong) => Err(format!("`{wrong}` is not a key: 0-9 * # A-D and `,`")),
        None if text.len() > 64 => Err("more than 64 keys".into()),
        None => Ok(text.to_owned()),
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|s| (0.0..=86_400.0).contains(s))
        .ok_or_else(|| "not seconds from 0 to 86400".into())
}
