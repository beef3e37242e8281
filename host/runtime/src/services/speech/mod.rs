//! `speech`: what a bot says is spoken and what its caller says is written down, by the engines of its tenant.
//!
//!     say ----> speaking: engine -> pieces of sound -> playout queue -> events
//!     listen -> listening: ear -> utterances -> engine -> transcripts -> events

mod listening;
mod speaking;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::speech::{Listen, Say};
use call::CallId;
use plugin::{HostError, Outcome, Request, SpeechEvent, SpeechRequest};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::chat::no_engine;
use super::engines::{Directory, Engines};
use super::task::Task;
use crate::bots::{Caller, ListenRules, Services};
use speaking::{Asked, Speaking};

/// Speech for so long begins an utterance: shorter than any word that is an answer.
const START_MS: u32 = 80;

pub struct Speech {
    engines: Arc<Directory>,
    runtime: Handle,
    calls: Mutex<HashMap<CallId, Talk>>,
}

/// Of one call.
#[derive(Default)]
struct Talk {
    /// From the first `say` on.
    speaking: Option<Speaking>,
    listening: Option<(u64, Task)>,
}

impl Speech {
    pub fn new(engines: Arc<Directory>, runtime: Handle) -> Self {
        Self { engines, runtime, calls: Mutex::default() }
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<CallId, Talk>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it takes to carry it out. Errors: `no-engine`.
    fn engines_for(&self, tenant: &str, request: &SpeechRequest) -> Result<Engines, HostError> {
        let engines = self.engines.of(tenant);
        let missing = match request {
            SpeechRequest::Say { .. } => engines.speaks.is_none().then_some("speech.tts"),
            SpeechRequest::Listen { .. } => engines.hears.is_none().then_some("speech.stt"),
        };
        missing.map_or(Ok(engines), |section| Err(no_engine(tenant, section)))
    }

    fn say(&self, caller: &Caller, asked: Asked) {
        let mut calls = self.calls();
        let talk = calls.entry(caller.call()).or_default();
        talk.speaking.get_or_insert_with(|| Speaking::start(&self.runtime, caller.answers().clone())).say(asked);
    }

    fn listen(&self, caller: &Caller, id: u64, rules: ListenRules, listening: listening::Listening) {
        // At once, so that nothing of what a bot does next comes before it.
        let ear = caller.answers().listen(rules);
        let task = Task::start(&self.runtime, listening.run(id, ear, caller.answers().clone()));
        self.calls().entry(caller.call()).or_default().listening = Some((id, task));
    }
}

impl Services for Speech {
    fn check(&self, caller: &Caller, request: &Request) -> Result<(), HostError> {
        let Request::Speech(request) = request else { return Ok(()) };
        self.engines_for(caller.tenant(), request).map(drop)
    }

    fn begin(&self, caller: &Caller, id: u64, request: Request) {
        let Request::Speech(request) = request else { return };
        let engines = match self.engines_for(caller.tenant(), &request) {
            Ok(engines) => engines,
            Err(error) => {
                // The configuration has changed since it was asked about. Full: the bot has been told of too much already.
                let _ = caller.answers().offer(id, Outcome::Speech(SpeechEvent::Failed(error)));
                return;
            }
        };
        match (request, engines) {
            (SpeechRequest::Say { text, voice, language }, Engines { speaks: Some(engine), .. }) => {
                self.say(caller, Asked { id, at: Instant::now(), say: Say { text, voice, language }, engine });
            }
            (
                SpeechRequest::Listen { language, hint, end_of_turn_ms, utterance_ms_max },
                Engines { hears: Some(hears), .. },
            ) => {
                let hang_over_ms = if end_of_turn_ms == 0 { hears.end_of_turn_ms } else { end_of_turn_ms };
                let rules = ListenRules { start_ms: START_MS, hang_over_ms, utterance_ms_max };
                let listening = listening::Listening { engine: hears.engine, listen: Listen { language, hint } };
                self.listen(caller, id, rules, listening);
            }
            _ => {}
        }
    }

    fn cancel(&self, caller: &Caller, id: u64) {
        let mut calls = self.calls();
        let Some(talk) = calls.get_mut(&caller.call()) else { return };
        if let Some(speaking) = &talk.speaking {
            speaking.cancel(id);
        }
        if talk.listening.take_if(|(listening, _)| *listening == id).is_some() {
            caller.answers().unlisten();
        }
    }

    fn ended(&self, caller: &Caller) {
        self.calls().remove(&caller.call());
    }
}
