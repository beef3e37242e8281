//! The operator's own bots: the files of one folder, which the routes of the configuration name.

use std::sync::Arc;

use plugin::Reloaded;

use super::Shared;
use crate::bot_folder::{BotFile, BotFolder};

/// Loads what the folder holds and follows it. Blocking.
pub struct BotNames {
    shared: Arc<Shared>,
}

impl BotNames {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Loads, tries and activates what is new.
    pub fn take(&self, file: BotFile) {
        match file {
            BotFile::Changed { name, bytes } => {
                match self.reload(&name, &bytes) {
                    Ok(Reloaded::Activated { generation }) => {
                        tracing::info!(bot = name, generation, "bot loaded: new calls get it")
                    }
                    Ok(Reloaded::Unchanged { generation }) => tracing::debug!(bot = name, generation, "bot unchanged"),
                    Err(error) => tracing::error!(bot = name, "not loaded: {error}; {}", self.kept(&name)),
                }
                self.name(name, true);
            }
            BotFile::Refused { name, error } => {
                tracing::error!(bot = name, "not loaded: {error}; {}", self.kept(&name));
                self.name(name, true);
            }
            BotFile::Removed { name } => {
                tracing::info!(bot = name, "bot removed: no new calls");
                self.shared.registry.withdraw(&name);
                self.name(name, false);
            }
        }
    }

    fn reload(&self, name: &str, bytes: &[u8]) -> Result<Reloaded, super::BuildError> {
        let registry = &self.shared.registry;
        let digest = plugin::Digest::of(bytes).to_string();
        if let Some(current) = registry.current(name).filter(|current| current.plugin.digest() == digest) {
            return Ok(Reloaded::Unchanged { generation: current.number });
        }
        let plugin = self.shared.builds.try_new(name, bytes, &mut |_| ())?;
        Ok(Reloaded::Activated { generation: registry.activate(plugin) })
    }

    fn kept(&self, name: &str) -> &'static str {
        let current = self.shared.registry.current(name);
        if current.is_some() { "the old build stays" } else { "calls to it are refused with 480" }
    }

    fn name(&self, name: String, there: bool) {
        let known = self.shared.picture().bots.contains(&name);
        if known != there {
            self.shared.repaint(|picture| if there { picture.bots.insert(name) } else { picture.bots.remove(&name) });
        }
    }

    /// A replaced .wasm serves the next call. Ends with the folder's watch.
    pub fn follow(self, mut folder: BotFolder) -> std::io::Result<()> {
        let follow = move || {
            crate::bots::priority::slow_worker();
            while let Some(file) = folder.next_blocking() {
                self.take(file);
                if self.shared.requests().is_some_and(tokio::sync::mpsc::Sender::is_closed) {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("bot-loader".into()).spawn(follow)?;
        Ok(())
    }
}
