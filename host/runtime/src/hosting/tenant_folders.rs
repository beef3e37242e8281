//! Tenants kept in files, for development and GitOps: each folder is read when it has come to rest, checked whole, and put into the
//! store at once. One that is wrong is named, and what it was last serves on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Instant, SystemTime};

use notify::{RecursiveMode, Watcher};
use store::{By, Digest, FolderTenant, Problem, Problems, Source, Store, TENANTS_MAX, TenantFiles};

use super::{Shared, key};
use crate::config::{Engines, Scope};
use crate::settling::Settling;

/// Files of one tenant that are looked at.
const FILES_MAX: usize = 1_000;

/// What tells one content of a tenant's folder from the next without reading it.
type Stamp = Vec<(PathBuf, u64, u64, Option<SystemTime>)>;

pub struct TenantFolders {
    folder: PathBuf,
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    settling: Settling<Stamp>,
    wakes: Receiver<()>,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl TenantFolders {
    /// Watches the folder. Errors: it cannot be read.
    pub fn watch(folder: &Path, store: Arc<dyn Store>, shared: Arc<Shared>) -> std::io::Result<Self> {
        std::fs::read_dir(folder)?;
        let (wake, wakes) = sync_channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // Full: a look is due anyway.
                let _ = wake.try_send(());
            }
        });
        let watcher = watcher.and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "no notifications about tenants; looked at every two seconds"));
        let settling = Settling::default();
        Ok(Self { folder: folder.to_owned(), store, shared, settling, wakes, _watcher: watcher.ok() })
    }

    /// Takes up all that is there, settled or not: at the start of the host.
    pub fn read_all(&mut self) {
        self.look(Instant::now(), true);
    }

    /// Goes on until the host ends.
    pub fn start(mut self) -> std::io::Result<()> {
        let follow = move || {
            crate::bots::priority::slow_worker();
            while self.shared.requests().is_none_or(|requests| !requests.is_closed()) {
                let wait = self.settling.look_again_in();
                if self.wakes.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
                    std::thread::sleep(wait);
                }
                self.look(Instant::now(), false);
            }
        };
        std::thread::Builder::new().name("tenant-folders".into()).spawn(follow)?;
        Ok(())
    }

    fn look(&mut self, now: Instant, settled: bool) {
        // A folder that cannot be read now removes nobody.
        let Ok(found) = self.list() else { return };
        let gone = self.settling.forget_gone(|name| found.contains_key(name));
        // At the start also those that only the store remembers.
        if settled || !gone.is_empty() {
            self.remove_gone(&found.keys().cloned().collect());
        }
        for (name, stamp) in found {
            if self.settling.take(&name, stamp, now, settled) {
                self.take(&name);
            }
        }
    }

    /// Each tenant's folder with the stamps of its files.
    fn list(&self) -> std::io::Result<BTreeMap<String, Stamp>> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !name.starts_with('.') && path.is_dir() && found.len() < TENANTS_MAX {
                found.insert(name.to_owned(), stamp(&path));
            }
        }
        Ok(found)
    }

    fn take(&self, name: &str) {
        let path = self.folder.join(name);
        let files = TenantFiles::read(&path, self.shared.component_bytes_max as u64);
        let taken =
            store::read_tenant(files).and_then(|tenant| self.check(tenant)).map_err(|problems| problems.to_string());
        let put = taken
            .and_then(|tenant| self.store.put_folder_tenant(&by_folder(), &tenant).map_err(|error| error.to_string()));
        match put {
            Ok(true) => tracing::info!(tenant = name, "taken up from {}", path.display()),
            Ok(false) => tracing::debug!(tenant = name, "unchanged"),
            Err(error) => tracing::error!(
                tenant = name,
                "{}: {}; what it was last serves on",
                path.display(),
                error.replace('\n', "; ")
            ),
        }
    }

    /// Compiles and tries every component that the store does not know yet.
    fn check(&self, mut tenant: FolderTenant) -> Result<FolderTenant, Problems> {
        check_reach(&tenant)?;
        let mut problems = Problems::default();
        for (name, bot) in &mut tenant.bots {
            let digest = Digest::of(&bot.bytes);
            let versions = self.store.versions(&tenant.name, name).unwrap_or_default();
            if let Some(version) = versions.into_iter().find(|version| version.digest == digest) {
                bot.wit = version.wit;
                continue;
            }
            let key = key(&tenant.name, name);
            match self.shared.builds.try_new(&key, &bot.bytes, &mut |_| ()) {
                Ok(plugin) => {
                    bot.wit = plugin.wit().to_owned();
                    self.shared.builds.remember(&key, digest, plugin);
                }
                Err(error) => problems.report(Problem::new(format!("bots/{name}.wasm"), error.to_string())),
            }
        }
        problems.none()?;
        Ok(tenant)
    }

    /// Tenants whose folder is gone are gone.
    fn remove_gone(&self, there: &BTreeSet<String>) {
        let Ok(tenants) = self.store.tenants() else { return };
        for tenant in tenants {
            let of_folder = matches!(&tenant.source, Source::Folder(file) if Path::new(file).starts_with(&self.folder));
            if of_folder && !there.contains(&*tenant.name) {
                match self.store.delete_folder_tenant(&by_folder(), &tenant.name) {
                    Ok(()) => tracing::info!(tenant = %tenant.name, "its folder is gone, and so is it: no new calls"),
                    Err(error) => tracing::error!(tenant = %tenant.name, "its folder is gone: {error}"),
                }
            }
        }
    }
}

/// Whether what a tenant wants to reach, and where its secrets may go, are hosts and ports.
pub fn check_reach(tenant: &FolderTenant) -> Result<(), Problems> {
    let mut problems = Problems::default();
    crate::services::check_hosts("egress", &tenant.egress, &mut problems);
    for (name, secret) in &tenant.secrets {
        crate::services::check_hosts(&format!("secrets.{name}.hosts"), &secret.scope.hosts, &mut problems);
    }
    let scopes: Vec<Scope> =
        tenant.secrets.iter().map(|(name, secret)| Scope::of_tenant(name, &secret.scope)).collect();
    if let Err(wrong) = Engines::of_tenant(&tenant.engines, &scopes) {
        wrong.0.into_iter().for_each(|problem| problems.report(problem));
    }
    problems.none()
}

fn by_folder() -> By {
    By { who: "folder".into(), at_ms: crate::core::wall_clock().unix_ms }
}

fn stamp(tenant: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let inner = ["bots", "secrets"].into_iter().filter_map(|name| std::fs::read_dir(tenant.join(name)).ok());
    let inner = inner.flatten().filter_map(|entry| Some(entry.ok()?.path())).take(FILES_MAX);
    let mut files: Stamp = inner
        .chain([tenant.join("tenant.toml")])
        .filter_map(|path| {
            // Through links: a link moved to another file is another stamp.
            let metadata = std::fs::metadata(&path).ok()?;
            Some((path, metadata.ino(), metadata.len(), metadata.modified().ok()))
        })
        .collect();
    files.sort();
    files
}
