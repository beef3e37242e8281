//! `patchbay check`: what a configuration refers to, and what is allowed but hardly meant.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;
use sip::Transport;

use crate::config::{self, CALLED, Config, HostPort, Problem, Srtp};
use crate::{outbound, tls, wiring};

/// What `patchbay check` found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

/// Checks a file; unless `no_files`, also what it refers to, even if the file itself has mistakes.
pub fn check(path: &Path, no_files: bool) -> Report {
    let (config, mut problems) = match config::read_file(path) {
        Ok((config, problems)) => (config, problems.0),
        Err(problem) => return Report { problems: vec![problem], warnings: Vec::new() },
    };
    if !no_files {
        problems.extend(check_files(&config));
        problems.extend(config.tenants_dir.iter().flat_map(|folder| check_tenants(folder, config.limits.bot_mb << 20)));
    }
    Report { problems, warnings: warnings(&config) }
}

impl Report {
    pub fn as_json(&self) -> String {
        let mut value = serde_json::json!(self);
        value["ok"] = self.problems.is_empty().into();
        value.to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "error: {problem}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        match self.problems.len() {
            0 => writeln!(f, "ok"),
            1 => writeln!(f, "1 mistake"),
            count => writeln!(f, "{count} mistakes"),
        }
    }
}

/// Looks at every file and environment variable that the configuration names, and reports all that is wrong. Tenants' files
/// are not among them: a host starts without the one that is broken, or with what it was last.
pub fn check_files(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |path: String, result: Result<(), String>| {
        if let Err(text) = result {
            problems.push(Problem::new(path, text));
        }
    };
    for (path, place) in [("bots", &config.bots), ("tenants_dir", &config.tenants_dir)] {
        check(path.into(), place.as_deref().map_or(Ok(()), folder));
    }
    for (inner, certificate) in config.admin.certificates.iter().enumerate() {
        check(format!("admin.certificates[{inner}]"), tls::load_certificate(certificate).map(drop));
    }
    for (inner, certificate) in config.callbacks.certificates.iter().enumerate() {
        check(format!("callbacks.certificates[{inner}]"), tls::load_certificate(certificate).map(drop));
    }
    if let Some(ca) = &config.egress.ca {
        check("egress.ca".into(), tls::read_certificates(ca).map(drop));
    }
    for (name, secret) in &config.secrets {
        check(format!("secrets.{name}.value"), secret.value.read().map(drop));
    }
    for (name, prompt) in &config.prompts {
        check(format!("prompts.{name}"), playable(prompt));
    }
    for (index, listener) in config.listeners.iter().enumerate() {
        for (inner, certificate) in listener.certificates.iter().enumerate() {
            let path = format!("listeners[{index}].certificates[{inner}]");
            check(path, tls::load_certificate(certificate).map(drop));
        }
    }
    for (index, trunk) in config.trunks.iter().enumerate() {
        if trunk.tls_ca.is_some() {
            check(format!("trunks[{index}].tls_ca"), tls::client_config(trunk).map(drop));
        }
        if let Some(outbound) = &trunk.outbound {
            check(format!("trunks[{index}].outbound"), outbound::check(outbound));
        }
    }
    for (index, route) in config.routes.iter().enumerate() {
        if let Some(prompt) = &route.fallback_prompt {
            check(format!("routes[{index}].fallback_prompt"), playable(prompt));
        }
        check(format!("routes[{index}].config"), route.bot_config().map(drop));
    }
    problems
}

/// What is wrong with each tenant's files; whether their bots can run shows when the host compiles them.
fn check_tenants(folder: &Path, component_bytes_max: u64) -> Vec<Problem> {
    // That the folder cannot be read is told already.
    let tenants = store::read_folder(folder, component_bytes_max).into_iter().flatten();
    let wrong = tenants.filter_map(|(name, read)| {
        let checked = read.and_then(|tenant| crate::hosting::check_reach(&tenant));
        Some((name, checked.err()?))
    });
    let named = |(name, problems): (String, config::Problems)| {
        let at = move |problem: Problem| Problem { path: format!("tenants_dir/{name}: {}", problem.path), ..problem };
        problems.0.into_iter().map(at)
    };
    wrong.flat_map(named).collect()
}

fn playable(prompt: &Path) -> Result<(), String> {
    wiring::read_prompt(prompt).map(drop).map_err(|error| format!("{}: {error:#}", prompt.display()))
}

fn folder(path: &Path) -> Result<(), String> {
    std::fs::read_dir(path).map(drop).map_err(|error| format!("{}: {error}", path.display()))
}

/// What works, but an operator should know. Logged at start-up too.
pub fn warnings(config: &Config) -> Vec<Problem> {
    let mut warnings = Vec::new();
    let plain = config.listeners.iter().any(|listener| listener.listen.transport != Transport::Tls);
    for (index, trunk) in config.trunks.iter().enumerate() {
        let at = |key: &str| format!("trunks[{index}].{key}");
        if plain && trunk.srtp == Srtp::Prefer {
            let text = "SRTP keys may travel over TCP or UDP signalling in the clear";
            warnings.push(Problem::new(at("srtp"), text).hint("srtp = \"off\", or listen on tls:// only"));
        }
        if trunk.trusted && trunk.networks.iter().any(|network| network.0.prefix_len() == 0) {
            warnings.push(Problem::new(at("trusted"), "believes the identity that anyone in the world asserts"));
        }
        if trunk.networks.is_empty() {
            let text = "is empty: nobody can call by this trunk";
            warnings.push(Problem::new(at("networks"), text).hint("list the trunk's signalling addresses"));
        }
        if trunk.require_pai && !trunk.trusted {
            let text = "refuses every call with 403: the identity of an untrusted trunk is not read";
            warnings.push(Problem::new(at("require_pai"), text).hint("trusted = true"));
        }
        if trunk.outbound.is_some() {
            warnings
                .extend(of_outbound(config, trunk.trusted).map(|(key, warning)| Problem { path: at(key), ..warning }));
        }
        let earlier = config.trunks[..index].iter().flat_map(|trunk| &trunk.networks);
        for (inner, network) in trunk.networks.iter().enumerate() {
            if earlier.clone().any(|wider| wider.0.contains(&network.0)) {
                let path = at(&format!("networks[{inner}]"));
                warnings.push(Problem::new(path, format!("{network} belongs to an earlier trunk, which comes first")));
            }
        }
    }
    for (index, listener) in config.listeners.iter().enumerate() {
        let address: IpAddr = listener.listen.address.ip();
        if address.is_unspecified() && listener.advertised.is_none() {
            let text = "without it peers are told the address of the default route";
            let hint = "behind NAT write advertised = \"your public address\"";
            warnings.push(Problem::new(format!("listeners[{index}].advertised"), text).hint(hint));
        }
        let is_name = |told: &HostPort| told.host.parse::<IpAddr>().is_err();
        if listener.advertised.as_ref().is_some_and(is_name) && config.rtp.advertised.is_none() {
            let text = "is a name, which SDP cannot tell: RTP is asked for at the listener's own address";
            let hint = "write advertised = \"your public address\" under [rtp]";
            warnings.push(Problem::new(format!("listeners[{index}].advertised"), text).hint(hint));
        }
    }
    for (index, _) in config.egress.allow.iter().enumerate().filter(|(_, host)| host.to_string().starts_with("*:")) {
        let text = "lets bots reach any name on the public Internet";
        let hint = "name the hosts that tenants need";
        warnings.push(Problem::new(format!("egress.allow[{index}]"), text).hint(hint));
    }
    for (index, route) in config.routes.iter().enumerate() {
        let same = |earlier: &crate::config::Route| {
            (&earlier.trunk, &earlier.called, &earlier.called_prefix)
                == (&route.trunk, &route.called, &route.called_prefix)
        };
        if config.routes[..index].iter().any(same) {
            let text = "is never reached: an earlier route is for the same trunk and number";
            warnings.push(Problem::new(format!("routes[{index}]"), text));
        }
        let build = config.bots.as_deref().unwrap_or(Path::new("")).join(format!("{}.wasm", route.plugin));
        if route.plugin != CALLED && !build.exists() {
            let text = format!("{} is not there: calls get 480 until it is", build.display());
            warnings.push(Problem::new(format!("routes[{index}].plugin"), text));
        }
    }
    warnings
}

/// Of a trunk that is asked to make calls: what it cannot be told, or will not be believed.
fn of_outbound(config: &Config, trusted: bool) -> impl Iterator<Item = (&'static str, Problem)> {
    let warning = |text: &str, hint: &str| Problem::new("", text).hint(hint);
    let not_believed =
        "its calls are matched by their numbers alone: X-Exotel-CallSid of an untrusted trunk is not read";
    let not_told = "nobody is told of calls that end before they reach a bot";
    let no_api = "nobody can ask for a call: the admin API is not served";
    [
        (!trusted, "trusted", warning(not_believed, "trusted = true")),
        (config.callbacks.listen.is_none(), "outbound", warning(not_told, "[callbacks] listen = \"0.0.0.0:8443\"")),
        (
            config.admin.listen.is_none() || config.data.is_none(),
            "outbound",
            warning(no_api, "set admin.listen and data"),
        ),
    ]
    .into_iter()
    .filter_map(|(is_so, key, warning)| is_so.then_some((key, warning)))
}
