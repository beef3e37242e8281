//! Who may be called and under which conditions, as the running host knows it: the operator's file, the bots of the folder, and what
//! the store says of each tenant. A value; whoever changes it hands the outcome to the core.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use call::{Called, Fallback, Route, Routing};
use store::{Plugin, Quotas};

use crate::bots::Allowance;
use crate::config::Config;
use crate::wiring;

pub struct Picture {
    config: Config,
    /// Every bot that has a file in the folder, whether its build can run or not: a broken one is 480, an unknown one 404.
    pub bots: BTreeSet<String>,
    pub tenants: BTreeMap<String, TenantPicture>,
}

/// One tenant, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantPicture {
    pub quotas: Quotas,
    pub routes: Vec<store::Route>,
    pub plugins: Vec<Plugin>,
}

/// What registry and bots know a tenant's plugin by. No name holds a slash.
pub fn key(tenant: &str, plugin: &str) -> String {
    format!("{tenant}/{plugin}")
}

impl Picture {
    pub fn new(config: Config) -> Self {
        Self { config, bots: BTreeSet::new(), tenants: BTreeMap::new() }
    }

    /// The operator's own routes go before those of tenants. Errors: a secret that the file refers to cannot be read.
    pub fn routing(&self) -> anyhow::Result<Routing> {
        let bots: Vec<String> = self.bots.iter().cloned().collect();
        let of_tenants =
            self.tenants.iter().flat_map(|(name, tenant)| tenant.routes.iter().map(|route| self.route(name, route)));
        Ok(Routing::new(wiring::routes(&self.config, &bots)?.into_iter().chain(of_tenants)))
    }

    fn route(&self, tenant: &str, route: &store::Route) -> Route {
        let prompt = |store::Fallback::Prompt(name): &store::Fallback| name.to_string();
        Route {
            name: route.name.to_string(),
            trunk: route.trunk.as_deref().map(str::to_owned),
            called: match &route.called {
                store::Called::Exact(number) => Called::Exact(number.clone()),
                store::Called::Prefix(prefix) => Called::Prefix(prefix.clone()),
                store::Called::Uri(pattern) => Called::Uri(pattern.clone()),
            },
            tenant: tenant.to_owned(),
            plugin: route.plugin.to_string(),
            bot: key(tenant, &route.plugin),
            config: route.config.clone(),
            fallback: route.fallback.as_ref().map(|fallback| Fallback { prompt: prompt(fallback) }),
            ring: route.ring,
            max_calls: None,
        }
    }

    pub fn quotas(&self) -> Vec<call::Tenant> {
        let quotas = self.tenants.iter().map(|(name, tenant)| call::Tenant {
            name: name.clone(),
            max_calls: Some(tenant.quotas.calls),
            calls_per_second: Some(tenant.quotas.calls_per_second),
        });
        quotas.collect()
    }

    /// What one bot of each tenant may use; a tenant that is not named has the defaults.
    pub fn allowances(&self) -> HashMap<String, Allowance> {
        let allowance = |quotas: &Quotas| Allowance {
            memory_bytes: (quotas.guest_memory_mb as usize) << 20,
            playout_ms: quotas.playout_ms,
            cpu_ms_per_call_second: quotas.guest_cpu_ms_per_call_second,
            cpu_burst_ms: quotas.guest_cpu_burst_ms,
        };
        self.tenants.iter().map(|(name, tenant)| (name.clone(), allowance(&tenant.quotas))).collect()
    }
}
