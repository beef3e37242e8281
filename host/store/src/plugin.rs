//! Which build of a plugin answers: activation, canary and roll-back as functions of what there is, without any storage.
//!
//!     activate          nothing active   -> current
//!     activate          current          -> current, the one before is `previous`
//!     activate, share   current          -> canary beside it
//!     activate          the canary's own -> canary becomes current
//!     roll back         a canary         -> gone
//!     roll back         none             -> `previous` again, under a new number

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bounds::*;
use crate::error::{Error, Result};
use crate::model::By;
use crate::name::{Digest, Name};
use crate::problem::{Problem, Problems};

/// One name under which a tenant uploads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plugin {
    pub tenant: Name,
    pub name: Name,
    /// The highest number given out; 0: none yet.
    pub last_generation: u64,
    /// What new calls get, but for the canary's share. None: no version was activated.
    pub current: Option<Generation>,
    /// What a roll-back returns to.
    pub previous: Option<Generation>,
    pub canary: Option<Canary>,
}

/// An uploaded component. The same bytes uploaded twice are one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    pub digest: Digest,
    pub bytes: u64,
    /// The version of the contract that it was built for, `0.1.0`.
    pub wit: String,
    pub uploaded_at_ms: u64,
    pub uploaded_by: String,
}

/// One activated version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Generation {
    /// Grows by each activation of this plugin; never used twice.
    pub number: u64,
    pub digest: Digest,
    /// What the calls of earlier generations do.
    pub live: Live,
    pub activated_at_ms: u64,
    pub activated_by: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Canary {
    #[serde(flatten)]
    pub generation: Generation,
    /// Of new calls.
    pub percent: u8,
}

/// What live calls do at an activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Live {
    #[serde(default)]
    pub policy: LivePolicy,
    /// After so long a call that is still on an old generation is ended. None: it may take its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_s: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LivePolicy {
    /// They stay on their generation until they end.
    #[default]
    Drain,
    /// They go over to the new one, each by itself.
    Move,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    pub digest: Digest,
    /// None: all new calls.
    #[serde(default)]
    pub canary_percent: Option<u8>,
    #[serde(default)]
    pub live: Live,
    /// Refused unless this is the last generation's number: for who must not undo what another did meanwhile.
    #[serde(default)]
    pub if_last_generation: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    #[serde(default)]
    pub reason: String,
    /// For the calls of the generation that is rolled back.
    #[serde(default)]
    pub live: Live,
    /// Refused unless this is the generation that would be rolled back: the canary if there is one, else the current one.
    #[serde(default)]
    pub if_generation: Option<u64>,
}

impl Plugin {
    pub(crate) fn new(tenant: Name, name: Name) -> Self {
        Self { tenant, name, last_generation: 0, current: None, previous: None, canary: None }
    }

    /// All that keep their version from being deleted, with what they are to the plugin.
    pub fn generations(&self) -> impl Iterator<Item = (&'static str, &Generation)> {
        let slots = [
            ("current", self.current.as_ref()),
            ("previous", self.previous.as_ref()),
            ("canary", self.canary.as_ref().map(|canary| &canary.generation)),
        ];
        slots.into_iter().filter_map(|(slot, generation)| Some((slot, generation?)))
    }

    /// The plugin after an activation; None if it is as asked already. That the version is there is for the caller to know.
    pub fn activate(&self, request: &Activate, by: &By) -> Result<Option<Plugin>> {
        request.check()?;
        self.expect(request.if_last_generation, self.last_generation)?;
        let mut after = self.clone();
        let canary = after.canary.take();
        let same_canary = canary.filter(|canary| canary.generation.digest == request.digest);
        let is_current = self.current.as_ref().is_some_and(|current| current.digest == request.digest);
        if is_current && self.canary.is_none() {
            // A deployment that is repeated moves no call.
            return Ok(None);
        }
        if let Some(percent) = request.canary_percent.filter(|_| !is_current) {
            if self.current.is_none() {
                return Err(Error::NothingToShareWith { plugin: self.name.to_string() });
            }
            let generation = same_canary.map(|canary| Generation { live: request.live, ..canary.generation });
            let generation = generation.unwrap_or_else(|| after.number(request.digest, request.live, by));
            after.canary = Some(Canary { generation, percent });
            return Ok(if after == *self { None } else { Some(after) });
        }
        if is_current {
            // Back to the current one alone: that is the end of the canary.
            return Ok(Some(after));
        }
        let generation = same_canary.map(|canary| Generation {
            live: request.live,
            activated_at_ms: by.at_ms,
            activated_by: by.who.clone(),
            ..canary.generation
        });
        let generation = generation.unwrap_or_else(|| after.number(request.digest, request.live, by));
        after.previous = after.current.replace(generation).or(after.previous);
        Ok(Some(after))
    }

    /// The plugin without its canary, or back at the generation before. A second roll-back undoes the first.
    pub fn roll_back(&self, request: &RollBack, by: &By) -> Result<Plugin> {
        request.check()?;
        let mut after = self.clone();
        if let Some(canary) = after.canary.take() {
            self.expect(request.if_generation, canary.generation.number)?;
            return Ok(after);
        }
        self.expect(request.if_generation, self.current.as_ref().map_or(0, |current| current.number))?;
        let previous = after.previous.take();
        let previous = previous.ok_or_else(|| Error::NothingBefore { plugin: self.name.to_string() })?;
        let generation = after.number(previous.digest, request.live, by);
        after.previous = after.current.replace(generation);
        Ok(after)
    }

    fn expect(&self, expected: Option<u64>, found: u64) -> Result<()> {
        match expected {
            Some(expected) if expected != found => Err(Error::Stale { plugin: self.name.to_string(), expected, found }),
            _ => Ok(()),
        }
    }

    /// The next generation.
    fn number(&mut self, digest: Digest, live: Live, by: &By) -> Generation {
        self.last_generation += 1;
        let activated_by = by.who.clone();
        Generation { number: self.last_generation, digest, live, activated_at_ms: by.at_ms, activated_by }
    }
}

impl Live {
    pub(crate) fn check(&self, problems: &mut Problems) {
        if let Some(limit) = self.limit_s.filter(|limit| !LIVE_LIMIT_S.contains(limit)) {
            let text = format!("{limit} is outside 1 to 86400");
            problems.report(Problem::new("live.limit_s", text).hint("write seconds, or leave it out for no limit"));
        }
    }
}

impl Activate {
    fn check(&self) -> Result<()> {
        let mut problems = Problems::default();
        self.live.check(&mut problems);
        if let Some(percent) = self.canary_percent.filter(|percent| !CANARY_PERCENT.contains(percent)) {
            let text = format!("{percent} is outside 1 to 99");
            problems.report(Problem::new("canary_percent", text).hint("leave it out to activate for all calls"));
        }
        Ok(problems.none()?)
    }
}

impl RollBack {
    fn check(&self) -> Result<()> {
        let mut problems = Problems::default();
        self.live.check(&mut problems);
        if self.reason.len() > REASON_BYTES_MAX {
            problems.report(Problem::new("reason", "is too long").hint("1000 bytes at most"));
        }
        Ok(problems.none()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    fn plugin() -> Plugin {
        Plugin::new("acme".parse().unwrap(), "menu".parse().unwrap())
    }

    fn by(at_ms: u64) -> By {
        By { who: "test".into(), at_ms }
    }

    fn request(build: u8, canary_percent: Option<u8>) -> Activate {
        Activate { digest: Digest::of(&[build]), canary_percent, live: Live::default(), if_last_generation: None }
    }

    /// `current number/build, previous, canary`, a build of 0 for none.
    fn shape(plugin: &Plugin) -> [(u64, u8); 3] {
        let build = |digest: Digest| (1..=9).find(|build| Digest::of(&[*build]) == digest).unwrap();
        let of = |slot| {
            plugin.generations().find(|(name, _)| *name == slot).map_or((0, 0), |(_, g)| (g.number, build(g.digest)))
        };
        [of("current"), of("previous"), of("canary")]
    }

    #[test]
    fn an_activation_keeps_the_one_before_and_a_roll_back_returns_to_it_under_a_new_number() {
        let first = plugin().activate(&request(1, None), &by(1)).unwrap().unwrap();
        let second = first.activate(&request(2, None), &by(2)).unwrap().unwrap();
        assert_eq!(shape(&second), [(2, 2), (1, 1), (0, 0)]);
        let back = second.roll_back(&RollBack::default(), &by(3)).unwrap();
        assert_eq!(shape(&back), [(3, 1), (2, 2), (0, 0)]);
        let forth = back.roll_back(&RollBack::default(), &by(4)).unwrap();
        assert_eq!(shape(&forth), [(4, 2), (3, 1), (0, 0)]);
    }

    #[test]
    fn activating_what_is_current_changes_nothing_but_ends_a_canary() {
        let first = plugin().activate(&request(1, None), &by(1)).unwrap().unwrap();
        assert_eq!(first.activate(&request(1, None), &by(2)).unwrap(), None);
        let canary = first.activate(&request(2, Some(10)), &by(3)).unwrap().unwrap();
        for percent in [None, Some(10)] {
            let alone = canary.activate(&request(1, percent), &by(4)).unwrap().unwrap();
            assert_eq!(shape(&alone), [(1, 1), (0, 0), (0, 0)]);
        }
    }

    #[test]
    fn a_canary_that_is_rolled_back_leaves_current_and_previous_alone() {
        let first = plugin().activate(&request(1, None), &by(1)).unwrap().unwrap();
        let second = first.activate(&request(2, None), &by(1)).unwrap().unwrap();
        let canary = second.activate(&request(3, Some(10)), &by(2)).unwrap().unwrap();
        assert_eq!(shape(&canary), [(2, 2), (1, 1), (3, 3)]);
        let back = canary.roll_back(&RollBack { if_generation: Some(3), ..RollBack::default() }, &by(3)).unwrap();
        assert_eq!(shape(&back), [(2, 2), (1, 1), (0, 0)]);
        // Its number is spent.
        let again = back.activate(&request(3, Some(10)), &by(4)).unwrap().unwrap();
        assert_eq!(shape(&again), [(2, 2), (1, 1), (4, 3)]);
    }

    #[test]
    fn a_canary_becomes_current_under_its_own_number() {
        let first = plugin().activate(&request(1, None), &by(1)).unwrap().unwrap();
        let canary = first.activate(&request(2, Some(10)), &by(2)).unwrap().unwrap();
        let wider = canary.activate(&request(2, Some(50)), &by(3)).unwrap().unwrap();
        assert_eq!((shape(&wider)[2], wider.canary.as_ref().unwrap().percent), ((2, 2), 50));
        assert_eq!(wider.activate(&request(2, Some(50)), &by(3)).unwrap(), None);
        let all = wider.activate(&request(2, None), &by(4)).unwrap().unwrap();
        assert_eq!(shape(&all), [(2, 2), (1, 1), (0, 0)]);
    }

    #[test]
    fn a_roll_back_of_a_generation_that_is_gone_is_stale() {
        let first = plugin().activate(&request(1, None), &by(1)).unwrap().unwrap();
        let canary = first.activate(&request(2, Some(10)), &by(2)).unwrap().unwrap();
        let all = canary.activate(&request(2, None), &by(3)).unwrap().unwrap();
        let next = all.activate(&request(3, None), &by(4)).unwrap().unwrap();
        let late = RollBack { if_generation: Some(2), ..RollBack::default() };
        assert!(matches!(next.roll_back(&late, &by(5)), Err(Error::Stale { expected: 2, found: 3, .. })));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let empty = plugin();
        assert!(matches!(empty.activate(&request(1, Some(5)), &by(1)), Err(Error::NothingToShareWith { .. })));
        assert!(matches!(empty.roll_back(&RollBack::default(), &by(1)), Err(Error::NothingBefore { .. })));
        for percent in [0, 100, 255] {
            assert!(matches!(empty.activate(&request(1, Some(percent)), &by(1)), Err(Error::Invalid(_))));
        }
        let stale = Activate { if_last_generation: Some(7), ..request(1, None) };
        assert!(matches!(empty.activate(&stale, &by(1)), Err(Error::Stale { expected: 7, found: 0, .. })));
        let endless = Live { policy: LivePolicy::Move, limit_s: Some(0) };
        let limited = Activate { live: endless, ..request(1, None) };
        assert!(matches!(empty.activate(&limited, &by(1)), Err(Error::Invalid(_))));
    }

    #[test]
    fn numbers_only_grow_and_slots_never_share_one_whatever_is_done() {
        for seed in 0..200 {
            let mut random = SmallRng::seed_from_u64(seed);
            let mut plugin = plugin();
            for step in 0..60 {
                let before = plugin.last_generation;
                let after = if random.random_ratio(1, 3) {
                    plugin.roll_back(&RollBack::default(), &by(step)).ok()
                } else {
                    let percent = random.random_bool(0.5).then_some(10);
                    plugin.activate(&request(random.random_range(1..=4), percent), &by(step)).ok().flatten()
                };
                let Some(after) = after else { continue };
                assert_ne!(after, plugin, "seed {seed}: a change that changes nothing");
                assert!((before..=before + 1).contains(&after.last_generation), "seed {seed}");
                let mut numbers: Vec<u64> = after.generations().map(|(_, generation)| generation.number).collect();
                let slots = numbers.len();
                numbers.sort_unstable();
                numbers.dedup();
                assert_eq!(numbers.len(), slots, "seed {seed}: two slots of one number");
                assert!(numbers.iter().all(|number| *number <= after.last_generation), "seed {seed}");
                assert!(after.current.is_some() || after.canary.is_none(), "seed {seed}: a canary beside nothing");
                plugin = after;
            }
        }
    }
}
