//! Engines that answer at once, in the shape of OpenAI's API: a turn's time is then the host's own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::body::Bytes;
use axum::extract::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Router, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::tally::{Clock, Nanos};

/// Of the sound, in Hz.
pub const SAMPLE_RATE: u32 = 24_000;
/// What is said with this in it lasts longer than anybody listens.
pub const LONG: &str = "at length";
const LONG_SECONDS: u32 = 10;
const BRIEF: Duration = Duration::from_millis(800);

/// They end with this.
pub struct Engines {
    _runtime: Runtime,
    pub url: String,
    utterances: Utterances,
}

/// When each caller's utterances came, by the number that the words expected of him end with.
type Utterances = Arc<Mutex<HashMap<usize, Vec<Nanos>>>>;

fn lock(utterances: &Utterances) -> MutexGuard<'_, HashMap<usize, Vec<Nanos>>> {
    utterances.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Words to expect of a caller.
pub fn hint(number: usize) -> String {
    format!("{HINT}{number}.")
}

const HINT: &str = "It is caller ";

impl Engines {
    pub fn start(clock: Clock) -> Result<Engines> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("http://{}/v1", listener.local_addr()?);
        let utterances = Utterances::default();
        let heard = Arc::clone(&utterances);
        let answers = Router::new()
            .route("/v1/audio/transcriptions", post(async move |sound: Bytes| transcript(&sound, &clock, &heard)))
            .route("/v1/chat/completions", post(completion))
            .route("/v1/audio/speech", post(speech));
        runtime.spawn(async { serve(listener, answers).await });
        Ok(Engines { _runtime: runtime, url, utterances })
    }

    /// When the next utterance of this caller was whole.
    pub fn utterance_after(&self, number: usize, moment: Nanos) -> Option<Nanos> {
        lock(&self.utterances).get(&number)?.iter().copied().find(|at| *at > moment)
    }
}

/// The form has a text beside the sound.
fn transcript(form: &[u8], clock: &Clock, heard: &Utterances) -> Json<Value> {
    let hint = form.windows(HINT.len()).position(|window| window == HINT.as_bytes());
    let number = hint.and_then(|at| form[at + HINT.len()..].split(|byte| !byte.is_ascii_digit()).next());
    if let Some(number) = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()) {
        lock(heard).entry(number).or_default().push(clock.now());
    }
    Json(json!({ "text": "What is the time, please?" }))
}

async fn completion(_asked: Bytes) -> impl IntoResponse {
    let event = |delta: Value, reason: Value| {
        format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] }))
    };
    let words = ["It ", "is ", "noon. "].map(|word| event(json!({ "content": word }), Value::Null)).concat();
    ([(CONTENT_TYPE, "text/event-stream")], words + &event(json!({}), json!("stop")) + "data: [DONE]\n\n")
}

/// A tone, loud from its first sample.
async fn speech(Json(asked): Json<Value>) -> impl IntoResponse {
    let is_long = asked["input"].as_str().is_some_and(|text| text.contains(LONG));
    let seconds = if is_long { f64::from(LONG_SECONDS) } else { BRIEF.as_secs_f64() };
    let count = (seconds * f64::from(SAMPLE_RATE)) as u32;
    let sample =
        |at: u32| ((f64::from(at) * 440.0 * std::f64::consts::TAU / f64::from(SAMPLE_RATE)).cos() * 10_000.0) as i16;
    ([(CONTENT_TYPE, "audio/pcm")], (0..count).flat_map(|at| sample(at).to_le_bytes()).collect::<Vec<u8>>())
}
