//! The store's changes, taken up one after the other: first the builds, then the routes that name them, then what live calls do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin::Generation;
use store::{Action, By, Change, Changes, Plugin, RollBack, Store};
use tokio::sync::{mpsc, watch};

use super::{Shared, TenantPicture, key};
use crate::core::{CanaryFailed, Replaced, Request};
use crate::said;
use crate::services::{engines_in, rules_in};

/// How soon the end of the host is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a change that could not be read.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Of a start with many plugins.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

pub struct Follower {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    known: u64,
    taken_up: watch::Sender<u64>,
}

impl Follower {
    pub fn new(store: Arc<dyn Store>, shared: Arc<Shared>) -> Self {
        Self { store, shared, known: 0, taken_up: watch::Sender::new(0) }
    }

    pub fn taken_up(&self) -> watch::Receiver<u64> {
        self.taken_up.subscribe()
    }

    /// Reads everything: at the start, and where the log of changes does not reach back far enough.
    /// Cost: some ms for each plugin that is cached, some 0.1 s for one that is not.
    pub fn read_all(&mut self) -> store::Result<()> {
        let sequence = self.store.sequence();
        let mut names: BTreeSet<String> = self.store.tenants()?.iter().map(|tenant| tenant.name.to_string()).collect();
        names.extend(self.shared.picture().tenants.keys().cloned());
        self.take_up(&names)?;
        self.reached(sequence);
        Ok(())
    }

    /// Goes on until the host ends.
    pub fn start(mut self) -> std::io::Result<()> {
        let thread = std::thread::Builder::new().name("hosting".into());
        thread.spawn(move || {
            while self.shared.requests().is_none_or(|requests| !requests.is_closed()) {
                let sequence = self.store.wait_for_change(self.known, LOOK_EVERY);
                if sequence == self.known {
                    continue;
                }
                if let Err(error) = self.catch_up() {
                    tracing::error!("the state of tenants cannot be read: {error}; trying again");
                    std::thread::sleep(RETRY_AFTER);
                }
            }
        })?;
        Ok(())
    }

    fn catch_up(&mut self) -> store::Result<()> {
        match self.store.changes(self.known)? {
            Changes::Everything { .. } => self.read_all(),
            Changes::These(changes) => {
                // A dial is told to the log alone.
                let made = changes.iter().filter(|change| change.action != Action::Dial);
                let names = made.filter_map(|change| change.tenant.clone()).collect();
                self.take_up(&names)?;
                self.reached(changes.last().map_or(self.known, |change: &Change| change.sequence));
                Ok(())
            }
        }
    }

    fn reached(&mut self, sequence: u64) {
        self.known = sequence;
        self.taken_up.send_replace(sequence);
    }

    /// What these tenants are now, whatever led to it.
    fn take_up(&self, names: &BTreeSet<String>) -> store::Result<()> {
        let mut told = Instant::now();
        for (done, name) in names.iter().enumerate() {
            self.reach(name)?;
            let now = self.read(name)?;
            let before = self.shared.picture().tenants.get(name).cloned();
            if before == now {
                continue;
            }
            let replaced = self.build(name, before.as_ref(), now.as_ref());
            let starting = self.shared.requests().is_none();
            if starting && told.elapsed() > PROGRESS_EVERY {
                told = Instant::now();
                said::complain(format_args!("loading bots: {done} of {} tenants", names.len()));
            }
            // At the start all are painted at once.
            if starting {
                let mut picture = self.shared.picture();
                now.and_then(|now| picture.tenants.insert(name.clone(), now));
                continue;
            }
            self.shared.repaint(|picture| match now {
                Some(now) => drop(picture.tenants.insert(name.clone(), now)),
                None => drop(picture.tenants.remove(name)),
            });
            replaced.into_iter().for_each(|replaced| self.shared.tell(Request::Replaced(replaced)));
        }
        if self.shared.requests().is_none() {
            self.shared.repaint(|_| ());
        }
        Ok(())
    }

    /// What it may reach outside, which a picture does not show: values of secrets are in it.
    fn reach(&self, name: &str) -> store::Result<()> {
        match rules_in(&*self.store, name) {
            Ok(rules) => {
                // The client of its engines keeps the secrets apart from what its bots may reach.
                let secrets = rules_in(&*self.store, name)?.secrets;
                self.shared.reach.engines().set(name, engines_in(&*self.store, name)?, secrets);
                self.shared.reach.set(name, rules);
            }
            Err(store::Error::NotFound { .. }) => self.shared.reach.forget(name),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// None: there is no such tenant any more.
    fn read(&self, name: &str) -> store::Result<Option<TenantPicture>> {
        let read = || {
            let quotas = self.store.tenant(name)?.quotas;
            Ok(TenantPicture { quotas, routes: self.store.routes(name)?, plugins: self.store.plugins(name)? })
        };
        match read() {
            Ok(tenant) => Ok(Some(tenant)),
            Err(store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts the plugins' generations in place for new calls. Returns what the live ones are to do.
    fn build(&self, tenant: &str, before: Option<&TenantPicture>, now: Option<&TenantPicture>) -> Vec<Replaced> {
        let of = |picture: Option<&TenantPicture>| picture.map_or_else(Vec::new, |picture| picture.plugins.clone());
        let (before, now) = (of(before), of(now));
        for gone in before.iter().filter(|gone| now.iter().all(|plugin| plugin.name != gone.name)) {
            self.shared.registry.set(&key(tenant, &gone.name), None, None);
        }
        let mut replaced = Vec::new();
        for plugin in now {
            let known = before.iter().find(|known| known.name == plugin.name);
            if known != Some(&plugin) {
                replaced.extend(self.put(&key(tenant, &plugin.name), known, &plugin));
            }
        }
        replaced
    }

    fn put(&self, key: &str, before: Option<&Plugin>, plugin: &Plugin) -> Option<Replaced> {
        let registry = &self.shared.registry;
        let current = plugin.current.as_ref().and_then(|generation| self.load(key, generation));
        let canary = plugin.canary.as_ref();
        let canary = canary.and_then(|canary| Some((self.load(key, &canary.generation)?, canary.percent)));
        if plugin.current.is_some() && current.is_none() {
            // The one before serves on, if there is one.
            registry.set(key, registry.current(key), canary);
            return None;
        }
        registry.set(key, current.clone(), canary);
        let number = current.as_ref()?.number;
        tracing::info!(plugin = key, generation = number, "new calls get it");
        let was = before?.current.as_ref()?.number;
        let live = plugin.current.as_ref()?.live;
        (was != number).then_some(Replaced { key: key.to_owned(), generation: current?, live })
    }

    /// A generation's build: the one in memory, the one just uploaded, or from the cache. None: it cannot be had, which is told.
    fn load(&self, key: &str, generation: &store::Generation) -> Option<Generation> {
        let number = generation.number;
        if let Some(known) = self.shared.registry.known(key, number) {
            return Some(known);
        }
        let builds = &self.shared.builds;
        if let Some(plugin) = builds.take_recent(key, generation.digest) {
            return Some(Generation { number, plugin });
        }
        let bytes = self.store.component(&generation.digest).map_err(|error| error.to_string());
        let plugin = bytes.and_then(|bytes| builds.load(key, &bytes).map_err(|error| error.to_string()));
        match plugin {
            Ok(plugin) => Some(Generation { number, plugin }),
            Err(error) => {
                tracing::error!(plugin = key, generation = number, "not loaded: {error}");
                None
            }
        }
    }
}

/// Rolls back each canary that has failed too often. Ends with the host.
pub fn roll_back_canaries(
    store: Arc<dyn Store>,
    mut failed: mpsc::UnboundedReceiver<CanaryFailed>,
) -> std::io::Result<()> {
    let roll_back = move || {
        while let Some(CanaryFailed { key, generation, why }) = failed.blocking_recv() {
            let Some((tenant, plugin)) = key.split_once('/') else { continue };
            let reason = format!("3 traps or refusals in its first 50 calls; the last: {why}");
            tracing::warn!(plugin = key, generation, reason, "canary rolled back");
            let by = By { who: "canary".into(), at_ms: crate::core::wall_clock().unix_ms };
            let cut = reason[..reason.floor_char_boundary(store::REASON_BYTES_MAX)].to_owned();
            let request = RollBack { reason: cut, if_generation: Some(generation), ..RollBack::default() };
            if let Err(error) = store.roll_back(&by, tenant, plugin, &request) {
                // Somebody else was faster, most likely.
                tracing::warn!(plugin = key, generation, "the canary stays: {error}");
            }
        }
    };
    std::thread::Builder::new().name("canaries".into()).spawn(roll_back)?;
    Ok(())
}
