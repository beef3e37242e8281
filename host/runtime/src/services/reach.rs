//! Which tenant may reach what outside, and with which secrets: the operator's list, and the tenant's own. What it uses is told to
//! /metrics.
//!
//! A tenant of the store has the list and the secrets that the store has. The tenants that only the operator's own routes name are the
//! operator's: they may reach whatever the configuration allows, with its secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use outside::resolver::Dns;
use outside::{Limits, OperatorRules, Outside, Pattern, Private, Secret, Tenant, TenantRules, Usage};
use store::{Kept, Problem, Problems, Store};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::engines::Directory;
use crate::config::{BotSecret, Config, Egress, Engines, Scope};
use crate::observe::Metrics;
use crate::tls;

/// A clone is the same.
#[derive(Clone)]
pub struct Reach {
    outside: Outside,
    tenants: Arc<Mutex<BTreeMap<String, Reached>>>,
    of_operator: Arc<OfOperator>,
    engines: Arc<Directory>,
    metrics: Metrics,
}

struct Reached {
    tenant: Tenant,
    /// What its bots keep in the store.
    kept: Kept,
    /// What /metrics has been told of both.
    told: (Usage, Kept),
}

struct OfOperator {
    tenants: BTreeSet<String>,
    egress: Egress,
    secrets: BTreeMap<String, BotSecret>,
}

impl Reach {
    /// Errors: a certificate or a secret that the configuration names cannot be read, or there is no DNS.
    pub fn new(config: &Config, runtime: Handle, metrics: &Metrics) -> anyhow::Result<Self> {
        let resolver = dns(&config.dns)?;
        let more = config.egress.ca.as_deref().map_or(Ok(Vec::new()), tls::read_certificates);
        let more = more.map_err(anyhow::Error::msg).context("egress.ca")?;
        let tls = outside::tls::client_config(true, more).map_err(anyhow::Error::msg).context("egress.ca")?;
        let outside = Outside::new(operator_rules(&config.egress), Arc::new(resolver), tls, runtime);
        let of_operator = OfOperator {
            tenants: config.routes.iter().map(|route| route.tenant.clone()).collect(),
            egress: config.egress.clone(),
            secrets: config.secrets.clone(),
        };
        let engines = Directory::new(config.engines.clone(), of_operator.rules()?.secrets, &outside, metrics);
        let (of_operator, engines) = (Arc::new(of_operator), Arc::new(engines));
        let reach = Self { outside, tenants: Arc::default(), of_operator, engines, metrics: metrics.clone() };
        for name in &reach.of_operator.tenants {
            reach.set(name, reach.of_operator.rules()?);
        }
        Ok(reach)
    }

    /// By which its bots hear, speak and converse.
    pub fn engines(&self) -> Arc<Directory> {
        Arc::clone(&self.engines)
    }

    /// Its connections and counts are the same for all its calls. One that nobody has set may reach nothing.
    pub fn tenant(&self, name: &str) -> Tenant {
        self.entry(name, TenantRules::default).0
    }

    /// From now on a tenant may reach this. Live calls too.
    pub fn set(&self, name: &str, rules: TenantRules) {
        let mut rules = Some(rules);
        let (tenant, is_new) = self.entry(name, || rules.take().unwrap_or_default());
        if let Some(rules) = rules.filter(|_| !is_new) {
            tenant.set_rules(rules);
        }
    }

    /// What a tenant's bots keep has changed.
    pub fn keeps(&self, name: &str, kept: Kept) {
        self.tenant(name);
        self.tenants().entry(name.to_owned()).and_modify(|reached| reached.kept = kept);
    }

    /// There is no such tenant in the store.
    pub fn forget(&self, name: &str) {
        self.engines.forget(name);
        self.keeps(name, Kept::default());
        let is_operators = self.of_operator.tenants.contains(name);
        let rules = if is_operators { self.of_operator.rules() } else { Ok(TenantRules::default()) };
        self.set(
            name,
            rules.unwrap_or_else(|error| {
                tracing::error!("{error:#}: bots of `{name}` reach nothing");
                TenantRules::default()
            }),
        );
    }

    fn entry(&self, name: &str, rules: impl FnOnce() -> TenantRules) -> (Tenant, bool) {
        let mut tenants = self.tenants();
        if let Some(known) = tenants.get(name) {
            return (known.tenant.clone(), false);
        }
        let tenant = self.outside.tenant(rules());
        let (kept, told) = (Kept::default(), (tenant.usage(), Kept::default()));
        tenants.insert(name.to_owned(), Reached { tenant: tenant.clone(), kept, told });
        (tenant, true)
    }

    fn tenants(&self) -> MutexGuard<'_, BTreeMap<String, Reached>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where services count what a tenant uses of them.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Adds to the counters what was used since the last time. What a tenant has not used is not shown.
    pub fn count(&self, metrics: &Metrics) {
        for (name, Reached { tenant, kept, told }) in self.tenants().iter_mut() {
            let now = (tenant.usage(), *kept);
            let add = |series, help, label: Option<(&str, &str)>, before: u64, after: u64| {
                if after > 0 {
                    let labels: Vec<_> = [Some(("tenant", name.as_str())), label].into_iter().flatten().collect();
                    metrics.counter(series, help, &labels).add(after.saturating_sub(before));
                }
            };
            for (series, help, before, after) in counters(&told.0, &now.0) {
                add(series, help, None, before, after);
            }
            for ((code, before), (_, after)) in told.0.failed.iter().zip(&now.0.failed) {
                let help = "Requests and WebSockets of bots that failed, by the code that the bot was told.";
                add("patchbay_outside_failures_total", help, Some(("code", code.as_str())), *before, *after);
            }
            for ((refusal, before), (_, after)) in told.0.refused.iter().zip(&now.0.refused) {
                let help = "Those that a rule of egress or a bound let not out, by which.";
                add("patchbay_outside_refused_total", help, Some(("by", refusal.as_str())), *before, *after);
            }
            for (series, help, before, after) in gauges(told, &now) {
                if before != after {
                    metrics.gauge(series, help, &[("tenant", name)]).add(after as i64 - before as i64);
                }
            }
            *told = now;
        }
    }
}

type Series = (&'static str, &'static str, u64, u64);

fn counters(told: &Usage, now: &Usage) -> [Series; 7] {
    [
        ("patchbay_outside_requests_total", "HTTP requests of bots.", told.requests, now.requests),
        ("patchbay_outside_websockets_total", "WebSockets of bots.", told.sockets, now.sockets),
        ("patchbay_outside_connections_total", "Connections made for bots.", told.connections, now.connections),
        (
            "patchbay_outside_connections_reused_total",
            "Requests of bots that found a warm connection.",
            told.connections_reused,
            now.connections_reused,
        ),
        ("patchbay_outside_redirects_total", "Redirects followed for bots.", told.redirects, now.redirects),
        ("patchbay_outside_bytes_in_total", "Bytes received for bots, TLS included.", told.bytes_in, now.bytes_in),
        ("patchbay_outside_bytes_out_total", "Bytes sent for bots, TLS included.", told.bytes_out, now.bytes_out),
    ]
}

fn gauges((told, kept): &(Usage, Kept), (now, keeps): &(Usage, Kept)) -> [Series; 5] {
    [
        ("patchbay_outside_requests_open", "HTTP requests of bots under way.", told.requests_open, now.requests_open),
        ("patchbay_outside_websockets_open", "WebSockets of bots that are open.", told.sockets_open, now.sockets_open),
        (
            "patchbay_outside_connections_open",
            "Connections of bots, idle ones included.",
            told.connections_open,
            now.connections_open,
        ),
        ("patchbay_store_keys", "Keys that a tenant's bots keep.", kept.keys, keeps.keys),
        (
            "patchbay_store_bytes",
            "What those keys and their values count for in the storage quota.",
            kept.bytes,
            keeps.bytes,
        ),
    ]
}

fn dns(servers: &[SocketAddr]) -> anyhow::Result<Dns> {
    crate::signalling::name_servers(servers).map(Dns).map_err(anyhow::Error::msg).context("dns")
}

fn operator_rules(egress: &Egress) -> OperatorRules {
    let private = egress.private.iter().map(|range| Private {
        name: range.name.clone(),
        hosts: range.hosts.iter().map(|host| host.0.clone()).collect(),
        networks: range.networks.iter().map(|network| network.0).collect(),
        plain: range.plain,
    });
    OperatorRules { allow: egress.allow.iter().map(|host| host.0.clone()).collect(), private: private.collect() }
}

impl OfOperator {
    /// All that the operator allows. Errors: a secret cannot be read.
    fn rules(&self) -> anyhow::Result<TenantRules> {
        let secrets = self.secrets.iter().map(|(name, secret)| {
            let value = secret.value.read().map_err(anyhow::Error::msg).with_context(|| format!("secrets.{name}"))?;
            let value = Zeroizing::new(value);
            Ok(Secret {
                name: name.clone(),
                value: Zeroizing::new(value.trim_end_matches(['\r', '\n']).to_owned()),
                hosts: secret.hosts.iter().map(|host| host.0.clone()).collect(),
                header: secret.header.clone(),
            })
        });
        let OperatorRules { allow, private } = operator_rules(&self.egress);
        let egress = allow.into_iter().chain(private.into_iter().flat_map(|range| range.hosts));
        Ok(TenantRules {
            egress: egress.collect(),
            secrets: secrets.collect::<anyhow::Result<_>>()?,
            limits: Limits::default(),
        })
    }
}

/// What the store says of a tenant. Blocking. A line or a secret that cannot be read is told and left out. Errors: there is no such tenant.
pub fn rules_in(store: &dyn Store, tenant: &str) -> store::Result<TenantRules> {
    let read = |hosts: &[String]| -> Vec<Pattern> {
        let wrong = |error: &String| tracing::error!(tenant, "an egress rule is left out: {error}");
        hosts.iter().filter_map(|host| host.parse::<Pattern>().inspect_err(wrong).ok()).collect()
    };
    let egress = read(&store.tenant(tenant)?.egress);
    let mut secrets = Vec::new();
    for secret in store.secrets(tenant)?.into_iter().filter(|secret| !secret.scope.hosts.is_empty()) {
        match store.reveal_secret(tenant, &secret.name) {
            Ok(value) => secrets.push(Secret {
                name: secret.name.to_string(),
                value: Zeroizing::new(value.reveal().to_owned()),
                hosts: read(&secret.scope.hosts),
                header: secret.scope.header,
            }),
            Err(error) => tracing::error!(tenant, secret = %secret.name, "a secret is left out: {error}"),
        }
    }
    Ok(TenantRules { egress, secrets, limits: Limits::default() })
}

/// A tenant's own engines, as the store has them. Blocking. Those that cannot be read are told, and are none. Errors: there is no such tenant.
pub fn engines_in(store: &dyn Store, tenant: &str) -> store::Result<Engines> {
    let engines = store.tenant(tenant)?.engines;
    let scopes: Vec<Scope> =
        store.secrets(tenant)?.iter().map(|secret| Scope::of_tenant(&secret.name, &secret.scope)).collect();
    let wrong = |problems: &Problems| tracing::error!(tenant, "its engines are left out: {problems}");
    Ok(Engines::of_tenant(&engines, &scopes).inspect_err(wrong).unwrap_or_default())
}

/// Reports each that is no `host:port`. `place` names the list.
pub fn check_hosts(place: &str, hosts: &[String], problems: &mut Problems) {
    for (index, host) in hosts.iter().enumerate() {
        if let Err(error) = host.parse::<Pattern>() {
            problems.report(Problem::new(format!("{place}[{index}]"), error));
        }
    }
}
