//! Which generation of each bot new calls get.
//!
//! Activating a plugin is one swap under a lock that is held for the swap alone. Live instances keep the generation they were made
//! from; its code is freed when the last of them ends.

use crate::{Engine, LoadError, Plugin};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub struct Registry {
    slots: Mutex<BTreeMap<String, Slot>>,
}

#[derive(Default)]
struct Slot {
    /// None: withdrawn. The slot stays, so that numbers go on.
    current: Option<Generation>,
    last_number: u64,
}

/// One activated version of a bot: the first of a name is number 1.
#[derive(Clone)]
pub struct Generation {
    pub number: u64,
    pub plugin: Plugin,
}

/// What came of new bytes under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    Activated {
        generation: u64,
    },
    /// The same component as the current one.
    Unchanged {
        generation: u64,
    },
}

impl Registry {
    /// What a new call to this bot gets.
    pub fn current(&self, name: &str) -> Option<Generation> {
        self.slots().get(name).and_then(|slot| slot.current.clone())
    }

    /// Names of all bots that take calls, in order.
    pub fn names(&self) -> Vec<String> {
        self.slots().iter().filter(|(_, slot)| slot.current.is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// From now on new calls get this plugin. Returns the number of the generation.
    pub fn activate(&self, plugin: Plugin) -> u64 {
        let mut slots = self.slots();
        let slot = slots.entry(plugin.name().to_owned()).or_default();
        slot.last_number += 1;
        let number = slot.last_number;
        let previous = slot.current.replace(Generation { number, plugin });
        // Freeing code unmaps memory: not while others wait for the lock.
        drop(slots);
        drop(previous);
        number
    }

    /// From now on the bot takes no new calls. False if it took none before.
    pub fn withdraw(&self, name: &str) -> bool {
        let previous = self.slots().get_mut(name).and_then(|slot| slot.current.take());
        previous.is_some()
    }

    /// Loads, tries and activates new bytes for a name. On any error the current generation stays.
    /// Cost: that of `Engine::load` and a dry run, on the calling thread; the lock is not held meanwhile.
    pub fn reload(&self, engine: &Engine, name: &str, bytes: &[u8]) -> Result<Reloaded, LoadError> {
        let digest = crate::Digest::of(bytes).to_string();
        if let Some(current) = self.current(name).filter(|current| current.plugin.digest() == digest) {
            return Ok(Reloaded::Unchanged { generation: current.number });
        }
        let plugin = engine.load(name, bytes)?;
        plugin.try_out()?;
        Ok(Reloaded::Activated { generation: self.activate(plugin) })
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        // No code that could panic runs under the lock.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
