//! What is said in a realtime transcription session: a state machine over its JSON messages, without a connection or a clock.
//!
//!     -> session.update  -> input_audio_buffer.append ...  -> input_audio_buffer.commit
//!     <- conversation.item.input_audio_transcription.delta ...  <- .completed, or .failed
//!
//! The engine names items; which utterance each is follows from the order, for one item begins with each commit.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::{Asked, TRANSCRIPT_BYTES_MAX, Telling, Told};
use crate::answer::Said;
use crate::{Code, Fault};

/// The first message of a connection. The host says where an utterance ends, so the engine's own detection is off.
pub(super) fn update(asked: &Asked, rate: u32) -> String {
    let mut transcription = json!({ "model": asked.config.model });
    for (key, value) in [("language", asked.language()), ("prompt", &asked.listen.hint)] {
        if !value.is_empty() {
            transcription[key] = value.into();
        }
    }
    let input = json!({
        "format": { "type": "audio/pcm", "rate": rate },
        "transcription": transcription,
        "turn_detection": null,
    });
    json!({ "type": "session.update", "session": { "type": "transcription", "audio": { "input": input } } }).to_string()
}

pub(super) fn append(sound: &[i16]) -> String {
    let bytes: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    // Base64 has nothing that JSON escapes.
    format!(r#"{{"type":"input_audio_buffer.append","audio":"{}"}}"#, STANDARD.encode(bytes))
}

pub(super) fn commit() -> String {
    r#"{"type":"input_audio_buffer.commit"}"#.to_owned()
}

/// Utterances that were begun and whose ends were not told, in their order.
#[derive(Default)]
pub(super) struct Session {
    pending: VecDeque<Pending>,
    /// Items of utterances that ended last, for an engine may say more of them.
    over: VecDeque<String>,
}

const OVER_MAX: usize = 8;
const ITEM_BYTES_MAX: usize = 256;
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

struct Pending {
    utterance: u64,
    /// Once the engine has named it.
    item: Option<String>,
    text: String,
    /// Once the caller has stopped.
    stopped: Option<Instant>,
    /// Its end came before that of one before it.
    end: Option<Telling>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    item_id: Option<String>,
    #[serde(default)]
    delta: Option<String>,
    #[serde(default)]
    transcript: Option<String>,
    #[serde(default)]
    error: Option<Said>,
}

impl Session {
    pub fn begin(&mut self, utterance: u64) {
        self.pending.push_back(Pending { utterance, item: None, text: String::new(), stopped: None, end: None });
    }

    /// The last that began is over.
    pub fn stop(&mut self, now: Instant) {
        if let Some(last) = self.pending.back_mut() {
            last.stopped = Some(now);
        }
    }

    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// When the oldest stopped of which nothing was told.
    pub fn oldest_stop(&self) -> Option<Instant> {
        self.pending.front()?.stopped
    }

    /// Errors: the connection is of no more use.
    pub fn read(&mut self, message: &str, now: Instant) -> Result<Vec<Told>, Fault> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(Fault::new(Code::TooLong, format!("a message of more than {MESSAGE_BYTES_MAX} bytes")));
        }
        let message: Message = serde_json::from_str(message)
            .map_err(|error| Fault::protocol("no message of a transcription session").privately(&error.to_string()))?;
        if message.item_id.as_ref().is_some_and(|item| item.len() > ITEM_BYTES_MAX) {
            return Err(Fault::protocol("an item with an endless name"));
        }
        let refused = || {
            let said = message.error.as_ref().map_or(String::new(), Said::line);
            Fault::new(Code::Engine, "it says that it cannot").privately(&said)
        };
        let Some(kind) = message.kind.strip_prefix("conversation.item.input_audio_transcription.") else {
            return match message.kind.as_str() {
                "error" => Err(refused()),
                "input_audio_buffer.committed" => {
                    self.named(message.item_id);
                    Ok(Vec::new())
                }
                _ => Ok(Vec::new()),
            };
        };
        // A message about an item that is over already.
        let Some(at) = self.named(message.item_id) else { return Ok(Vec::new()) };
        let pending = &mut self.pending[at];
        let end = match kind {
            "delta" => {
                pending.text.push_str(&message.delta.unwrap_or_default());
                if pending.text.len() <= TRANSCRIPT_BYTES_MAX {
                    let what = Telling::Partial(pending.text.clone());
                    return Ok(vec![Told { utterance: pending.utterance, what }]);
                }
                Telling::Failed(Fault::new(Code::TooLong, "a transcript that does not end"))
            }
            "completed" if pending.stopped.is_none() => {
                let why = "a transcript of an utterance that goes on: the engine does not take `turn_detection: null`";
                return Err(Fault::protocol(why));
            }
            "completed" => {
                let text = message.transcript.unwrap_or_else(|| std::mem::take(&mut pending.text));
                let engine = pending.stopped.map_or_else(Default::default, |stopped| now.duration_since(stopped));
                match text.len() > TRANSCRIPT_BYTES_MAX {
                    true => Telling::Failed(Fault::new(Code::TooLong, "a transcript that does not end")),
                    false => Telling::Final { text: text.trim().to_owned(), engine },
                }
            }
            "failed" => Telling::Failed(refused()),
            _ => return Ok(Vec::new()),
        };
        pending.end.get_or_insert(end);
        Ok(self.ended())
    }

    /// All that is pending ends so.
    pub fn fail(&mut self, fault: &Fault) -> Vec<Told> {
        for pending in &mut self.pending {
            pending.end.get_or_insert_with(|| Telling::Failed(fault.clone()));
        }
        self.ended()
    }

    /// From the front, as far as there are ends.
    fn ended(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(what) = self.pending.front_mut().and_then(|front| front.end.take()) {
            let Some(front) = self.pending.pop_front() else { break };
            told.push(Told { utterance: front.utterance, what });
            self.over.extend(front.item);
        }
        let forgotten = self.over.len().saturating_sub(OVER_MAX);
        self.over.drain(..forgotten);
        told
    }

    /// Where the utterance of this name stands; a new name is the oldest's that has none.
    fn named(&mut self, item: Option<String>) -> Option<usize> {
        let item = item.filter(|item| !self.over.contains(item))?;
        let known = self.pending.iter().position(|pending| pending.item.as_ref() == Some(&item));
        known.or_else(|| {
            let at = self.pending.iter().position(|pending| pending.item.is_none())?;
            self.pending[at].item = Some(item);
            Some(at)
        })
    }
}
