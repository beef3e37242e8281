//! The detector and the state machine behind it, on sound of a telephone: recordings of a speech engine, noise, keys, coughs.
//! How well it does on more than that: examples/voice_activity.

use std::f32::consts::TAU;

use media::voice_activity::{SpeechEvent, SpeechRules, VoiceActivity};
use media::{Codec, FRAME_SAMPLES, FrameKind, g711};
use rand::{Rng, SeedableRng, rngs::SmallRng};

const RULES: SpeechRules = SpeechRules { strictness: 1, start_ms: 60, hang_over_ms: 400 };

/// A prompt of the bots that we ship: A-law behind a WAV header.
fn prompt(name: &str) -> Vec<i16> {
    let path = format!("{}/../../plugins/prompts/{name}.wav", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let data = file.windows(4).position(|four| four == b"data").unwrap() + 8;
    let mut samples = vec![0; file.len() - data];
    g711::decode(Codec::Pcma, &file[data..], &mut samples);
    samples
}

fn seconds(count: f32) -> Vec<i16> {
    vec![0; (count * 8000.0) as usize]
}

/// White noise of this amplitude.
fn noise(length: usize, amplitude: i16) -> Vec<i16> {
    let mut random = SmallRng::seed_from_u64(5);
    (0..length).map(|_| random.random_range(-amplitude..=amplitude)).collect()
}

fn mixed(sound: &[i16], with: &[i16]) -> Vec<i16> {
    sound.iter().zip(with).map(|(a, b)| a.saturating_add(*b)).collect()
}

fn events(rules: SpeechRules, sound: &[i16]) -> Vec<SpeechEvent> {
    let mut ear = VoiceActivity::new(rules);
    let frames = (0..).zip(sound.as_chunks::<FRAME_SAMPLES>().0);
    frames.filter_map(|(tick, frame)| ear.frame(tick, FrameKind::Audio, frame).event).collect()
}

/// Where speech lies, in ms.
fn spans(rules: SpeechRules, sound: &[i16]) -> Vec<(u64, u64)> {
    let pairs = events(rules, sound);
    let pairs = pairs.chunks(2).map(|pair| match pair {
        [SpeechEvent::Started { sample: from }, SpeechEvent::Stopped { sample: to }] => (from / 8, to / 8),
        other => panic!("not a beginning and an end: {other:?}"),
    });
    pairs.collect()
}

#[test]
fn utterances_are_found_where_they_are() {
    for background in [0, 60, 400] {
        let (first, second) = (prompt("still-there"), prompt("goodbye"));
        let sound = [&seconds(1.0)[..], &first, &seconds(1.5), &second, &seconds(1.0)].concat();
        let sound = mixed(&sound, &noise(sound.len(), background));
        let second_from = 1000 + first.len() as u64 / 8 + 1500;
        let spans = spans(RULES, &sound);
        let found = (spans.first().unwrap().0, spans.last().unwrap().1);
        assert!((880..1120).contains(&found.0), "background {background}: {spans:?}");
        let end = second_from + second.len() as u64 / 8;
        assert!((end - 300..end + 150).contains(&found.1), "background {background}: {spans:?}, ends at {end}");
        let pause = spans.iter().find(|span| span.0 > 1500 + first.len() as u64 / 8).unwrap();
        assert!((second_from - 120..second_from + 120).contains(&pause.0), "background {background}: {spans:?}");
    }
}

#[test]
fn a_word_on_a_quiet_line_is_told_within_200_ms() {
    let rules = SpeechRules { start_ms: 20, ..RULES };
    for word in ["1", "2", "5", "7", "9"] {
        let sound = [seconds(1.0), prompt(word), seconds(1.0)].concat();
        let mut ear = VoiceActivity::new(rules);
        let frames = (0..).zip(sound.as_chunks::<FRAME_SAMPLES>().0);
        let mut told = frames.filter_map(|(tick, frame)| ear.frame(tick, FrameKind::Audio, frame).event.map(|_| tick));
        let first = told.next().unwrap_or_else(|| panic!("{word} was not heard"));
        assert!((48..60).contains(&first), "{word} was told in frame {first}");
    }
}

#[test]
fn noise_is_no_speech() {
    for amplitude in [100, 1000, 3000] {
        assert_eq!(events(RULES, &noise(20 * 8000, amplitude)), [], "{amplitude}");
    }
}

#[test]
fn keys_and_coughs_are_no_speech() {
    let tone = |hertz: f32, at: usize| (TAU * hertz * at as f32 / 8000.0).sin();
    let pairs = [(697.0, 1209.0), (770.0, 1477.0), (852.0, 1336.0), (941.0, 1336.0)];
    let keys = pairs.iter().flat_map(|(low, high)| {
        let key = (0..960).map(move |at| (6000.0 * (tone(*low, at) + tone(*high, at))) as i16);
        key.chain(seconds(0.4))
    });
    assert_eq!(events(SpeechRules { strictness: 2, ..RULES }, &keys.collect::<Vec<_>>()), []);
    // A burst that dies away in a fifth of a second, again and again.
    let burst = noise(2400, 12_000);
    let fading =
        burst.iter().enumerate().map(|(at, sample)| (f32::from(*sample) * (-(at as f32) / 500.0).exp()) as i16);
    let cough: Vec<i16> = fading.chain(seconds(0.7)).collect();
    assert_eq!(events(RULES, &cough.repeat(10)), []);
}

#[test]
fn the_same_sound_is_judged_the_same_whatever_quiet_came_before() {
    let word = prompt("you-entered");
    let starts = [0.3, 1.0, 30.0].map(|quiet| {
        let sound = [seconds(quiet), word.clone(), seconds(1.0)].concat();
        match events(RULES, &sound)[..] {
            [SpeechEvent::Started { sample }, ..] => sample as i64 - (quiet * 8000.0) as i64,
            ref other => panic!("{other:?}"),
        }
    });
    assert!(starts.iter().all(|start| (start - starts[0]).abs() <= 320), "{starts:?}");
}

#[test]
fn what_the_host_made_up_or_held_back_begins_nothing() {
    let word = prompt("goodbye");
    for kind in [FrameKind::Concealed, FrameKind::Absent, FrameKind::Held] {
        let mut ear = VoiceActivity::new(RULES);
        let frames = (0..).zip(word.as_chunks::<FRAME_SAMPLES>().0);
        assert_eq!(frames.filter_map(|(tick, frame)| ear.frame(tick, kind, frame).event).count(), 0, "{kind:?}");
    }
}
