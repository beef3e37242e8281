//! Sound as bots make it: 8 kHz mono, signed 16-bit, full scale.

use crate::Prompt;

/// One frame: 20 ms.
pub const FRAME_SAMPLES: usize = 160;
pub const SAMPLES_PER_MS: usize = 8;

/// Loudest sample of a tone: about 10 dB under full scale, as loud as speech.
const TONE_PEAK: f32 = 10_000.0;
/// A tone rises and falls over this long, or it would click.
const RAMP_MS: usize = 5;

/// Something to play: an embedded prompt, decoded as it is played, or samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Sound {
    Prompt(Prompt),
    Samples(Vec<i16>),
}

impl Sound {
    pub fn len(&self) -> usize {
        match self {
            Sound::Prompt(prompt) => prompt.len(),
            Sound::Samples(samples) => samples.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `max` samples from sample `from` on; empty past the end.
    pub(crate) fn part(&self, from: usize, max: usize) -> Vec<i16> {
        match self {
            Sound::Prompt(prompt) => prompt.samples().skip(from).take(max).collect(),
            Sound::Samples(samples) => samples.iter().copied().skip(from).take(max).collect(),
        }
    }
}

impl From<Prompt> for Sound {
    fn from(prompt: Prompt) -> Sound {
        Sound::Prompt(prompt)
    }
}

impl From<Vec<i16>> for Sound {
    fn from(samples: Vec<i16>) -> Sound {
        Sound::Samples(samples)
    }
}

impl From<&[i16]> for Sound {
    fn from(samples: &[i16]) -> Sound {
        Sound::Samples(samples.to_vec())
    }
}

/// That many ms of nothing.
pub fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * SAMPLES_PER_MS]
}

/// A sine tone of that many Hz (below 4000) and ms, its ends softened.
pub fn tone(hz: f32, ms: usize) -> Vec<i16> {
    let len = ms * SAMPLES_PER_MS;
    let ramp = (RAMP_MS * SAMPLES_PER_MS).min(len / 2).max(1);
    let step = hz * std::f32::consts::TAU / (SAMPLES_PER_MS * 1000) as f32;
    (0..len)
        .map(|at| {
            let from_an_end = at.min(len - 1 - at).min(ramp);
            // The product stays within full scale; `as` would saturate in any case.
            ((at as f32 * step).sin() * TONE_PEAK * from_an_end as f32 / ramp as f32) as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_has_its_length_its_pitch_and_soft_ends() {
        let samples = tone(400.0, 100);
        assert_eq!(samples.len(), 800);
        assert_eq!((samples[0], samples[799]), (0, 0));
        let rises = samples.windows(2).filter(|pair| pair[0] <= 0 && pair[1] > 0).count();
        assert_eq!(rises, 40, "400 Hz for 100 ms");
        assert!(samples.iter().any(|&sample| sample > 9_900));
        assert!(tone(400.0, 0).is_empty());
    }

    #[test]
    fn part_of_a_sound_ends_where_the_sound_ends() {
        let sound = Sound::from(vec![1, 2, 3]);
        assert_eq!(sound.part(1, 9), [2, 3]);
        assert_eq!(sound.part(3, 9), []);
    }
}
