//! From the configuration to what each machine is made with.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use call::{Called, Fallback, Route, Routing, Settings, Trunk};
use sip::{EndpointConfig, ListenerConfig, TrunkConfig};

use crate::config::{CALLED, Config, Network};
use crate::core::MediaAddress;
use crate::signalling::Listening;

/// The longest fall-back prompt.
const PROMPT_SECONDS_MAX: u32 = 30;
/// Silence after it, 200 ms: the BYE must not overtake what lies in the caller's jitter buffer.
const PROMPT_TAIL_SAMPLES: usize = 1600;

/// How peers are told to reach each listener.
pub fn endpoint_config(config: &Config, listeners: &[Listening]) -> EndpointConfig {
    let listeners = listeners.iter().map(|listener| ListenerConfig {
        transport: listener.transport,
        advertised_host: listener.advertised_host.clone(),
        advertised_port: listener.advertised_port,
        local_host: Some(listener.local_host.clone()),
        local_port: listener.local.port(),
        localnet: listener
            .localnet
            .iter()
            .map(|Network(net)| sip::Network { address: net.addr(), prefix: net.prefix_len() })
            .collect(),
    });
    EndpointConfig {
        listeners: listeners.collect(),
        trunks: config.trunks.iter().map(|trunk| TrunkConfig { trusted: trunk.trusted }).collect(),
        user_agent: concat!("patchbay/", env!("CARGO_PKG_VERSION")).to_owned(),
        limits: sip_limits(&config.limits),
    }
}

/// The endpoint has room for what the operator allows: a call is a dialog, and some transactions in its first and last half minute.
fn sip_limits(limits: &crate::config::Limits) -> sip::Limits {
    let (least, calls) = (sip::Limits::default(), limits.calls as usize);
    sip::Limits {
        dialogs: least.dialogs.max(2 * calls),
        transactions: least.transactions.max(8 * calls),
        connections: least.connections.max(limits.connections),
        ..least
    }
}

/// Where the RTP of each listener's calls binds, and what SDP says of it.
pub fn media_addresses(listeners: &[Listening]) -> Vec<MediaAddress> {
    let address = |listener: &Listening| MediaAddress {
        listener: listener.local.ip(),
        advertised: listener.advertised_host.parse().ok(),
        localnet: listener.localnet.clone(),
    };
    listeners.iter().map(address).collect()
}

/// What the calls depend on.
pub fn settings(config: &Config, routing: Arc<Routing>, tenants: Vec<call::Tenant>) -> Settings {
    let trunks = config.trunks.iter().map(|trunk| Trunk {
        name: trunk.name.clone(),
        trusted: trunk.trusted,
        require_pai: trunk.require_pai,
        codecs: trunk.codecs.iter().map(|codec| (*codec).into()).collect(),
        srtp: trunk.srtp.into(),
        media_networks: if trunk.media_networks.is_empty() { &trunk.networks } else { &trunk.media_networks }
            .iter()
            .map(|network| network.0)
            .collect(),
        sdp_address_allowed: trunk.media_networks.is_empty(),
        max_calls: None,
    });
    let limits = call::Limits {
        calls: config.limits.calls,
        media_timeout: Duration::from_secs(config.media_timeout_s.into()),
        ..call::Limits::default()
    };
    Settings { trunks: trunks.collect(), routing, tenants, limits }
}

/// The operator's routes, those of `{called}` spelt out for each bot: `bots` are all that the folder has, broken ones included.
pub fn routes(config: &Config, bots: &[String]) -> anyhow::Result<Vec<Route>> {
    let mut routes = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        let base = Route {
            name: format!("{index}"),
            trunk: route.trunk.clone(),
            called: match (&route.called, &route.called_prefix) {
                (Some(called), _) => Called::Exact(called.clone()),
                (None, prefix) => Called::Prefix(prefix.clone().unwrap_or_default()),
            },
            tenant: route.tenant.clone(),
            plugin: route.plugin.clone(),
            bot: route.plugin.clone(),
            config: bot_config(route).with_context(|| format!("routes[{index}].config"))?,
            fallback: route.fallback_prompt.as_ref().map(|prompt| Fallback { prompt: prompt.display().to_string() }),
            ring: route.ring,
            max_calls: route.calls,
        };
        if route.plugin == CALLED {
            let reached = bots.iter().filter(|bot| route.fits(route.trunk.as_deref().unwrap_or(""), bot));
            routes.extend(reached.map(|bot| Route {
                called: Called::Exact(bot.clone()),
                plugin: bot.clone(),
                bot: bot.clone(),
                ..base.clone()
            }));
        } else {
            routes.push(base);
        }
    }
    Ok(routes)
}

fn bot_config(route: &crate::config::Route) -> anyhow::Result<serde_json::Map<String, serde_json::Value>> {
    let text = route.bot_config().map_err(anyhow::Error::msg)?;
    if text.is_empty() {
        return Ok(serde_json::Map::new());
    }
    Ok(serde_json::from_str(&text)?)
}

/// Every fall-back prompt: those that routes of the configuration name by their files, and those that tenants may name.
pub fn prompts(config: &Config) -> anyhow::Result<HashMap<String, Arc<[i16]>>> {
    let of_routes = config.routes.iter().filter_map(|route| route.fallback_prompt.as_ref());
    let of_routes = of_routes.map(|path| (path.display().to_string(), path));
    let named = config.prompts.iter().map(|(name, path)| (name.clone(), path));
    let mut prompts = HashMap::new();
    for (name, path) in of_routes.chain(named) {
        let mut samples = read_prompt(path).with_context(|| format!("prompt {}", path.display()))?;
        samples.extend([0; PROMPT_TAIL_SAMPLES]);
        prompts.insert(name, samples.into());
    }
    Ok(prompts)
}

/// A fall-back prompt.
pub fn read_prompt(path: &Path) -> anyhow::Result<Vec<i16>> {
    let samples = read_sound(path, PROMPT_SECONDS_MAX)?;
    if samples.is_empty() {
        bail!("holds no sound");
    }
    Ok(samples)
}

/// Shape: WAV, 8 kHz, mono, 16 bit.
pub fn read_sound(path: &Path, seconds_max: u32) -> anyhow::Result<Vec<i16>> {
    let mut wav = hound::WavReader::open(path)?;
    let spec = wav.spec();
    if (spec.sample_rate, spec.channels, spec.bits_per_sample) != (8000, 1, 16)
        || spec.sample_format != hound::SampleFormat::Int
    {
        bail!(
            "is {} Hz, {} channels, {} bit; it must be 8000 Hz, mono, 16 bit",
            spec.sample_rate,
            spec.channels,
            spec.bits_per_sample
        );
    }
    if wav.duration() > seconds_max * spec.sample_rate {
        bail!("is longer than {seconds_max} s");
    }
    Ok(wav.samples::<i16>().collect::<Result<_, _>>()?)
}
