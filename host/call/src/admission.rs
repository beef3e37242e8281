//! Which calls this host takes, before anything is opened for them. Every refusal is about one thing and says so.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::End;
use crate::cause::Cause;
use crate::control::{Calls, Drain};

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

/// Which quota a new call would breach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// It has all the calls it may have at a time.
    Full(Scope),
    /// The tenant's calls come faster than they may.
    TooFast(u32),
    /// The tenant's bots used more CPU than they may.
    GuestCpu,
}

impl Breach {
    fn why(&self) -> String {
        let what = match self {
            Breach::TooFast(per_second) => {
                return format!("the tenant may have {per_second} new calls a second (calls_per_second)");
            }
            Breach::GuestCpu => return "its bots used more CPU than its quota (guest_cpu)".into(),
            Breach::Full(Scope::Trunk(_)) => "trunk",
            Breach::Full(Scope::Tenant(_)) => "tenant",
            Breach::Full(Scope::Route(..)) => "route",
            Breach::Full(Scope::Lingering(_)) => "bots",
        };
        format!("the {what} has all the calls it may have")
    }
}

/// New calls of a tenant: as many at once as a second brings, then as they come in. Exact: no rounding adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    per_second: u32,
    /// Units: 10^-9 call. At most one second's worth.
    credit: u64,
    /// When it was that much.
    at: Instant,
}

const CALL: u64 = 1_000_000_000;

impl Rate {
    /// A full second's worth to begin with.
    fn new(per_second: u32, now: Instant) -> Self {
        Rate { per_second, credit: u64::from(per_second) * CALL, at: now }
    }

    fn gain(&mut self, now: Instant) {
        let ns = now.saturating_duration_since(self.at).min(Duration::from_secs(1)).as_nanos() as u64;
        let full = u64::from(self.per_second) * CALL;
        self.credit = full.min(self.credit.saturating_add(ns * u64::from(self.per_second)));
        self.at = self.at.max(now);
    }

    fn allows(&mut self, now: Instant) -> bool {
        self.gain(now);
        self.credit >= CALL
    }
}

/// What one tenant may have; None is no bound.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    calls: Option<u32>,
    rate: Option<Rate>,
}

/// How many calls each trunk, tenant and route has right now. A scope without calls has no entry.
#[derive(Debug)]
pub(crate) struct Quotas {
    tenants: HashMap<String, Bounds>,
    counts: HashMap<Scope, u32>,
    /// Tenants whose bots used too much CPU.
    over_cpu: HashSet<String>,
}

impl Quotas {
    pub fn new(tenants: Vec<Tenant>, now: Instant) -> Self {
        let mut quotas = Quotas { tenants: HashMap::new(), counts: HashMap::new(), over_cpu: HashSet::new() };
        quotas.replace(tenants, now);
        quotas
    }

    /// What a tenant has used stays used: neither live calls nor the calls of this second are forgotten.
    pub fn replace(&mut self, tenants: Vec<Tenant>, now: Instant) {
        let mut before = std::mem::take(&mut self.tenants);
        self.tenants = tenants
            .into_iter()
            .map(|tenant| {
                let known = before.remove(&tenant.name).and_then(|bounds| bounds.rate);
                let rate = tenant.calls_per_second.map(|per_second| {
                    let mut rate = Rate::new(per_second, now);
                    if let Some(mut known) = known {
                        known.gain(now);
                        rate.credit = rate.credit.min(known.credit);
                    }
                    rate
                });
                (tenant.name, Bounds { calls: tenant.max_calls, rate })
            })
            .collect();
        // Nobody will say of a tenant that is gone that its bots rest.
        self.over_cpu.retain(|tenant| !before.contains_key(tenant));
    }

    pub fn guest_cpu(&mut self, tenant: String, over: bool) {
        if over {
            self.over_cpu.insert(tenant);
        } else {
            self.over_cpu.remove(&tenant);
        }
    }

    fn scopes(&self, trunk: &Trunk, route: &Route) -> [(Scope, Option<u32>); 3] {
        [
            (Scope::Trunk(trunk.name.clone()), trunk.max_calls),
            (Scope::Tenant(route.tenant.clone()), self.tenant_bound(&route.tenant)),
            (Scope::Route(route.tenant.clone(), route.name.clone()), route.max_calls),
        ]
    }

    fn tenant_bound(&self, tenant: &str) -> Option<u32> {
        self.tenants.get(tenant).and_then(|bounds| bounds.calls)
    }

    /// One call more in all three scopes, or none and the quota that has no room for it.
    pub fn enter(&mut self, trunk: &Trunk, route: &Route, now: Instant) -> Result<(), Breach> {
        let scopes = self.scopes(trunk, route);
        if let Some((full, _)) =
            scopes.iter().find(|(scope, bound)| bound.is_some_and(|bound| self.count(scope) >= bound))
        {
            return Err(Breach::Full(full.clone()));
        }
        if self.over_cpu.contains(&route.tenant) {
            return Err(Breach::GuestCpu);
        }
        // Last, for what is refused above costs nothing.
        if let Some(rate) = self.tenants.get_mut(&route.tenant).and_then(|bounds| bounds.rate.as_mut()) {
            if !rate.allows(now) {
                return Err(Breach::TooFast(rate.per_second));
            }
            rate.credit -= CALL;
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
    /// The route of a call that may come in, or why it may not, and the route if it has one. On success the call counts against its quotas.
    pub(crate) fn admit(
        &mut self,
        trunk: &Trunk,
        facts: &Facts,
        now: Instant,
    ) -> Result<Arc<Route>, (End, Option<Arc<Route>>)> {
        let refuse = |cause, why: &str| Err((End::host(cause, why), None));
        if self.drain != Drain::No {
            return refuse(Cause::Drain, "this host is draining");
        }
        if self.overloaded || self.calls.len() >= self.limits.calls as usize {
            return refuse(Cause::Overload, "this host has all the calls it can serve");
        }
        if trunk.require_pai && facts.identity.asserted.is_empty() {
            return refuse(Cause::NoIdentity, "this trunk has to assert who calls");
        }
        let Some(route) = self.routing.find(&trunk.name, &facts.called, &facts.uri).cloned() else {
            return refuse(Cause::NoRoute, "no route for this number");
        };
        match self.quotas.enter(trunk, &route, now) {
            Ok(()) => Ok(route),
            Err(breach) => Err((End::host(Cause::Quota, breach.why()), Some(route))),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::test_setup::{route, trunk};

    fn tenant(max_calls: Option<u32>, calls_per_second: Option<u32>) -> Tenant {
        Tenant { name: "acme".into(), max_calls, calls_per_second }
    }

    #[test]
    fn a_full_scope_refuses_and_counts_nothing() {
        // Any moment to begin with: there is no other way to make an `Instant`. From here on time is what the test says.
        let now = Instant::now();
        let mut quotas = Quotas::new(vec![tenant(Some(2), None)], now);
        let (trunk, mut route) = (trunk("exotel"), route("menu", "acme"));
        route.max_calls = Some(1);
        assert_eq!(quotas.enter(&trunk, &route, now), Ok(()));
        let full = Scope::Route("acme".into(), "menu".into());
        assert_eq!(quotas.enter(&trunk, &route, now), Err(Breach::Full(full)));
        let other = Route { name: "other".into(), max_calls: None, ..route.clone() };
        assert_eq!(quotas.enter(&trunk, &other, now), Ok(()));
        assert_eq!(quotas.enter(&trunk, &other, now), Err(Breach::Full(Scope::Tenant("acme".into()))));
        quotas.leave(&trunk, &route);
        assert_eq!(quotas.enter(&trunk, &other, now), Ok(()));
        quotas.leave(&trunk, &other);
        quotas.leave(&trunk, &other);
        assert!(quotas.is_empty(), "{quotas:?}");
    }

    /// Calls at random moments. Since any moment at most a second's worth and what came in since then are let in, and whoever is
    /// refused really had used that up.
    #[test]
    fn calls_come_in_at_their_rate_over_any_stretch_of_time() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(3);
        let (trunk, route) = (trunk("exotel"), route("menu", "acme"));
        for per_second in [0, 1, 3, 7, 20] {
            let begun = Instant::now();
            let mut quotas = Quotas::new(vec![tenant(None, Some(per_second))], begun);
            let (mut ns, mut refused) = (0_u128, 0);
            let mut let_in: Vec<u128> = Vec::new();
            for _ in 0..600 {
                let pause_max = if rng.random_ratio(1, 20) { 2_000_000_000 } else { 30_000_000 };
                ns += rng.random_range(0..pause_max);
                let now = begun + Duration::from_nanos(ns as u64);
                // Over each stretch that ends here: `calls <= (1 s + stretch) * rate`.
                let fits = |more: u128| {
                    let since = |at: usize| (1_000_000_000 + ns - let_in[at]) * u128::from(per_second);
                    let calls = |at: usize| (let_in.len() - at) as u128 + more;
                    let from_start = more <= u128::from(per_second);
                    from_start && (0..let_in.len()).all(|at| calls(at) * 1_000_000_000 <= since(at))
                };
                let expected = fits(1);
                assert_eq!(quotas.enter(&trunk, &route, now).is_ok(), expected, "{per_second}/s at {ns} ns");
                if expected {
                    let_in.push(ns);
                }
                refused += usize::from(!expected);
            }
            assert!(refused > 10, "{per_second}/s: {refused} refused");
            assert_eq!(let_in.is_empty(), per_second == 0);
        }
    }

    #[test]
    fn a_change_of_quotas_gives_nobody_a_second_helping() {
        let (trunk, route, now) = (trunk("exotel"), route("menu", "acme"), Instant::now());
        let mut quotas = Quotas::new(vec![tenant(None, Some(2))], now);
        for _ in 0..2 {
            assert_eq!(quotas.enter(&trunk, &route, now), Ok(()));
        }
        for per_second in [2, 100, 3] {
            quotas.replace(vec![tenant(None, Some(per_second))], now);
            assert_eq!(quotas.enter(&trunk, &route, now), Err(Breach::TooFast(per_second)));
        }
        quotas.replace(vec![tenant(Some(2), None)], now);
        assert_eq!(quotas.enter(&trunk, &route, now), Err(Breach::Full(Scope::Tenant("acme".into()))));
    }

    #[test]
    fn a_tenant_that_is_gone_leaves_no_breach_behind() {
        let (trunk, route, now) = (trunk("exotel"), route("menu", "acme"), Instant::now());
        let mut quotas = Quotas::new(vec![tenant(None, None)], now);
        quotas.guest_cpu("acme".into(), true);
        quotas.replace(vec![tenant(None, None)], now);
        assert_eq!(quotas.enter(&trunk, &route, now), Err(Breach::GuestCpu));
        quotas.replace(Vec::new(), now);
        assert_eq!(quotas.enter(&trunk, &route, now), Ok(()));
    }
}
