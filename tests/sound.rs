//! The voice that callers have, and whether what was heard is that voice.

use std::path::Path;

use crate::repository;
use anyhow::{Context, Result, ensure};

pub const SAMPLES_PER_MS: usize = 8;
const SEGMENT: usize = 400 * SAMPLES_PER_MS;
/// Samples averaged into one for the first, coarse look.
const COARSE: usize = 4;
/// Of a perfect match 1; of two pieces of speech that have nothing to do with each other below 0.5.
const CORRELATION_MIN: f64 = 0.75;
/// How far a jitter buffer may shift a piece of speech against the others. Units: samples.
const SHIFT_MAX: u64 = 300 * SAMPLES_PER_MS as u64;

/// The first `ms` milliseconds of examples/quickstart/voice.wav.
pub fn voice(ms: usize) -> Result<Vec<i16>> {
    let mut voice = read_wav(&repository().join("examples/quickstart/voice.wav"))?;
    ensure!(voice.len() >= ms * SAMPLES_PER_MS, "the recording is shorter than {ms} ms");
    voice.truncate(ms * SAMPLES_PER_MS);
    Ok(voice)
}

pub fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * SAMPLES_PER_MS]
}

pub fn read_wav(path: &Path) -> Result<Vec<i16>> {
    let reader = hound::WavReader::open(path).with_context(|| path.display().to_string())?;
    let spec = reader.spec();
    ensure!(
        spec.sample_rate == 8000 && spec.channels == 1 && spec.bits_per_sample == 16,
        "{}: {spec:?}",
        path.display()
    );
    Ok(reader.into_samples().collect::<Result<_, _>>()?)
}

/// One of plugins/prompts: WAV format 6, 8 kHz, mono.
pub fn read_a_law_wav(path: &Path) -> Result<Vec<i16>> {
    let wav = std::fs::read(path).with_context(|| path.display().to_string())?;
    let data = wav.windows(4).position(|tag| tag == b"data").context("a WAV file without sound")?;
    let size = wav.get(data + 4..data + 8).context("a WAV file that is cut off")?;
    let size = u32::from_le_bytes(size.try_into()?) as usize;
    Ok(from_a_law(wav.get(data + 8..data + 8 + size).context("a WAV file that is cut off")?))
}

pub fn write_wav(path: &Path, samples: &[i16]) -> Result<()> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec)?;
    samples.iter().try_for_each(|&sample| writer.write_sample(sample))?;
    Ok(writer.finalize()?)
}

/// Written here once more, so that the host's own codec is judged by another. Source: ITU-T G.711, A-law.
pub fn from_a_law(payload: &[u8]) -> Vec<i16> {
    payload.iter().map(|&code| decoded(code)).collect()
}

/// The nearest code of each sample.
pub fn a_law(samples: &[i16]) -> Vec<u8> {
    let mut codes: Vec<(i16, u8)> = (0..=255).map(|code| (decoded(code), code)).collect();
    codes.sort_unstable();
    let nearest = |&sample: &i16| {
        let above = codes.partition_point(|&(value, _)| value < sample).min(codes.len() - 1);
        let below = above.saturating_sub(1);
        let distance = |at: usize| i32::from(codes[at].0).abs_diff(i32::from(sample));
        codes[if distance(below) < distance(above) { below } else { above }].1
    };
    samples.iter().map(nearest).collect()
}

fn decoded(code: u8) -> i16 {
    let bits = code ^ 0x55;
    let (segment, step) = ((bits >> 4) & 7, i16::from(bits & 15));
    let size = if segment == 0 { (step << 4) + 8 } else { ((step << 4) + 0x108) << (segment - 1) };
    if bits & 0x80 == 0 { -size } else { size }
}

/// How much of what was said is in what was heard.
#[derive(Debug)]
pub struct Likeness {
    /// Share of the spoken pieces of 400 ms that were found, in their order. 0 to 1.
    pub found: f64,
    /// Loudness of the pieces found, heard to said.
    pub gain: f64,
    /// Below zero if the recording began after the voice.
    pub delay_ms: i64,
}

impl Likeness {
    /// Not another voice, not a fifth of it missing, and not much louder or quieter.
    pub fn is_the_same(&self) -> bool {
        self.found >= 0.8 && (0.7..=1.4).contains(&self.gain)
    }
}

/// By cross-correlation, a piece at a time, so that a jitter buffer may stretch a pause. Delays of several seconds are fine.
pub fn likeness(said: &[i16], heard: &[i16]) -> Likeness {
    let loudness = energy(said) / said.len().max(1) as f64;
    let spoken: Vec<(usize, &[i16])> = said
        .chunks_exact(SEGMENT)
        .enumerate()
        .filter(|(_, piece)| energy(piece) / SEGMENT as f64 > loudness / 4.0)
        .map(|(at, piece)| (at * SEGMENT, piece))
        .collect();
    let coarse = averaged(heard);
    let matches: Vec<Match> = spoken.iter().filter_map(|&(at, piece)| best_match(at, piece, heard, &coarse)).collect();
    let mut delays: Vec<i64> = matches.iter().map(|found| found.delay).collect();
    delays.sort_unstable();
    let median = delays.get(delays.len() / 2).copied().unwrap_or(0);
    let in_order: Vec<&Match> = matches.iter().filter(|found| found.delay.abs_diff(median) <= SHIFT_MAX).collect();
    Likeness {
        found: in_order.len() as f64 / spoken.len().max(1) as f64,
        gain: in_order.iter().map(|found| found.gain).sum::<f64>() / in_order.len().max(1) as f64,
        delay_ms: median / SAMPLES_PER_MS as i64,
    }
}

/// Errors: another voice, a fifth of it missing, or much louder or quieter.
pub fn ensure_heard(who: &str, said: &[i16], heard: &[i16]) -> Result<Likeness> {
    let likeness = likeness(said, heard);
    ensure!(likeness.is_the_same(), "{who} does not hear what was said: {likeness:?}");
    Ok(likeness)
}

struct Match {
    /// Samples from where it was said to where it was heard.
    delay: i64,
    gain: f64,
}

fn best_match(at: usize, piece: &[i16], heard: &[i16], coarse: &[i16]) -> Option<Match> {
    let coarse_piece = averaged(piece);
    let starts = coarse.len().checked_sub(coarse_piece.len())?;
    let (_, near) = (0..=starts)
        .map(|start| (correlation(&coarse_piece, &coarse[start..start + coarse_piece.len()]).0, start * COARSE))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    let last = heard.len().checked_sub(piece.len())?;
    let ((best, gain), start) = (near.saturating_sub(2 * COARSE)..=(near + 2 * COARSE).min(last))
        .map(|start| (correlation(piece, &heard[start..start + piece.len()]), start))
        .max_by(|a, b| a.0.0.total_cmp(&b.0.0))?;
    (best >= CORRELATION_MIN).then_some(Match { delay: start as i64 - at as i64, gain })
}

/// Normalised, and the factor from the first to the second.
fn correlation(a: &[i16], b: &[i16]) -> (f64, f64) {
    let product: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(i32::from(a) * i32::from(b))).sum();
    let (a, b) = (energy(a), energy(b));
    if a == 0.0 || b == 0.0 { (0.0, 0.0) } else { (product / (a * b).sqrt(), (b / a).sqrt()) }
}

fn energy(samples: &[i16]) -> f64 {
    samples.iter().map(|&sample| f64::from(i32::from(sample) * i32::from(sample))).sum()
}

fn averaged(samples: &[i16]) -> Vec<i16> {
    let mean = |block: &[i16]| (block.iter().map(|&sample| i32::from(sample)).sum::<i32>() / COARSE as i32) as i16;
    samples.chunks_exact(COARSE).map(mean).collect()
}

#[test]
fn a_voice_is_told_from_silence_from_its_parts_and_from_itself_backwards() -> Result<()> {
    let said = voice(3000)?;
    let delayed = [silence(700), said.clone()].concat();
    let exact = likeness(&said, &delayed);
    assert_eq!((exact.found, exact.delay_ms), (1.0, 700));
    assert!(likeness(&said, &from_a_law(&a_law(&delayed))).found > 0.99);
    assert_eq!(likeness(&said, &silence(4000)).found, 0.0);
    assert!(likeness(&said, &delayed[..delayed.len() / 2]).found < 0.7);
    let backwards: Vec<i16> = said.iter().rev().copied().collect();
    assert!(likeness(&said, &backwards).found < 0.3);
    let halves = [&said[said.len() / 2..], &said[..said.len() / 2]].concat();
    assert!(likeness(&said, &halves).found < 0.7);
    let quiet: Vec<i16> = delayed.iter().map(|sample| sample / 4).collect();
    assert!(ensure_heard("the test", &said, &quiet).is_err());
    Ok(())
}
