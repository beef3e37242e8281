//! What the caller says, utterance by utterance, to an engine that writes it down.
//!
//! Two halves that do not wait for each other: one hands on what the ear hears, the other what the engine tells. An engine that fails
//! at an utterance is asked again with the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::speech::{Code, Fault, Heard, Listen, SpeechToText, Telling, Told};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use plugin::{Outcome, SpeechEvent};
use tokio::sync::mpsc;

use super::super::chat::failed;
use crate::bots::{Answers, Utterance};

/// Pieces of 100 ms on their way to the engine's client.
const HEARD_WAITING: usize = 64;

pub struct Listening {
    pub engine: Arc<dyn SpeechToText>,
    pub listen: Listen,
}

/// Where an utterance lies among the caller's samples; it grows while it is said.
#[derive(Clone, Copy)]
struct Span {
    /// As the engine's client counts them: those that had any sound.
    utterance: u64,
    from: u64,
    to: u64,
}

/// Of the utterances whose end was not told, in their order.
#[derive(Default)]
struct Spans(Mutex<VecDeque<Span>>);

impl Spans {
    fn spans(&self) -> MutexGuard<'_, VecDeque<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, span: Span) {
        self.spans().push_back(span);
    }

    /// Nothing, if its end was told: an engine may fail at it while it goes on.
    fn reaches(&self, Span { utterance, to, .. }: Span) {
        if let Some(span) = self.spans().iter_mut().find(|span| span.utterance == utterance) {
            span.to = to;
        }
    }

    fn find(&self, utterance: u64) -> Option<Span> {
        self.spans().iter().find(|span| span.utterance == utterance).copied()
    }

    fn end(&self, utterance: u64) {
        self.spans().retain(|span| span.utterance != utterance);
    }
}

impl Listening {
    /// Ends with the ear, once the engine has told what it still knows.
    pub async fn run(self, id: u64, ear: mpsc::Receiver<Utterance>, answers: Answers) {
        let (heard, to_engine) = mpsc::channel(HEARD_WAITING);
        let told = self.engine.listen(self.listen, to_engine);
        let spans = Spans::default();
        let hearing = Hearing { id, answers: &answers, spans: &spans, heard, utterances: 0, going_on: State::Silence };
        tokio::join!(hearing.run(ear), tell(id, told, &spans, &answers));
    }
}

struct Hearing<'a> {
    id: u64,
    answers: &'a Answers,
    spans: &'a Spans,
    heard: mpsc::Sender<Heard>,
    /// So many have had sound.
    utterances: u64,
    going_on: State,
}

#[derive(Clone, Copy)]
enum State {
    Silence,
    /// From this sample; none of its sound has come.
    Started(u64),
    Utterance(Span),
}

impl Hearing<'_> {
    async fn run(mut self, mut ear: mpsc::Receiver<Utterance>) {
        while let Some(heard) = ear.recv().await {
            match heard {
                Utterance::Started { sample } => {
                    self.going_on = State::Started(sample);
                    self.tell(SpeechEvent::UtteranceStarted { sample }).await;
                }
                Utterance::Sound(samples) => self.sound(samples.into_vec()).await,
                Utterance::Stopped { sample, .. } => self.stopped(Some(sample)).await,
                Utterance::Overrun => {
                    self.stopped(None).await;
                    let fault = Fault::new(Code::TimedOut, "what the caller said came faster than it was taken");
                    self.tell(SpeechEvent::Failed(failed(fault, self.answers))).await;
                }
            }
        }
    }

    async fn sound(&mut self, samples: Vec<i16>) {
        let more = samples.len() as u64;
        let span = match self.going_on {
            State::Silence => return,
            State::Started(from) => {
                let span = Span { utterance: self.utterances, from, to: from + more };
                self.utterances += 1;
                self.spans.begin(span);
                span
            }
            State::Utterance(span) => {
                let span = Span { to: span.to + more, ..span };
                self.spans.reaches(span);
                span
            }
        };
        self.going_on = State::Utterance(span);
        // An engine's client takes them as long as it is asked.
        let _ = self.heard.send(Heard::Samples(samples)).await;
    }

    /// None: where it ended is not known.
    async fn stopped(&mut self, sample: Option<u64>) {
        let span = match std::mem::replace(&mut self.going_on, State::Silence) {
            State::Silence => return,
            State::Started(from) => {
                return self.tell(SpeechEvent::UtteranceStopped { sample: sample.unwrap_or(from) }).await;
            }
            State::Utterance(span) => Span { to: sample.unwrap_or(span.to), ..span },
        };
        self.spans.reaches(span);
        // First, so that it comes before the transcript.
        self.tell(SpeechEvent::UtteranceStopped { sample: span.to }).await;
        let _ = self.heard.send(Heard::Stopped).await;
    }

    async fn tell(&self, event: SpeechEvent) {
        self.answers.give(self.id, Outcome::Speech(event)).await;
    }
}

async fn tell(id: u64, mut told: BoxStream<'static, Told>, spans: &Spans, answers: &Answers) {
    while let Some(Told { utterance, what }) = told.next().await {
        let Some(Span { from, to, .. }) = spans.find(utterance) else { continue };
        let transcript = |text, is_final, engine: Duration| SpeechEvent::Transcript {
            text,
            is_final,
            from_sample: from,
            to_sample: to,
            engine_ms: u32::try_from(engine.as_millis()).unwrap_or(u32::MAX),
        };
        let (event, is_end) = match what {
            Telling::Partial(text) => (transcript(text, false, Duration::ZERO), false),
            Telling::Final { text, engine } => (transcript(text, true, engine), true),
            Telling::Failed(fault) => (SpeechEvent::Failed(failed(fault, answers)), true),
        };
        if is_end {
            spans.end(utterance);
        }
        answers.give(id, Outcome::Speech(event)).await;
    }
}
