//! By utterance: POST `/audio/transcriptions`, a whole WAV file in a multipart body.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt, ready};
use futures_util::stream::{self, BoxStream, FuturesOrdered};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{
    Asked, HEARD_SAMPLES_MAX, Heard, TRANSCRIPT_BYTES_MAX, Telling, Told, UTTERANCES_WAITING_MAX, too_long, too_many,
};
use crate::answer::{Answer, Limits};
use crate::config::{bearer, joined};
use crate::{Code, Fault, Request, Resampler, TELEPHONE_RATE, wav};

/// A transcript, and what some engines send with it.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

pub(super) fn listen(asked: Asked, heard: mpsc::Receiver<Heard>) -> BoxStream<'static, Told> {
    let listening =
        Listening { asked, heard: Some(heard), utterance: 0, samples: Vec::new(), under_way: FuturesOrdered::new() };
    stream::unfold(listening, |mut listening| async { Some((listening.next().await?, listening)) }).boxed()
}

struct Listening {
    asked: Asked,
    /// None: it is closed.
    heard: Option<mpsc::Receiver<Heard>>,
    /// The one that is heard now or next.
    utterance: u64,
    samples: Vec<i16>,
    under_way: FuturesOrdered<BoxFuture<'static, Told>>,
}

impl Listening {
    async fn next(&mut self) -> Option<Told> {
        loop {
            let Some(heard) = &mut self.heard else { return self.under_way.next().await };
            tokio::select! {
                Some(told) = self.under_way.next() => return Some(told),
                heard = heard.recv() => match heard {
                    Some(Heard::Samples(samples)) => self.samples(&samples),
                    Some(Heard::Stopped) => self.stopped(),
                    None => {
                        self.stopped();
                        self.heard = None;
                    }
                },
            }
        }
    }

    /// One sample above the bound is kept, as the sign that there were more.
    fn samples(&mut self, samples: &[i16]) {
        let room = (HEARD_SAMPLES_MAX + 1).saturating_sub(self.samples.len());
        self.samples.extend_from_slice(&samples[..samples.len().min(room)]);
    }

    fn stopped(&mut self) {
        let samples = std::mem::take(&mut self.samples);
        if samples.is_empty() {
            return;
        }
        let utterance = self.utterance;
        self.utterance += 1;
        let failed = |fault| ready(Told { utterance, what: Telling::Failed(fault) }).boxed();
        let told = if samples.len() > HEARD_SAMPLES_MAX {
            failed(too_long())
        } else if self.under_way.len() >= UTTERANCES_WAITING_MAX {
            failed(too_many())
        } else {
            transcribed(self.asked.clone(), utterance, samples).boxed()
        };
        self.under_way.push_back(told);
    }
}

async fn transcribed(asked: Asked, utterance: u64, samples: Vec<i16>) -> Told {
    let stopped = Instant::now();
    let text = async {
        let request = request(&asked, &samples)?;
        drop(samples);
        let limits = Limits { quiet: request.timeout, total: request.timeout };
        let mut answer = Answer::to(&*asked.wire, request, limits).await?;
        let body = answer.whole().await?;
        let transcript: Transcript = serde_json::from_slice(&body)
            .map_err(|error| answer.at(Fault::protocol("no transcript").privately(&error.to_string())))?;
        match transcript.text.len() > TRANSCRIPT_BYTES_MAX {
            true => Err(answer.fault(Code::TooLong, "a transcript that does not end")),
            false => Ok(transcript.text.trim().to_owned()),
        }
    };
    let what = match text.await {
        Ok(text) => Telling::Final { text, engine: stopped.elapsed() },
        Err(fault) => Telling::Failed(fault),
    };
    Told { utterance, what }
}

#[derive(Deserialize)]
struct Transcript {
    text: String,
}

fn request(asked: &Asked, samples: &[i16]) -> Result<Request, Fault> {
    let config = &asked.config;
    let rate = config.sample_rate.unwrap_or(TELEPHONE_RATE);
    let mut resampler = Resampler::new(TELEPHONE_RATE, rate)?;
    let mut sound = Vec::with_capacity(samples.len() * rate as usize / TELEPHONE_RATE as usize);
    resampler.push(samples, &mut sound)?;
    resampler.finish(&mut sound)?;
    let mut random = [0; 16];
    let filled = OsRng.try_fill_bytes(&mut random);
    filled.map_err(|error| Fault::new(Code::Unreachable, format!("this host has no randomness: {error}")))?;
    let boundary = format!("patchbay-{:032x}", u128::from_le_bytes(random));
    let fields = [
        ("model", config.model.as_str()),
        ("language", asked.language()),
        ("prompt", asked.listen.hint.as_str()),
        ("response_format", "json"),
    ];
    let mut headers = vec![("content-type", format!("multipart/form-data; boundary={boundary}"))];
    headers.extend(bearer(config.api_key.as_deref()));
    Ok(Request {
        url: joined(&config.url, "/audio/transcriptions"),
        headers,
        body: multipart(&boundary, &fields, &wav::write(&sound, rate)),
        timeout: Duration::from_millis(u64::from(config.total_ms_max)),
        bytes_max: ANSWER_BYTES_MAX,
    })
}

/// Source: RFC 7578. Fields without a value are left out.
fn multipart(boundary: &str, fields: &[(&str, &str)], wav: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(wav.len() + 1024);
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        let part = format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.into_bytes());
    }
    let file = "content-disposition: form-data; name=\"file\"; filename=\"utterance.wav\"\r\ncontent-type: audio/wav";
    body.extend(format!("--{boundary}\r\n{file}\r\n\r\n").into_bytes());
    body.extend(wav);
    body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    body
}
