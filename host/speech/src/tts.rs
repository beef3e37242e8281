//! An engine that speaks: POST `/audio/speech`, its sound read and resampled as it is made.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde::Serialize;

use crate::answer::{Answer, Limits};
use crate::config::{bearer, joined};
use crate::wav::SoundReader;
use crate::{Code, Fault, Request, Resampler, SoundFormat, TELEPHONE_RATE, TtsConfig, Wire};

/// As `speech.say` allows.
pub const TEXT_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Say {
    pub text: String,
    /// Empty: the configuration's. So is `language`.
    pub voice: String,
    pub language: String,
}

pub trait TextToSpeech: Send + Sync {
    /// Pieces of 8 kHz sound, none of them empty, as the engine makes them. Ends after the sound or after a fault; no sound at all
    /// is a fault.
    fn speak(&self, say: Say) -> BoxStream<'static, Result<Vec<i16>, Fault>>;
}

/// How much sound a text may come to: far more than anyone takes to read it, so that an engine that does not end is cut.
pub fn sound_ms_max(text: &str) -> u64 {
    const LEAST_MS: u64 = 10_000;
    const PER_CHAR_MS: u64 = 1000;
    const MOST_MS: u64 = 600_000;
    (LEAST_MS + PER_CHAR_MS * text.chars().count() as u64).min(MOST_MS)
}

pub struct OpenAiSpeech {
    config: TtsConfig,
    wire: Arc<dyn Wire>,
}

impl OpenAiSpeech {
    pub fn new(config: TtsConfig, wire: Arc<dyn Wire>) -> OpenAiSpeech {
        OpenAiSpeech { config, wire }
    }

    fn limits(&self) -> Limits {
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        Limits { quiet: ms(self.config.quiet_ms_max), total: ms(self.config.total_ms_max) }
    }

    fn request(&self, say: &Say) -> Result<Request, Fault> {
        if say.text.len() > TEXT_BYTES_MAX {
            return Err(Fault::new(Code::TooLong, format!("a text of more than {TEXT_BYTES_MAX} bytes")));
        }
        let config = &self.config;
        let language = if say.language.is_empty() { &config.language } else { &say.language };
        let body = Body {
            model: &config.model,
            input: &say.text,
            voice: if say.voice.is_empty() { &config.voice } else { &say.voice },
            response_format: config.format,
            language: Some(language.as_str()).filter(|language| !language.is_empty()),
        };
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers.extend(bearer(config.api_key.as_deref()));
        let sound = Duration::from_millis(sound_ms_max(&say.text));
        Ok(Request {
            url: joined(&config.url, "/audio/speech"),
            headers,
            body: serde_json::to_vec(&body).map_err(|error| Fault::new(Code::BadRequest, error.to_string()))?,
            // The sound is read as the caller hears it.
            timeout: self.limits().total + sound,
            bytes_max: HEADER_BYTES_MAX + sound.as_millis() as usize * BYTES_PER_MS_MAX,
        })
    }
}

const HEADER_BYTES_MAX: usize = 64 * 1024;
/// 48 kHz, two channels.
const BYTES_PER_MS_MAX: usize = 48 * 2 * 2;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a str,
    voice: &'a str,
    response_format: SoundFormat,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
}

impl TextToSpeech for OpenAiSpeech {
    fn speak(&self, say: Say) -> BoxStream<'static, Result<Vec<i16>, Fault>> {
        let (wire, limits, request) = (self.wire.clone(), self.limits(), self.request(&say));
        let spoken = Spoken {
            reader: SoundReader::new(self.config.sample_rate),
            resampler: None,
            samples_left: sound_ms_max(&say.text) * u64::from(TELEPHONE_RATE / 1000),
            has_spoken: false,
        };
        let begin = async move { Ok((Answer::to(&*wire, request?, limits).await?, spoken)) };
        let sound = stream::once(begin).map(|begun| match begun {
            Ok((answer, spoken)) => stream::try_unfold(Some((answer, spoken)), next_piece).boxed(),
            Err(fault) => stream::once(async { Err(fault) }).boxed(),
        });
        sound.flatten().boxed()
    }
}

struct Spoken {
    reader: SoundReader,
    /// From when the rate is known.
    resampler: Option<Resampler>,
    samples_left: u64,
    has_spoken: bool,
}

type Reading = Option<(Answer, Spoken)>;

async fn next_piece(reading: Reading) -> Result<Option<(Vec<i16>, Reading)>, Fault> {
    let Some((mut answer, mut spoken)) = reading else { return Ok(None) };
    let mut sound = Vec::new();
    while let Some(bytes) = answer.next().await? {
        spoken.read(&bytes, &mut sound).map_err(|fault| answer.at(fault))?;
        if !sound.is_empty() {
            answer.has_progressed();
            return Ok(Some((sound, Some((answer, spoken)))));
        }
    }
    spoken.end(&mut sound).map_err(|fault| answer.at(fault))?;
    Ok(if sound.is_empty() { None } else { Some((sound, None)) })
}

impl Spoken {
    fn read(&mut self, bytes: &[u8], sound: &mut Vec<i16>) -> Result<(), Fault> {
        let mut samples = Vec::new();
        self.reader.push(bytes, &mut samples)?;
        let Some(rate) = self.reader.rate() else { return Ok(()) };
        let resampler = match &mut self.resampler {
            Some(resampler) => resampler,
            none => none.insert(Resampler::new(rate, TELEPHONE_RATE)?),
        };
        resampler.push(&samples, sound)?;
        self.count(sound)
    }

    fn end(&mut self, sound: &mut Vec<i16>) -> Result<(), Fault> {
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(sound)?;
        }
        self.count(sound)?;
        if self.has_spoken { Ok(()) } else { Err(Fault::protocol("no sound")) }
    }

    fn count(&mut self, sound: &[i16]) -> Result<(), Fault> {
        self.has_spoken |= !sound.is_empty();
        let left = self.samples_left.checked_sub(sound.len() as u64);
        self.samples_left = left.ok_or_else(|| Fault::new(Code::TooLong, "more sound than the text can be"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Scripted, Step, all, ok};

    fn config() -> TtsConfig {
        let config =
            serde_json::json!({ "url": "http://engine/v1", "model": "m", "voice": "joe", "quiet_ms_max": 100 });
        serde_json::from_value(config).expect("a config")
    }

    fn say(text: &str) -> Say {
        Say { text: text.to_owned(), ..Say::default() }
    }

    async fn spoken(config: TtsConfig, text: &str, steps: Vec<Step>) -> Vec<Result<Vec<i16>, Fault>> {
        let (wire, _) = Scripted::new([steps]);
        all(OpenAiSpeech::new(config, wire).speak(say(text))).await
    }

    fn samples(pieces: &[Result<Vec<i16>, Fault>]) -> usize {
        pieces.iter().map(|piece| piece.as_ref().map_or(0, Vec::len)).sum()
    }

    #[tokio::test]
    async fn sound_is_resampled_as_it_arrives() {
        // A second, in tenths.
        let tenth = || Step::Body(vec![0; 4800]);
        let steps = [Step::Status(200)].into_iter().chain(std::iter::repeat_with(tenth).take(10)).collect();
        let pieces = spoken(config(), "One.", steps).await;
        assert_eq!(samples(&pieces), 8000);
        assert!(pieces.len() >= 10 && pieces.iter().all(|piece| piece.as_ref().is_ok_and(|sound| !sound.is_empty())));
    }

    #[tokio::test]
    async fn a_wav_file_is_read_at_its_own_rate() {
        let wav = crate::wav::write(&vec![500; 22_050], 22_050);
        assert_eq!(samples(&spoken(config(), "One.", ok(wav)).await), 8000);
    }

    #[tokio::test]
    async fn the_request_names_voice_and_format_and_the_bots_wishes_come_first() {
        let (wire, _) = Scripted::new([ok(vec![0; 480]), ok(vec![0; 480])]);
        let engine = OpenAiSpeech::new(
            TtsConfig { format: SoundFormat::Wav, api_key: Some("k".into()), ..config() },
            wire.clone(),
        );
        all(engine.speak(say("One."))).await;
        all(engine.speak(Say { text: "Zwei.".into(), voice: "eva".into(), language: "de-DE".into() })).await;
        let bodies: Vec<serde_json::Value> =
            wire.requests().iter().map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect();
        let wish = |input, voice| serde_json::json!({ "model": "m", "input": input, "voice": voice, "response_format": "wav" });
        assert_eq!(bodies[0], wish("One.", "joe"));
        let mut second = wish("Zwei.", "eva");
        second["language"] = "de-DE".into();
        assert_eq!(bodies[1], second);
        assert_eq!(wire.requests()[0].url, "http://engine/v1/audio/speech");
        assert!(wire.requests()[0].headers.contains(&("authorization", "Bearer {{secret:k}}".to_owned())));
    }

    #[tokio::test]
    async fn an_engine_that_does_not_speak_is_a_fault() {
        let tiny_wav = crate::wav::write(&[], 8000);
        let odd = crate::wav::write(&[0; 100], 47_999);
        let cases = [
            (vec![Step::Hang], Code::TimedOut),
            (vec![Step::Status(200), Step::Hang], Code::TimedOut),
            ([ok(vec![0; 4800]), vec![Step::Hang]].concat(), Code::TimedOut),
            (vec![Step::Status(404)], Code::Engine),
            (ok([]), Code::Protocol),
            (ok(tiny_wav), Code::Protocol),
            (ok(odd), Code::Protocol),
            (
                [ok(vec![0; 4800]), vec![Step::Fault(Fault::new(Code::Unreachable, "reset"))]].concat(),
                Code::Unreachable,
            ),
            (vec![Step::Status(200), Step::Status(200)], Code::Protocol),
        ];
        for (steps, code) in cases {
            let end = spoken(config(), "One.", steps).await.pop().expect("an end");
            assert_eq!(end.expect_err("a fault").code, code);
        }
    }

    #[tokio::test]
    async fn sound_without_end_is_cut_after_more_than_the_text_can_be() {
        let pieces = spoken(config(), "One.", vec![Step::Status(200), Step::Endless(vec![0; 48_000])]).await;
        assert_eq!(pieces.last().expect("an end").as_ref().expect_err("cut").code, Code::TooLong);
        let most = sound_ms_max("One.") as usize * 8;
        assert!(samples(&pieces) <= most && samples(&pieces) > most - 16_000, "{}", samples(&pieces));
        let silent = vec![Step::Status(200), Step::Body(b"RIFF\0\0\0\0WAVE".to_vec()), Step::Endless(vec![0; 1000])];
        let end = spoken(config(), "One.", silent).await.pop().expect("an end");
        assert!(end.is_err());
    }

    #[tokio::test]
    async fn a_text_that_is_too_long_is_not_sent() {
        let (wire, _) = Scripted::new([]);
        let pieces = all(OpenAiSpeech::new(config(), wire.clone()).speak(say(&"x".repeat(TEXT_BYTES_MAX + 1)))).await;
        assert_eq!(pieces[0].as_ref().expect_err("refused").code, Code::TooLong);
        assert_eq!(wire.requests(), []);
    }

    #[tokio::test]
    async fn only_waiting_for_the_engine_counts_against_it() {
        let (wire, _) = Scripted::new([vec![Step::Status(200), Step::Body(vec![0; 4800]), Step::Body(vec![0; 4800])]]);
        let mut sound =
            OpenAiSpeech::new(TtsConfig { quiet_ms_max: 200, total_ms_max: 200, ..config() }, wire).speak(say("One."));
        sound.next().await.expect("sound").expect("sound");
        // The caller hears slowly.
        tokio::time::sleep(Duration::from_millis(500)).await;
        sound.next().await.expect("sound").expect("sound");
    }
}
