//! How well detectors tell speech from what is not, and what they cost.
//!
//! ```text
//!   python3 host/media/examples/voice_activity/make-sound.py target/voice-activity
//!   cargo run -p patchbay-media --example voice_activity -- target/voice-activity
//! ```
//!
//! Sound goes through A-law, as a trunk brings it. What is speech is told by the clean recording: a frame within 30 dB of its loud ones
//! is, a frame 300 ms after and 120 ms before any of those is silence, those between are not judged. Of the events of `Speech`, with
//! 60 ms to start and 300 ms of hang-over, an utterance is lost if none began with it, and a start in silence is false.

use std::path::Path;
use std::time::Instant;

use media::voice_activity::{Detector, Speech, SpeechEvent, SpeechRules};
use media::{Codec, FRAME_SAMPLES, FrameKind, g711};

const FRAME_MS: u64 = 20;
const START_MS: u32 = 60;
const HANG_OVER_MS: u32 = 300;
const SNRS_DB: [i32; 4] = [20, 15, 10, 5];

type Sound = (String, Vec<f32>);
type Score = Box<dyn FnMut(&[i16; FRAME_SAMPLES]) -> f32>;
type Candidate = (&'static str, u8, fn() -> Score);

fn webrtc(mode: webrtc_vad::VadMode) -> Score {
    let mut vad = webrtc_vad::Vad::new_with_rate_and_mode(webrtc_vad::SampleRate::Rate8kHz, mode);
    Box::new(move |frame| vad.is_voice_segment(frame).map_or(0.0, |voice| f32::from(u8::from(voice))))
}

fn ours() -> Score {
    let mut detector = Detector::new();
    Box::new(move |frame| detector.score(frame))
}

const CANDIDATES: [Candidate; 6] = [
    ("webrtc, aggressive", 1, || webrtc(webrtc_vad::VadMode::Aggressive)),
    ("webrtc, very aggressive", 1, || webrtc(webrtc_vad::VadMode::VeryAggressive)),
    ("earshot, strictness 0", 0, ours),
    ("earshot, strictness 1", 1, ours),
    ("earshot, strictness 2", 2, ours),
    ("earshot, strictness 3", 3, ours),
];

fn main() {
    let folder = std::env::args().nth(1).expect("usage: voice_activity FOLDER, made by make-sound.py");
    let [speech, noise, other] = ["speech-", "noise-", "other-"].map(|kind| sounds(Path::new(&folder), kind));
    for (name, strictness, new) in CANDIDATES {
        println!("\n{name}");
        println!("{:>12}  missed  false | lost   false starts  start ms   stop ms", "");
        println!("{:>12}       %      % |           a minute   p50  p95  p50  p95", "");
        measure("clean", &speech, 1.0, None, strictness, new);
        measure("16 dB lower", &speech, 0.158, None, strictness, new);
        measure("10 dB louder", &speech, 3.16, None, strictness, new);
        for (kind, noise) in &noise {
            measure(&format!("and {kind} 15"), &speech, 3.16, Some((noise, 0.56)), strictness, new);
            for snr in SNRS_DB {
                let noise = Some((noise.as_slice(), 10_f32.powf(-snr as f32 / 20.0)));
                measure(&format!("{kind} {snr} dB"), &speech, 1.0, noise, strictness, new);
            }
        }
        for (kind, sound) in other.iter().chain(&noise) {
            let run = Run::over(sound, strictness, new());
            let percent = 100.0 * share(&run.voiced, |voiced| *voiced);
            println!("{kind:>12}  {percent:5.1} % voiced, {} starts in {} s", run.starts.len(), sound.len() / 8000);
        }
        let whole: Vec<f32> = speech.iter().flat_map(|(_, sound)| sound.iter().copied()).collect();
        let run = Run::over(&whole, strictness, new());
        println!("{:>12}  {:.0} us a call-second", "cost", run.seconds * 1e6 / (whole.len() as f64 / 8000.0));
    }
}

/// What one detector made of one recording.
struct Run {
    voiced: Vec<bool>,
    /// Frames in which the events came.
    starts: Vec<u64>,
    stops: Vec<u64>,
    seconds: f64,
}

impl Run {
    fn over(sound: &[f32], strictness: u8, mut score: Score) -> Run {
        let pcm: Vec<i16> = sound.iter().map(|sample| sample.clamp(-32768.0, 32767.0) as i16).collect();
        let mut alaw = Vec::with_capacity(pcm.len());
        g711::encode(Codec::Pcma, &pcm, &mut alaw);
        let mut wire = vec![0; pcm.len()];
        g711::decode(Codec::Pcma, &alaw, &mut wire);
        let rules = SpeechRules { strictness, start_ms: START_MS, hang_over_ms: HANG_OVER_MS };
        let (mut speech, mut run) =
            (Speech::new(rules), Run { voiced: vec![], starts: vec![], stops: vec![], seconds: 0.0 });
        // A program that measures what a detector costs: this clock is what it is for.
        let began = Instant::now();
        for (tick, frame) in (0..).zip(wire.as_chunks::<FRAME_SAMPLES>().0) {
            let heard = speech.frame(tick, FrameKind::Audio, score(frame));
            run.voiced.push(heard.voiced);
            match heard.event {
                Some(SpeechEvent::Started { .. }) => run.starts.push(tick),
                Some(SpeechEvent::Stopped { .. }) => run.stops.push(tick),
                None => {}
            }
        }
        run.seconds = began.elapsed().as_secs_f64();
        run
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Label {
    Speech,
    Silence,
    NotJudged,
}

fn labels(clean: &[f32]) -> Vec<Label> {
    let frames = clean.chunks_exact(FRAME_SAMPLES);
    let power: Vec<f32> = frames.map(|frame| frame.iter().map(|sample| sample * sample).sum::<f32>()).collect();
    let mut sorted = power.clone();
    sorted.sort_by(f32::total_cmp);
    let threshold = sorted[sorted.len() * 95 / 100] / 1000.0;
    let near = |at: usize| at.saturating_sub(15)..(at + 6).min(power.len());
    (0..power.len())
        .map(|at| match power[at] > threshold {
            true => Label::Speech,
            false if near(at).any(|near| power[near] > threshold) => Label::NotJudged,
            false => Label::Silence,
        })
        .collect()
}

/// First and last frame of speech, and the frame after which all is silence.
fn utterances(labels: &[Label]) -> Vec<(u64, u64, u64)> {
    let mut found = Vec::new();
    let mut at = 0;
    for stretch in labels.chunk_by(|a, b| (*a == Label::Silence) == (*b == Label::Silence)) {
        let is = |label: &Label| *label == Label::Speech;
        if let (Some(first), Some(last)) = (stretch.iter().position(is), stretch.iter().rposition(is)) {
            found.push((at + first as u64, at + last as u64, at + stretch.len() as u64));
        }
        at += stretch.len() as u64;
    }
    found
}

fn measure(what: &str, speech: &[Sound], gain: f32, noise: Option<(&[f32], f32)>, strictness: u8, new: fn() -> Score) {
    let (mut judged, mut false_starts, mut utterances_all, mut lost) = (Vec::new(), 0, 0, 0);
    let (mut start_ms, mut stop_ms) = (Vec::new(), Vec::new());
    for (_, clean) in speech {
        let noise = noise.into_iter().flat_map(|(noise, gain)| noise.iter().cycle().map(move |sample| sample * gain));
        let mixed: Vec<f32> =
            clean.iter().zip(noise.chain(std::iter::repeat(0.0))).map(|(s, n)| s * gain + n).collect();
        let labels = labels(clean);
        let run = Run::over(&mixed, strictness, new());
        judged.extend(labels.iter().copied().zip(run.voiced));
        false_starts += run.starts.iter().filter(|start| labels[**start as usize] == Label::Silence).count();
        for (first, last, until) in utterances(&labels) {
            utterances_all += 1;
            match run.starts.iter().find(|start| (first.saturating_sub(3)..until).contains(start)) {
                Some(start) => start_ms.push((start + 1).saturating_sub(first) * FRAME_MS),
                None => lost += 1,
            }
            stop_ms.extend(run.stops.iter().find(|stop| **stop > last).map(|stop| (stop - last) * FRAME_MS));
        }
    }
    let of =
        |label: Label| judged.iter().filter(move |frame| frame.0 == label).map(|frame| frame.1).collect::<Vec<bool>>();
    let (in_speech, in_silence) = (of(Label::Speech), of(Label::Silence));
    let minutes = in_silence.len() as f64 / 3000.0;
    println!(
        "{what:>12}   {:5.1}  {:5.1} | {lost:>2}/{utterances_all:<3}     {:5.1}     {:4} {:4} {:4} {:4}",
        100.0 * share(&in_speech, |voiced| !voiced),
        100.0 * share(&in_silence, |voiced| *voiced),
        f64::from(false_starts as u32) / minutes,
        percentile(&mut start_ms, 50),
        percentile(&mut start_ms, 95),
        percentile(&mut stop_ms, 50),
        percentile(&mut stop_ms, 95),
    );
}

fn share(frames: &[bool], is: impl Fn(&bool) -> bool) -> f64 {
    frames.iter().filter(|frame| is(frame)).count() as f64 / frames.len().max(1) as f64
}

fn percentile(values: &mut [u64], percent: usize) -> u64 {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0)
}

/// The recordings of one kind, by name.
fn sounds(folder: &Path, kind: &str) -> Vec<Sound> {
    let files = std::fs::read_dir(folder).expect("no such folder: make-sound.py makes it");
    let mut sounds: Vec<Sound> = files
        .filter_map(|file| {
            let path = file.ok()?.path();
            let name = path.file_stem()?.to_str()?.strip_prefix(kind)?.to_owned();
            let bytes = std::fs::read(&path).ok()?;
            Some((name, bytes.as_chunks().0.iter().map(|pair| f32::from(i16::from_le_bytes(*pair))).collect()))
        })
        .collect();
    sounds.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!sounds.is_empty(), "no {kind}*.s16 in the folder: make-sound.py makes them");
    sounds
}
