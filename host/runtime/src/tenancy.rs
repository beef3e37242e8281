//! Who can be called on this host, brought up before the first call: the operator's bots, and with a data folder its tenants.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use plugin::Engine;
use store::{By, Scope, SqliteStore, Store};
use tokio::sync::mpsc;

use crate::bot_folder::{BotFolder, FolderBounds};
use crate::config::Config;
use crate::core::CanaryFailed;
use crate::hosting::{BotNames, Builds, Follower, Hosting, Picture, Shared, TenantFolders, roll_back_canaries};
use crate::said;
use crate::services::Reach;

/// In the data folder; to be moved to where secrets are kept.
pub(crate) const OPERATOR_TOKEN: &str = "operator.token";

pub struct Tenancy {
    pub shared: Arc<Shared>,
    bots: Option<BotFolder>,
    tenants: Option<Tenants>,
}

struct Tenants {
    store: Arc<dyn Store>,
    follower: Follower,
    folders: Option<TenantFolders>,
}

impl Tenancy {
    /// Loads everything that may be called. Blocking. Errors: a folder cannot be used.
    pub fn open(config: &Config, engine: &Engine, reach: Reach) -> anyhow::Result<Self> {
        let store = config.data.as_deref().map(|data| open_store(config, data)).transpose()?;
        let builds = Builds::new(engine, config.data.as_deref()).context("the cache of compiled bots")?;
        let prompts = config.prompts.keys().cloned().collect();
        let bytes_max = (config.limits.bot_mb as usize) << 20;
        let shared = Arc::new(Shared::new(builds, reach, Picture::new(config.clone()), bytes_max, prompts));
        let bots = config.bots.as_deref().map(|folder| open_bots(config, folder, &shared)).transpose()?;
        let tenants = store.map(|store| Tenants::open(config, store, &shared)).transpose()?;
        shared.picture().routing().context("routes")?;
        shared.repaint(|_| ());
        Ok(Self { shared, bots, tenants })
    }

    /// Where tenants are kept; None: this host keeps none.
    pub fn store(&self) -> Option<Arc<dyn Store>> {
        self.tenants.as_ref().map(|tenants| Arc::clone(&tenants.store))
    }

    /// From now on changes of folders and store are taken up. None: this host keeps no tenants.
    pub fn follow(self, canaries: mpsc::UnboundedReceiver<CanaryFailed>) -> std::io::Result<Option<Hosting>> {
        let Self { shared, bots, tenants } = self;
        if let Some(folder) = bots {
            BotNames::new(Arc::clone(&shared)).follow(folder)?;
        }
        let Some(Tenants { store, follower, folders }) = tenants else { return Ok(None) };
        let taken_up = follower.taken_up();
        follower.start()?;
        if let Some(folders) = folders {
            folders.start()?;
        }
        roll_back_canaries(Arc::clone(&store), canaries)?;
        Ok(Some(Hosting::new(store, shared, taken_up)))
    }
}

impl Tenants {
    fn open(config: &Config, store: Arc<dyn Store>, shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let mut folders = None;
        if let Some(folder) = &config.tenants_dir {
            let watched = TenantFolders::watch(folder, Arc::clone(&store), Arc::clone(shared));
            let mut watched = watched.with_context(|| format!("tenants_dir {}", folder.display()))?;
            watched.read_all();
            folders = Some(watched);
        }
        let mut follower = Follower::new(Arc::clone(&store), Arc::clone(shared));
        follower.read_all().context("the state of tenants")?;
        for tenant in store.tenants().context("the state of tenants")? {
            shared.reach.keeps(&tenant.name, store.kept(&tenant.name).context("what tenants keep")?);
        }
        Ok(Self { store, follower, folders })
    }
}

fn open_store(config: &Config, data: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let settings = store::Settings { component_bytes_max: config.limits.bot_mb << 20, ..store::Settings::default() };
    let store = SqliteStore::open(data, settings).context("data")?;
    for digest in &store.found().missing {
        tracing::error!(%digest, "a component is missing in {}: upload it again", data.display());
    }
    write_first_token(&store, data)?;
    Ok(Arc::new(store))
}

/// A host that nobody may manage yet gets its first token, for whoever may read the file.
fn write_first_token(store: &SqliteStore, data: &Path) -> anyhow::Result<()> {
    let revoked = |token: &store::Token| token.revoked_at_ms.is_some();
    if !store.tokens(None)?.iter().all(revoked) {
        return Ok(());
    }
    let path = data.join(OPERATOR_TOKEN);
    let by = By { who: "start of the host".into(), at_ms: crate::core::wall_clock().unix_ms };
    let (_, text) = store.create_token(&by, &Scope::Operator, OPERATOR_TOKEN)?;
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| writeln!(file, "{}", text.show()).and_then(|()| file.sync_all()));
    written.with_context(|| path.display().to_string())?;
    said::complain(format_args!("patchbay: the operator's first token is in {}", path.display()));
    Ok(())
}

fn open_bots(config: &Config, folder: &Path, shared: &Arc<Shared>) -> anyhow::Result<BotFolder> {
    let bounds = FolderBounds { bots_max: config.limits.bots, bytes_max: config.limits.bot_mb << 20 };
    let mut watched = BotFolder::watch(folder, bounds).map_err(anyhow::Error::msg).context("bots")?;
    let names = BotNames::new(Arc::clone(shared));
    std::mem::take(&mut watched.present).into_iter().for_each(|file| names.take(file));
    Ok(watched)
}
