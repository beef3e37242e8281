//! Between the telephone's 8 kHz and an engine's rate, as the sound arrives.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _, WindowFunction};

use crate::{Code, Fault};

/// Samples a second.
pub const TELEPHONE_RATE: u32 = 8000;
/// What engines use. Others are refused, for two rates with few factors in common make long and costly filters.
pub const RATES: [u32; 8] = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000];

/// Shape: i16, mono, any number of samples in; out of it as many as belong to them, less what the filter still holds (20 to 60 ms),
/// which `finish` gives. The filter's delay is taken off, so the first sample out is the first in.
/// Cost: an FFT for each 20 ms; measured in docs by the bench. Allocates its output.
pub struct Resampler {
    /// None: both rates are one.
    filter: Option<Box<Fft<f32>>>,
    pending: Vec<f32>,
    output: Vec<f32>,
    /// Samples out that are the filter's delay.
    to_skip: usize,
    from: u64,
    to: u64,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// Errors: a rate that is not among [`RATES`] is `protocol`.
    pub fn new(from: u32, to: u32) -> Result<Resampler, Fault> {
        if let Some(odd) = [from, to].into_iter().find(|rate| !RATES.contains(rate)) {
            return Err(Fault::protocol(format!("sound at {odd} Hz; this host reads {RATES:?}")));
        }
        let filter = match from == to {
            true => None,
            false => Some(Box::new(filter(from, to)?)),
        };
        let to_skip = filter.as_ref().map_or(0, |filter| filter.output_delay());
        let output = vec![0.0; filter.as_ref().map_or(0, |filter| filter.output_frames_max())];
        let (from, to) = (u64::from(from), u64::from(to));
        Ok(Resampler { filter, pending: Vec::new(), output, to_skip, from, to, taken: 0, given: 0 })
    }

    pub fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) -> Result<(), Fault> {
        self.taken += samples.len() as u64;
        if self.filter.is_none() {
            out.extend_from_slice(samples);
            return Ok(());
        }
        self.pending.extend(samples.iter().map(|&sample| f32::from(sample)));
        self.filter_pending(u64::MAX, out)
    }

    /// What the filter still holds. Then it begins anew.
    pub fn finish(&mut self, out: &mut Vec<i16>) -> Result<(), Fault> {
        let owed = (self.taken * self.to).div_ceil(self.from);
        while self.filter.is_some() && self.given < owed {
            // Silence drives the last of the sound out.
            let chunk = self.filter.as_ref().map_or(1, |filter| filter.input_frames_next());
            self.pending.resize(chunk.max(self.pending.len().next_multiple_of(chunk)), 0.0);
            self.filter_pending(owed, out)?;
        }
        self.pending.clear();
        (self.taken, self.given) = (0, 0);
        if let Some(filter) = &mut self.filter {
            filter.reset();
            self.to_skip = filter.output_delay();
        }
        Ok(())
    }

    /// Gives no more than `owed` in all.
    fn filter_pending(&mut self, owed: u64, out: &mut Vec<i16>) -> Result<(), Fault> {
        let Some(filter) = &mut self.filter else { return Ok(()) };
        let failed = |error: &dyn std::fmt::Display| Fault::new(Code::Protocol, format!("cannot resample: {error}"));
        let mut at = 0;
        while self.pending.len() - at >= filter.input_frames_next() {
            let (frames_in, frames_out) = (self.pending.len(), self.output.len());
            let input = InterleavedSlice::new(&self.pending, 1, frames_in).map_err(|e| failed(&e))?;
            let mut output = InterleavedSlice::new_mut(&mut self.output, 1, frames_out).map_err(|e| failed(&e))?;
            let from_here = Indexing::new().input_offset(at);
            let (read, written) =
                filter.process_into_buffer(&input, &mut output, Some(&from_here)).map_err(|e| failed(&e))?;
            at += read;
            let skipped = written.min(self.to_skip);
            self.to_skip -= skipped;
            let wanted = usize::try_from(owed - self.given).unwrap_or(usize::MAX).min(written - skipped);
            // `as` saturates: a filter rings above full scale.
            out.extend(self.output[skipped..skipped + wanted].iter().map(|&sample| sample.round() as i16));
            self.given += wanted as u64;
        }
        self.pending.drain(..at);
        Ok(())
    }
}

/// Pieces of 20 ms, or the shortest that both rates have in whole samples.
fn filter(from: u32, to: u32) -> Result<Fft<f32>, Fault> {
    let chunk = (from / 50) as usize;
    let (from, to) = (from as usize, to as usize);
    Fft::new_custom(from, to, chunk, 1, 1, WindowFunction::BlackmanHarris, FixedSync::Input)
        .map_err(|error| Fault::protocol(format!("cannot resample from {from} Hz to {to} Hz: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hz: f64, samples: usize) -> Vec<i16> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..samples).map(|n| ((n as f64 * step).sin() * 10_000.0) as i16).collect()
    }

    fn resampled(from: u32, to: u32, sound: &[i16], piece: usize) -> Vec<i16> {
        let mut resampler = Resampler::new(from, to).expect("a rate of engines");
        let mut out = Vec::new();
        sound.chunks(piece).for_each(|piece| resampler.push(piece, &mut out).expect("resampled"));
        resampler.finish(&mut out).expect("resampled");
        out
    }

    #[test]
    fn a_tone_keeps_its_pitch_its_loudness_its_place_and_its_length_at_every_rate() {
        for rate in RATES {
            let sound = tone(rate, 440.0, rate as usize);
            for (from, to, sound) in [(rate, 8000, sound.clone()), (8000, rate, tone(8000, 440.0, 8000))] {
                let expected = tone(to, 440.0, to as usize);
                let out = resampled(from, to, &sound, 777);
                assert_eq!(out.len(), expected.len(), "{from} -> {to}");
                // The ends, where the tone sets in, are no tone.
                let middle = to as usize / 10..to as usize * 9 / 10;
                let off = middle.map(|at| (i32::from(out[at]) - i32::from(expected[at])).abs()).max();
                // Where a block has an odd number of samples, its delay is half a sample off.
                let near = if rate % 1000 == 0 { 150 } else { 1500 };
                assert!(off < Some(near), "{from} -> {to}: {off:?}");
            }
        }
    }

    #[test]
    fn what_the_telephone_cannot_carry_is_taken_out_and_not_folded_down() {
        let out = resampled(24000, 8000, &tone(24000, 6000.0, 24000), 480);
        let loudest = out[800..7200].iter().map(|sample| sample.unsigned_abs()).max();
        assert!(loudest < Some(30), "{loudest:?}");
    }

    #[test]
    fn the_sound_does_not_depend_on_the_pieces_it_comes_in() {
        let sound = tone(22050, 300.0, 10_000);
        let whole = resampled(22050, 8000, &sound, 10_000);
        assert_eq!(resampled(22050, 8000, &sound, 1), whole);
        assert_eq!(whole.len(), 3629);
    }

    #[test]
    fn it_begins_anew_after_its_end() {
        let mut resampler = Resampler::new(24000, 8000).expect("rates");
        let sound = tone(24000, 440.0, 2400);
        let mut twice = [Vec::new(), Vec::new()];
        for out in &mut twice {
            resampler.push(&sound, out).expect("resampled");
            resampler.finish(out).expect("resampled");
        }
        assert_eq!((twice[0].len(), &twice[0]), (800, &twice[1]));
    }

    #[test]
    fn a_rate_that_no_engine_uses_is_refused() {
        assert_eq!(Resampler::new(47_999, 8000).err().map(|fault| fault.code), Some(Code::Protocol));
        assert!(Resampler::new(0, 8000).is_err());
    }
}
