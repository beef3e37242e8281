//! `[trunks.outbound]` and `[callbacks]`: how a trunk is asked to make calls, and where it says what became of them.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Serialize;
use ureq::http::Uri;

use super::section::Section;
use super::{Certificate, Problem, Secret};

/// What the trunk takes of one account. Source: the voicebot guide, "Throttle".
const CALLS_PER_MINUTE: u32 = 200;

/// The trunk's Make-a-Call API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outbound {
    /// `https://api.exotel.com`; the path is the API's own.
    pub api: String,
    pub account_sid: String,
    pub key: Secret,
    pub token: Secret,
    /// What the customer sees.
    pub caller_id: String,
    /// The flow that dials us once the customer has answered.
    pub flow: String,
    /// More are refused before the trunk is asked.
    pub calls_per_minute: u32,
    /// Who may ask for calls; None: every tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants: Option<Vec<String>>,
    /// PEM; None: the system's certificate authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
}

/// Where trunks say what became of calls that they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Callbacks {
    /// None: they are not asked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// How the trunk reaches it; None: by the address of `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Without one it is plain HTTP.
    pub certificates: Vec<Certificate>,
}

pub(super) fn outbound(mut section: Section<'_>, folder: &Path) -> Option<Outbound> {
    let api = section.required::<String>("api", "write api = \"https://api.exotel.com\"");
    let flow = section.required::<String>("flow", "the URL of the flow that dials us");
    for (key, url) in [("api", &api), ("flow", &flow)] {
        if let Some(wrong) = url.as_deref().and_then(|url| wrong_url(url).err()) {
            section.report(Problem::new(section.path_of(key), wrong));
        }
    }
    let api = api.map(|api| api.trim_end_matches('/').to_owned());
    if let Some(api) = api.as_deref().filter(|api| !may_carry_secrets(api)) {
        let text = format!("{api} would carry key and token in the clear");
        section.report(Problem::new(section.path_of("api"), text).hint("write https://"));
    }
    let account_sid = section.required::<String>("account_sid", "as the trunk's dashboard shows it");
    let is_name = |sid: &String| !sid.is_empty() && sid.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if account_sid.as_ref().is_some_and(|sid| !is_name(sid)) {
        section.report(Problem::new(section.path_of("account_sid"), "is not letters, digits, `-`, `_` and `.`"));
    }
    let key = section.secret("key", folder);
    let token = section.secret("token", folder);
    let caller_id = section.required::<String>("caller_id", "a number of yours, which the customer sees");
    let calls_per_minute = section.number("calls_per_minute", CALLS_PER_MINUTE, 1..=60_000);
    let tenants = section.list("tenants");
    let tls_ca = section.optional::<PathBuf>("tls_ca").map(|path| super::read::within(folder, path));
    Some(Outbound {
        api: api?,
        account_sid: account_sid?,
        key: key?,
        token: token?,
        caller_id: caller_id?,
        flow: flow?,
        calls_per_minute,
        tenants,
        tls_ca,
    })
}

pub(super) fn callbacks(mut section: Section<'_>, folder: &Path) -> Callbacks {
    let listen = section.optional("listen");
    let url = section.optional::<String>("url").map(|url| url.trim_end_matches('/').to_owned());
    if let Some(wrong) = url.as_deref().and_then(|url| wrong_url(url).err()) {
        section.report(Problem::new(section.path_of("url"), wrong));
    }
    let certificates = section.sections("certificates").into_iter();
    let certificates = certificates.filter_map(|inner| super::read::certificate(inner, folder)).collect();
    Callbacks { listen, url, certificates }
}

fn wrong_url(url: &str) -> Result<(), String> {
    let wrong = || format!("`{url}` is not a URL; write https://host/path");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    match uri.scheme_str() {
        Some("http" | "https")
            if uri.host().is_some() && !uri.authority().is_some_and(|a| a.as_str().contains('@')) =>
        {
            Ok(())
        }
        _ => Err(wrong()),
    }
}

/// TLS, or this machine.
fn may_carry_secrets(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    uri.is_none_or(|uri| {
        let host = uri.host().unwrap_or("").trim_matches(['[', ']']);
        uri.scheme_str() != Some("http") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}
