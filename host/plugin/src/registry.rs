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

/// A canary that fails so many of its first calls is rolled back.
pub const CANARY_FAILURES_MAX: u32 = 3;
/// The calls of a canary that decide.
pub const CANARY_CALLS_WATCHED: u32 = 50;

#[derive(Default)]
struct Slot {
    /// None: withdrawn. The slot stays, so that numbers go on.
    current: Option<Generation>,
    canary: Option<Canary>,
    last_number: u64,
}

/// A generation that gets a share of the new calls.
struct Canary {
    generation: Generation,
    percent: u8,
    /// What is owed to it of the next call, in percent: its share is exact, not drawn.
    owed: u32,
    counts: CanaryCounts,
}

/// How a canary has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CanaryCounts {
    pub calls: u32,
    /// Traps and refusals among its first `CANARY_CALLS_WATCHED` calls.
    pub failures: u32,
}

/// What a new call gets.
pub struct Chosen {
    pub generation: Generation,
    /// Which call of the canary this is, from 1; None: not the canary's.
    pub canary_call: Option<u32>,
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

    /// A generation that new calls get, by its number.
    pub fn known(&self, name: &str, number: u64) -> Option<Generation> {
        let slots = self.slots();
        let slot = slots.get(name)?;
        let canary = slot.canary.as_ref().map(|canary| &canary.generation);
        [slot.current.as_ref(), canary].into_iter().flatten().find(|known| known.number == number).cloned()
    }

    /// What this new call gets: the canary its share, the current generation the rest.
    pub fn choose(&self, name: &str) -> Option<Chosen> {
        let mut slots = self.slots();
        let slot = slots.get_mut(name)?;
        if let Some(canary) = &mut slot.canary {
            canary.owed += u32::from(canary.percent);
            if canary.owed >= 100 {
                canary.owed -= 100;
                canary.counts.calls += 1;
                return Some(Chosen { generation: canary.generation.clone(), canary_call: Some(canary.counts.calls) });
            }
        }
        Some(Chosen { generation: slot.current.clone()?, canary_call: None })
    }

    /// From now on new calls get these, as whoever numbers the generations says. A canary that stays keeps its counts.
    pub fn set(&self, name: &str, current: Option<Generation>, canary: Option<(Generation, u8)>) {
        let mut slots = self.slots();
        let slot = slots.entry(name.to_owned()).or_default();
        let numbers = [&current, &canary.as_ref().map(|(generation, _)| generation.clone())];
        let highest = numbers.into_iter().flatten().map(|generation| generation.number).max();
        slot.last_number = slot.last_number.max(highest.unwrap_or(0));
        let before = slot.canary.take();
        let counts_of = |number| before.as_ref().filter(|before| before.generation.number == number).map(|b| b.counts);
        slot.canary = canary.map(|(generation, percent)| Canary {
            counts: counts_of(generation.number).unwrap_or_default(),
            generation,
            percent,
            owed: 0,
        });
        let previous = std::mem::replace(&mut slot.current, current);
        // Freeing code unmaps memory: not while others wait for the lock.
        drop(slots);
        drop((previous, before));
    }

    /// A call of the canary trapped or was refused. True, once: it has failed too often and is to be rolled back.
    pub fn canary_failed(&self, name: &str, number: u64, call: u32) -> bool {
        let mut slots = self.slots();
        let canary = slots.get_mut(name).and_then(|slot| slot.canary.as_mut());
        let Some(canary) = canary.filter(|canary| canary.generation.number == number) else { return false };
        if call > CANARY_CALLS_WATCHED {
            return false;
        }
        canary.counts.failures += 1;
        canary.counts.failures == CANARY_FAILURES_MAX
    }

    pub fn canary(&self, name: &str) -> Option<CanaryCounts> {
        self.slots().get(name)?.canary.as_ref().map(|canary| canary.counts)
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
