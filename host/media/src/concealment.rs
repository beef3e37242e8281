//! Packet loss concealment: repeats the last pitch period, fading out, and joins the real sound again without a click.
//! The idea is that of ITU-T G.711 Appendix I, the means are simpler.

use crate::clock::FRAME_SAMPLES;

/// Lags searched: 2.5 to 15 ms, voices of 66 to 400 Hz.
const LAG_MIN: usize = 20;
const LAG_MAX: usize = 120;
/// Samples compared for each lag.
const MATCH: usize = 80;
const HISTORY: usize = LAG_MAX + MATCH;
/// Full level for 10 ms, then down to nothing at 60 ms.
const HOLD_SAMPLES: usize = 80;
const FADED_SAMPLES: usize = 480;
/// Where real sound follows made-up sound, one fades into the other over 5 ms.
const JOIN_SAMPLES: usize = 40;

pub struct Concealment {
    /// What was played last, newest at the end.
    history: [i16; HISTORY],
    period: [i16; LAG_MAX],
    lag: usize,
    phase: usize,
    /// Samples made up since the last real one: 0 while the sound is real.
    made: usize,
    join_left: usize,
}

impl Default for Concealment {
    fn default() -> Self {
        Concealment {
            history: [0; HISTORY],
            period: [0; LAG_MAX],
            lag: LAG_MAX,
            phase: 0,
            made: FADED_SAMPLES,
            join_left: 0,
        }
    }
}

impl Concealment {
    /// Nothing more can be made up: what is missing from here on is silence.
    pub fn faded(&self) -> bool {
        self.made >= FADED_SAMPLES
    }

    /// Takes note of real samples, and blends their beginning with what was made up before them.
    pub fn real(&mut self, samples: &mut [i16]) {
        if self.made > 0 && !self.faded() && self.join_left == 0 {
            self.join_left = JOIN_SAMPLES;
        }
        for sample in samples.iter_mut() {
            if self.join_left == 0 {
                break;
            }
            let made = i32::from(self.next_made());
            let weight = self.join_left as i32;
            let whole = JOIN_SAMPLES as i32;
            *sample = ((made * weight + i32::from(*sample) * (whole - weight)) / whole) as i16;
            self.join_left -= 1;
        }
        if self.join_left == 0 {
            self.made = 0;
        }
        self.remember(samples);
    }

    /// Makes up samples. Cost: a search of 100 lags by 80 samples when a loss begins, then a multiplication each.
    pub fn conceal(&mut self, out: &mut [i16]) {
        if self.made == 0 {
            self.lag = self.pitch();
            self.period[..self.lag].copy_from_slice(&self.history[HISTORY - self.lag..]);
            self.phase = 0;
        }
        self.join_left = 0;
        for sample in out.iter_mut() {
            *sample = self.next_made();
        }
        self.remember(out);
    }

    /// The 20 ms that were played last.
    pub fn last_frame(&self) -> &[i16] {
        &self.history[HISTORY - FRAME_SAMPLES..]
    }

    fn next_made(&mut self) -> i16 {
        if self.faded() {
            return 0;
        }
        let sample = i32::from(self.period[self.phase]);
        self.phase = (self.phase + 1) % self.lag;
        let left = (FADED_SAMPLES - self.made.max(HOLD_SAMPLES)) as i32;
        self.made += 1;
        (sample * left / (FADED_SAMPLES - HOLD_SAMPLES) as i32) as i16
    }

    fn remember(&mut self, samples: &[i16]) {
        let keep = samples.len().min(HISTORY);
        self.history.copy_within(keep.., 0);
        self.history[HISTORY - keep..].copy_from_slice(&samples[samples.len() - keep..]);
    }

    /// The lag at which the newest samples repeat best: normalised cross-correlation, compared without a square root.
    fn pitch(&self) -> usize {
        let newest = &self.history[HISTORY - MATCH..];
        let mut best = (0.0_f32, LAG_MAX);
        for lag in LAG_MIN..=LAG_MAX {
            let earlier = &self.history[HISTORY - MATCH - lag..HISTORY - lag];
            let (mut product, mut energy) = (0_i64, 1_i64);
            for (&a, &b) in newest.iter().zip(earlier) {
                product += i64::from(i32::from(a) * i32::from(b));
                energy += i64::from(i32::from(b) * i32::from(b));
            }
            let product = product.max(0) as f32;
            let score = product * product / energy as f32;
            if score > best.0 {
                best = (score, lag);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(from: usize, count: usize) -> Vec<i16> {
        (from..from + count).map(|n| ((n as f64 * std::f64::consts::TAU / 50.0).sin() * 10_000.0) as i16).collect()
    }

    #[test]
    fn a_lost_frame_of_a_steady_tone_goes_on_as_that_tone_and_fades() {
        let mut concealment = Concealment::default();
        concealment.real(&mut sine(0, 320));
        let mut out = [0; 640];
        concealment.conceal(&mut out);
        let expected = sine(320, 80);
        for (n, (&got, &want)) in out[..80].iter().zip(&expected).enumerate() {
            assert!((got - want).abs() < 400, "sample {n}: {got} instead of {want}");
        }
        let peak = |range: &[i16]| range.iter().map(|s| s.unsigned_abs()).max();
        assert!(peak(&out[240..320]) < peak(&out[80..160]));
        assert!(concealment.faded());
        assert!(out[480..].iter().all(|&s| s == 0));
    }

    #[test]
    fn sound_after_silence_is_passed_on_bit_for_bit() {
        let mut concealment = Concealment::default();
        let mut samples = sine(3, 160);
        concealment.real(&mut samples);
        assert_eq!(samples, sine(3, 160));
        let mut again = sine(163, 160);
        concealment.real(&mut again);
        assert_eq!(again, sine(163, 160));
    }

    #[test]
    fn real_sound_after_a_loss_is_joined_without_a_step() {
        let mut concealment = Concealment::default();
        concealment.real(&mut sine(0, 320));
        let mut lost = [0; 160];
        concealment.conceal(&mut lost);
        let mut back = sine(500, 160); // another phase than the tone would have by now
        concealment.real(&mut back);
        let mut previous = lost[159];
        for &sample in &back[..JOIN_SAMPLES] {
            assert!((i32::from(sample) - i32::from(previous)).abs() < 2500);
            previous = sample;
        }
        assert_eq!(&back[JOIN_SAMPLES..], &sine(500, 160)[JOIN_SAMPLES..]);
    }
}
