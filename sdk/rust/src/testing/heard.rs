//! What the caller heard, and which prompts it was.

use crate::{Prompt, SAMPLES_PER_MS};

#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    samples: Vec<i16>,
}

impl Heard {
    pub(super) fn new(samples: Vec<i16>) -> Heard {
        Heard { samples }
    }

    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    pub fn ms(&self) -> usize {
        self.samples.len() / SAMPLES_PER_MS
    }

    pub fn is_silent(&self) -> bool {
        self.samples.iter().all(|&sample| sample == 0)
    }

    /// Whether this recording was heard whole and without a gap.
    pub fn contains(&self, prompt: Prompt) -> bool {
        !self.prompts(&[("", prompt)]).is_empty()
    }

    /// Names of the recordings that were heard whole, in order. One that was cut off is not among them.
    pub fn prompts<'a>(&self, known: &[(&'a str, Prompt)]) -> Vec<&'a str> {
        let known: Vec<(&str, Vec<i16>)> =
            known.iter().map(|(name, prompt)| (*name, prompt.samples().collect())).collect();
        let mut names = Vec::new();
        let mut rest = &self.samples[..];
        while !rest.is_empty() {
            let skip = match known.iter().find(|(_, samples)| !samples.is_empty() && rest.starts_with(samples)) {
                Some((name, samples)) => {
                    names.push(*name);
                    samples.len()
                }
                None => 1,
            };
            rest = &rest[skip..];
        }
        names
    }
}
