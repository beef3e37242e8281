//! What one engine says into a telephone line, the other understands.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use patchbay_tests::sound::{a_law, from_a_law};
use serde_json::json;
use speech::{Heard, Listen, OpenAiSpeech, OpenAiTranscription, Say, SpeechToText, SttConfig, Telling, TextToSpeech};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::engines::Engines;

/// However busy the machine is.
const GENEROUS: Duration = Duration::from_secs(120);
/// Each with what must be understood of it.
const SENTENCES: [(&str, &[&str]); 2] = [
    ("Please connect me with the billing department.", &["connect", "billing", "department"]),
    ("I would like to book a table for tomorrow evening.", &["book", "table", "tomorrow", "evening"]),
];

/// 8 kHz, through A-law and back, as a caller hears it or is heard.
pub async fn spoken(engines: &Engines, text: &str, format: &str) -> Result<Vec<i16>> {
    let config = json!({
        "url": engines.url(), "model": "piper", "voice": "joe", "format": format, "sample_rate": 22050,
        "quiet_ms_max": 60_000, "total_ms_max": 60_000,
    });
    let engine = OpenAiSpeech::new(serde_json::from_value(config)?, engines.wire()?);
    let mut pieces = engine.speak(Say { text: text.to_owned(), ..Say::default() });
    let mut sound = Vec::new();
    while let Some(piece) = timeout(GENEROUS, pieces.next()).await? {
        sound.extend(piece?);
    }
    Ok(from_a_law(&a_law(&sound)))
}

/// What all of a recording says, its silences cut short.
pub async fn transcript(engines: &Engines, sound: &[i16]) -> Result<String> {
    const FRAME: usize = 160;
    const AROUND_SPEECH: usize = 20;
    let is_loud = |frame: &[i16]| frame.iter().any(|sample| sample.unsigned_abs() > 400);
    let loud: Vec<usize> =
        sound.chunks(FRAME).enumerate().filter(|(_, frame)| is_loud(frame)).map(|(at, _)| at).collect();
    let near_speech = |at: &usize| {
        let next = loud.partition_point(|loud| *loud + AROUND_SPEECH < *at);
        loud.get(next).is_some_and(|loud| *loud <= *at + AROUND_SPEECH)
    };
    let frames = sound.chunks(FRAME).enumerate().filter(|(at, _)| near_speech(at));
    let spoken: Vec<i16> = frames.flat_map(|(_, frame)| frame.iter().copied()).collect();
    ensure!(!spoken.is_empty(), "nothing was heard");
    let utterances: Vec<Vec<i16>> = spoken.chunks(25 * 8000).map(<[i16]>::to_vec).collect();
    let engine = OpenAiTranscription::new(config(engines.url(), false, None)?, engines.wire()?);
    Ok(understood(&engine, &utterances).await?.1.join(" "))
}

/// The partial transcripts, and the final one of each utterance.
async fn understood(engine: &dyn SpeechToText, utterances: &[Vec<i16>]) -> Result<(usize, Vec<String>)> {
    let (heard, sound) = mpsc::channel(8);
    let mut told = engine.listen(Listen::default(), sound);
    let said = utterances.to_vec();
    let caller = tokio::spawn(async move {
        for utterance in said {
            for piece in utterance.chunks(160) {
                heard.send(Heard::Samples(piece.to_vec())).await?;
            }
            heard.send(Heard::Stopped).await?;
        }
        anyhow::Ok(())
    });
    let (mut partial, mut texts) = (0, Vec::new());
    while let Some(told) = timeout(GENEROUS, told.next()).await? {
        match told.what {
            Telling::Partial(_) => partial += 1,
            Telling::Final { text, .. } => {
                ensure!(told.utterance == texts.len() as u64, "{text} of {}, after {texts:?}", told.utterance);
                texts.push(text);
            }
            Telling::Failed(fault) => return Err(fault.into()),
        }
    }
    caller.await??;
    Ok((partial, texts))
}

fn ensure_keywords(texts: &[String]) -> Result<()> {
    ensure!(texts.len() == SENTENCES.len(), "{texts:?}");
    for (text, (said, keywords)) in texts.iter().zip(SENTENCES) {
        let text = text.to_lowercase();
        ensure!(keywords.iter().all(|word| text.contains(word)), "said: {said}; understood: {text}");
    }
    Ok(())
}

fn config(url: String, realtime: bool, sample_rate: Option<u32>) -> Result<SttConfig> {
    let config = json!({
        "url": url, "model": "whisper", "language": "en", "realtime": realtime, "sample_rate": sample_rate,
        "total_ms_max": 100_000,
    });
    serde_json::from_value(config).context("a config")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_piper_says_over_a_law_whisper_understands_by_utterance_and_in_real_time() -> Result<()> {
    let Some(engines) = Engines::start("hearing")? else { return Ok(()) };
    let mut utterances = Vec::new();
    for ((text, _), format) in SENTENCES.iter().zip(["pcm", "wav"]) {
        let sound = spoken(&engines, text, format).await?;
        // Piper takes 2 s for each.
        ensure!((1000..6000).contains(&(sound.len() / 8)), "{} samples for {text}", sound.len());
        utterances.push(sound);
    }
    for rate in [None, Some(16_000)] {
        let engine = OpenAiTranscription::new(config(engines.url(), false, rate)?, engines.wire()?);
        let (partial, texts) = understood(&engine, &utterances).await?;
        ensure!(partial == 0, "{partial} partial transcripts by utterance");
        ensure_keywords(&texts)?;
    }
    let engine = OpenAiTranscription::new(config(engines.realtime_url(), true, None)?, engines.wire()?);
    let (partial, texts) = understood(&engine, &utterances).await?;
    ensure!(partial >= texts.len(), "{partial} partial transcripts in real time");
    ensure_keywords(&texts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_says_itself_why_it_does_not_do_it() -> Result<()> {
    let Some(engines) = Engines::start("refusing")? else { return Ok(()) };
    let fault = spoken(&engines, "", "pcm").await.expect_err("there is nothing to say").to_string();
    ensure!(fault.starts_with("engine: status 400 (") && fault.ends_with(": nothing to say)"), "{fault}");
    Ok(())
}
