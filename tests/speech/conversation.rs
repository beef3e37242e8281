//! Whole conversations: a caller in a SIP call, a bot, and engines behind the host.
//!
//! The caller is played from a recording, with pauses that are longer than any answer takes where nothing else runs. What comes later
//! than that only meets the caller speaking, which this bot does not mind.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::engines::Engines;
use crate::hearing::{spoken, transcript};
use crate::host::{Called, Host};

const PAUSE: Duration = Duration::from_secs(5);
/// For an answer: two questions to a model and a sentence that is spoken.
const ANSWER: Duration = Duration::from_secs(20);

fn configuration(engines: &Engines) -> String {
    let url = engines.url();
    format!(
        "[speech.stt]\nurl = \"{url}\"\nmodel = \"whisper\"\nlanguage = \"en\"\ntotal_ms_max = 100_000\n\
         [speech.tts]\nurl = \"{url}\"\nmodel = \"piper\"\nvoice = \"joe\"\nsample_rate = 22050\nquiet_ms_max = 60_000\n\
         [chat]\nurl = \"{url}\"\nmodel = \"ok\"\nquiet_ms_max = 4000\n"
    )
}

async fn ensure_heard(engines: &Engines, called: &Called, keywords: &[&str]) -> Result<()> {
    let text = transcript(engines, &called.heard).await?.to_lowercase();
    ensure!(
        keywords.iter().all(|word| text.contains(word)),
        "{keywords:?} in what was heard: {text}; {}",
        called.notes
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_talks_with_a_bot_that_understands_asks_a_tool_and_answers() -> Result<()> {
    let Some(engines) = Engines::start("talk")? else { return Ok(()) };
    let host = Host::start("talk", &configuration(&engines), &["ok"])?;
    let question = spoken(&engines, "What is the weather like today?", "pcm").await?;
    let goodbye = spoken(&engines, "Thank you very much. Goodbye.", "pcm").await?;
    let called = host.call("ok", &[(PAUSE, question), (ANSWER, goodbye)])?;
    ensure!(called.notes["tool"] == "weather", "a tool was asked: {}", called.notes);
    ensure_heard(&engines, &called, &["help", "sunny", "warm", "thank you"]).await?;
    host.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_answers_rubbish_or_not_at_all_is_apologised_for() -> Result<()> {
    let Some(engines) = Engines::start("sorry")? else { return Ok(()) };
    let host = Host::start("sorry", &configuration(&engines), &["rubbish", "hang"])?;
    let question = spoken(&engines, "What is the weather like today?", "pcm").await?;
    for (model, code) in [("rubbish", "protocol"), ("hang", "timed-out")] {
        let called = host.call(model, &[(PAUSE, question.clone())])?;
        ensure!(called.notes["model"] == code, "{model}: {}", called.notes);
        ensure_heard(&engines, &called, &["sorry"]).await?;
    }
    host.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_ear_the_caller_is_told_in_words_and_without_a_voice_by_a_tone() -> Result<()> {
    let Some(engines) = Engines::start("down")? else { return Ok(()) };
    let nowhere = "http://127.0.0.1:9/v1";
    let all = configuration(&engines);
    let without = |section: &str| {
        let at = all.find(section).unwrap_or_default();
        let (before, after) = all.split_at(at);
        format!("{before}{}", after.replacen(&engines.url(), nowhere, 1))
    };
    let host = Host::start("deaf", &without("[speech.stt]"), &["ok"])?;
    let hello = spoken(&engines, "Hello, can you hear me?", "pcm").await?;
    let called = host.call("ok", &[(PAUSE, hello.clone())])?;
    ensure!(called.notes["ear"] == "unreachable", "{}", called.notes);
    ensure_heard(&engines, &called, &["sorry"]).await?;
    host.stop()?;

    let host = Host::start("mute", &without("[speech.tts]"), &["ok"])?;
    let called = host.call("ok", &[(PAUSE, hello)])?;
    ensure!(called.notes["voice"] == "unreachable", "{}", called.notes);
    let loud = called.heard.iter().filter(|sample| sample.unsigned_abs() > 4000).count();
    ensure!(loud > 2000, "{loud} loud samples: half a second of a tone");
    host.stop()
}
