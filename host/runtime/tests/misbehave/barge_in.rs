//! A caller who speaks over a bot, in a real call.

use std::path::{Path, PathBuf};

use media::{Codec, g711};
use serde_json::Value;

use crate::alone;
use crate::bots::{ECHO, Source};
use crate::callers::Caller;
use crate::host::{Host, is_prompt};

/// What the bot has to say: 9 s as loud as the prompt.
const BOT_SAMPLES: usize = 72_000;
/// Of which the caller listens to a second.
const SILENCE_SAMPLES: usize = 8_000;

/// Wants no frames, watches the caller's voice, and is cut off at once. It notes each kind of event that it is told.
pub const PROMPTER: Source<'static> = Source {
    imports: r#"
        (import "patchbay:bot/voice@0.1.0" "watch" (func $watch (param i32 i32 i32 i32 i32 i32)))
        (import "patchbay:bot/playout@0.1.0" "write" (func $write (param i32 i32 i32)))
        (import "patchbay:bot/call@0.1.0" "note" (func $note (param i32 i32 i32 i32 i32)))"#,
    items: r#"
        (data (i32.const 2048) "01234told")
        (func $say (local $at i32)
            (loop $next
                (i32.store16 (i32.add (i32.const 65536) (i32.mul (local.get $at) (i32.const 2)))
                    (select (i32.const 12000) (i32.const -12000)
                        (i32.and (i32.div_u (local.get $at) (i32.const 10)) (i32.const 1))))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $at) (i32.const 72000))))
            (call $write (i32.const 65536) (i32.const 72000) (i32.const 3072)))
        (func (export "patchbay:bot/voice-handler@0.1.0#on-voice") (param $case i32) (param i64 i32 i32)
            (call $note (i32.add (i32.const 2048) (local.get $case)) (i32.const 1)
                (i32.const 2053) (i32.const 4) (i32.const 3072)))"#,
    start: "(i32.store8 (i32.const 20) (i32.const 1))
        (call $watch (i32.const 1) (i32.const 60) (i32.const 400) (i32.const 1) (i32.const 0) (i32.const 3072))
        (call $say)",
    pages: 4,
    handlers: &["voice"],
    ..ECHO
};

/// A second of silence, then one of the prompts that we ship, then another second.
fn speech(folder: &Path) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/prompts/you-entered.wav");
    let file = std::fs::read(file).unwrap();
    let data = file.windows(4).position(|four| four == b"data").unwrap() + 8;
    let mut voice = vec![0; file.len() - data];
    g711::decode(Codec::Pcma, &file[data..], &mut voice);
    let path = folder.join("speech.wav");
    let spec =
        hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut wav = hound::WavWriter::create(&path, spec).unwrap();
    let silence = [0; SILENCE_SAMPLES];
    [&silence[..], &voice, &silence].concat().into_iter().for_each(|sample| wav.write_sample(sample).unwrap());
    wav.finalize().unwrap();
    path
}

#[test]
fn a_caller_who_speaks_over_the_bot_stops_it_and_the_bot_learns_of_it() {
    let _alone = alone();
    let host = Host::start("barge-in");
    let speech = speech(host.folder());
    let caller = Caller::dial(&host, "prompter", &["--play", speech.to_str().unwrap()]);
    let recording = caller.recording.clone();
    let report = caller.report();
    let summary = host.summaries(1).remove(0);
    let heard: Vec<i16> = hound::WavReader::open(recording).unwrap().into_samples().map(Result::unwrap).collect();
    host.stop();

    let sounds: Vec<usize> = (0..heard.len()).filter(|at| is_prompt(heard[*at])).collect();
    let (first, last) = (sounds[0], sounds[sounds.len() - 1]);
    assert!(sounds.len() > SILENCE_SAMPLES / 2, "it is heard before: {} samples", sounds.len());
    assert!(last - first < BOT_SAMPLES / 2, "it stops: {first} to {last}");
    assert!(heard.len() > last + SILENCE_SAMPLES, "packets go on after it: {} of {last}", heard.len());

    let notes: Vec<&str> = summary["notes"].as_array().unwrap().iter().filter_map(|note| note[0].as_str()).collect();
    assert_eq!(notes, ["0", "4", "1"], "began, cut off, ended: {summary}");
    let barge_ins = &summary["bot"]["barge_ins"];
    assert_eq!(barge_ins["count"], 1, "{summary}");
    let ms = |part: &str| barge_ins["worst"][part].as_i64().unwrap_or_else(|| panic!("{part} of {barge_ins}"));
    let parts = ["jitter_buffer_ms", "detector_ms", "policy_ms", "budget_ms", "rest_ms"];
    assert_eq!(parts.map(ms).iter().sum::<i64>(), ms("stop_ms"));
    assert!(ms("jitter_buffer_ms") > 0 && ms("detector_ms") >= 60 && ms("policy_ms") == 0, "{barge_ins}");
    for count in ["frames", "underruns", "overruns"] {
        assert_eq!(summary["bot"][count], 0, "{count}: {summary}");
    }
    assert_eq!(summary["bot"]["late_answers"]["host"], Value::from(0));
    assert_eq!(report.call["ended_by"], "caller", "{report:?}");
}
