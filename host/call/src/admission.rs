//! Which calls this host takes, before anything is opened for them. Every refusal is about one thing and says so.

use std::collections::HashMap;
use std::sync::Arc;

use crate::call::End;
use crate::control::{Calls, Drain};
use crate::door::Cause;
use crate::record::Facts;
use crate::routing::Route;
use crate::settings::{Tenant, Trunk};

/// What a quota is counted against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Trunk(String),
    Tenant(String),
    /// By the names of tenant and route.
    Route(String, String),
    /// Bots of a tenant that still work after their call.
    Lingering(String),
}

/// How many calls each trunk, tenant and route has right now. A scope without calls has no entry.
#[derive(Debug)]
pub(crate) struct Quotas {
    tenants: HashMap<String, Option<u32>>,
    counts: HashMap<Scope, u32>,
}

impl Quotas {
    pub fn new(tenants: Vec<Tenant>) -> Self {
        let tenants = tenants.into_iter().map(|tenant| (tenant.name, tenant.max_calls)).collect();
        Quotas { tenants, counts: HashMap::new() }
    }

    fn scopes(&self, trunk: &Trunk, route: &Route) -> [(Scope, Option<u32>); 3] {
        [
            (Scope::Trunk(trunk.name.clone()), trunk.max_calls),
            (Scope::Tenant(route.tenant.clone()), self.tenant_bound(&route.tenant)),
            (Scope::Route(route.tenant.clone(), route.name.clone()), route.max_calls),
        ]
    }

    fn tenant_bound(&self, tenant: &str) -> Option<u32> {
        self.tenants.get(tenant).copied().flatten()
    }

    /// One call more in all three scopes, or none and the one that is full.
    pub fn enter(&mut self, trunk: &Trunk, route: &Route) -> Result<(), Scope> {
        let scopes = self.scopes(trunk, route);
        if let Some((full, _)) =
            scopes.iter().find(|(scope, bound)| bound.is_some_and(|bound| self.count(scope) >= bound))
        {
            return Err(full.clone());
        }
        for (scope, _) in scopes {
            *self.counts.entry(scope).or_default() += 1;
        }
        Ok(())
    }

    pub fn leave(&mut self, trunk: &Trunk, route: &Route) {
        for (scope, _) in self.scopes(trunk, route) {
            self.decrease(scope);
        }
    }

    /// A tenant with a quota may have as many bots that linger as it may have calls.
    pub fn linger(&mut self, tenant: &str) -> bool {
        let scope = Scope::Lingering(tenant.to_owned());
        let fits = self.tenant_bound(tenant).is_none_or(|bound| self.count(&scope) < bound);
        if fits {
            *self.counts.entry(scope).or_default() += 1;
        }
        fits
    }

    pub fn stop_lingering(&mut self, tenant: &str) {
        self.decrease(Scope::Lingering(tenant.to_owned()));
    }

    fn count(&self, scope: &Scope) -> u32 {
        self.counts.get(scope).copied().unwrap_or(0)
    }

    fn decrease(&mut self, scope: Scope) {
        match self.counts.get_mut(&scope) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.counts.remove(&scope)),
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

impl Calls {
    /// The route of a call that may come in, or why it may not. On success the call counts against its quotas.
    pub(crate) fn admit(&mut self, trunk: &Trunk, facts: &Facts) -> Result<Arc<Route>, End> {
        if self.drain != Drain::No {
            return Err(End::host(Cause::Drain, "this host is draining"));
        }
        if self.overloaded || self.calls.len() >= self.limits.calls as usize {
            return Err(End::host(Cause::Overload, "this host has all the calls it can serve"));
        }
        if trunk.require_pai && facts.identity.asserted.is_empty() {
            return Err(End::host(Cause::NoIdentity, "this trunk has to assert who calls"));
        }
        let Some(route) = self.routing.find(&trunk.name, &facts.called) else {
            return Err(End::host(Cause::NoRoute, "no route for this number"));
        };
        let route = route.clone();
        match self.quotas.enter(trunk, &route) {
            Ok(()) => Ok(route),
            Err(full) => {
                let what = match full {
                    Scope::Trunk(_) => "trunk",
                    Scope::Tenant(_) => "tenant",
                    Scope::Route(..) => "route",
                    Scope::Lingering(_) => "bots",
                };
                Err(End::host(Cause::Quota, format!("the {what} has all the calls it may have")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_setup::{route, trunk};

    #[test]
    fn a_full_scope_refuses_and_counts_nothing() {
        let mut quotas = Quotas::new(vec![Tenant { name: "acme".into(), max_calls: Some(2) }]);
        let (trunk, mut route) = (trunk("exotel"), route("menu", "acme"));
        route.max_calls = Some(1);
        assert_eq!(quotas.enter(&trunk, &route), Ok(()));
        assert_eq!(quotas.enter(&trunk, &route), Err(Scope::Route("acme".into(), "menu".into())));
        let other = Route { name: "other".into(), max_calls: None, ..route.clone() };
        assert_eq!(quotas.enter(&trunk, &other), Ok(()));
        assert_eq!(quotas.enter(&trunk, &other), Err(Scope::Tenant("acme".into())));
        quotas.leave(&trunk, &route);
        assert_eq!(quotas.enter(&trunk, &other), Ok(()));
        quotas.leave(&trunk, &other);
        quotas.leave(&trunk, &other);
        assert!(quotas.is_empty(), "{quotas:?}");
    }
}
